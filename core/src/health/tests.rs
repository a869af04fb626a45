#![allow(clippy::unwrap_used)]

use crate::{ManualClock, Options, Store};
use std::sync::Arc;

#[test]
fn ages_follow_the_oldest_key_and_the_latest_use() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        clock: clock.clone(),
        lru_update_interval_seconds: 0,
        ..Options::default()
    };
    let ages = |store: &Store| {
        let health = store.health().unwrap();
        (
            health.oldest_key_age_seconds,
            health.newest_access_age_seconds,
        )
    };
    let store = Store::open(directory.path(), options.clone()).unwrap();
    assert_eq!(ages(&store), (0, 0));
    store.put(b"a", b"value", None).unwrap();
    clock.advance_seconds(10);
    store.put(b"b", b"value", None).unwrap();
    clock.advance_seconds(5);
    assert_eq!(ages(&store), (15, 5));
    store.delete(b"a").unwrap();
    assert_eq!(ages(&store), (5, 5));
    store.get(b"b").unwrap();
    clock.advance_seconds(1);
    // Noted by the get, and written when the store is closed.
    store.close().unwrap();
    let store = Store::open(directory.path(), options).unwrap();
    assert_eq!(ages(&store), (6, 1));
    store.put(b"c", b"value", None).unwrap();
    clock.advance_seconds(2);
    store.delete(b"c").unwrap();
    assert_eq!(ages(&store), (8, 2));
    store.delete(b"b").unwrap();
    assert_eq!(ages(&store), (0, 0));
}

#[test]
fn a_sweep_has_an_age_since_the_store_was_opened() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    assert_eq!(store.health().unwrap().last_sweep_age_seconds, None);
    store.sweep().unwrap();
    clock.advance_seconds(7);
    assert_eq!(store.health().unwrap().last_sweep_age_seconds, Some(7));
}

#[test]
fn a_write_of_an_older_time_does_not_hide_the_latest_use_of_before_the_opening() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let store = Store::open(directory.path(), options.clone()).unwrap();
    store.put(b"old", b"value", None).unwrap();
    clock.advance_seconds(10);
    store.put(b"new", b"value", None).unwrap();
    store.close().unwrap();
    let store = Store::open(directory.path(), options).unwrap();
    clock.advance_seconds(5);
    // Leaves the access time of the key as it was: 15 seconds ago.
    store.expire_at(b"old", u64::MAX).unwrap();
    assert_eq!(store.health().unwrap().newest_access_age_seconds, 5);
}
