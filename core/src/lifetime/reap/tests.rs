#![allow(clippy::unwrap_used)]

use super::{Reaper, TURN_BATCHES};
use crate::store::remove::REMOVE_BATCH;
use crate::{Entry, ManualClock, Options, Store};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn open(options: Options) -> (tempfile::TempDir, Arc<ManualClock>, Store) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        clock: clock.clone(),
        ..options
    };
    let store = Store::open(directory.path(), options).unwrap();
    (directory, clock, store)
}

fn without_thread() -> Options {
    Options {
        reaper_interval_seconds: 0.0,
        ..Options::default()
    }
}

#[test]
fn expired_keys_of_all_namespaces_go_by_themselves() {
    let (_directory, clock, store) = open(Options {
        reaper_interval_seconds: 0.01,
        ..Options::default()
    });
    let view = store.namespace("other").unwrap();
    for store in [&store, &view] {
        store.put(b"stays", b"value", None).unwrap();
        store.put(b"goes", b"other value", Some(10)).unwrap();
    }
    clock.advance_seconds(10);
    let deadline = Instant::now() + Duration::from_secs(20);
    for store in [&store, &view] {
        while store.count_keys(true).unwrap() > 1 {
            assert!(Instant::now() < deadline, "nothing was reaped");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(store.count_unique_values().unwrap(), 1);
        assert_eq!(store.stats().unwrap().expirations, 1);
    }
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn a_turn_is_bounded_and_the_next_goes_on() {
    let (_directory, clock, store) = open(without_thread());
    let keys = u32::try_from(TURN_BATCHES * REMOVE_BATCH).unwrap() + 100;
    for start in (0..keys).step_by(1000) {
        let names: Vec<_> = (start..keys.min(start + 1000))
            .map(u32::to_be_bytes)
            .collect();
        let entries: Vec<_> = names
            .iter()
            .map(|key| Entry {
                key,
                value: b"value",
                ttl_seconds: Some(1),
                metadata: None,
                lent: None,
            })
            .collect();
        store.put_many(&entries).unwrap();
    }
    clock.advance_seconds(1);
    let engine = store.engine().unwrap();
    let mut reaper = Reaper::new(1e-9);
    reaper.run(&engine, || false).unwrap();
    assert_eq!(store.count_keys(true).unwrap(), 100);
    assert!(reaper.unfinished);
    reaper.interval = Some(Duration::MAX);
    reaper.run(&engine, || false).unwrap();
    assert_eq!(store.count_keys(true).unwrap(), 0);
    assert!(!reaper.unfinished);
}

#[test]
fn it_rests_when_off_early_or_stopped() {
    let (_directory, clock, store) = open(without_thread());
    store.put(b"key", b"value", Some(1)).unwrap();
    clock.advance_seconds(1);
    let engine = store.engine().unwrap();
    Reaper::new(0.0).run(&engine, || false).unwrap();
    Reaper::new(1e300).run(&engine, || false).unwrap();
    Reaper::new(1e-9).run(&engine, || true).unwrap();
    assert_eq!(store.count_keys(true).unwrap(), 1);
    Reaper::new(1e-9).run(&engine, || false).unwrap();
    assert_eq!(store.count_keys(true).unwrap(), 0);
}

#[test]
fn without_collection_the_values_wait_for_a_sweep() {
    let (_directory, clock, store) = open(Options {
        enable_gc: false,
        ..without_thread()
    });
    store.put(b"key", b"value", Some(1)).unwrap();
    clock.advance_seconds(1);
    Reaper::new(1e-9)
        .run(&store.engine().unwrap(), || false)
        .unwrap();
    assert_eq!(store.count_keys(true).unwrap(), 0);
    assert_eq!(store.health().unwrap().orphaned_objects, 1);
    assert_eq!(store.sweep().unwrap(), 1);
}
