#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::{Digest, Options, Store};
use proptest::prelude::*;

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let verdict = prop_oneof![
        Just(Verdict::Accepted),
        Just(Verdict::Rejected),
        Just(Verdict::NoCandidate)
    ];
    let cosine = || prop::option::of(-1.0..=1.0_f64);
    let names = (
        any::<Option<u64>>(),
        any::<Option<[u8; 32]>>(),
        any::<Option<u32>>(),
    );
    let numbers = (cosine(), prop::option::of(-9.0..9.0_f64), cosine());
    (verdict, names, numbers, ".{0,9}", ".{0,9}", ".{0,40}").prop_map(
        |(verdict, (object_id, digest, rank), numbers, tool_version, schema_version, reason)| {
            Outcome {
                verdict,
                object_id,
                digest: digest.map(Digest),
                rank,
                similarity: numbers.0,
                reranker_score: numbers.1,
                threshold: numbers.2,
                tool_version,
                schema_version,
                reason,
            }
        },
    )
}

proptest! {
    #[test]
    fn records_read_back(outcome in any_outcome(), time: u64) {
        prop_assert_eq!(record::decode(&record::encode(&outcome, time)).unwrap(), (outcome, time));
    }

    #[test]
    fn damage_is_an_error_or_another_outcome(outcome in any_outcome(), at: prop::sample::Index, bit in 0..8_u8) {
        let mut encoded = record::encode(&outcome, 7);
        let at = at.index(encoded.len());
        prop_assert!(record::decode(&encoded[..at]).is_err());
        encoded[at] ^= 1 << bit;
        if let Ok((other, time)) = record::decode(&encoded) {
            prop_assert_eq!(record::encode(&other, time), encoded);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = record::decode(&bytes);
        let _ = check(&bytes, &bytes);
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    (directory, store)
}

fn judged(verdict: Verdict, similarity: f64, rank: u32) -> Outcome {
    Outcome {
        similarity: Some(similarity),
        rank: Some(rank),
        ..Outcome::new(verdict)
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let outcome = Outcome {
        rank: Some(3),
        reason: "why".to_owned(),
        ..Outcome::new(Verdict::Rejected)
    };
    let expected = [
        2, 5, 0, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, b'w', b'h', b'y',
    ];
    assert_eq!(record::encode(&outcome, 5), expected);
    let key = outcome_key(NamespaceId(1), "f", 2);
    assert_eq!(key, [0, 0, 0, 1, b'f', 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(last_key(NamespaceId(1)), [0, 0, 0, 1, 0]);
}

#[test]
fn sequences_run_through_all_families_and_lists_go_on_where_they_ended() {
    let (directory, store) = store();
    let accepted = Outcome::new(Verdict::Accepted);
    for (family, sequence) in [("b", 1), ("a", 2), ("b", 3), ("b\u{1}", 4), ("b", 5)] {
        assert_eq!(store.record_outcome(family, &accepted).unwrap(), sequence);
    }
    let sequences = |store: &Store, limit, after| -> Vec<u64> {
        let listed = store.list_outcomes("b", limit, after).unwrap();
        listed.iter().map(|outcome| outcome.sequence).collect()
    };
    assert_eq!(sequences(&store, usize::MAX, 0), [1, 3, 5]);
    assert_eq!(sequences(&store, 1, 1), [3]);
    assert_eq!(sequences(&store, 0, 0), [0; 0]);
    assert_eq!(sequences(&store, 9, u64::MAX), [0; 0]);
    assert_eq!(store.list_families().unwrap(), ["a", "b", "b\u{1}"]);
    let view = store.namespace("other").unwrap();
    assert_eq!(view.record_outcome("b", &accepted).unwrap(), 1);
    assert_eq!(view.list_families().unwrap(), ["b"]);
    assert!(store.verify().unwrap().is_empty());
    store.drop_namespace("other").unwrap();
    assert!(matches!(
        view.record_outcome("b", &accepted),
        Err(Error::InvalidArgument(_))
    ));
    store.close().unwrap();

    let store = Store::open(directory.path(), Options::default()).unwrap();
    assert_eq!(store.record_outcome("b", &accepted).unwrap(), 6);
    assert_eq!(sequences(&store, 9, 3), [5, 6]);
    assert!(
        store
            .namespace("other")
            .unwrap()
            .list_families()
            .unwrap()
            .is_empty()
    );
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn threads_get_sequences_of_their_own() {
    let (_directory, store) = store();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for _ in 0..50 {
                    let outcome = judged(Verdict::Accepted, 0.9, thread);
                    store
                        .record_outcome(&format!("family {thread}"), &outcome)
                        .unwrap();
                }
            });
        }
    });
    assert!(store.verify().unwrap().is_empty());
    let report = store.family_report("family 3").unwrap();
    assert_eq!(report.accepted, 50);
}

#[test]
fn bad_outcomes_and_families_are_refused() {
    let (_directory, store) = store();
    let refused = |family: &str, outcome: &Outcome| {
        let refused = store.record_outcome(family, outcome);
        assert!(
            matches!(refused, Err(Error::InvalidArgument(_))),
            "{refused:?}"
        );
    };
    let good = Outcome::new(Verdict::Accepted);
    for family in ["", "a\0b", &"f".repeat(256)] {
        refused(family, &good);
    }
    for similarity in [f64::NAN, f64::INFINITY, 1.1, -1.1] {
        refused("f", &judged(Verdict::Accepted, similarity, 0));
    }
    let reason = "r".repeat(MAX_NOTE_BYTES + 1);
    refused("f", &Outcome { reason, ..good });
    assert!("maybe".parse::<Verdict>().is_err());
    assert!(store.list_families().unwrap().is_empty());
    assert!(matches!(store.family_report("f"), Err(Error::NotFound(_))));
}

#[test]
fn reports_count_by_similarity_and_rank() {
    let (_directory, store) = store();
    let record = |outcome: &Outcome| store.record_outcome("f", outcome).unwrap();
    record(&judged(Verdict::Accepted, 1.0, 0));
    record(&judged(Verdict::Rejected, 0.93, 1));
    record(&judged(Verdict::Rejected, -0.2, 99));
    record(&Outcome::new(Verdict::Rejected));
    record(&Outcome::new(Verdict::NoCandidate));
    let report = store.family_report("f").unwrap();
    assert_eq!(
        (report.accepted, report.rejected, report.no_candidate),
        (1, 3, 1)
    );
    assert_eq!(report.false_accept_rate(), Some(0.75));
    assert_eq!(report.accepted_similarity[19], 1);
    assert_eq!(
        (
            report.rejected_similarity[18],
            report.rejected_similarity[0]
        ),
        (1, 1)
    );
    assert_eq!((report.rejected_rank[1], report.rejected_rank[15]), (1, 1));
    assert_eq!((report.first_sequence, report.last_sequence), (1, 5));
    assert_eq!(report.suggested_threshold(), None);
}

#[test]
fn every_edge_is_the_first_of_its_bucket() {
    for bucket in 0..20 {
        assert_eq!(report::bucket_of(f64::from(bucket) / 20.0), bucket as usize);
    }
}

#[test]
fn a_threshold_is_suggested_where_few_are_rejected() {
    let (_directory, store) = store();
    let record = |count, verdict, similarity| {
        for _ in 0..count {
            store
                .record_outcome("f", &judged(verdict, similarity, 0))
                .unwrap();
        }
    };
    record(40, Verdict::Accepted, 0.96);
    assert_eq!(
        store.family_report("f").unwrap().suggested_threshold(),
        None
    );
    record(2, Verdict::Rejected, 0.97);
    record(10, Verdict::Rejected, 0.91);
    let report = store.family_report("f").unwrap();
    assert_eq!(report.suggested_threshold(), Some(0.95));
}
