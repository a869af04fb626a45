#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
use crate::owner::Guest;
use crate::{DedupMode, Error, Options, Store, restore};
use prestige_embed::{Embedder, HashEmbedder};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Ends the writers, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn small_buffers() -> Options {
    Options {
        write_buffer_bytes: 1 << 17,
        ..Options::default()
    }
}

fn semantic() -> Options {
    let mut options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(Arc::new(HashEmbedder::new(64)) as Arc<dyn Embedder>)
        })),
        ..small_buffers()
    };
    options.semantic.index_save_interval = 1;
    options
}

/// Every file below `directory` with its bytes.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            for (inner, bytes) in contents(&path) {
                found.insert(format!("{name}/{inner}"), bytes);
            }
        } else {
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_backup_under_writers_has_everything_acknowledged_before_it_began() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store"), small_buffers()).unwrap();
    let acknowledged: [AtomicUsize; 4] = Default::default();
    let stop = AtomicBool::new(false);
    let mut copies = Vec::new();
    let value = |thread: usize, i: usize| format!("{} {thread}", i / 3).repeat(50).into_bytes();
    std::thread::scope(|scope| {
        for (thread, done) in acknowledged.iter().enumerate() {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("{thread}/{i}");
                    store.put(key.as_bytes(), &value(thread, i), None).unwrap();
                    done.store(i + 1, Ordering::Release);
                }
            });
        }
        let _end = Stop(&stop);
        for round in 0..4 {
            while acknowledged
                .iter()
                .any(|done| done.load(Ordering::Acquire) < (round + 1) * 200)
            {
                std::thread::yield_now();
            }
            let before: Vec<_> = acknowledged
                .iter()
                .map(|done| done.load(Ordering::Acquire))
                .collect();
            let target = root.path().join(format!("copy{round}"));
            store.backup(&target).unwrap();
            copies.push((target, before));
        }
    });
    for (target, before) in copies {
        let copy = Store::open(&target, small_buffers()).unwrap();
        assert_eq!(copy.verify().unwrap(), []);
        for (thread, count) in before.into_iter().enumerate() {
            for i in 0..count {
                let key = format!("{thread}/{i}");
                let found = copy.get(key.as_bytes()).unwrap();
                assert_eq!(found.as_deref(), Some(&*value(thread, i)), "{key}");
            }
        }
    }
    assert_eq!(
        names(root.path()),
        ["copy0", "copy1", "copy2", "copy3", "store"]
    );
}

#[test]
fn a_backup_has_the_index_file_that_its_records_name() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store"), semantic()).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let text = format!("w{i} x{} y{}", i * 7, i * 13);
                store.put(text.as_bytes(), text.as_bytes(), None).unwrap();
                store.flush().unwrap();
            }
        });
        let _end = Stop(&stop);
        for round in 0..10 {
            let target = root.path().join(format!("copy{round}"));
            while store.health().unwrap().index_vectors < 5 * (round + 1) {
                std::thread::yield_now();
            }
            store.backup(&target).unwrap();
            let files = names(&target.join("index"));
            assert_eq!(files.len(), 1, "{files:?}");
            let sequence = files[0]
                .strip_prefix("00000000-")
                .and_then(|name| name.strip_suffix(".index"))
                .unwrap();
            let sequence = u64::from_str_radix(sequence, 16).unwrap();
            // Not written anew by a background thread while we look.
            let mut options = semantic();
            options.semantic.index_save_interval = u64::MAX;
            let copy = Store::open(&target, options).unwrap();
            assert_eq!(copy.verify().unwrap(), []);
            let health = copy.health().unwrap();
            // Each text added one entry. Without its file the index would count them all as new.
            assert_eq!(health.index_log_entries + sequence, health.index_vectors);
        }
    });
}

#[test]
fn the_mark_of_a_backup_is_at_least_what_was_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store"), Options::default()).unwrap();
    store.put(b"key", b"value", None).unwrap();
    let sequence = store.engine().unwrap().db.sequence();
    let target = root.path().join("copy");
    store.backup(&target).unwrap();
    let marked = Guest::of(&target).unwrap().marked().unwrap();
    assert_eq!(marked, sequence);
    // So losing the table file that holds it is noticed.
    for name in names(&target) {
        if name.ends_with(".sst") {
            std::fs::remove_file(target.join(name)).unwrap();
        }
    }
    assert!(matches!(
        Store::open(&target, Options::default()),
        Err(Error::Corruption(_))
    ));
}

#[test]
fn a_restored_backup_is_used_and_the_backup_stays_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store"), semantic()).unwrap();
    for i in 0..50 {
        let text = format!("words number {i} of{i}");
        store.put(text.as_bytes(), text.as_bytes(), None).unwrap();
    }
    store.flush().unwrap();
    let backup = root.path().join("backup");
    store.backup(&backup).unwrap();
    let before = contents(&backup);
    for name in ["one", "two"] {
        let path = root.path().join(name);
        restore(&backup, &path).unwrap();
        let copy = Store::open(&path, semantic()).unwrap();
        assert_eq!(copy.count_keys(false).unwrap(), 50);
        assert_eq!(copy.verify().unwrap(), []);
        copy.put(b"more", b"more", None).unwrap();
        copy.delete(b"words number 1 of1").unwrap();
        copy.compact().unwrap();
        copy.close().unwrap();
        assert!(contents(&backup) == before);
    }
}

#[test]
fn what_is_no_closed_store_is_not_restored_and_nothing_is_left() {
    let root = tempfile::tempdir().unwrap();
    let (path, target) = (root.path().join("store"), root.path().join("target"));
    let store = Store::open(&path, Options::default()).unwrap();
    store.put(b"key", &[7; 100_000], None).unwrap();
    store.flush().unwrap();
    assert!(matches!(restore(&path, &target), Err(Error::Busy(_))));
    store.close().unwrap();
    let empty = root.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(matches!(restore(&empty, &target), Err(Error::Io(_))));
    assert!(matches!(
        restore(root.path().join("none"), &target),
        Err(Error::Io(_))
    ));
    assert!(matches!(
        restore(&path, path.join("inside")),
        Err(Error::InvalidArgument(_))
    ));
    assert!(matches!(
        restore(&path, &path),
        Err(Error::InvalidArgument(_))
    ));
    let table = names(&path)
        .into_iter()
        .find(|name| name.ends_with(".sst"))
        .unwrap();
    std::fs::remove_file(path.join(table)).unwrap();
    assert!(matches!(restore(&path, &target), Err(Error::Corruption(_))));
    assert_eq!(names(root.path()), ["empty", "store"]);
}
