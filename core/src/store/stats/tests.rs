#![allow(clippy::unwrap_used)]

use crate::{Entry, Figure, ManualClock, Options, Stats, Store};
use std::sync::Arc;
use std::time::Duration;

fn entry<'a>(key: &'a [u8], value: &'a [u8]) -> Entry<'a> {
    Entry {
        key,
        value,
        ttl_seconds: None,
        metadata: None,
    }
}

#[test]
fn every_operation_is_counted_once_and_in_its_namespace() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let view = store.namespace("other").unwrap();
    assert_eq!(store.stats().unwrap(), Stats::default());

    view.put(b"key", b"of another namespace", None).unwrap();
    store.put(b"a", b"12345", None).unwrap();
    store.put(b"b", b"12345", None).unwrap();
    let batch = [entry(b"c", b"12345"), entry(b"d", b"1"), entry(b"d", b"22")];
    store.put_many(&batch).unwrap();
    store.put(b"too long", &[0; 10], None).unwrap();
    assert!(store.put(&[0; 70_000], b"x", None).is_err());
    let stats = store.stats().unwrap();
    assert_eq!((stats.puts, stats.dedup_hits), (5, 2));
    assert_eq!(stats.bytes_written, 5 + 5 + (5 + 1 + 2) + 10);
    let other = view.stats().unwrap();
    assert_eq!((other.puts, other.gets, other.deletes), (1, 0, 0));

    // What was put is in memory until the store is closed.
    drop(view);
    store.close().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    assert_eq!(store.stats().unwrap(), Stats::default());
    // From the disk, from memory, not there; one by one and together.
    for _ in 0..3 {
        assert!(store.get(b"a").unwrap().is_some());
        assert!(store.get(b"missing").unwrap().is_none());
    }
    let reader = store.reader().unwrap();
    assert!(reader.get_cached(b"a").is_some());
    assert!(reader.get_cached(b"d").is_none());
    let found = reader.get_many(&[b"a", b"b", b"d", b"missing"]).unwrap();
    assert_eq!(found.iter().flatten().count(), 3);
    let stats = store.stats().unwrap();
    assert_eq!((stats.gets, stats.hits, stats.misses), (11, 7, 4));
    // "a" and "b" share an object: only the first get of each value had to read it.
    assert_eq!((stats.value_cache_misses, stats.value_cache_hits), (2, 5));
    assert_eq!(stats.bytes_read, 4 * 5 + 5 + 5 + 2);

    store.delete(b"a").unwrap();
    assert!(store.delete(b"a").is_err());
    assert_eq!(store.delete_many(&[b"b", b"missing"]).unwrap(), 1);
    assert_eq!(store.stats().unwrap().deletes, 2);
    let other = store.namespace("other").unwrap().stats().unwrap();
    assert_eq!(other, Stats::default());
}

#[test]
fn whatever_removes_keys_is_counted_apart() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        clock: clock.clone(),
        reaper_interval_seconds: 0.0,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    for i in 0..10_u8 {
        store.put(&[i], &[i], (i < 3).then_some(1)).unwrap();
        clock.advance_seconds(1);
    }
    assert_eq!(store.prune(5, 0).unwrap(), 5);
    assert_eq!(store.evict_lru(2 * 3).unwrap(), 2);
    let stats = store.stats().unwrap();
    assert_eq!((stats.expirations, stats.pruned), (3, 2));
    assert_eq!((stats.evictions, stats.deletes), (2, 0));
}

#[test]
fn latencies_are_measured_for_each_kind_of_call() {
    let directory = tempfile::tempdir().unwrap();
    // With a cache, one in sixteen gets from memory is measured.
    let options = Options {
        value_cache_bytes: 0,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    store.put(b"key", b"value", None).unwrap();
    assert_eq!(store.stats().unwrap().put_many.max, Duration::ZERO);
    store.put_many(&[entry(b"one", b"value")]).unwrap();
    store.get(b"key").unwrap();
    store.reader().unwrap().get_many(&[b"key"]).unwrap();
    let stats = store.stats().unwrap();
    for latency in [stats.get, stats.put, stats.get_many, stats.put_many] {
        assert!(Duration::ZERO < latency.p50 && latency.p50 <= latency.p90);
        assert!(latency.p90 <= latency.p99 && latency.p99 <= latency.max);
    }
}

#[test]
fn figures_have_names_of_their_own() {
    let figures = Stats::default().figures();
    let mut names: Vec<_> = figures.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), 14 + 4 * 4);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), figures.len());
    for (name, figure) in figures {
        assert_eq!(name.ends_with("_s"), matches!(figure, Figure::Float(_)));
    }
}
