#![allow(clippy::unwrap_used)]

use crate::{Error, ManualClock, Options, Store};
use std::sync::Arc;
use std::time::Duration;

const START_US: u64 = 1_700_000_000_000_000;

fn open(default_ttl_seconds: u64) -> (tempfile::TempDir, Arc<ManualClock>, Store) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_US));
    let options = Options {
        clock: clock.clone(),
        default_ttl_seconds,
        reaper_interval_seconds: 0.0,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    (directory, clock, store)
}

fn is_not_found<T>(result: crate::Result<T>) -> bool {
    matches!(result, Err(Error::NotFound(_)))
}

#[test]
fn a_touch_sets_what_is_left_and_keeps_value_and_put_time() {
    let (_directory, clock, store) = open(0);
    store.put(b"key", b"value", Some(10)).unwrap();
    let object = store.object_id(b"key").unwrap();
    clock.advance_seconds(4);
    // Read once, so that the record is cached and has to be forgotten.
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"value");
    assert_eq!(store.ttl(b"key").unwrap(), Some(Duration::from_secs(6)));
    store.touch(b"key", Some(100)).unwrap();
    assert_eq!(store.ttl(b"key").unwrap(), Some(Duration::from_secs(100)));
    clock.advance_seconds(99);
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"value");
    assert_eq!(store.object_id(b"key").unwrap(), object);
    assert_eq!(store.health().unwrap().oldest_key_age_seconds, 103);
    assert_eq!(store.health().unwrap().newest_access_age_seconds, 99);
    clock.advance_seconds(1);
    assert!(store.get(b"key").unwrap().is_none());
    assert!(is_not_found(store.touch(b"key", Some(100))));
    assert!(is_not_found(store.ttl(b"key")));
    assert!(is_not_found(store.touch(b"other", None)));
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn zero_is_never_and_none_the_default_as_for_a_put() {
    let (_directory, clock, store) = open(60);
    store.put(b"key", b"value", Some(10)).unwrap();
    store.touch(b"key", None).unwrap();
    assert_eq!(store.ttl(b"key").unwrap(), Some(Duration::from_secs(60)));
    store.touch(b"key", Some(0)).unwrap();
    assert_eq!(store.ttl(b"key").unwrap(), None);
    clock.advance_seconds(1_000_000);
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"value");
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn a_moment_in_the_future_is_kept_and_one_in_the_past_removes() {
    let (_directory, clock, store) = open(0);
    for key in [b"a", b"b", b"c"] {
        store.put(key, b"value", None).unwrap();
    }
    store.expire_at(b"a", START_US + 2_500_000).unwrap();
    assert_eq!(store.ttl(b"a").unwrap(), Some(Duration::from_millis(2500)));
    store.expire_at(b"b", START_US).unwrap();
    store.expire_at(b"c", 0).unwrap();
    assert_eq!(store.count_keys(true).unwrap(), 1);
    assert_eq!(store.stats().unwrap().expirations, 2);
    assert!(is_not_found(store.expire_at(b"b", START_US + 1)));
    assert!(is_not_found(store.expire_at(b"b", 0)));
    clock.advance_seconds(2);
    assert!(store.contains(b"a").unwrap());
    clock.advance_seconds(1);
    assert!(!store.contains(b"a").unwrap());
    assert!(is_not_found(store.expire_at(b"a", u64::MAX)));
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn without_collection_a_key_expired_at_once_leaves_an_orphan() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        enable_gc: false,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    store.put(b"key", b"value", None).unwrap();
    store.expire_at(b"key", 1).unwrap();
    assert_eq!(store.health().unwrap().orphaned_objects, 1);
    assert!(store.verify().unwrap().is_empty());
}
