#![allow(clippy::unwrap_used)]

use crate::{Entry, Error, ManualClock, Options, Record, Store};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const START_US: u64 = 1_700_000_000_000_000;

fn options(clock: &Arc<ManualClock>) -> Options {
    Options {
        clock: clock.clone(),
        reaper_interval_seconds: 0.0,
        ..Options::default()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u64),
    PutBoth(u8, u8, u64),
    Touch(u8, u64),
    ExpireAt(u8, i64),
    Delete(u8),
    Sweep,
    Move(i64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..12_u8;
    let ttl = 0..6_u64;
    prop_oneof![
        6 => (key.clone(), ttl.clone()).prop_map(|(key, ttl)| Step::Put(key, ttl)),
        2 => (key.clone(), key.clone(), ttl.clone()).prop_map(|(a, b, ttl)| Step::PutBoth(a, b, ttl)),
        2 => (key.clone(), ttl).prop_map(|(key, ttl)| Step::Touch(key, ttl)),
        2 => (key.clone(), -3..6_i64).prop_map(|(key, seconds)| Step::ExpireAt(key, seconds)),
        2 => key.prop_map(Step::Delete),
        1 => Just(Step::Sweep),
        6 => (-3..5_i64).prop_map(Step::Move),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Against a map of expiries, after every step, with a clock that also goes back.
    #[test]
    fn the_count_is_that_of_a_naive_model(steps in proptest::collection::vec(step(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START_US));
        let mut store = Store::open(directory.path(), options(&clock)).unwrap();
        let mut now_us = START_US;
        // Expiry by key, 0: never.
        let mut model: HashMap<u8, u64> = HashMap::new();
        let expired = |at: u64, now_us: u64| at != 0 && at <= now_us;
        for step in steps {
            let expiry = |ttl: u64| if ttl == 0 { 0 } else { now_us + ttl * 1_000_000 };
            match step {
                Step::Put(key, ttl) => {
                    store.put(&[key], &[key % 3], Some(ttl)).unwrap();
                    model.insert(key, expiry(ttl));
                }
                Step::PutBoth(a, b, ttl) => {
                    let entry = |key| Entry { key, value: b"both", ttl_seconds: Some(ttl), metadata: None, lent: None };
                    store.put_many(&[entry(&[a]), entry(&[b])]).unwrap();
                    model.extend([(a, expiry(ttl)), (b, expiry(ttl))]);
                }
                Step::Touch(key, ttl) => {
                    let live = model.get(&key).is_some_and(|at| !expired(*at, now_us));
                    prop_assert_eq!(store.touch(&[key], Some(ttl)).is_ok(), live);
                    if live {
                        model.insert(key, expiry(ttl));
                    }
                }
                Step::ExpireAt(key, seconds) => {
                    let at = now_us.saturating_add_signed(seconds * 1_000_000);
                    let live = model.get(&key).is_some_and(|at| !expired(*at, now_us));
                    prop_assert_eq!(store.expire_at(&[key], at).is_ok(), live);
                    if live {
                        model.remove(&key);
                    }
                    if live && at > now_us {
                        model.insert(key, at);
                    }
                }
                Step::Delete(key) => {
                    if store.delete(&[key]).is_ok() {
                        model.remove(&key);
                    }
                }
                Step::Sweep => {
                    store.sweep().unwrap();
                    model.retain(|_, at| !expired(*at, now_us));
                }
                Step::Move(seconds) => {
                    clock.move_by(seconds * 1_000_000);
                    now_us = now_us.saturating_add_signed(seconds * 1_000_000);
                }
                Step::Reopen => {
                    store.close().unwrap();
                    store = Store::open(directory.path(), options(&clock)).unwrap();
                }
            }
            let dead = model.values().filter(|at| expired(**at, now_us)).count() as u64;
            prop_assert_eq!(store.health().unwrap().expired_keys, dead);
            prop_assert_eq!(store.count_keys(false).unwrap(), model.len() as u64 - dead);
            prop_assert_eq!(store.count_keys(true).unwrap(), model.len() as u64);
        }
        prop_assert_eq!(store.verify().unwrap(), []);
    }
}

#[test]
fn the_count_stays_exact_under_concurrent_writes() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_US));
    let store = Store::open(directory.path(), options(&clock)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .map(|thread| {
                let (store, clock) = (&store, &clock);
                scope.spawn(move || {
                    for i in 0..500_u64 {
                        let key = [thread, i % 50].map(u64::to_be_bytes).concat();
                        store.put(&key, b"value", Some(i % 3)).unwrap();
                        clock.move_by(if i % 7 == 0 { -900_000 } else { 200_000 });
                        if i % 5 == 0 {
                            let _ = store.delete(&key);
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.count_keys(false).unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.sweep().unwrap();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let counted = store.health().unwrap().expired_keys;
    store.close().unwrap();
    let store = Store::open(directory.path(), options(&clock)).unwrap();
    assert_eq!(store.health().unwrap().expired_keys, counted);
    assert_eq!(store.prune(0, 0).unwrap(), counted);
    assert_eq!(store.health().unwrap().expired_keys, 0);
}

#[test]
fn an_import_that_expires_while_it_is_written_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_US));
    let store = Store::open(directory.path(), options(&clock)).unwrap();
    clock.advance_seconds(10);
    // Counted up to the present, then time goes back, so that what is imported lies before that moment.
    assert_eq!(store.health().unwrap().expired_keys, 0);
    clock.set(START_US);
    let record = |key: &'static [u8], seconds: u64| Record {
        key,
        value: b"value",
        created_us: Some(START_US - 1_000_000),
        expires_us: Some(START_US + seconds * 1_000_000),
        metadata: None,
    };
    store
        .import_records(&[record(b"a", 3), record(b"b", 5), record(b"c", 20)])
        .unwrap();
    assert_eq!(store.health().unwrap().expired_keys, 0);
    clock.advance_seconds(4);
    assert_eq!(store.health().unwrap().expired_keys, 1);
    clock.advance_seconds(6);
    assert_eq!(store.count_keys(false).unwrap(), 1);
    store.import_records(&[record(b"c", 30)]).unwrap();
    assert_eq!(store.health().unwrap().expired_keys, 2);
}

#[test]
fn a_dropped_namespace_leaves_nothing_in_the_count_of_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_US));
    let store = Store::open(directory.path(), options(&clock)).unwrap();
    let red = store.namespace("red").unwrap();
    red.put(b"key", b"value", Some(1)).unwrap();
    clock.advance_seconds(1);
    assert_eq!(red.health().unwrap().expired_keys, 1);
    store.drop_namespace("red").unwrap();
    let red = store.namespace("red").unwrap();
    assert_eq!(red.health().unwrap().expired_keys, 0);
    red.put(b"key", b"value", Some(1)).unwrap();
    assert_eq!(red.health().unwrap().expired_keys, 0);
    clock.advance_seconds(1);
    assert_eq!(red.health().unwrap().expired_keys, 1);
    assert_eq!(store.health().unwrap().expired_keys, 0);
}

#[test]
fn a_reader_counts_what_it_shows_before_and_after_a_refresh() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_US));
    let owner = Store::open(directory.path(), options(&clock)).unwrap();
    owner.put(b"first", b"value", Some(10)).unwrap();
    let reader = Store::open(
        directory.path(),
        Options {
            read_only: true,
            ..options(&clock)
        },
    )
    .unwrap();
    clock.advance_seconds(10);
    owner.put(b"second", b"value", Some(5)).unwrap();
    owner.sweep().unwrap();
    let expired = |store: &Store| store.health().unwrap().expired_keys;
    assert_eq!((expired(&owner), expired(&reader)), (0, 1));
    assert_eq!(reader.count_keys(false).unwrap(), 0);
    reader.refresh().unwrap();
    assert_eq!(
        (expired(&reader), reader.count_keys(false).unwrap()),
        (0, 1)
    );
    clock.advance_seconds(5);
    assert_eq!((expired(&owner), expired(&reader)), (1, 1));
    let refused = [
        reader.touch(b"second", None),
        reader.expire_at(b"second", 0),
    ];
    assert!(
        refused
            .iter()
            .all(|result| matches!(result, Err(Error::ReadOnly(_))))
    );
}
