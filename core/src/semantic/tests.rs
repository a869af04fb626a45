#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::{CallbackError, DedupMode, Entry, Error, Options, Store};
use parking_lot::Mutex;
use prestige_embed::{EmbedError, Embedder, Embeddings, Fingerprint, HashEmbedder};
use std::sync::{Arc, OnceLock, Weak};

/// Entries of these keys and values.
fn entries<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Entry<'a>> {
    let entry = |(key, value): (&'a str, &'a str)| Entry {
        key: key.as_bytes(),
        value: value.as_bytes(),
        ttl_seconds: None,
        metadata: None,
        lent: None,
    };
    pairs.into_iter().map(entry).collect()
}

type During = Box<dyn Fn(&Store, &[&str]) -> Result<(), EmbedError> + Send + Sync>;

/// An embedder as a caller may write one: it uses the store that it embeds for.
struct Inside {
    inner: HashEmbedder,
    store: OnceLock<Weak<Store>>,
    calls: Mutex<Vec<Vec<String>>>,
    during: During,
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Inside")
    }
}

impl Embedder for Inside {
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    fn fingerprint(&self) -> &Fingerprint {
        self.inner.fingerprint()
    }

    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        let owned = texts.iter().map(|&text| text.to_owned()).collect();
        self.calls.lock().push(owned);
        let store = self.store.get().and_then(Weak::upgrade).unwrap();
        (self.during)(&store, texts)?;
        self.inner.embed(texts)
    }
}

fn open(
    directory: &tempfile::TempDir,
    during: impl Fn(&Store, &[&str]) -> Result<(), EmbedError> + Send + Sync + 'static,
) -> (Arc<Store>, Arc<Inside>) {
    let embedder = Arc::new(Inside {
        inner: HashEmbedder::new(32),
        store: OnceLock::new(),
        calls: Mutex::default(),
        during: Box::new(during),
    });
    let given = Arc::clone(&embedder);
    let options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(
            move || Ok(Arc::clone(&given) as Arc<dyn Embedder>),
        )),
        ..Options::default()
    };
    let store = Arc::new(Store::open(directory.path(), options).unwrap());
    embedder.store.set(Arc::downgrade(&store)).unwrap();
    (store, embedder)
}

#[test]
fn an_embedder_is_called_without_any_lock() {
    let directory = tempfile::tempdir().unwrap();
    // Takes every lock there is; the order of locks is checked in these tests.
    let (store, _) = open(&directory, |store, texts| {
        for text in texts {
            store
                .put(b"key", &[b"\xff", text.as_bytes()].concat(), None)
                .unwrap();
            store.put(b"other", b"\xfe", Some(60)).unwrap();
        }
        assert_eq!(store.get(b"absent").unwrap(), None);
        store.sweep().unwrap();
        store.flush().unwrap();
        assert!(store.verify().unwrap().is_empty());
        Ok(())
    });
    store.put(b"binary", b"\xff", None).unwrap();
    store.put(b"key", b"text", None).unwrap();
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"text");
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn texts_come_in_the_order_of_the_entries_each_once() {
    let directory = tempfile::tempdir().unwrap();
    let (store, embedder) = open(&directory, |_, _| Ok(()));
    let values = [
        "six",
        "five",
        "six",
        "",
        "four words of text",
        "three",
        "five",
    ];
    let keys: Vec<String> = (0..values.len()).map(|i| i.to_string()).collect();
    let pairs = keys.iter().map(String::as_str).zip(values);
    store.put_many(&entries(pairs)).unwrap();
    assert_eq!(
        *embedder.calls.lock(),
        [["six", "five", "four words of text", "three"]]
    );
}

#[test]
fn a_text_that_has_merged_is_embedded_once_and_decided_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (store, embedder) = open(&directory, |_, _| Ok(()));
    store.put(b"a", b"one two three", None).unwrap();
    for key in [b"b", b"c"] {
        store.put(key, b"three one two", None).unwrap();
        assert_eq!(store.get(key).unwrap().unwrap(), b"one two three");
    }
    assert_eq!(
        *embedder.calls.lock(),
        [["one two three"], ["three one two"]]
    );
    // What it had merged with is gone, so it is stored itself.
    for key in [b"a", b"b", b"c"] {
        store.delete(key).unwrap();
    }
    store.put(b"d", b"three one two", None).unwrap();
    assert_eq!(store.get(b"d").unwrap().unwrap(), b"three one two");
    assert_eq!(embedder.calls.lock().len(), 2);
    assert!(store.verify().unwrap().is_empty());
}

#[derive(Debug, thiserror::Error)]
#[error("out of service")]
struct OutOfService;

#[test]
fn an_error_of_the_embedder_passes_through_whole_and_nothing_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(&directory, |_, texts| match texts {
        ["bad", ..] => Err(EmbedError::Callback(CallbackError::new(OutOfService))),
        _ => Ok(()),
    });
    store.put(b"key", b"good", None).unwrap();
    let error = store.put(b"key", b"bad", None).unwrap_err();
    assert_eq!(error.to_string(), "out of service");
    let Error::Callback(failure) = error else {
        unreachable!()
    };
    assert!(failure.inner().downcast_ref::<OutOfService>().is_some());
    assert!(!failure.is_interrupt());
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"good");
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn an_embedder_cannot_close_the_store_that_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(&directory, |store, _| {
        for closed in [store.close(), store.check_closable()] {
            assert!(matches!(closed, Err(Error::Busy(_))), "{closed:?}");
        }
        // Another thread waits for this one, so it could not join it here; a view is a mere handle.
        store.namespace("view").unwrap().close().unwrap();
        Ok(())
    });
    store.put(b"key", b"text", None).unwrap();
    store.check_closable().unwrap();
    store.close().unwrap();
}

#[test]
fn an_embedder_cannot_close_a_store_that_another_thread_is_closing() {
    let directory = tempfile::tempdir().unwrap();
    let wanted = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let inside = Arc::clone(&wanted);
    let (store, _) = open(&directory, move |store, _| {
        inside.store(true, std::sync::atomic::Ordering::Release);
        // The other thread closes, and waits for the put that this embedder works for.
        while !store.is_closed() {
            std::thread::yield_now();
        }
        assert!(matches!(store.close(), Err(Error::Busy(_))));
        Ok(())
    });
    std::thread::scope(|scope| {
        let closed = scope.spawn(|| {
            while !wanted.load(std::sync::atomic::Ordering::Acquire) {
                std::thread::yield_now();
            }
            store.close()
        });
        store.put(b"key", b"text", None).unwrap();
        closed.join().unwrap().unwrap();
    });
}

#[test]
fn a_verifier_cannot_close_the_store_that_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let place: Arc<OnceLock<Weak<Store>>> = Arc::default();
    let own = Arc::clone(&place);
    let options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(Arc::new(HashEmbedder::new(32)) as Arc<dyn Embedder>)
        })),
        verifier: Some(Arc::new(move |_, _, _| {
            let store = own.get().and_then(Weak::upgrade).unwrap();
            assert!(matches!(store.close(), Err(Error::Busy(_))));
            Ok(true)
        })),
        semantic: crate::SemanticOptions {
            threshold: 0.5,
            ..crate::SemanticOptions::default()
        },
        ..Options::default()
    };
    let store = Arc::new(Store::open(directory.path(), options).unwrap());
    place.set(Arc::downgrade(&store)).unwrap();
    store.put(b"one", b"a red apple on a tree", None).unwrap();
    store.put(b"two", b"a red apple on the tree", None).unwrap();
    assert_eq!(store.count_unique_values().unwrap(), 1);
    store.explain(b"a red apple on that tree").unwrap();
    store.close().unwrap();
}

#[test]
fn the_bound_of_the_index_holds_within_a_batch_and_between_threads() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(Arc::new(HashEmbedder::new(32)) as Arc<dyn Embedder>)
        })),
        semantic: crate::SemanticOptions {
            max_index_entries: 30,
            ..crate::SemanticOptions::default()
        },
        ..Options::default()
    };
    let store = Store::open(directory.path(), options()).unwrap();
    let texts: Vec<String> = (0..60).map(|i| format!("w{i}a w{i}b w{i}c")).collect();
    let first = texts.iter().take(20).map(|text| (&**text, &**text));
    store.put_many(&entries(first)).unwrap();
    std::thread::scope(|scope| {
        for part in texts[20..].chunks(5) {
            let store = &store;
            scope.spawn(move || {
                for text in part {
                    store.put(text.as_bytes(), text.as_bytes(), None).unwrap();
                }
            });
        }
    });
    assert_eq!(store.health().unwrap().index_vectors, 30);
    assert_eq!(store.count_unique_values().unwrap(), 60);
    let more: Vec<String> = (0..40).map(|i| format!("v{i}a v{i}b v{i}c")).collect();
    drop(store);
    let again = tempfile::tempdir().unwrap();
    let store = Store::open(again.path(), options()).unwrap();
    let all = more.iter().map(|text| (&**text, &**text));
    store.put_many(&entries(all)).unwrap();
    assert_eq!(store.health().unwrap().index_vectors, 30);
    assert!(store.verify().unwrap().is_empty());
}
