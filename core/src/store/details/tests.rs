#![allow(clippy::unwrap_used)]
use super::*;
use crate::clock::ManualClock;
use crate::options::Options;
use crate::store::Entry;
use std::sync::atomic::{AtomicBool, Ordering};

fn put(store: &Store, key: &[u8], value: &[u8], name: &str, text: &str) {
    let metadata = Metadata::from([(name.to_owned(), text.to_owned())]);
    let entry = Entry {
        key,
        value,
        ttl_seconds: None,
        metadata: Some(&metadata),
        lent: None,
    };
    store.put_entry(&entry).unwrap();
}

#[test]
fn a_key_is_described_with_its_value_from_memory_from_the_second_time_on() {
    let root = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_000_000_000));
    let options = Options {
        clock: Arc::clone(&clock) as _,
        ..Options::default()
    };
    let store = Store::open(root.path(), options).unwrap();
    let outcome = store.put(b"key", b"value", Some(60)).unwrap();
    clock.advance_seconds(20);
    let reader = store.reader().unwrap();
    assert!(reader.get_cached_with_details(b"key").is_none());
    let check = |(value, details): (Value<'_>, Details)| {
        assert_eq!(&*value, b"value");
        assert_eq!(details.object_id(), outcome.object_id);
        assert_eq!(details.digest(), Digest::of(b"value"));
        assert_eq!(details.size(), 5);
        assert_eq!(details.ttl(), Some(Duration::from_secs(40)));
        assert!(details.metadata().is_empty());
        assert_eq!(&*value.into_shared(), b"value");
    };
    check(reader.get_with_details(b"key").unwrap().unwrap());
    check(reader.get_cached_with_details(b"key").unwrap());
    let details = store.details(b"key").unwrap().unwrap();
    assert_eq!(details.digest(), Digest::of(b"value"));
    assert!(store.details(b"other").unwrap().is_none());
    assert!(reader.get_with_details(b"other").unwrap().is_none());

    // Another key of the value gives it metadata.
    put(&store, b"other", b"value", "name", "text");
    assert!(reader.get_cached_with_details(b"key").is_none());
    for _ in 0..2 {
        let (_, details) = reader.get_with_details(b"key").unwrap().unwrap();
        assert_eq!(details.metadata()["name"], "text");
        assert_eq!(details.ttl(), Some(Duration::from_secs(40)));
    }
    let (_, details) = reader.get_cached_with_details(b"other").unwrap();
    assert_eq!((details.ttl(), details.metadata().len()), (None, 1));

    clock.advance_seconds(40);
    assert!(reader.get_cached_with_details(b"key").is_none());
    assert!(reader.get_with_details(b"key").unwrap().is_none());
    assert!(store.details(b"key").unwrap().is_none());
    let stats = store.stats().unwrap();
    assert_eq!((stats.hits, stats.misses), (5, 2));
    drop(reader);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn what_is_looked_up_beside_writers_belongs_together_and_is_never_older_than_a_write() {
    for value_cache_bytes in [0, 1 << 20] {
        let root = tempfile::tempdir().unwrap();
        let options = Options {
            value_cache_bytes,
            ..Options::default()
        };
        let store = Store::open(root.path(), options).unwrap();
        put(&store, b"key", b"0", "value", "0");
        put(&store, b"growing", b"same", "round", "0");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut latest = 0;
                    while !done.load(Ordering::Relaxed) {
                        let reader = store.reader().unwrap();
                        let (value, details) = reader.get_with_details(b"key").unwrap().unwrap();
                        assert_eq!(details.digest(), Digest::of(&value));
                        assert_eq!(details.size(), value.len() as u64);
                        assert_eq!(details.metadata()["value"].as_bytes(), &*value);
                        let (_, details) = reader.get_with_details(b"growing").unwrap().unwrap();
                        let round: u64 = details.metadata()["round"].parse().unwrap();
                        assert!(round >= latest, "{round} after {latest}");
                        latest = round;
                    }
                });
            }
            for round in 1..400 {
                let text = round.to_string();
                put(&store, b"key", text.as_bytes(), "value", &text);
                put(&store, b"growing", b"same", "round", &text);
                let details = store.reader().unwrap();
                let (_, details) = details.get_with_details(b"growing").unwrap().unwrap();
                assert_eq!(details.metadata()["round"], text);
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(store.verify().unwrap().is_empty());
    }
}
