#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::error::{CallbackError, Error};
use crate::{Dedup, DedupMode, Entry, Options, Store, VectorPrecision, Verifier};
use parking_lot::Mutex;
use prestige_embed::{EmbedError, Embedder, Embeddings, Fingerprint};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// Embeds `12.5 anything` as the unit vector at 12.5 degrees.
#[derive(Debug)]
struct Degrees(Fingerprint);

impl Embedder for Degrees {
    fn dimension(&self) -> usize {
        2
    }

    fn fingerprint(&self) -> &Fingerprint {
        &self.0
    }

    fn embed(&self, texts: &[&str]) -> std::result::Result<Embeddings, EmbedError> {
        let degrees = texts.iter().map(|text| {
            let degrees = text.split(' ').next().unwrap_or_default();
            degrees.parse::<f32>().unwrap().to_radians()
        });
        Embeddings::new(
            degrees
                .flat_map(|angle| [angle.cos(), angle.sin()])
                .collect(),
            2,
        )
    }
}

fn open(change: impl FnOnce(&mut Options)) -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = open_at(directory.path(), change);
    (directory, store)
}

fn open_at(path: &std::path::Path, change: impl FnOnce(&mut Options)) -> Store {
    let mut options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(
                Arc::new(Degrees(Fingerprint::from_parts("degrees".to_owned(), &[])))
                    as Arc<dyn Embedder>,
            )
        })),
        ..Options::default()
    };
    // Up to about ten degrees.
    options.semantic.threshold = 0.984;
    change(&mut options);
    Store::open(path, options).unwrap()
}

fn put(store: &Store, text: &str) -> Dedup {
    store
        .put(text.as_bytes(), text.as_bytes(), None)
        .unwrap()
        .dedup
}

fn is_similar(dedup: Dedup) -> bool {
    matches!(dedup, Dedup::Similar(_))
}

/// What the explanation says, and that a put does it.
fn explained(store: &Store, text: &str) -> Explanation {
    let before = store.health().unwrap();
    let explanation = store.explain(text.as_bytes()).unwrap();
    let after = store.health().unwrap();
    assert_eq!(before.total_bytes, after.total_bytes);
    let put = store.put(text.as_bytes(), text.as_bytes(), None).unwrap();
    match explanation.verdict {
        Verdict::Identical => assert_eq!(put.dedup, Dedup::Identical),
        Verdict::Merge => assert!(is_similar(put.dedup)),
        _ => assert_eq!(put.dedup, Dedup::New),
    }
    match explanation.object_id {
        Some(id) => assert_eq!(put.object_id, id),
        None => assert_eq!(put.dedup, Dedup::New),
    }
    assert!(store.verify().unwrap().is_empty());
    explanation
}

fn gate(explanation: &Explanation, name: &str) -> Option<Gate> {
    let mut gates = explanation.gates.iter();
    gates.find(|gate| gate.name == name).copied()
}

#[test]
fn an_explanation_says_what_a_put_does() {
    let (_directory, store) = open(|options| {
        options.semantic.max_text_bytes = 20;
        options.semantic.max_index_entries = 3;
    });
    let first = explained(&store, "0 first");
    assert_eq!((first.verdict, first.candidates.len()), (Verdict::New, 0));
    assert_eq!(explained(&store, "0 first").verdict, Verdict::Identical);
    let near = explained(&store, "5 near");
    assert_eq!(
        (near.verdict, near.threshold),
        (Verdict::Merge, Some(0.984))
    );
    assert_eq!(near.candidates[0].value.as_deref(), Some(&b"0 first"[..]));
    let threshold = gate(&near, "threshold").unwrap();
    assert!(threshold.passed && threshold.found.unwrap() > 0.99);
    let far = explained(&store, "90 far");
    assert_eq!(far.verdict, Verdict::New);
    assert!(!gate(&far, "threshold").unwrap().passed);
    assert_eq!(explained(&store, " ").verdict, Verdict::NotText);
    assert_eq!(
        explained(&store, "5 and much more than twenty").verdict,
        Verdict::TooLong
    );
    assert_eq!(store.explain(b"\xff").unwrap().verdict, Verdict::NotText);
    explained(&store, "180 third");
    assert_eq!(explained(&store, "181 no room").verdict, Verdict::IndexFull);
    assert_eq!(Verdict::IndexFull.name(), "index_full");
}

#[test]
fn an_exact_store_knows_identical_and_new() {
    let (_directory, store) = open(|options| options.dedup_mode = Some(DedupMode::Exact));
    assert_eq!(explained(&store, "0").verdict, Verdict::New);
    let again = explained(&store, "0");
    assert_eq!((again.verdict, again.threshold), (Verdict::Identical, None));
}

#[test]
fn the_best_must_lead_by_the_margin() {
    let (_directory, store) = open(|options| options.semantic.margin = 0.01);
    assert_eq!(put(&store, "0 a"), Dedup::New);
    // Alone it has nothing to lead over.
    let alone = explained(&store, "1 b");
    assert_eq!(alone.verdict, Verdict::Merge);
    assert_eq!(gate(&alone, "margin").unwrap().found, None);
    assert_eq!(put(&store, "18 c"), Dedup::New);
    // 0.9903 to both.
    let between = explained(&store, "9 d");
    assert_eq!(between.verdict, Verdict::New);
    assert!(gate(&between, "threshold").unwrap().passed);
    let margin = gate(&between, "margin").unwrap();
    assert!(!margin.passed && margin.found.unwrap().abs() < 0.001);
    assert_eq!(explained(&store, "-8 e").verdict, Verdict::Merge);
}

#[test]
fn the_candidate_must_be_near_in_return() {
    let (_directory, store) = open(|options| options.semantic.reciprocal_k = 2);
    for text in ["0 hub", "11 a", "-11 b"] {
        assert_eq!(put(&store, text), Dedup::New);
    }
    // Nothing is nearer to the hub than this is.
    let near = explained(&store, "4 c");
    assert_eq!(
        (near.verdict, gate(&near, "reciprocal").unwrap().found),
        (Verdict::Merge, Some(0.0))
    );
}

#[test]
fn a_text_that_others_are_nearer_to_takes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_at(directory.path(), |options| {
        options.semantic.threshold = 0.9999
    });
    for text in ["0 hub", "2 a", "-3 b"] {
        assert_eq!(put(&store, text), Dedup::New);
    }
    store.close().unwrap();
    drop(store);
    let store = open_at(directory.path(), |options| {
        options.semantic.reciprocal_k = 2
    });
    // The hub is the nearest of this text by far, and two others are nearer to the hub.
    let far = store.explain(b"-9 c").unwrap();
    let best = String::from_utf8(far.candidates[0].value.clone().unwrap()).unwrap();
    assert_eq!(best, "-3 b");
    // Nearer to -3 than -9 are 0, at 3 degrees, and 2, at 5.
    let reciprocal = gate(&far, "reciprocal").unwrap();
    assert_eq!((reciprocal.found, reciprocal.passed), (Some(2.0), false));
    assert_eq!(explained(&store, "-9 c").verdict, Verdict::New);
    assert_eq!(explained(&store, "-4 d").verdict, Verdict::Merge);
}

#[test]
fn gates_hold_within_one_write() {
    let (_directory, store) = open(|options| options.semantic.margin = 0.01);
    let texts = ["0 a", "18 b", "9 c", "-1 d"];
    let entries: Vec<_> = texts
        .iter()
        .map(|text| Entry {
            key: text.as_bytes(),
            value: text.as_bytes(),
            ttl_seconds: None,
            metadata: None,
            lent: None,
        })
        .collect();
    let outcomes = store.put_many(&entries).unwrap();
    let similar: Vec<bool> = outcomes.iter().map(|one| is_similar(one.dedup)).collect();
    assert_eq!(similar, [false, false, false, true]);
    assert!(store.verify().unwrap().is_empty());
}

type Pairs = Vec<(String, String)>;

/// Asked pairs, and a verifier that accepts those of one last word.
fn same_last_word() -> (Arc<Mutex<Pairs>>, Verifier) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let verifier: Verifier = Arc::new(move |new, stored, similarity| {
        assert!(similarity >= 0.984);
        seen.lock().push((new.to_owned(), stored.to_owned()));
        Ok(new.rsplit(' ').next() == stored.rsplit(' ').next())
    });
    (asked, verifier)
}

#[test]
fn the_verifier_has_the_last_word() {
    let (asked, verifier) = same_last_word();
    let (_directory, store) = open(|options| options.verifier = Some(verifier));
    assert_eq!(put(&store, "0 on"), Dedup::New);
    assert_eq!(put(&store, "90 on"), Dedup::New);
    assert!(asked.lock().is_empty());
    let near = explained(&store, "1 on");
    assert_eq!(near.verdict, Verdict::Merge);
    assert!(gate(&near, "verifier").unwrap().passed);
    assert_eq!(
        asked.lock().last().unwrap(),
        &("1 on".to_owned(), "0 on".to_owned())
    );
    let other = explained(&store, "-1 off");
    assert_eq!(other.verdict, Verdict::New);
    assert_eq!(gate(&other, "verifier").unwrap().found, Some(0.0));
    // Once each by the explanation and the put.
    assert_eq!(asked.lock().len(), 4);
    assert_eq!(
        put(&store, "1 on"),
        Dedup::Similar(near.candidates[0].similarity)
    );
}

#[test]
fn the_verifier_compares_texts_of_one_write_too() {
    let (asked, verifier) = same_last_word();
    let (_directory, store) = open(|options| options.verifier = Some(verifier));
    let entry = |text: &'static str| Entry {
        key: text.as_bytes(),
        value: text.as_bytes(),
        ttl_seconds: None,
        metadata: None,
        lent: None,
    };
    let outcomes = store
        .put_many(&[
            entry("0 on"),
            entry("1 on"),
            entry("30 off"),
            entry("31 on"),
            entry("2 on"),
        ])
        .unwrap();
    let similar: Vec<bool> = outcomes.iter().map(|one| is_similar(one.dedup)).collect();
    assert_eq!(similar, [false, true, false, false, true]);
    assert_eq!(asked.lock().len(), 3);
    assert!(store.verify().unwrap().is_empty());
}

/// However many pairs of a write it is asked about, the write begins anew a few times only.
#[test]
fn a_large_write_is_not_decided_anew_for_each_pair() {
    let (asked, verifier) = same_last_word();
    let (_directory, store) = open(|options| options.verifier = Some(verifier));
    let texts: Vec<String> = (0..600)
        .map(|i| format!("{}.{i:03} word{}", i % 12 * 30, i % 3))
        .collect();
    let entries: Vec<_> = texts
        .iter()
        .map(|text| Entry {
            key: text.as_bytes(),
            value: text.as_bytes(),
            ttl_seconds: None,
            metadata: None,
            lent: None,
        })
        .collect();
    let first = store.put(b"first", b"15", None).unwrap().object_id;
    store.put_many(&entries).unwrap();
    let last = store.put(b"last", b"45", None).unwrap().object_id;
    assert_eq!(store.count_unique_values().unwrap(), 14);
    // Every round takes ids for what it makes.
    assert!(last - first < 100, "{}", last - first);
    assert_eq!(asked.lock().len(), 600 - 12);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn what_the_verifier_fails_with_comes_back_and_nothing_is_stored() {
    let (_directory, store) = open(|options| {
        options.verifier = Some(Arc::new(|_, _, _| {
            Err(Error::Callback(CallbackError::new(std::fmt::Error)))
        }));
    });
    put(&store, "0 on");
    let failed = store.put(b"key", b"1 on", None);
    let Err(Error::Callback(failure)) = failed else {
        panic!("{failed:?}");
    };
    assert!(failure.inner().is::<std::fmt::Error>());
    assert!(store.explain(b"1 on").is_err());
    assert!(!store.contains(b"key").unwrap());
    assert_eq!(store.count_unique_values().unwrap(), 1);
    put(&store, "90 on");
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn the_verifier_may_use_the_store_and_change_what_it_is_asked_about() {
    let store: Arc<Mutex<Option<Arc<Store>>>> = Arc::default();
    let (inner, calls) = (Arc::clone(&store), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&calls);
    let verifier: Verifier = Arc::new(move |_, stored, _| {
        let store = inner.lock().clone().unwrap();
        // The candidate goes while it is judged, and a nearer one comes.
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            store.delete(stored.as_bytes()).unwrap();
            store.put(b"nearer", b"4.5 nearer", None).unwrap();
        }
        Ok(true)
    });
    let (_directory, opened) = open(|options| options.verifier = Some(verifier));
    let opened = Arc::new(opened);
    *store.lock() = Some(Arc::clone(&opened));
    put(&opened, "0 first");
    let put = opened.put(b"key", b"5 new", None).unwrap();
    assert!(is_similar(put.dedup));
    assert_eq!(opened.get(b"key").unwrap().unwrap(), b"4.5 nearer");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert!(opened.verify().unwrap().is_empty());
    store.lock().take();
}

#[test]
fn threads_that_ask_a_verifier_leave_what_one_thread_leaves() {
    let (_directory, store) = open(|options| {
        options.verifier = Some(Arc::new(|new, stored, _| {
            std::thread::yield_now();
            Ok(new.rsplit(' ').next() == stored.rsplit(' ').next())
        }));
    });
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..40 {
                    let group = (i + thread) % 8;
                    let text = format!("{}.{thread}{i} word{group}", group * 40);
                    store.put(text.as_bytes(), text.as_bytes(), None).unwrap();
                }
            });
        }
    });
    assert_eq!(store.count_unique_values().unwrap(), 8);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn vectors_of_every_precision_decide_and_rebuild() {
    let directory = tempfile::tempdir().unwrap();
    for (round, precision) in [
        VectorPrecision::F16,
        VectorPrecision::F32,
        VectorPrecision::I8,
        VectorPrecision::F32,
    ]
    .into_iter()
    .enumerate()
    {
        let store = open_at(directory.path(), |options| {
            options.semantic.vector_precision = precision;
        });
        assert!(store.verify().unwrap().is_empty());
        assert_eq!(put(&store, &format!("{} new", round * 30)), Dedup::New);
        for old in 0..=round {
            assert!(is_similar(put(
                &store,
                &format!("{} {precision}", old * 30 + 2)
            )));
        }
        assert_eq!(store.health().unwrap().index_vectors, round as u64 + 1);
        assert!(store.verify().unwrap().is_empty());
        store.close().unwrap();
    }
}

/// Each text with the value that its key has in the end.
fn values(store: &Store, texts: &[String]) -> Vec<Vec<u8>> {
    let value = |number| store.get(format!("{number}").as_bytes()).unwrap().unwrap();
    (0..texts.len()).map(value).collect()
}

/// Puts all texts at once, and one after the other.
fn together_and_alone(change: impl Fn(&mut Options), texts: &[String]) -> [Vec<Vec<u8>>; 2] {
    let (_directory, together) = open(&change);
    let keys: Vec<String> = (0..texts.len()).map(|number| format!("{number}")).collect();
    let entries = keys.iter().zip(texts).map(|(key, text)| Entry {
        key: key.as_bytes(),
        value: text.as_bytes(),
        ttl_seconds: None,
        metadata: None,
        lent: None,
    });
    together.put_many(&entries.collect::<Vec<_>>()).unwrap();
    let (_directory, alone) = open(&change);
    for (key, text) in keys.iter().zip(texts) {
        alone.put(key.as_bytes(), text.as_bytes(), None).unwrap();
    }
    let both = [values(&together, texts), values(&alone, texts)];
    for store in [together, alone] {
        assert_eq!(store.verify().unwrap(), []);
    }
    both
}

#[test]
fn a_text_that_comes_again_is_compared_with_what_came_between() {
    // 8 merges with 0; then 16.5 becomes an object, to which 8.5 is nearer than to 0, and so is 8 now that it comes again.
    let far = (0..8).map(|number| format!("{} far", 90 + 20 * number));
    let texts: Vec<String> = far
        .chain(["0 a", "9 t", "16.5 b", "9 t"].map(str::to_owned))
        .collect();
    let [together, alone] = together_and_alone(|_| {}, &texts);
    assert_eq!(together, alone);
    assert_eq!(together.get(9).unwrap(), b"0 a");
    assert_eq!(together.get(11).unwrap(), b"16.5 b");
}

#[test]
fn a_batch_decides_as_one_put_after_the_other() {
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..60 {
        let verifier: Verifier =
            Arc::new(
                |new: &str, stored: &str, _| Ok(!(new.len() + stored.len()).is_multiple_of(3)),
            );
        let change = |options: &mut Options| {
            // Otherwise what is stored is rounded, and what the same batch creates is not.
            options.semantic.vector_precision = VectorPrecision::F32;
            options.semantic.margin = [0.0, 0.003][round % 2];
            options.semantic.reciprocal_k = [0, 2][round / 2 % 2];
            options.verifier = (round % 3 == 0).then(|| Arc::clone(&verifier));
        };
        // Crowded, so that most merge, or wide; each text some times.
        let span = [120, 700, 3_600][round % 3];
        let texts: Vec<String> = (0..90)
            .map(|_| {
                let tenths = random(span);
                format!(
                    "{}.{} {}",
                    tenths / 10,
                    tenths % 10,
                    "x".repeat(random(3) as usize)
                )
            })
            .collect();
        let [together, alone] = together_and_alone(change, &texts);
        assert_eq!(together, alone, "round {round}: {texts:?}");
    }
}
