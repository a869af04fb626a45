#![allow(clippy::unwrap_used)]

use super::*;
use crate::{DedupMode, Options};
use parking_lot::RwLock;
use prestige_embed::{BackgroundEmbedder, Check, Embedder, Embeddings, Fingerprint, HashEmbedder};

/// Waits in the background as long as `gate` is held.
#[derive(Debug)]
struct Gated {
    inner: HashEmbedder,
    gate: RwLock<()>,
}

impl Embedder for Gated {
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    fn fingerprint(&self) -> &Fingerprint {
        self.inner.fingerprint()
    }

    fn embed(&self, texts: &[&str]) -> std::result::Result<Embeddings, EmbedError> {
        self.inner.embed(texts)
    }

    fn in_background(&self) -> Option<&dyn BackgroundEmbedder> {
        Some(self)
    }
}

impl BackgroundEmbedder for Gated {
    fn embed_while(
        &self,
        texts: &[&str],
        begin: Check<'_>,
        check: Check<'_>,
    ) -> std::result::Result<Embeddings, EmbedError> {
        begin()?;
        while self.gate.try_read_for(Duration::from_millis(1)).is_none() {
            check()?;
        }
        self.inner.embed(texts)
    }
}

fn open(directory: &tempfile::TempDir) -> (Store, Arc<Gated>) {
    let embedder = Arc::new(Gated {
        inner: HashEmbedder::new(32),
        gate: RwLock::new(()),
    });
    let given: Arc<dyn Embedder> = Arc::clone(&embedder) as _;
    let options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(move || Ok(Arc::clone(&given)))),
        ..Options::default()
    };
    let store = Store::open(directory.path().join("store"), options).unwrap();
    (store, embedder)
}

fn finished(ahead: Option<EmbeddingAhead>) -> Embedded {
    let mut ahead = ahead.unwrap();
    while !ahead.wait(Duration::from_secs(1)) {}
    ahead.embedded()
}

/// Entries with the values as their keys.
fn entries<'a>(values: &[&'a [u8]]) -> Vec<Entry<'a>> {
    let entries = values.iter().map(|value| Entry {
        key: value,
        value,
        ttl_seconds: None,
        metadata: None,
        lent: None,
    });
    entries.collect()
}

fn ahead(store: &Store, values: &[&[u8]], before: Vec<TextSet>) -> Option<EmbeddingAhead> {
    store.embed_ahead(&entries(values), before)
}

fn put(store: &Store, values: &[&[u8]], embedded: Embedded) {
    store.put_embedded(&entries(values), embedded).unwrap();
    for value in values {
        assert_eq!(store.get(value).unwrap().as_deref(), Some(*value));
    }
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn a_put_embeds_nothing_that_was_embedded_ahead() {
    let directory = tempfile::tempdir().unwrap();
    let (store, embedder) = open(&directory);
    assert!(store.embeds_ahead().unwrap());
    let values: [&[u8]; 4] = [b"one text", b"quite another", b"one text", b"\xff"];
    let embedded = finished(ahead(&store, &values, Vec::new()));
    assert_eq!(embedder.inner.texts(), 2);
    put(&store, &values, embedded);
    assert_eq!(embedder.inner.texts(), 2);
    // What is stored is not embedded again, ahead or not.
    let embedded = finished(ahead(&store, &values, Vec::new()));
    put(&store, &values, embedded);
    assert_eq!(embedder.inner.texts(), 2);
}

#[test]
fn of_several_entries_with_one_key_the_last_is_embedded() {
    let directory = tempfile::tempdir().unwrap();
    let (store, embedder) = open(&directory);
    let texts: Vec<String> = (0..100).map(|number| format!("text {number}")).collect();
    let entries = texts.iter().map(|text| Entry {
        key: b"key",
        value: text.as_bytes(),
        ttl_seconds: None,
        metadata: None,
        lent: None,
    });
    let entries: Vec<_> = entries.collect();
    let embedded = finished(store.embed_ahead(&entries, Vec::new()));
    store.put_embedded(&entries, embedded).unwrap();
    assert_eq!(embedder.inner.texts(), 1);
    assert_eq!(store.get(b"key").unwrap().as_deref(), Some(&b"text 99"[..]));
}

#[test]
fn closing_hastens_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (store, embedder) = open(&directory);
    let shut = embedder.gate.write();
    let one = ahead(&store, &[b"one"], Vec::new()).unwrap();
    let other = ahead(&store, &[b"other"], vec![one.texts()]);
    store.close().unwrap();
    drop(shut);
    drop((finished(Some(one)), finished(other)));
    assert_eq!(embedder.inner.texts(), 0);
}

#[test]
fn nothing_is_embedded_that_an_earlier_one_is_about() {
    let directory = tempfile::tempdir().unwrap();
    let (store, embedder) = open(&directory);
    let (first, second): ([&[u8]; 1], [&[u8]; 2]) = ([b"first"], [b"first", b"second"]);
    let shut = embedder.gate.write();
    let one = ahead(&store, &first, Vec::new()).unwrap();
    let mut other = ahead(&store, &second, vec![one.texts()]).unwrap();
    // It waits for its turn, although the model would serve it.
    assert!(!other.wait(Duration::from_millis(50)));
    drop(shut);
    put(&store, &first, finished(Some(one)));
    put(&store, &second, finished(Some(other)));
    assert_eq!(embedder.inner.texts(), 2);
}

#[test]
fn what_nobody_waits_for_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let (store, embedder) = open(&directory);
    let shut = embedder.gate.write();
    let one = ahead(&store, &[b"one"], Vec::new()).unwrap();
    let other = ahead(&store, &[b"other"], vec![one.texts()]).unwrap();
    // One waits for its turn, the other for the gate; both come to an end while it is shut.
    drop(other);
    drop(one);
    drop(shut);
    assert_eq!(embedder.inner.texts(), 0);
    store.close().unwrap();
    assert!(ahead(&store, &[b"one"], Vec::new()).is_none());
}

#[test]
fn vectors_of_another_namespace_count_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, embedder) = open(&directory);
    let other = store.namespace("other").unwrap();
    let embedded = finished(ahead(&other, &[b"a text"], Vec::new()));
    put(&store, &[b"a text"], embedded);
    assert_eq!(embedder.inner.texts(), 2);
    put(&other, &[b"a text"], Embedded::default());
    assert_eq!(embedder.inner.texts(), 3);
}

#[test]
fn an_exact_store_embeds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("store"), Options::default()).unwrap();
    assert!(!store.embeds_ahead().unwrap());
    let embedded = finished(ahead(&store, &[b"a text"], Vec::new()));
    put(&store, &[b"a text"], embedded);
}
