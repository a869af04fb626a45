//! Random sequences of operations against a naive model of what a store is.
//!
//! The model knows nothing of objects, digests or families: a map of keys with their times. Whatever the store
//! answers must follow from it, and after every sequence all invariants hold. `PRESTIGE_PROPERTY_CASES` (default 64)
//! sequences of up to 200 operations run a test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use prestige_core::{ManualClock, Options, Store};
use prestige_tests::assert_sound;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

const START_US: u64 = 1_700_000_000_000_000;

#[derive(Clone, Debug)]
enum Operation {
    Put { key: u8, value: u8, ttl: Option<u8> },
    PutMany { pairs: Vec<(u8, u8)> },
    Get { key: u8 },
    Delete { key: u8 },
    List { prefix: u8, limit: u8 },
    Advance { seconds: u8 },
    Sweep,
    Prune { max_age: u8, max_idle: u8 },
    Evict { keep_bytes: u16 },
    Flush,
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (any::<u8>(), 0..24_u8, proptest::option::of(0..20_u8))
            .prop_map(|(key, value, ttl)| Operation::Put { key: key % 40, value, ttl }),
        2 => proptest::collection::vec((0..40_u8, 0..24_u8), 0..12).prop_map(|pairs| Operation::PutMany { pairs }),
        4 => (0..40_u8).prop_map(|key| Operation::Get { key }),
        3 => (0..40_u8).prop_map(|key| Operation::Delete { key }),
        1 => (0..5_u8, 0..12_u8).prop_map(|(prefix, limit)| Operation::List { prefix, limit }),
        2 => (0..8_u8).prop_map(|seconds| Operation::Advance { seconds }),
        1 => Just(Operation::Sweep),
        1 => (0..12_u8, 0..12_u8).prop_map(|(max_age, max_idle)| Operation::Prune { max_age, max_idle }),
        1 => (0..600_u16).prop_map(|keep_bytes| Operation::Evict { keep_bytes }),
        1 => Just(Operation::Flush),
        1 => Just(Operation::Reopen),
    ]
}

/// What the model knows of a key.
#[derive(Clone, Debug)]
struct Expected {
    value: Vec<u8>,
    put_at: u64,
    expires_at: Option<u64>,
}

#[derive(Default)]
struct Model {
    keys: BTreeMap<Vec<u8>, Expected>,
    now: u64,
}

impl Model {
    fn live(&self) -> impl Iterator<Item = (&Vec<u8>, &Expected)> {
        self.keys
            .iter()
            .filter(|(_, expected)| expected.expires_at.is_none_or(|at| at > self.now))
    }

    fn get(&self, key: &[u8]) -> Option<&Vec<u8>> {
        self.live()
            .find(|(live, _)| *live == key)
            .map(|(_, expected)| &expected.value)
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, ttl: Option<u64>) {
        let expires_at = ttl.filter(|ttl| *ttl > 0).map(|ttl| self.now + ttl);
        self.keys.insert(
            key,
            Expected {
                value,
                put_at: self.now,
                expires_at,
            },
        );
    }

    fn remove_expired(&mut self) {
        let now = self.now;
        self.keys
            .retain(|_, expected| expected.expires_at.is_none_or(|at| at > now));
    }

    fn distinct_values(&self) -> u64 {
        self.keys
            .values()
            .map(|expected| &expected.value)
            .collect::<HashSet<_>>()
            .len() as u64
    }
}

fn key_of(number: u8) -> Vec<u8> {
    format!("{}/{number}", number % 4).into_bytes()
}

fn value_of(number: u8) -> Vec<u8> {
    let mut value = format!("value {number} ").into_bytes();
    value.resize(8 + usize::from(number) * 5, number);
    value
}

fn check(operations: Vec<Operation>, enable_gc: bool) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_US));
    // Reads do not move access times here: their order within one second is not the model's subject.
    let options = Options {
        clock: clock.clone(),
        enable_gc,
        track_access_time: false,
        // What has expired stays until the operations remove it.
        reaper_interval_seconds: 0.0,
        ..Options::default()
    };
    let mut store = Store::open(directory.path(), options.clone()).unwrap();
    let mut model = Model::default();
    for operation in operations {
        match operation {
            Operation::Put { key, value, ttl } => {
                let (key, value, ttl) = (key_of(key), value_of(value), ttl.map(u64::from));
                store.put(&key, &value, ttl).unwrap();
                model.put(key, value, ttl);
            }
            Operation::PutMany { pairs } => {
                let pairs: Vec<_> = pairs
                    .into_iter()
                    .map(|(key, value)| (key_of(key), value_of(value)))
                    .collect();
                let entries: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| prestige_core::Entry {
                        key,
                        value,
                        ttl_seconds: None,
                    })
                    .collect();
                store.put_many(&entries).unwrap();
                pairs
                    .into_iter()
                    .for_each(|(key, value)| model.put(key, value, None));
            }
            Operation::Get { key } => {
                let key = key_of(key);
                assert_eq!(store.get(&key).unwrap().as_ref(), model.get(&key));
                assert_eq!(store.contains(&key).unwrap(), model.get(&key).is_some());
            }
            Operation::Delete { key } => {
                let key = key_of(key);
                let expected = model.get(&key).is_some();
                assert_eq!(store.delete(&key).is_ok(), expected);
                if expected {
                    model.keys.remove(&key);
                }
            }
            Operation::List { prefix, limit } => {
                let prefix = format!("{prefix}/").into_bytes();
                let expected: Vec<_> = model
                    .live()
                    .map(|(key, _)| key.clone())
                    .filter(|key| key.starts_with(&prefix))
                    .take(usize::from(limit))
                    .collect();
                assert_eq!(
                    store.list_keys(&prefix, None, usize::from(limit)).unwrap(),
                    expected
                );
            }
            Operation::Advance { seconds } => {
                clock.advance_seconds(u64::from(seconds));
                model.now += u64::from(seconds);
            }
            Operation::Sweep => {
                let before = store.count_unique_values().unwrap();
                model.remove_expired();
                assert_eq!(store.sweep().unwrap(), before - model.distinct_values());
                assert_eq!(
                    store.count_unique_values().unwrap(),
                    model.distinct_values()
                );
            }
            Operation::Prune { max_age, max_idle } => {
                let before = model.keys.len() as u64;
                model.remove_expired();
                let now = model.now;
                for bound in [u64::from(max_age), u64::from(max_idle)]
                    .into_iter()
                    .filter(|bound| *bound > 0)
                {
                    model
                        .keys
                        .retain(|_, expected| expected.put_at + bound >= now);
                }
                let pruned = store
                    .prune(u64::from(max_age), u64::from(max_idle))
                    .unwrap();
                assert_eq!(pruned, before - model.keys.len() as u64);
            }
            Operation::Evict { keep_bytes } => {
                let before = store.total_bytes().unwrap();
                let evicted = store.evict_lru(u64::from(keep_bytes)).unwrap();
                assert!(
                    store.total_bytes().unwrap() <= u64::from(keep_bytes)
                        || store.count_keys(true).unwrap() == 0
                );
                assert!(evicted == 0 || before > u64::from(keep_bytes));
                let left: HashSet<_> = store
                    .list_keys(b"", None, usize::MAX)
                    .unwrap()
                    .into_iter()
                    .collect();
                let newest_gone = model
                    .live()
                    .filter(|(key, _)| !left.contains(*key))
                    .map(|(_, expected)| expected.put_at)
                    .max();
                let oldest_left = model
                    .live()
                    .filter(|(key, _)| left.contains(*key))
                    .map(|(_, expected)| expected.put_at)
                    .min();
                if let (Some(gone), Some(kept)) = (newest_gone, oldest_left) {
                    assert!(
                        gone <= kept,
                        "a key put at {gone} s went before one put at {kept} s"
                    );
                }
                model.keys.retain(|key, expected| {
                    let expired = expected.expires_at.is_some_and(|at| at <= model.now);
                    expired || left.contains(key)
                });
                // Which of the expired keys went is not visible; take the store's word and let verify check it.
                if model.keys.len() as u64 != store.count_keys(true).unwrap() {
                    model.remove_expired();
                    store.sweep().unwrap();
                }
            }
            Operation::Flush => store.flush().unwrap(),
            Operation::Reopen => {
                store.close().unwrap();
                store = Store::open(directory.path(), options.clone()).unwrap();
            }
        }
        assert_eq!(store.count_keys(true).unwrap(), model.keys.len() as u64);
        assert_eq!(
            store.count_keys(false).unwrap(),
            model.live().count() as u64
        );
        if enable_gc {
            assert_eq!(
                store.count_unique_values().unwrap(),
                model.distinct_values()
            );
        }
    }
    let listed = store.list_keys(b"", None, usize::MAX).unwrap();
    assert_eq!(
        listed,
        model.live().map(|(key, _)| key.clone()).collect::<Vec<_>>()
    );
    for (key, expected) in model.live() {
        assert_eq!(store.get(key).unwrap().as_ref(), Some(&expected.value));
    }
    assert_sound(&store);
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PRESTIGE_PROPERTY_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(64);
    ProptestConfig {
        cases,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_store_is_a_map_with_times(operations in proptest::collection::vec(operation(), 1..200)) {
        check(operations, true);
    }

    #[test]
    fn so_is_a_store_that_leaves_orphans(operations in proptest::collection::vec(operation(), 1..200)) {
        check(operations, false);
    }
}
