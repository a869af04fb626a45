//! Threads on overlapping keys and values; refcounts and counters must be exact afterwards.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod namespaces;
mod watchdog;

use prestige_core::{Entry, ManualClock, Options, Store};
use prestige_tests::{Random, assert_sound, fast_semantic_options, question};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Runs `work`, whose threads report no steps: it must be done within a minute.
fn without_deadlock(work: impl FnOnce()) {
    watchdog::Watchdog::watch(|_| work());
}

fn hammer(store: &Store, threads: u64, steps: u64) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut random = Random::new(thread + 1);
                for _ in 0..steps {
                    let key = format!("key {}", random.below(50));
                    let value =
                        format!("value {}", random.below(20)).repeat(1 + random.below(4) as usize);
                    match random.below(10) {
                        0..5 => drop(
                            store
                                .put(key.as_bytes(), value.as_bytes(), Some(random.below(3)))
                                .unwrap(),
                        ),
                        5 => {
                            let other = format!("key {}", random.below(50));
                            let entry = |key: &'static str| Entry {
                                key: key.as_bytes(),
                                value: b"shared",
                                ttl_seconds: None,
                                metadata: None,
                                lent: None,
                            };
                            let mut entries = vec![entry("key 1"), entry("key 2"), entry("key 3")];
                            entries.push(Entry {
                                key: other.as_bytes(),
                                value: value.as_bytes(),
                                ttl_seconds: None,
                                metadata: None,
                                lent: None,
                            });
                            store.put_many(&entries).unwrap();
                        }
                        6 => drop(store.delete(key.as_bytes())),
                        7 => drop(store.get(key.as_bytes()).unwrap()),
                        8 => drop(store.sweep().unwrap()),
                        _ => drop(store.evict_lru(200).unwrap()),
                    }
                }
            });
        }
    });
}

#[test]
fn sixteen_threads_leave_exact_refcounts() {
    for enable_gc in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(
            directory.path(),
            Options {
                enable_gc,
                ..Options::default()
            },
        )
        .unwrap();
        without_deadlock(|| hammer(&store, 16, 400));
        assert_sound(&store);
        store.close().unwrap();
        let store = Store::open(directory.path(), Options::default()).unwrap();
        assert_sound(&store);
    }
}

#[test]
fn sixteen_threads_leave_exact_refcounts_in_a_semantic_store() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = fast_semantic_options();
    options.semantic.index_save_interval = 20;
    let store = Store::open(directory.path(), options.clone()).unwrap();
    without_deadlock(|| hammer(&store, 16, 200));
    assert_sound(&store);
    store.close().unwrap();
    assert_sound(&Store::open(directory.path(), options).unwrap());
}

#[test]
fn concurrent_near_duplicates_are_merged_like_serial_ones() {
    let texts: Vec<String> = (0..50).map(question).collect();
    let count = |threads: usize| {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), fast_semantic_options()).unwrap();
        without_deadlock(|| {
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let (store, texts) = (&store, &texts);
                    scope.spawn(move || {
                        for (i, text) in texts.iter().enumerate() {
                            // Word order does not matter to the embedder: similarity 1, other bytes.
                            let mut words: Vec<_> = text.split(' ').collect();
                            let turn = thread % words.len();
                            words.rotate_left(turn);
                            let key = format!("{thread}/{i}");
                            store
                                .put(key.as_bytes(), words.join(" ").as_bytes(), None)
                                .unwrap();
                        }
                    });
                }
            });
        });
        assert_sound(&store);
        store.count_unique_values().unwrap()
    };
    assert_eq!(count(16), count(1));
}

#[test]
fn readers_see_the_old_or_the_new_value_while_a_key_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    store.put(b"key", &[0; 500], None).unwrap();
    let stop = AtomicBool::new(false);
    without_deadlock(|| {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let value = store.get(b"key").unwrap().unwrap();
                        assert!(
                            value.len() == 500 && value.iter().all(|byte| *byte == value[0]),
                            "{value:?}"
                        );
                    }
                });
            }
            for i in 0..3000_u32 {
                store.put(b"key", &[i as u8; 500], None).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    assert_sound(&store);
}

#[test]
fn closing_waits_for_what_runs_and_refuses_what_comes_later() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    without_deadlock(|| {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for i in 0.. {
                        if let Err(error) =
                            store.put(format!("{thread}/{i}").as_bytes(), b"value", None)
                        {
                            assert!(matches!(error, prestige_core::Error::Closed(_)), "{error}");
                            return;
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(30));
            store.close().unwrap();
        });
    });
    assert_sound(&Store::open(directory.path(), Options::default()).unwrap());
}

#[test]
fn the_size_limit_holds_after_every_put_of_every_thread() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_000_000));
    let limit = 100_000;
    let options = Options {
        max_store_bytes: limit,
        clock: clock.clone(),
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    without_deadlock(|| {
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (store, clock) = (&store, &clock);
                scope.spawn(move || {
                    let mut random = Random::new(thread + 9);
                    for i in 0..300 {
                        let value =
                            vec![random.below(256) as u8; 500 + random.below(3000) as usize];
                        store
                            .put(format!("{thread}/{i}").as_bytes(), &value, None)
                            .unwrap();
                        clock.advance_seconds(1);
                    }
                });
            }
        });
    });
    store.put(b"last", &[1; 100], None).unwrap();
    assert!(store.total_bytes().unwrap() <= limit);
    assert!(store.contains(b"last").unwrap());
    assert_sound(&store);
}
