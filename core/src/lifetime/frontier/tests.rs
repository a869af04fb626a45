#![allow(clippy::unwrap_used)]

use crate::schema::{ACCESS, CREATED, EXPIRY, ORPHANS};
use crate::{ManualClock, Options, Record, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const START_US: u64 = 1_700_000_000_000_000;

fn open(options: Options) -> (tempfile::TempDir, Arc<ManualClock>, Store) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_US));
    let options = Options {
        clock: clock.clone(),
        reaper_interval_seconds: 0.0,
        ..options
    };
    let store = Store::open(directory.path(), options).unwrap();
    (directory, clock, store)
}

fn frontier(store: &Store, family: &str) -> u64 {
    let engine = store.engine().unwrap();
    store.namespace_of(&engine).unwrap().frontiers.get(family)
}

#[test]
fn sweeps_leave_behind_what_they_removed() {
    let (_directory, clock, store) = open(Options::default());
    for i in 0..1000_u32 {
        store.put(&i.to_be_bytes(), b"value", Some(10)).unwrap();
    }
    store.put(b"later", b"value", Some(20)).unwrap();
    clock.advance_seconds(10);
    store.sweep().unwrap();
    assert_eq!(store.count_keys(true).unwrap(), 1);
    assert_eq!(store.prune(0, 0).unwrap(), 0);
    // The scan after the removal has seen that nothing is left before the present.
    assert!(frontier(&store, EXPIRY) > START_US + 10_000_000);
    clock.advance_seconds(10);
    assert_eq!(store.prune(0, 0).unwrap(), 1);
}

#[test]
fn what_is_put_before_the_frontier_is_found_all_the_same() {
    let (_directory, clock, store) = open(Options::default());
    clock.advance_seconds(1000);
    assert_eq!(store.prune(1, 1).unwrap(), 0);
    assert!(frontier(&store, EXPIRY) > START_US + 999_000_000);
    clock.set(START_US);
    store.put(b"key", b"value", Some(10)).unwrap();
    assert_eq!(frontier(&store, EXPIRY), START_US + 10_000_000);
    assert_eq!(frontier(&store, ACCESS), START_US);
    clock.advance_seconds(10);
    assert_eq!(store.prune(0, 0).unwrap(), 1);
    store.put(b"old", b"value", None).unwrap();
    clock.advance_seconds(10);
    assert_eq!(store.prune(5, 0).unwrap(), 1);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn orphans_are_found_again_whatever_their_age() {
    let options = Options {
        enable_gc: false,
        ..Options::default()
    };
    let (_directory, _clock, store) = open(options);
    for i in 0..600_u32 {
        store.put(&i.to_be_bytes(), &i.to_be_bytes(), None).unwrap();
    }
    for i in 1..600_u32 {
        store.delete(&i.to_be_bytes()).unwrap();
    }
    assert_eq!(store.sweep().unwrap(), 599);
    store.put(b"other", b"value", None).unwrap();
    store.delete(b"other").unwrap();
    assert_eq!(store.sweep().unwrap(), 1);
    assert!(frontier(&store, ORPHANS) > 0);
    // The oldest object of all becomes an orphan last.
    store.delete(&0_u32.to_be_bytes()).unwrap();
    assert_eq!(store.sweep().unwrap(), 1);
    assert!(store.verify().unwrap().is_empty());
}

/// Writers put keys that have expired when they arrive, while others sweep: nothing may stay behind a frontier.
#[test]
fn no_entry_is_lost_behind_a_frontier_that_moves() {
    let (_directory, clock, store) = open(Options::default());
    let (done, put) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (store, clock, put, done) = (&store, &clock, &put, &done);
            scope.spawn(move || {
                for i in 0..700 {
                    let key = [thread.to_be_bytes(), u64::to_be_bytes(i)].concat();
                    store.put(&key, b"value", Some(1)).unwrap();
                    put.fetch_add(1, Ordering::Relaxed);
                    // Forth and back, so that expiries fall on both sides of every frontier.
                    clock.move_by(if i % 2 == 0 { 3_000_000 } else { -2_900_000 });
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    store.prune(0, 0).unwrap();
                    store.count_keys(false).unwrap();
                }
            });
        }
    });
    clock.advance_seconds(100);
    assert_eq!(put.load(Ordering::Relaxed), 2100);
    assert_eq!(store.count_keys(false).unwrap(), 0);
    store.prune(0, 0).unwrap();
    assert_eq!(store.count_keys(true).unwrap(), 0);
    assert!(store.verify().unwrap().is_empty());
}

/// An import puts keys with times long past.
#[test]
fn what_is_imported_before_the_frontier_is_found_all_the_same() {
    let (_directory, clock, store) = open(Options::default());
    clock.advance_seconds(1000);
    assert_eq!(store.prune(1, 1).unwrap(), 0);
    assert!(frontier(&store, CREATED) > START_US + 998_000_000);
    let record = |key: &'static [u8], expires_us| Record {
        key,
        value: b"value",
        created_us: Some(START_US),
        expires_us,
        metadata: None,
    };
    let records = [
        record(b"old", None),
        record(b"short", Some(START_US + 1_001_000_000)),
    ];
    store.import_records(&records).unwrap();
    assert_eq!(frontier(&store, CREATED), START_US);
    assert_eq!(store.health().unwrap().oldest_key_age_seconds, 1000);
    clock.advance_seconds(1);
    assert_eq!(store.health().unwrap().expired_keys, 1);
    assert_eq!(store.prune(0, 0).unwrap(), 1);
    assert_eq!(store.health().unwrap().expired_keys, 0);
    assert_eq!(store.prune(1000, 0).unwrap(), 1);
    assert!(store.verify().unwrap().is_empty());
}
