#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::metadata::Metadata;
use proptest::prelude::*;
use std::ops::ControlFlow;

type Exported = Vec<(Vec<u8>, Vec<u8>, Option<u64>, Option<u64>)>;

fn exported(store: &Store, prefix: &[u8]) -> Exported {
    let mut found = Vec::new();
    let count = store.export_records(prefix, |record| {
        found.push((
            record.key.to_vec(),
            record.value.to_vec(),
            record.created_us,
            record.expires_us,
        ));
        Ok(ControlFlow::Continue(()))
    });
    assert_eq!(count.unwrap(), found.len() as u64);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn jsonl_brings_arbitrary_bytes_and_times_back(
        entries in proptest::collection::vec(
            (
                proptest::collection::vec(any::<u8>(), 0..9),
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..40),
                    any::<String>().prop_map(String::into_bytes),
                ],
                proptest::option::of(1_u64..1000),
            ),
            0..60,
        ),
        prefix in proptest::collection::vec(any::<u8>(), 0..2),
    ) {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_000_000_000));
        let options = Options { clock: Arc::clone(&clock) as _, ..Options::default() };
        let store = Store::open(root.path().join("store"), options.clone()).unwrap();
        for (key, value, ttl) in &entries {
            clock.advance_seconds(1);
            store.put(key, value, *ttl).unwrap();
        }
        let path = root.path().join("keys.jsonl");
        let other = Store::open(root.path().join("other"), options).unwrap();
        let before = exported(&store, &prefix);
        prop_assert_eq!(store.export_jsonl(&path, &prefix).unwrap(), before.len() as u64);
        clock.advance_seconds(30);
        let live: Exported =
            before.into_iter().filter(|(_, _, _, expires)| expires.is_none_or(|at| at > clock.now_us())).collect();
        prop_assert_eq!(other.import_jsonl(&path).unwrap(), live.len() as u64);
        prop_assert_eq!(exported(&other, b""), live);
        prop_assert_eq!(other.verify().unwrap(), []);
    }
}

#[test]
fn metadata_goes_through_jsonl() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store"), Options::default()).unwrap();
    let metadata = Metadata::from([("task".to_owned(), "\u{1} \"é".to_owned())]);
    let entry = |key, value, metadata| Entry {
        key,
        value,
        ttl_seconds: None,
        metadata,
        lent: None,
    };
    let entries = [
        entry(&b"a"[..], &b"shared"[..], Some(&metadata)),
        entry(b"b", b"shared", None),
        entry(b"c", b"alone", None),
    ];
    store.put_many(&entries).unwrap();
    let path = root.path().join("keys.jsonl");
    store.export_jsonl(&path, b"").unwrap();
    let lines = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lines.matches("metadata").count(), 2);
    let other = Store::open(root.path().join("other"), Options::default()).unwrap();
    assert_eq!(other.import_jsonl(&path).unwrap(), 3);
    assert_eq!(other.metadata(b"b").unwrap(), metadata);
    assert!(other.metadata(b"c").unwrap().is_empty());
    assert!(other.verify().unwrap().is_empty());

    for bad in [r#"{"k":1}"#, r#"{"":"x"}"#, "[]", r#"{"k":null}"#] {
        std::fs::write(
            &path,
            format!(r#"{{"key":"k","value":"v","metadata":{bad}}}"#),
        )
        .unwrap();
        let message = other.import_jsonl(&path).unwrap_err().to_string();
        assert!(message.contains("line 1"), "{message}");
    }
}

#[test]
fn an_export_is_of_one_moment() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store"), Options::default()).unwrap();
    for key in [b"a", b"b", b"c"] {
        store.put(key, &[key, &b" old"[..]].concat(), None).unwrap();
    }
    let mut seen = Vec::new();
    store
        .export_records(b"", |record| {
            store.put(b"c", b"new", None).unwrap();
            store.put(b"d", b"new", None).unwrap();
            let _ = store.delete(b"b");
            seen.push((record.key.to_vec(), record.value.to_vec()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(
        seen,
        [b"a", b"b", b"c"].map(|key| (key.to_vec(), [key, &b" old"[..]].concat()))
    );
}

#[test]
fn a_bad_line_is_named_and_what_stands_before_it_stays() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("keys.jsonl");
    let bad = [
        "not json",
        "[]",
        "{}",
        r#"{"key":"k"}"#,
        r#"{"value":"v"}"#,
        r#"{"key":"k","key_b64":"aw==","value":"v"}"#,
        r#"{"key":"k","value":1}"#,
        r#"{"key":"k","value":"v","expires":1}"#,
        r#"{"key":"k","value":"v","expires_us":-1}"#,
        r#"{"key":"k","value":"v","key":"k"}"#,
        r#"{"key":"k","value_b64":"?"}"#,
        r#"{"key":"k","value":"v"} {}"#,
        r#"{"key":"k","value":"\ud800"}"#,
        r#"{"key":"k","value":"v""#,
    ];
    let long = format!(r#"{{"key":"{}","value":"v"}}"#, "k".repeat(65_537));
    for line in bad.iter().copied().chain([long.as_str()]) {
        let store = tempfile::tempdir().unwrap();
        let store = Store::open(store.path(), Options::default()).unwrap();
        let good: String = (0..700)
            .map(|i| format!("{{\"key\":\"{i}\",\"value\":\"v\"}}\r\n\n"))
            .collect();
        let after = r#"{"key":"after","value":"v"}"#;
        std::fs::write(&path, format!("{good}{line}\n{after}\n")).unwrap();
        let error = store.import_jsonl(&path).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::InvalidArgument(_)), "{message}");
        assert!(message.contains("keys.jsonl, line 1401:"), "{message}");
        assert_eq!(store.count_keys(true).unwrap(), 700, "{line}");
        assert!(!store.contains(b"after").unwrap());
    }
}

#[test]
fn what_the_store_refuses_names_the_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("keys.jsonl");
    std::fs::write(
        &path,
        format!(r#"{{"key":"k","value":"{}"}}"#, "v".repeat(2000)),
    )
    .unwrap();
    let options = Options {
        max_store_bytes: 1000,
        ..Options::default()
    };
    let store = Store::open(root.path().join("store"), options).unwrap();
    let message = store.import_jsonl(&path).unwrap_err().to_string();
    assert!(
        message.contains("keys.jsonl") && message.contains("max_store_bytes"),
        "{message}"
    );
}

#[test]
fn the_last_of_several_lines_of_a_key_wins_with_its_own_times() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("keys.jsonl");
    let far = 9_000_000_000_000_000_u64;
    std::fs::write(
        &path,
        format!(
            "{{\"key\":\"k\",\"value\":\"1\",\"created_us\":5,\"expires_us\":{far}}}\n\
             {{\"key\":\"k\",\"value\":\"2\",\"created_us\":6}}\n\
             {{\"key\":\"old\",\"value\":\"3\",\"created_us\":6,\"expires_us\":7}}\n"
        ),
    )
    .unwrap();
    let store = Store::open(root.path().join("store"), Options::default()).unwrap();
    assert_eq!(store.import_jsonl(&path).unwrap(), 2);
    let expected = (b"k".to_vec(), b"2".to_vec(), Some(6), None);
    assert_eq!(exported(&store, b""), [expected]);
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn sync_writes_sync_the_log_with_every_write_and_only_they_do() {
    for sync_writes in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let options = Options {
            sync_writes,
            enable_statistics: true,
            ..Options::default()
        };
        let store = Store::open(root.path(), options).unwrap();
        let synced = || store.engine().unwrap().db.statistic("rocksdb.wal.synced");
        // The first put also leases object ids.
        store.put(b"first", b"value", None).unwrap();
        let before = synced();
        for i in 0..10_u8 {
            store.put(&[i], &[i], None).unwrap();
        }
        store.delete(&[3]).unwrap();
        let expected = if sync_writes { 11 } else { 0 };
        assert_eq!(synced() - before, expected, "sync_writes: {sync_writes}");
    }
}

fn reader(path: &Path) -> Result<Store> {
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    Store::open(path, options)
}

/// Closes a store, which ends its writers, also when a test fails.
struct End<'a>(&'a Store);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.close().unwrap();
    }
}

#[test]
fn readers_beside_a_writer_see_one_whole_state_each() {
    let root = tempfile::tempdir().unwrap();
    let options = Options {
        // Flushes and compactions many times a second, and logs that come and go.
        write_buffer_bytes: 1 << 21,
        ..Options::default()
    };
    let store = Store::open(root.path(), options).unwrap();
    let acknowledged = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0_u64.. {
                if store.is_closed() {
                    break;
                }
                let key = (i % 500).to_be_bytes();
                // Keys of one write have one number.
                let value = [&i.to_be_bytes()[..], &[0; 700]].concat();
                let entries = [b"a", b"b"].map(|name| [&name[..], &key].concat());
                let entries = entries.each_ref().map(|key| Entry {
                    key,
                    value: &value,
                    ttl_seconds: None,
                    metadata: None,
                    lent: None,
                });
                if store.put_many(&entries).is_err() {
                    break;
                }
                acknowledged.store(i + 1, Ordering::Release);
                if i % 3000 == 2999 {
                    store.compact().unwrap();
                }
            }
        });
        let _end = End(&store);
        let first = reader(root.path()).unwrap();
        let first_seen = exported(&first, b"");
        let mut last = 0;
        for _ in 0..10 {
            let before = acknowledged.load(Ordering::Acquire);
            let seen = reader(root.path()).unwrap();
            assert_eq!(seen.verify().unwrap(), []);
            let keys = exported(&seen, b"");
            let number = |value: &[u8]| u64::from_be_bytes(value[..8].try_into().unwrap());
            let newest = keys.iter().map(|(_, value, ..)| number(value) + 1).max();
            assert!(newest.unwrap_or(0) >= before);
            let (of_a, of_b): (Vec<_>, Vec<_>) = keys.iter().partition(|(key, ..)| key[0] == b'a');
            let values = |keys: Vec<&(Vec<u8>, Vec<u8>, _, _)>| -> Vec<_> {
                keys.into_iter()
                    .map(|(_, value, ..)| value.clone())
                    .collect()
            };
            assert_eq!(values(of_a), values(of_b));
            first.refresh().unwrap();
            let refreshed = exported(&first, b"")
                .iter()
                .map(|(_, value, ..)| number(value) + 1)
                .max();
            assert!(refreshed >= newest && refreshed.unwrap_or(0) >= last);
            last = refreshed.unwrap_or(0);
        }
        assert!(exported(&first, b"") != first_seen);
    });
}

#[test]
fn a_reader_keeps_what_it_saw_when_its_files_are_deleted() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path(), Options::default()).unwrap();
    for i in 0..2000_u32 {
        store.put(&i.to_be_bytes(), &[7; 500], None).unwrap();
    }
    store.flush().unwrap();
    let reader = reader(root.path()).unwrap();
    for i in 0..2000_u32 {
        store.delete(&i.to_be_bytes()).unwrap();
    }
    store.flush().unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    assert_eq!(exported(&reader, b"").len(), 2000);
    assert_eq!(reader.verify().unwrap(), []);
    reader.refresh().unwrap();
    assert_eq!(exported(&reader, b""), []);
}

#[test]
fn a_reader_changes_nothing_and_says_so() {
    let root = tempfile::tempdir().unwrap();
    let writer = Store::open(root.path(), Options::default()).unwrap();
    writer.put(b"key", b"value", Some(1_000_000)).unwrap();
    let reader = reader(root.path()).unwrap();
    assert_eq!(reader.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    let target = root.path().with_extension("copy");
    let refused: [Result<()>; 11] = [
        reader.put(b"k", b"v", None).map(drop),
        reader.put_many(&[]).map(drop),
        reader.delete(b"key"),
        reader.delete(b"none"),
        reader.sweep().map(drop),
        reader.prune(1, 1).map(drop),
        reader.evict_lru(0).map(drop),
        reader.flush(),
        reader.compact(),
        reader.backup(&target),
        reader.import_records(&[]).map(drop),
    ];
    for result in refused {
        assert!(matches!(result, Err(Error::ReadOnly(_))), "{result:?}");
    }
    // Even if a method forgot to ask, nothing could be written.
    let batch = rocksdb::WriteBatch::default();
    assert!(reader.engine().unwrap().db.write(batch).is_err());
    assert!(!target.exists());
    reader.close().unwrap();
    assert_eq!(writer.verify().unwrap(), []);
}

#[test]
fn a_store_that_is_not_there_is_not_created() {
    let root = tempfile::tempdir().unwrap();
    let none = root.path().join("none");
    assert!(matches!(reader(&none), Err(Error::Io(_))));
    assert!(!none.exists());
    assert!(matches!(reader(root.path()), Err(Error::Io(_))));
    std::fs::write(root.path().join("store.lock"), b"").unwrap();
    assert!(matches!(reader(root.path()), Err(Error::Io(_))));
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
}
