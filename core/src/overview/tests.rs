#![allow(clippy::unwrap_used)]

use crate::{ManualClock, Options, Store};
use std::sync::Arc;

#[test]
fn figures_of_namespaces_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let empty = store.overview(&|_| true).unwrap();
    assert_eq!(empty.health, store.health().unwrap());
    assert_eq!(empty.stats, store.stats().unwrap());

    let (one, two) = (
        store.namespace("one").unwrap(),
        store.namespace("two").unwrap(),
    );
    one.put(b"a", b"12345", Some(1)).unwrap();
    clock.advance_seconds(10);
    one.put(b"b", b"12345", None).unwrap();
    two.put(b"a", b"123", None).unwrap();
    two.sweep().unwrap();
    clock.advance_seconds(2);
    one.get(b"b").unwrap();
    two.get(b"missing").unwrap();

    let all = store.overview(&|_| true).unwrap();
    let (first, second) = (one.health().unwrap(), two.health().unwrap());
    assert_eq!(all.health.total_keys, 3);
    assert_eq!(all.health.total_objects, 2);
    assert_eq!(
        all.health.total_bytes,
        first.total_bytes + second.total_bytes
    );
    assert_eq!(all.health.dedup_ratio, 1.5);
    assert_eq!(all.health.bytes_saved, 5);
    assert_eq!(all.health.expired_keys, 1);
    assert_eq!(all.health.oldest_key_age_seconds, 12);
    assert_eq!(all.health.newest_access_age_seconds, 2);
    assert_eq!(all.health.last_sweep_age_seconds, Some(2));
    assert_eq!((all.stats.puts, all.stats.gets, all.stats.hits), (3, 2, 1));
    assert_eq!(all.stats.put.count, 3);
    let names: Vec<_> = all.namespaces.iter().map(|found| &*found.name).collect();
    assert_eq!(names, ["", "one", "two"]);

    // A selection, and a view, see nothing of the others.
    let selected = store.overview(&|name| name == "two").unwrap();
    let view = two.overview(&|_| true).unwrap();
    for overview in [selected, view] {
        assert_eq!(overview.health, second);
        assert_eq!(overview.stats, two.stats().unwrap());
        assert_eq!(overview.namespaces.len(), 1);
    }
    let nothing = store.overview(&|_| false).unwrap();
    assert_eq!((nothing.health.total_keys, nothing.stats.puts), (0, 0));
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn what_comes_between_two_moments_has_latencies_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let puts = || store.overview(&|_| true).unwrap().puts;
    store.put(b"a", b"1", None).unwrap();
    let before = puts();
    assert_eq!(puts().since(&before).latency().count, 0);
    store.put(b"b", b"2", None).unwrap();
    store
        .namespace("other")
        .unwrap()
        .put(b"b", b"2", None)
        .unwrap();
    assert_eq!(puts().since(&before).latency().count, 2);
}
