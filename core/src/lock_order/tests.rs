#![allow(clippy::unwrap_used, clippy::panic)]

use super::{Ordered, Rank};
use crate::{DedupMode, Entry, Error, Options, Range, Store};
use parking_lot::Mutex;
use prestige_embed::{Embedder, HashEmbedder};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by every break of the order, in whatever thread.
pub(super) static BROKEN: AtomicBool = AtomicBool::new(false);

/// Whether a thread that holds `first` may wait for `second`.
fn may_wait(first: Rank, second: Rank) -> bool {
    std::thread::spawn(move || {
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        let held = Ordered::wait(first, || a.lock());
        let both = Ordered::wait(second, || b.lock());
        drop((held, both));
    })
    .join()
    .is_ok()
}

#[test]
fn only_locks_that_come_later_may_be_waited_for() {
    let before = BROKEN.load(Ordering::SeqCst);
    assert!(may_wait(Rank::Key(3), Rank::Key(4)));
    assert!(may_wait(Rank::Key(63), Rank::Digest(0)));
    assert!(may_wait(Rank::Loading, Rank::Last));
    assert!(!may_wait(Rank::Key(4), Rank::Key(3)));
    assert!(!may_wait(Rank::Key(4), Rank::Key(4)));
    assert!(!may_wait(Rank::Digest(0), Rank::Key(63)));
    assert!(!may_wait(Rank::Semantic, Rank::Checkpoint));
    BROKEN.store(before, Ordering::SeqCst);
    // What is given back no longer counts, and what is only tried may come in any order.
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop(Ordered::wait(Rank::Semantic, || a.lock()));
    let semantic = Ordered::wait(Rank::Semantic, || a.lock());
    let digest = Ordered::tried(Rank::Digest(5), b.try_lock().unwrap());
    drop((semantic, digest));
}

/// Every operation, from many threads at once; the check is in the locks themselves.
#[test]
fn no_thread_waits_against_the_order() {
    let semantic = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(Arc::new(HashEmbedder::new(32)) as Arc<dyn Embedder>)
        })),
        ..Options::default()
    };
    for options in [Options::default(), semantic] {
        let mut options = Options {
            max_store_bytes: 20_000,
            lru_update_interval_seconds: 0,
            reaper_interval_seconds: 0.01,
            ..options
        };
        options.semantic.index_save_interval = 10;
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), options).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let store = &store;
                scope.spawn(move || {
                    for step in 0..150 {
                        match work(store, thread * 31 + step) {
                            Ok(()) | Err(Error::InvalidArgument(_) | Error::NotFound(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        assert_eq!(store.verify().unwrap(), []);
        store.close().unwrap();
    }
    assert!(!BROKEN.load(Ordering::SeqCst));
}

/// Values that helpers make the digests of while the keys are locked.
#[test]
fn long_batches_on_many_threads() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        value_cache_bytes: 1 << 22,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    let value = |number: usize| format!("{number:04}").repeat(2_000).into_bytes();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, value) = (&store, &value);
            scope.spawn(move || {
                for round in 0..10 {
                    let values: Vec<_> = (0..100)
                        .map(|n| value((n * thread + round) % 150))
                        .collect();
                    let entries: Vec<_> = values
                        .iter()
                        .enumerate()
                        .map(|(number, value)| Entry {
                            // Some keys come twice.
                            key: value.get(..4 - number % 2).unwrap(),
                            value,
                            ttl_seconds: None,
                            metadata: None,
                            lent: None,
                        })
                        .collect();
                    store.put_many(&entries).unwrap();
                    store.delete_many(&[b"0007"]).unwrap();
                }
            });
        }
    });
    assert_eq!(store.verify().unwrap(), []);
    assert!(!BROKEN.load(Ordering::SeqCst));
}

fn work(store: &Store, step: usize) -> crate::Result<()> {
    let view = store.namespace(["", "red", "blue"].get(step % 3).unwrap())?;
    let texts: Vec<String> = (0..20)
        .map(|i| format!("word{} other{} third{}", i, step % 7, (i + step) % 40))
        .collect();
    let entries: Vec<Entry<'_>> = texts
        .iter()
        .map(|text| Entry {
            key: text.get(..6).unwrap_or(text).as_bytes(),
            value: text.as_bytes(),
            ttl_seconds: Some(step as u64 % 2),
            metadata: None,
            lent: None,
        })
        .collect();
    match step % 16 {
        0..4 => view.put_many(&entries).map(drop),
        4 => view.delete_many(&[b"word1 ", b"word2 "]).map(drop),
        5 => view.delete(b"word3 "),
        6 => view.sweep().map(drop),
        7 => view.evict_lru(500).map(drop),
        8 => view.prune(1, 1).map(drop),
        9 => view.scan(Range::default())?.next_items(|_, _| {}).map(drop),
        10 => view.health().map(drop),
        11 => store.flush(),
        12 => store.verify().map(drop),
        13 => view.touch(b"word1 ", Some(1)),
        14 => view.expire_at(b"word2 ", step as u64 % 2 * u64::MAX),
        _ if step.is_multiple_of(5) => store.drop_namespace("red"),
        _ => view.get(b"word1 ").map(drop),
    }
}
