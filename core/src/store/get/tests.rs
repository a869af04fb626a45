#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::{Dedup, Entry, Error, LentBytes, NormalizationMode, Options, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn what_is_cached_follows_every_write() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(crate::ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let view = store.namespace("other").unwrap();
    view.put(b"key", b"of another namespace", None).unwrap();
    store.put(b"key", b"first", None).unwrap();
    let cached = |store: &Store| {
        let reader = store.reader().unwrap();
        reader.get_cached(b"key").map(|value| value.to_vec())
    };
    assert_eq!(cached(&store).unwrap(), b"first");
    assert_eq!(cached(&view).unwrap(), b"of another namespace");
    store.put(b"key", b"second", Some(10)).unwrap();
    assert_eq!(cached(&store).unwrap(), b"second");
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"second");
    clock.advance_seconds(10);
    assert_eq!(cached(&store), None);
    assert!(store.get(b"key").unwrap().is_none());
    store.put(b"key", b"third", None).unwrap();
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"third");
    store.delete(b"key").unwrap();
    assert_eq!(cached(&store), None);
    assert!(store.get(b"key").unwrap().is_none());
}

/// A long batch keeps no records, so what was cached of its keys must go.
#[test]
fn a_long_batch_takes_out_what_was_cached_of_its_keys() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    // The old value stays, as that of another key.
    for key in [b"key 7", b"other"] {
        store.put(key, b"old", None).unwrap();
    }
    assert_eq!(store.get(b"key 7").unwrap().unwrap(), b"old");
    let names: Vec<_> = (0..200).map(|number| format!("key {number}")).collect();
    let entries: Vec<_> = names
        .iter()
        .map(|name| Entry {
            key: name.as_bytes(),
            value: name.as_bytes(),
            ttl_seconds: None,
            metadata: None,
            lent: None,
        })
        .collect();
    store.put_many(&entries).unwrap();
    assert_eq!(store.get(b"key 7").unwrap().unwrap(), b"key 7");
}

/// A long batch looks up its keys and values together, and has a thread of its own fill the cache. Of what it puts the
/// values are kept, and the records once they are read.
#[test]
fn a_long_batch_is_cached_when_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let name = |number: usize| format!("{number:03}").repeat(1_000).into_bytes();
    // A third of the keys and two of three values are there already, and each value of the batch comes twice.
    for number in (0..900).step_by(3) {
        store.put(&name(number), &name(number / 2), None).unwrap();
    }
    let names: Vec<_> = (0..900).map(name).collect();
    let entries: Vec<_> = (0..900)
        .map(|number: usize| Entry {
            key: &names[number],
            value: &names[number.div_ceil(2)],
            ttl_seconds: None,
            metadata: None,
            lent: None,
        })
        .collect();
    let outcomes = store.put_many(&entries).unwrap();
    assert_eq!(outcomes.iter().filter(|put| put.created).count(), 600);
    let new = outcomes.iter().filter(|put| put.dedup == Dedup::New);
    // Of 3,000 bytes each: more than what is copied beside the write.
    assert_eq!(new.count(), 151);
    let reader = store.reader().unwrap();
    for put in outcomes.iter().filter(|put| put.dedup == Dedup::New) {
        assert!(reader.engine.cached_object(put.object_id).is_some());
    }
    for entry in &entries {
        assert!(reader.get_cached(entry.key).is_none());
        assert_eq!(&*reader.get(entry.key).unwrap().unwrap(), entry.value);
        assert_eq!(&*reader.get_cached(entry.key).unwrap(), entry.value);
    }
    for short in entries.chunks(64) {
        store.put_many(short).unwrap();
        assert!(reader.get_cached(short[0].key).is_some());
    }
    assert_eq!(store.count_unique_values().unwrap(), 451);
    assert!(store.verify().unwrap().is_empty());
}

struct Lent(Vec<u8>);

impl LentBytes for Lent {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[test]
fn lent_bytes_are_held_until_they_leave_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        normalization_mode: NormalizationMode::Whitespace,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let lend = |value: &[u8]| -> Arc<dyn LentBytes> { Arc::new(Lent(value.to_vec())) };
    let put = |lent: &Arc<dyn LentBytes>| {
        let entry = |key| Entry {
            key,
            value: lent.bytes(),
            ttl_seconds: None,
            metadata: None,
            lent: Some(lent),
        };
        store
            .put_many(&[entry(b"one".as_slice()), entry(b"two")])
            .unwrap();
        store.put_entry(&entry(b"three")).unwrap();
        Arc::strong_count(lent) - 1
    };
    let (first, second) = (lend(b"a value"), lend(b"a value"));
    assert_eq!((put(&first), put(&second)), (1, 0));
    let reader = store.reader().unwrap();
    let found = reader.get_cached(b"two").unwrap();
    assert_eq!(&*found, b"a value");
    let held = found.cached().unwrap().lent().unwrap();
    assert!(std::ptr::addr_eq(held, Arc::as_ptr(&first)));
    assert_eq!(&*found.into_shared(), b"a value");
    store.delete(b"one").unwrap();
    store.delete(b"two").unwrap();
    assert_eq!(Arc::strong_count(&first), 2);
    store.delete(b"three").unwrap();
    assert_eq!(Arc::strong_count(&first), 1);
    // What is stored is not what was lent.
    for given in [" a  value", "a value ", " a value"] {
        assert_eq!(put(&lend(given.as_bytes())), 0);
        assert_eq!(&*reader.get_cached(b"one").unwrap(), b"a value");
    }
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn an_unkept_value_is_kept_as_it_is_lent() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(directory.path(), Options::default()).unwrap();
    let store = open();
    store.put(b"key", b"value", None).unwrap();
    store.close().unwrap();
    let store = open();
    let reader = store.reader().unwrap();
    let lent: Arc<dyn LentBytes> = Arc::new(Lent(b"value".to_vec()));
    for _ in 0..2 {
        let found = reader.get_unkept(b"key").unwrap().unwrap();
        assert!(found.cached().is_none() && reader.get_cached(b"key").is_none());
    }
    let found = reader.get_many_unkept(&[b"none", b"key"]).unwrap();
    let found = found[1].as_ref().unwrap();
    assert_eq!((&**found, found.cached().is_none()), (&b"value"[..], true));
    reader.keep(found, Some(&lent));
    assert_eq!(Arc::strong_count(&lent), 2);
    let found = reader.get_cached(b"key").unwrap();
    assert!(found.cached().unwrap().lent().is_some());
    // It is there already.
    reader.keep(&found, None);
    assert_eq!(Arc::strong_count(&lent), 3);
    assert!(reader.get(b"key").unwrap().unwrap().cached().is_some());
}

/// Access times are written a few hundred keys at a time, of just the keys that are read often.
#[test]
fn records_stay_in_the_cache_when_access_times_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(crate::ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        clock: clock.clone(),
        lru_update_interval_seconds: 1,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let names: Vec<_> = (0..200).map(|number: usize| number.to_string()).collect();
    for name in &names {
        store.put(name.as_bytes(), name.as_bytes(), None).unwrap();
    }
    clock.advance_seconds(10);
    let reader = store.reader().unwrap();
    for name in &names {
        assert!(reader.get_cached(name.as_bytes()).is_some());
    }
    reader.engine.fold_accesses().unwrap();
    for name in &names {
        assert!(reader.get_cached(name.as_bytes()).is_some(), "{name}");
    }
}

#[test]
fn a_long_batch_waits_for_a_locked_key_and_leaves_nothing_locked() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        lock_timeout_ms: 20,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let values: Vec<_> = (0..100)
        .map(|number: usize| vec![number as u8; 10_000])
        .collect();
    let entries: Vec<_> = values
        .iter()
        .map(|value| Entry {
            key: &value[..8],
            value,
            ttl_seconds: None,
            metadata: None,
            lent: None,
        })
        .collect();
    let reader = store.reader().unwrap();
    let held = reader.engine.key_locks.lock_all().unwrap();
    let outcome = std::thread::scope(|scope| {
        let put = scope.spawn(|| store.put_many(&entries));
        put.join().unwrap()
    });
    assert!(matches!(outcome, Err(Error::TimedOut(_))), "{outcome:?}");
    drop(held);
    assert_eq!(reader.engine.key_locks.lock_all().unwrap().len(), 64);
    assert_eq!(store.put_many(&entries).unwrap().len(), 100);
    assert!(store.verify().unwrap().is_empty());
}

/// As a reader finds the store after a write and before the cache has learned of it.
#[test]
fn a_cached_record_of_an_object_that_is_gone_is_read_anew() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        value_cache_bytes: 1 << 16,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    // Too long for the cache of values, so that only the record is kept.
    let (old, new) = ([1; 5000], [2; 5000]);
    store.put(b"key", &old, None).unwrap();
    assert_eq!(store.get(b"key").unwrap().unwrap(), old);
    let engine = store.engine().unwrap();
    let (cache, id) = (engine.cache.as_ref().unwrap(), engine.namespaces.default.id);
    let stale = cache.record(id, b"key").unwrap();
    for replaced in [true, false] {
        if replaced {
            store.put(b"key", &new, None).unwrap();
        } else {
            store.delete(b"key").unwrap();
        }
        cache.keep_record(id, b"key", stale, cache.version(id, b"key"));
        let found = store.get(b"key").unwrap();
        assert_eq!(found.as_deref(), replaced.then_some(&new[..]));
        cache.keep_record(id, b"key", stale, cache.version(id, b"key"));
        let reader = store.reader().unwrap();
        let found = reader.get_many(&[b"key"]).unwrap();
        assert_eq!(
            found.first().unwrap().as_deref(),
            replaced.then_some(&new[..])
        );
    }
}

/// Readers never see a value older than one they, or an acknowledged put before them, have seen.
#[test]
fn values_never_go_back_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    store.put(b"key", &0_u32.to_be_bytes(), None).unwrap();
    let done = AtomicBool::new(false);
    let latest = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let acknowledged = latest.load(Ordering::Acquire);
                    let value = store.get(b"key").unwrap().unwrap();
                    let seen = u32::from_be_bytes(value.try_into().unwrap());
                    assert!(seen >= acknowledged, "{seen} after {acknowledged}");
                }
            });
        }
        for number in 1..4000_u32 {
            store.put(b"key", &number.to_be_bytes(), None).unwrap();
            latest.store(number, Ordering::Release);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.verify().unwrap(), []);
}
