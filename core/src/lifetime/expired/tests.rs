#![allow(clippy::unwrap_used)]

use crate::{Entry, ManualClock, Options, Store};
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
                    let entry = |key| Entry { key, value: b"both", ttl_seconds: Some(ttl) };
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
