#![allow(clippy::unwrap_used)]

use crate::{DedupMode, Error, Options, Store};
use prestige_embed::{Embedder, HashEmbedder};
use std::sync::Arc;

fn semantic() -> Options {
    Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(Arc::new(HashEmbedder::new(32)) as Arc<dyn Embedder>)
        })),
        ..Options::default()
    }
}

#[test]
fn namespaces_share_nothing_and_survive_reopening() {
    for options in [Options::default(), semantic()] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), options.clone()).unwrap();
        let (red, blue) = (
            store.namespace("red").unwrap(),
            store.namespace("blue").unwrap(),
        );
        for (number, handle) in [&store, &red, &blue].into_iter().enumerate() {
            handle.put(b"key", b"the same value", None).unwrap();
            handle
                .put(b"own", format!("of {number}").as_bytes(), None)
                .unwrap();
        }
        red.delete(b"own").unwrap();
        // Looking for one makes none.
        assert!(store.find_namespace("green").unwrap().is_none());
        let found = store.find_namespace("blue").unwrap().unwrap();
        assert_eq!(found.get(b"own").unwrap().as_deref(), Some(&b"of 2"[..]));
        drop((red, blue, found));
        store.close().unwrap();

        let store = Store::open(directory.path(), options).unwrap();
        assert_eq!(store.namespaces().unwrap(), ["blue", "red"]);
        let (red, blue) = (
            store.namespace("red").unwrap(),
            store.namespace("blue").unwrap(),
        );
        assert_eq!(red.count_keys(false).unwrap(), 1);
        assert_eq!(blue.get(b"own").unwrap().as_deref(), Some(&b"of 2"[..]));
        assert_eq!(store.count_unique_values().unwrap(), 2);
        assert_ne!(
            store.object_id(b"key").unwrap(),
            red.object_id(b"key").unwrap()
        );
        assert_eq!(store.namespace("").unwrap().count_keys(true).unwrap(), 2);
        assert_eq!(store.verify().unwrap(), []);
    }
}

#[test]
fn a_dropped_namespace_is_gone_and_its_name_begins_an_empty_one() {
    for options in [Options::default(), semantic()] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), options.clone()).unwrap();
        let red = store.namespace("red").unwrap();
        let before = store.total_bytes().unwrap();
        for number in 0..50 {
            let text = format!("text number {number}");
            red.put(text.as_bytes(), text.as_bytes(), Some(1)).unwrap();
        }
        store.flush().unwrap();
        store.drop_namespace("red").unwrap();
        assert!(matches!(
            store.drop_namespace("red"),
            Err(Error::NotFound(_))
        ));
        assert!(matches!(
            red.put(b"key", b"value", None),
            Err(Error::InvalidArgument(_))
        ));
        assert!(matches!(red.get(b"key"), Err(Error::InvalidArgument(_))));
        assert_eq!(store.total_bytes().unwrap(), before);
        assert_eq!(store.verify().unwrap(), []);
        let again = store.namespace("red").unwrap();
        assert_eq!(again.count_keys(true).unwrap(), 0);
        again.put(b"key", b"text number 7", None).unwrap();
        drop((again, red));
        store.close().unwrap();
        let store = Store::open(directory.path(), options).unwrap();
        assert_eq!(store.namespace("red").unwrap().count_keys(true).unwrap(), 1);
        assert_eq!(store.verify().unwrap(), []);
    }
}

#[test]
fn a_view_is_closed_alone_and_with_its_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let (first, second) = (
        store.namespace("view").unwrap(),
        store.namespace("view").unwrap(),
    );
    first.put(b"key", b"value", None).unwrap();
    first.close().unwrap();
    assert!(matches!(first.get(b"key"), Err(Error::Closed(_))));
    assert_eq!(second.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    store.close().unwrap();
    assert!(matches!(second.get(b"key"), Err(Error::Closed(_))));
    let again = Store::open(directory.path(), Options::default()).unwrap();
    assert_eq!(again.namespaces().unwrap(), ["view"]);
}

#[test]
fn names_have_a_length_and_the_default_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    assert!(store.namespace(&"n".repeat(255)).is_ok());
    for refused in [
        store.namespace(&"n".repeat(256)).map(drop),
        store.drop_namespace(""),
    ] {
        assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    }
}

/// A store of at most 10,000 bytes, whose clock stands still.
fn small_store() -> (tempfile::TempDir, Arc<crate::ManualClock>, Store) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(crate::ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        max_store_bytes: 10_000,
        clock: clock.clone(),
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    (directory, clock, store)
}

#[test]
fn eviction_spans_namespaces_and_takes_the_oldest_first() {
    let (_directory, clock, store) = small_store();
    let other = store.namespace("other").unwrap();
    for number in 0..20_u8 {
        clock.advance_seconds(1);
        let handle = if number % 2 == 0 { &store } else { &other };
        handle.put(&[number], &[number; 900], None).unwrap();
    }
    let bytes = store.total_bytes().unwrap() + other.total_bytes().unwrap();
    assert!(bytes <= 10_000, "{bytes}");
    assert!(store.get(&[0]).unwrap().is_none() && other.get(&[1]).unwrap().is_none());
    assert!(store.get(&[18]).unwrap().is_some() && other.get(&[19]).unwrap().is_some());
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn eviction_is_not_stopped_by_a_namespace_with_one_key() {
    let (_directory, clock, store) = small_store();
    for number in 0..40_u8 {
        clock.advance_seconds(1);
        let view = store.namespace(&format!("{}", number % 20)).unwrap();
        view.put(&[number], &[number; 900], None).unwrap();
        assert!(view.get(&[number]).unwrap().is_some());
        let names = store.namespaces().unwrap();
        let bytes = names
            .iter()
            .map(|name| store.namespace(name).unwrap().total_bytes().unwrap());
        assert!(bytes.sum::<u64>() <= 10_000);
    }
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn the_files_of_a_dropped_namespace_go_without_the_next_ones_first_key() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let (gone, next) = (
        store.namespace("gone").unwrap(),
        store.namespace("next").unwrap(),
    );
    for number in 0..100_u8 {
        gone.put(&[number], &[number; 100], None).unwrap();
    }
    // In the file of `gone`, as its last key, which is all that is in front of it.
    next.put(b"", b"value", None).unwrap();
    store.flush().unwrap();
    store.compact().unwrap();
    store.drop_namespace("gone").unwrap();
    assert_eq!(next.get(b"").unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn a_batch_embeds_each_distinct_text_once_in_a_namespace_not_loaded_yet() {
    let directory = tempfile::tempdir().unwrap();
    let embedder = Arc::new(HashEmbedder::new(32));
    let shared = Arc::clone(&embedder);
    let options = Options {
        embedder: Some(Arc::new(move || {
            Ok(Arc::clone(&shared) as Arc<dyn Embedder>)
        })),
        ..semantic()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let view = store.namespace("view").unwrap();
    let texts: Vec<_> = (0..90)
        .map(|number| format!("text number {}", number % 3))
        .collect();
    let keys: Vec<_> = (0..90_u8).map(|number| [number]).collect();
    let entries: Vec<_> = keys
        .iter()
        .zip(&texts)
        .map(|(key, text)| crate::Entry {
            key,
            value: text.as_bytes(),
            ttl_seconds: None,
            metadata: None,
            lent: None,
        })
        .collect();
    for _ in 0..2 {
        view.put_many(&entries).unwrap();
        assert_eq!((embedder.calls(), embedder.texts()), (1, 3));
    }
    assert_eq!(store.verify().unwrap(), []);
}

/// The oldest key is the only one of its namespace, again and again, and so is the newest.
#[test]
fn eviction_goes_on_where_every_namespace_has_one_key() {
    let (_directory, clock, store) = small_store();
    let views: Vec<_> = (0..40_u8)
        .map(|number| store.namespace(&format!("{number}")).unwrap())
        .collect();
    for (number, view) in (0_u8..).zip(&views) {
        clock.advance_seconds(1);
        view.put(b"key", &[number; 900], None).unwrap();
        let bytes: u64 = views.iter().map(|view| view.total_bytes().unwrap()).sum();
        assert!(bytes <= 10_000, "{bytes} after {number}");
        assert!(view.contains(b"key").unwrap());
    }
    // What is left is the end of the sequence.
    let left: Vec<_> = views
        .iter()
        .map(|view| view.contains(b"key").unwrap())
        .collect();
    assert!(left.is_sorted(), "{left:?}");
    assert_eq!(store.verify().unwrap(), []);
}
