#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::{Entry, Options, Store};
use proptest::prelude::*;

fn map(pairs: &[(&str, &str)]) -> Metadata {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    (directory, store)
}

fn put(store: &Store, key: &str, value: &[u8], metadata: &Metadata) -> Result<()> {
    let entry = Entry {
        key: key.as_bytes(),
        value,
        ttl_seconds: None,
        metadata: Some(metadata),
        lent: None,
    };
    store.put_many(&[entry]).map(drop)
}

proptest! {
    #[test]
    fn records_read_back(metadata in prop::collection::btree_map(".{1,20}", ".{0,40}", 1..20)) {
        let encoded = encode(&metadata);
        prop_assert_eq!(encoded.len(), encoded_len(&metadata));
        prop_assert_eq!(decode(&encoded).unwrap(), metadata);
    }

    #[test]
    fn damage_is_an_error_or_another_map(
        metadata in prop::collection::btree_map(".{1,9}", ".{0,9}", 1..5), at: prop::sample::Index, bit in 0..8_u8
    ) {
        let mut encoded = encode(&metadata);
        let at = at.index(encoded.len());
        prop_assert!(decode(&encoded[..at]).is_err());
        encoded[at] ^= 1 << bit;
        if let Ok(other) = decode(&encoded) {
            prop_assert_ne!(&other, &metadata);
            prop_assert_eq!(encode(&other), encoded);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = decode(&bytes);
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    assert_eq!(
        encode(&map(&[("b", "xy"), ("a", "")])),
        [2, 1, 0, 0, 0, b'a', 1, 0, 2, 0, b'b', b'x', b'y']
    );
    assert!(decode(&[0]).is_err());
}

#[test]
fn limits_are_the_documented_ones() {
    let many = |count| {
        (0..count)
            .map(|i| (format!("k{i}"), String::new()))
            .collect()
    };
    assert!(check(&many(64)).is_ok());
    assert!(check(&many(65)).is_err());
    assert!(check(&map(&[(&"n".repeat(256), &"t".repeat(4096))])).is_ok());
    assert!(check(&map(&[(&"n".repeat(257), "")])).is_err());
    assert!(check(&map(&[("", "")])).is_err());
    assert!(check(&map(&[("n", &"t".repeat(4097))])).is_err());
}

#[test]
fn metadata_belongs_to_the_value_and_merges() {
    let (_directory, store) = store();
    put(&store, "one", b"value", &map(&[("a", "1"), ("b", "1")])).unwrap();
    put(&store, "two", b"value", &map(&[("b", "2"), ("c", "2")])).unwrap();
    store.put(b"three", b"value", None).unwrap();
    let all = map(&[("a", "1"), ("b", "2"), ("c", "2")]);
    for key in [&b"one"[..], b"two", b"three"] {
        assert_eq!(store.metadata(key).unwrap(), all);
    }
    store.put(b"other", b"plain", None).unwrap();
    assert!(store.metadata(b"other").unwrap().is_empty());
    assert!(matches!(store.metadata(b"none"), Err(Error::NotFound(_))));
    assert!(store.verify().unwrap().is_empty());

    let bytes = store.total_bytes().unwrap();
    for key in [&b"one"[..], b"two", b"three"] {
        store.delete(key).unwrap();
    }
    let freed = 3 + 3 + 5 + 5 + encoded_len(&all) as u64;
    assert_eq!(bytes - store.total_bytes().unwrap(), freed);
    assert!(store.verify().unwrap().is_empty());
    store.put(b"one", b"value", None).unwrap();
    assert!(store.metadata(b"one").unwrap().is_empty());
}

#[test]
fn what_merges_beyond_the_limits_changes_nothing() {
    let (_directory, store) = store();
    let numbered = |from: usize| {
        (from..from + 40)
            .map(|i| (format!("k{i}"), String::new()))
            .collect()
    };
    put(&store, "key", b"value", &numbered(0)).unwrap();
    let refused = put(&store, "other", b"value", &numbered(40));
    assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    assert_eq!(store.metadata(b"key").unwrap(), numbered(0));
    assert!(!store.contains(b"other").unwrap());
    // The first refusal comes before anything is looked up.
    let refused = put(&store, "other", b"new", &map(&[("", "")]));
    assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn orphans_keep_their_metadata_until_they_are_swept() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        enable_gc: false,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    put(&store, "key", b"value", &map(&[("a", "1")])).unwrap();
    store.delete(b"key").unwrap();
    assert!(store.verify().unwrap().is_empty());
    store.put(b"again", b"value", None).unwrap();
    assert_eq!(store.metadata(b"again").unwrap(), map(&[("a", "1")]));
    store.delete(b"again").unwrap();
    assert_eq!(store.sweep().unwrap(), 1);
    assert_eq!(store.total_bytes().unwrap(), 0);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn one_write_may_give_and_take_metadata_of_one_value() {
    let (_directory, store) = store();
    let (first, second) = (map(&[("a", "1")]), map(&[("a", "2"), ("b", "2")]));
    let entry = |key, value, metadata| Entry {
        key,
        value,
        ttl_seconds: None,
        metadata,
        lent: None,
    };
    store
        .put_many(&[
            entry(b"one", b"same", Some(&first)),
            entry(b"two", b"same", Some(&second)),
            entry(b"three", b"other", None),
        ])
        .unwrap();
    assert_eq!(store.metadata(b"one").unwrap(), second);
    assert!(store.metadata(b"three").unwrap().is_empty());
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn a_store_from_before_there_was_metadata_opens_and_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let open = |read_only| {
        let options = Options {
            read_only,
            ..Options::default()
        };
        Store::open(directory.path(), options)
    };
    let store = open(false).unwrap();
    store.put(b"key", b"value", None).unwrap();
    store.close().unwrap();
    drop(store);
    crate::db::drop_families(directory.path(), &crate::schema::ADDED_FAMILIES).unwrap();

    let reader = open(true).unwrap();
    assert!(reader.metadata(b"key").unwrap().is_empty());
    assert!(reader.list_families().unwrap().is_empty());
    assert!(reader.verify().unwrap().is_empty());
    let mut exported = 0;
    reader
        .export_records(b"", |record| {
            exported += 1;
            assert!(record.metadata.is_none());
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(exported, 1);
    drop(reader);

    let store = open(false).unwrap();
    put(&store, "key", b"value", &map(&[("a", "1")])).unwrap();
    assert_eq!(store.metadata(b"key").unwrap(), map(&[("a", "1")]));
    assert!(store.verify().unwrap().is_empty());
}
