#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::clock::ManualClock;
use crate::embed::{Embedder, HashEmbedder};
use crate::options::{DedupMode, Options};
use crate::store::Dedup;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn entry<'a>(key: &'a [u8], value: &'a [u8]) -> Entry<'a> {
    Entry {
        key,
        value,
        ttl_seconds: None,
        metadata: None,
        lent: None,
    }
}

fn refused<T>(result: Result<T>) -> Option<Digest> {
    match result {
        Err(Error::ConditionFailed(current)) => current,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("the condition does not hold"),
    }
}

#[test]
fn a_put_happens_only_if_its_conditions_hold() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path(), Options::default()).unwrap();
    let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
    let put = |value: &[u8], conditions: &[Condition<'_>]| {
        store.put_entry_if(&entry(b"key", value), conditions)
    };
    assert_eq!(refused(put(b"one", &[Condition::Present])), None);
    assert_eq!(refused(put(b"one", &[Condition::OneOf(&[one])])), None);
    assert_eq!(store.count_keys(true).unwrap(), 0);

    let first = put(b"one", &[Condition::Absent, Condition::NoneOf(&[one])]).unwrap();
    assert!(first.created && first.digest == one && first.dedup == Dedup::New);
    assert_eq!(refused(put(b"two", &[Condition::Absent])), Some(one));
    assert_eq!(refused(put(b"two", &[Condition::OneOf(&[two])])), Some(one));
    assert_eq!(
        refused(put(b"two", &[Condition::NoneOf(&[two, one])])),
        Some(one)
    );
    let both = [Condition::Present, Condition::NoneOf(&[one])];
    assert_eq!(refused(put(b"two", &both)), Some(one));
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"one");

    let second = put(b"two", &[Condition::OneOf(&[two, one]), Condition::Present]).unwrap();
    assert!(!second.created && second.digest == two);
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"two");

    assert_eq!(
        refused(store.delete_if(b"key", &[Condition::OneOf(&[one])])),
        Some(two)
    );
    assert_eq!(
        refused(store.delete_if(b"other", &[Condition::Present])),
        None
    );
    store
        .delete_if(b"key", &[Condition::OneOf(&[two])])
        .unwrap();
    let again = store.delete_if(b"key", &[Condition::Absent]);
    assert!(matches!(again, Err(Error::NotFound(_))));
    assert_eq!(store.count_unique_values().unwrap(), 0);
    assert_eq!(store.stats().unwrap().deletes, 1);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn an_expired_key_counts_as_absent() {
    let root = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_000_000_000));
    let options = Options {
        clock: Arc::clone(&clock) as _,
        ..Options::default()
    };
    let store = Store::open(root.path(), options).unwrap();
    store.put(b"key", b"one", Some(10)).unwrap();
    assert!(!store.put(b"key", b"one", Some(10)).unwrap().created);
    clock.advance_seconds(10);
    let one = Digest::of(b"one");
    for condition in [Condition::Present, Condition::OneOf(&[one])] {
        assert_eq!(
            refused(store.put_entry_if(&entry(b"key", b"two"), &[condition])),
            None
        );
        assert_eq!(refused(store.delete_if(b"key", &[condition])), None);
    }
    let put = store.put_entry_if(&entry(b"key", b"two"), &[Condition::Absent]);
    assert!(put.unwrap().created);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn a_merged_value_is_known_by_the_digest_of_what_it_merged_with_and_a_refused_one_is_not_embedded()
{
    let root = tempfile::tempdir().unwrap();
    let mut options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(Arc::new(HashEmbedder::new(64)) as Arc<dyn Embedder>)
        })),
        ..Options::default()
    };
    options.semantic.threshold = 0.5;
    let store = Store::open(root.path(), options).unwrap();
    let stored = store
        .put(b"a", b"the cat sits on the red mat", None)
        .unwrap();
    let merged = store
        .put(b"b", b"the cat sits on the red mats", None)
        .unwrap();
    assert!(matches!(merged.dedup, Dedup::Similar(_)), "{merged:?}");
    assert_eq!(merged.digest, stored.digest);
    let current = [Condition::OneOf(&[merged.digest])];
    let replaced = store.put_entry_if(&entry(b"b", b"something else entirely"), &current);
    assert_eq!(replaced.unwrap().dedup, Dedup::New);
    let failed = store.put_entry_if(&entry(b"b", b"and a third one"), &current);
    assert_eq!(
        refused(failed),
        Some(Digest::of(b"something else entirely"))
    );
    store.delete_if(b"b", &[Condition::Present]).unwrap();
    assert_eq!(store.health().unwrap().index_vectors, 1);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn of_concurrent_puts_of_an_absent_key_one_wins_and_no_increment_is_lost() {
    const THREADS: usize = 8;
    const ROUNDS: u64 = 60;
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path(), Options::default()).unwrap();
    let wins = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, wins) = (&store, &wins);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let key = format!("round {round}");
                    let value = format!("{round} of {thread}");
                    let entry = entry(key.as_bytes(), value.as_bytes());
                    match store.put_entry_if(&entry, &[Condition::Absent]) {
                        Ok(_) => _ = wins.fetch_add(1, Ordering::Relaxed),
                        Err(Error::ConditionFailed(Some(_))) => {}
                        Err(other) => panic!("{other}"),
                    }
                    // A number that everybody raises by one, and deletes before it grows long.
                    loop {
                        let now = store.get(b"number").unwrap();
                        let number: u64 = now.as_ref().map_or(0, |text| {
                            std::str::from_utf8(text).unwrap().parse().unwrap()
                        });
                        let digests: Vec<_> = now.iter().map(|text| Digest::of(text)).collect();
                        let condition = match digests.is_empty() {
                            true => Condition::Absent,
                            false => Condition::OneOf(&digests),
                        };
                        let next = (number + 1).to_string();
                        let entry = super::tests::entry(b"number", next.as_bytes());
                        match store.put_entry_if(&entry, &[condition]) {
                            Ok(_) => break,
                            Err(Error::ConditionFailed(_)) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(wins.into_inner() as u64, ROUNDS);
    let total = (THREADS as u64 * ROUNDS).to_string();
    assert_eq!(store.get(b"number").unwrap().unwrap(), total.as_bytes());
    assert!(store.verify().unwrap().is_empty());
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Nothing,
    Absent,
    Present,
    Is(u8),
    IsNot(u8),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn conditional_writes_do_what_a_map_under_a_lock_would(
        steps in proptest::collection::vec(
            (
                0_u8..4,
                proptest::option::weighted(0.7, 0_u8..4),
                prop_oneof![
                    Just(Asked::Nothing),
                    Just(Asked::Absent),
                    Just(Asked::Present),
                    (0_u8..4).prop_map(Asked::Is),
                    (0_u8..4).prop_map(Asked::IsNot),
                ],
            ),
            1..60,
        ),
    ) {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path(), Options::default()).unwrap();
        let mut map: BTreeMap<u8, u8> = BTreeMap::new();
        for (key, value, asked) in steps {
            let now = map.get(&key).copied();
            let digest = match asked {
                Asked::Is(value) | Asked::IsNot(value) => [Digest::of(&[value])],
                _ => [Digest::of(b"")],
            };
            let (conditions, holds) = match asked {
                Asked::Nothing => (vec![], true),
                Asked::Absent => (vec![Condition::Absent], now.is_none()),
                Asked::Present => (vec![Condition::Present], now.is_some()),
                Asked::Is(wanted) => (vec![Condition::OneOf(&digest)], now == Some(wanted)),
                Asked::IsNot(other) => (vec![Condition::NoneOf(&digest)], now != Some(other)),
            };
            match value {
                Some(value) => {
                    let put = store.put_entry_if(&entry(&[key], &[value]), &conditions);
                    prop_assert_eq!(put.is_ok(), holds);
                    if let Ok(outcome) = put {
                        prop_assert_eq!(outcome.created, now.is_none());
                        map.insert(key, value);
                    }
                }
                None => {
                    let deleted = store.delete_if(&[key], &conditions);
                    prop_assert_eq!(deleted.is_ok(), holds && now.is_some());
                    if holds {
                        map.remove(&key);
                    }
                }
            }
        }
        for key in 0..4 {
            let stored = store.get(&[key]).unwrap();
            prop_assert_eq!(stored, map.get(&key).map(|value| vec![*value]));
        }
        prop_assert!(store.verify().unwrap().is_empty());
    }
}
