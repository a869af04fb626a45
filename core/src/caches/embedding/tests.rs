#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::caches::{ModelSource, VectorSource};
use crate::clock::ManualClock;
use crate::error::CallbackError;
use crate::options::{DedupMode, Options};
use crate::schema::{OBJECTS, numbered_key};
use prestige_embed::{Embeddings, HashEmbedder};
use rocksdb::WriteBatch;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const DAY: u64 = 24 * 3600;

/// A vector that says which text it is of: its length and its first byte.
fn vector_of(text: &str, dimension: usize) -> Vec<f32> {
    let mut vector = vec![0.5; dimension];
    vector[0] = text.len() as f32;
    vector[1] = text.bytes().next().map_or(-1.0, f32::from);
    vector
}

/// Counts its calls and texts; fails on texts that say so.
#[derive(Default)]
struct Counting {
    dimension: usize,
    calls: AtomicUsize,
    texts: Mutex<Vec<String>>,
    pause_ms: u64,
}

impl Counting {
    fn new(dimension: usize) -> Self {
        Self {
            dimension,
            ..Self::default()
        }
    }

    fn texts(&self) -> Vec<String> {
        std::mem::take(&mut *self.texts.lock().unwrap())
    }
}

impl VectorSource for Counting {
    fn embed(&self, texts: &[&str]) -> Result<Embeddings> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(self.pause_ms));
        self.texts
            .lock()
            .unwrap()
            .extend(texts.iter().map(|text| (*text).to_owned()));
        if let Some(bad) = texts.iter().find(|text| text.starts_with("fail")) {
            let error = std::io::Error::other(format!("no vector for {bad}"));
            return Err(Error::Callback(CallbackError::new(error)));
        }
        let rows = texts
            .iter()
            .flat_map(|text| vector_of(text, self.dimension));
        Ok(Embeddings::new(rows.collect(), self.dimension)?)
    }
}

fn options(model: &str) -> EmbeddingCacheOptions {
    EmbeddingCacheOptions {
        model: model.to_owned(),
        dimension: None,
        precision: EmbeddingPrecision::F32,
        ttl_seconds: None,
        batch_size: None,
    }
}

fn opened() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    (directory, store)
}

fn row(rows: &Rows, number: usize) -> &[f32] {
    &rows.data[number * rows.dimension..(number + 1) * rows.dimension]
}

fn clean(store: &Store) {
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn each_distinct_text_is_computed_once_and_rows_come_in_input_order() {
    let (_directory, store) = opened();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    let source = Counting::new(4);
    let texts = ["b", "a", "b", "", "long one", "a"];
    for round in 0..2 {
        let rows = cache.embed(&texts, &source).unwrap();
        assert_eq!(rows.dimension, 4);
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(row(&rows, number), vector_of(text, 4), "round {round}");
        }
    }
    assert_eq!(source.texts(), ["b", "a", "", "long one"]);
    let stats = cache.stats();
    assert_eq!(
        (stats.hits, stats.misses, stats.computed, stats.batches),
        (6, 6, 4, 1)
    );
    assert_eq!(cache.len().unwrap(), 4);
    assert_eq!(store.namespaces().unwrap(), ["embeddings/m/4"]);
    clean(&store);
}

#[test]
fn nothing_gives_nothing_and_many_pages_give_all() {
    let (_directory, store) = opened();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    let source = Counting::new(3);
    assert_eq!(cache.embed(&[], &source).unwrap(), Rows::default());
    let texts: Vec<String> = (0..3000).map(|i| format!("{i} text")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    cache.embed(&texts[..2500], &source).unwrap();
    let rows = cache.embed(&texts, &source).unwrap();
    for (number, text) in texts.iter().enumerate() {
        assert_eq!(row(&rows, number), vector_of(text, 3));
    }
    assert_eq!(source.texts().len(), 3000);
    assert_eq!(source.calls.load(Ordering::SeqCst), 10 + 2);
    assert_eq!(cache.embed(&[], &source).unwrap().dimension, 3);
}

#[test]
fn a_failing_batch_fails_alone() {
    let (_directory, store) = opened();
    let batches = EmbeddingCacheOptions {
        batch_size: Some(2),
        ..options("m")
    };
    let cache = EmbeddingCache::new(&store, batches).unwrap();
    let source = Counting::new(2);
    let error = cache
        .embed(&["a", "b", "c", "fail", "d"], &source)
        .unwrap_err();
    assert_eq!(error.to_string(), "no vector for fail");
    // The first batch is there, and nothing after it was called for.
    assert_eq!(source.texts(), ["a", "b", "c", "fail"]);
    let rows = cache.embed(&["a", "b", "c", "d"], &source).unwrap();
    assert_eq!(row(&rows, 1), vector_of("b", 2));
    assert_eq!(source.texts(), ["c", "d"]);
    clean(&store);
}

#[test]
fn concurrent_misses_call_once() {
    let (_directory, store) = opened();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    let source = Counting {
        pause_ms: 20,
        ..Counting::new(2)
    };
    std::thread::scope(|scope| {
        for number in 0..32 {
            let (cache, source) = (&cache, &source);
            scope.spawn(move || {
                let own = format!("own {}", number % 4);
                let rows = cache.embed(&["shared", &own], source).unwrap();
                assert_eq!(row(&rows, 0), vector_of("shared", 2));
                assert_eq!(row(&rows, 1), vector_of(&own, 2));
            });
        }
    });
    let texts = source.texts();
    let distinct: HashSet<_> = texts.iter().collect();
    assert_eq!((texts.len(), distinct.len()), (5, 5));
    clean(&store);
}

#[test]
fn who_follows_a_call_that_is_interrupted_computes_for_itself() {
    struct Interrupted<'a>(&'a std::sync::Barrier);
    impl VectorSource for Interrupted<'_> {
        fn embed(&self, _: &[&str]) -> Result<Embeddings> {
            self.0.wait();
            std::thread::sleep(std::time::Duration::from_millis(50));
            let error = std::io::Error::other("Ctrl-C");
            Err(Error::Callback(CallbackError::interrupt(error)))
        }
    }
    let (_directory, store) = opened();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    let leading = std::sync::Barrier::new(2);
    let source = Counting::new(2);
    std::thread::scope(|scope| {
        let interrupted = scope.spawn(|| cache.embed(&["a"], &Interrupted(&leading)));
        leading.wait();
        let rows = cache.embed(&["a"], &source).unwrap();
        assert_eq!(row(&rows, 0), vector_of("a", 2));
        assert!(interrupted.join().unwrap().is_err());
    });
    assert_eq!(source.texts(), ["a"]);
}

#[test]
fn a_function_that_asks_the_cache_for_the_same_is_told_so() {
    struct Nested<'a>(&'a EmbeddingCache);
    impl VectorSource for Nested<'_> {
        fn embed(&self, texts: &[&str]) -> Result<Embeddings> {
            let rows = self.0.embed(texts, self)?;
            Ok(Embeddings::new(rows.data, rows.dimension)?)
        }
    }
    let (_directory, store) = opened();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    let error = cache.embed(&["a"], &Nested(&cache)).unwrap_err();
    assert!(error.to_string().contains("wait for itself"), "{error}");
}

#[test]
fn wrong_answers_are_refused_and_leave_nothing() {
    struct Answer(Vec<f32>, usize);
    impl VectorSource for Answer {
        fn embed(&self, _: &[&str]) -> Result<Embeddings> {
            Ok(Embeddings::new(self.0.clone(), self.1)?)
        }
    }
    let (_directory, store) = opened();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    for (answer, words) in [
        (
            Answer(vec![1.0; 2], 2),
            "2 vectors, one for each text, and returned 1",
        ),
        (Answer(vec![1.0, f32::NAN, 1.0, 1.0], 2), "vector 0 of 2"),
        (
            Answer(vec![1.0, 0.0, f32::INFINITY, 1.0], 2),
            "vector 1 of 2",
        ),
    ] {
        let error = cache.embed(&["a", "b"], &answer).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!((cache.len().unwrap(), cache.dimension()), (0, None));
    // Once the length is known, it is the length.
    cache.embed(&["a"], &Counting::new(3)).unwrap();
    let error = cache.embed(&["b"], &Counting::new(5)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("should have 3 components and have 5"),
        "{error}"
    );
    assert!(cache.put("c", &[1.0, 2.0]).is_err());
    assert!(cache.put("c", &[1.0, 2.0, f32::NAN]).is_err());
    assert!(cache.put("c", &[]).is_err());
    assert_eq!(cache.len().unwrap(), 1);
}

#[test]
fn models_and_lengths_are_apart_and_a_reopened_cache_knows_its_length() {
    let (directory, store) = opened();
    for (model, dimension) in [("one", 2), ("two", 2), ("two", 3)] {
        let wanted = EmbeddingCacheOptions {
            dimension: Some(dimension),
            ..options(model)
        };
        let cache = EmbeddingCache::new(&store, wanted).unwrap();
        assert!(cache.is_empty().unwrap());
        cache.embed(&["text"], &Counting::new(dimension)).unwrap();
    }
    store.close().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let one = EmbeddingCache::new(&store, options("one")).unwrap();
    assert_eq!(one.dimension(), Some(2));
    let source = Counting::new(2);
    assert_eq!(
        one.embed(&["text"], &source).unwrap().data,
        vector_of("text", 2)
    );
    assert!(source.texts().is_empty());
    let error = EmbeddingCache::new(&store, options("two")).unwrap_err();
    assert!(error.to_string().contains("[2, 3]"), "{error}");
    clean(&store);
}

#[test]
fn half_precision_is_read_whatever_is_asked_for_now() {
    let (_directory, store) = opened();
    let half = EmbeddingCacheOptions {
        precision: EmbeddingPrecision::F16,
        ..options("m")
    };
    let source = Counting::new(300);
    let cache = EmbeddingCache::new(&store, half).unwrap();
    cache.put("a", &[0.1; 300]).unwrap();
    let bytes = store
        .namespace("embeddings/m/300")
        .unwrap()
        .total_bytes()
        .unwrap();
    assert_eq!(bytes, 32 + 600);
    let whole = EmbeddingCache::new(&store, options("m")).unwrap();
    let rows = whole.embed(&["a", "b"], &source).unwrap();
    assert!(row(&rows, 0).iter().all(|x| (x - 0.1).abs() < 1e-4));
    assert_eq!(source.texts(), ["b"]);
    let found = cache.get_many(&["b", "c"]).unwrap();
    assert_eq!(found[0].as_deref(), Some(&vector_of("b", 300)[..]));
    assert_eq!(found[1], None);
    assert!(cache.put("c", &[1e5; 300]).is_err());
}

#[test]
fn vectors_expire_are_deleted_and_cleared() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_000_000));
    let with_clock = Options {
        clock: Arc::<ManualClock>::clone(&clock),
        ..Options::default()
    };
    let store = Store::open(directory.path(), with_clock).unwrap();
    let daily = EmbeddingCacheOptions {
        ttl_seconds: Some(DAY),
        ..options("m")
    };
    let cache = EmbeddingCache::new(&store, daily).unwrap();
    let source = Counting::new(2);
    cache.embed(&["a", "b", "c"], &source).unwrap();
    assert_eq!(cache.delete(&["a", "a", "unknown"]).unwrap(), 1);
    source.texts();
    cache.embed(&["a", "b"], &source).unwrap();
    assert_eq!(source.texts(), ["a"]);
    clock.advance_seconds(DAY);
    assert_eq!(cache.len().unwrap(), 0);
    cache.embed(&["b"], &source).unwrap();
    assert_eq!(source.texts(), ["b"]);
    assert_eq!((cache.clear().unwrap(), cache.clear().unwrap()), (1, 0));
    assert!(store.namespaces().unwrap().is_empty());
    cache.embed(&["b"], &source).unwrap();
    assert_eq!(source.texts(), ["b"]);
    clean(&store);
}

#[test]
fn a_damaged_value_is_computed_again_and_mended() {
    let (_directory, store) = opened();
    let source = Counting::new(2);
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    cache.embed(&["a", "b"], &source).unwrap();
    source.texts();
    let view = store.namespace("embeddings/m/2").unwrap();
    let key = Digest::of(b"a");
    let id = view.object_id(&key.0).unwrap().unwrap();
    {
        // Truncated where it lies; the read cache would hide that.
        let engine = store.engine().unwrap();
        let namespace = engine.find_namespace("embeddings/m/2").unwrap();
        let mut batch = WriteBatch::default();
        batch.put_cf(
            engine.db.family(OBJECTS).unwrap(),
            numbered_key(namespace.id, id),
            b"short",
        );
        engine.db.write(batch).unwrap();
        engine.cache.as_ref().unwrap().forget_value(id);
    }
    assert!(!store.verify().unwrap().is_empty());
    for _ in 0..2 {
        let rows = cache.embed(&["a", "b"], &source).unwrap();
        assert_eq!(row(&rows, 0), vector_of("a", 2));
        assert_eq!(row(&rows, 1), vector_of("b", 2));
    }
    assert_eq!(source.texts(), ["a"]);
    assert_eq!(cache.stats().damaged, 1);
    clean(&store);
}

#[test]
fn a_missing_object_is_computed_again() {
    let (_directory, store) = opened();
    let source = Counting::new(2);
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    cache.embed(&["a", "b"], &source).unwrap();
    source.texts();
    {
        let engine = store.engine().unwrap();
        let namespace = engine.find_namespace("embeddings/m/2").unwrap();
        let view = store.namespace("embeddings/m/2").unwrap();
        let id = view.object_id(&Digest::of(b"a").0).unwrap().unwrap();
        let mut batch = WriteBatch::default();
        let name = numbered_key(namespace.id, id);
        batch.delete_cf(engine.db.family(OBJECTS).unwrap(), name);
        engine.db.write(batch).unwrap();
        engine.cache.as_ref().unwrap().forget_value(id);
    }
    let rows = cache.embed(&["a", "b"], &source).unwrap();
    assert_eq!(row(&rows, 0), vector_of("a", 2));
    assert_eq!(row(&rows, 1), vector_of("b", 2));
    assert_eq!(source.texts(), ["a"]);
    assert_eq!(cache.stats().damaged, 1);
    clean(&store);
}

#[test]
fn others_put_nothing_into_the_namespace_and_views_are_no_place_for_a_cache() {
    let (_directory, store) = opened();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    cache.embed(&["a"], &Counting::new(2)).unwrap();
    let view = store.namespace("embeddings/m/2").unwrap();
    let error = view.put(b"key", b"value", None).unwrap_err();
    assert!(error.to_string().contains("belongs to a cache"), "{error}");
    assert!(EmbeddingCache::new(&view, options("m")).is_err());
    // A namespace of that name which somebody else made.
    store.namespace("embeddings/n/2").unwrap();
    let other = EmbeddingCache::new(&store, options("n")).unwrap();
    let error = other.put("a", &[1.0, 2.0]).unwrap_err();
    assert!(error.to_string().contains("something else"), "{error}");
    for bad in ["".to_owned(), "x".repeat(300)] {
        assert!(EmbeddingCache::new(&store, options(&bad)).is_err());
    }
    assert!(EmbeddingCache::new(&store, options(&"x".repeat(238))).is_ok());
}

#[test]
fn a_dropped_namespace_is_made_anew_and_a_closed_store_says_so() {
    let (_directory, store) = opened();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    let source = Counting::new(2);
    cache.embed(&["a"], &source).unwrap();
    store.drop_namespace("embeddings/m/2").unwrap();
    cache.embed(&["a"], &source).unwrap();
    assert_eq!(source.texts(), ["a", "a"]);
    clean(&store);
    store.close().unwrap();
    assert!(matches!(
        cache.embed(&["a"], &source),
        Err(Error::Closed(_))
    ));
    assert!(matches!(cache.len(), Err(Error::Closed(_))));
    assert!(matches!(
        EmbeddingCache::new(&store, options("m")),
        Err(Error::Closed(_))
    ));
}

#[test]
fn in_a_read_only_store_vectors_are_computed_and_not_stored() {
    let (directory, store) = opened();
    let source = Counting::new(2);
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    cache.embed(&["a"], &source).unwrap();
    store.close().unwrap();
    let read_only = Options {
        read_only: true,
        ..Options::default()
    };
    let store = Store::open(directory.path(), read_only).unwrap();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    let rows = cache.embed(&["a", "b"], &source).unwrap();
    assert_eq!(row(&rows, 1), vector_of("b", 2));
    assert_eq!(source.texts(), ["a", "b"]);
    assert_eq!((cache.stats().not_stored, cache.len().unwrap()), (1, 1));
    assert!(matches!(cache.clear(), Err(Error::ReadOnly(_))));
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn a_semantic_store_keeps_vectors_as_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let embedder = Arc::new(HashEmbedder::new(8));
    let given = Arc::clone(&embedder);
    let semantic = Options {
        dedup_mode: Some(DedupMode::Semantic),
        normalization_mode: crate::NormalizationMode::Full,
        embedder: Some(Arc::new(move || Ok(Arc::clone(&given) as _))),
        ..Options::default()
    };
    let store = Store::open(directory.path(), semantic).unwrap();
    let cache = EmbeddingCache::new(&store, options("m")).unwrap();
    // Bytes that are text, in capitals: "AAAA", "BBBB".
    let (a, b) = (f32::from_le_bytes(*b"AAAA"), f32::from_le_bytes(*b"BBBB"));
    cache.put("x", &[a; 4]).unwrap();
    cache.put("y", &[b; 4]).unwrap();
    assert_eq!(
        cache.get_many(&["x"]).unwrap()[0].as_deref(),
        Some(&[a; 4][..])
    );
    assert_eq!((embedder.calls(), cache.len().unwrap()), (0, 2));
    clean(&store);
}

#[test]
fn a_model_gets_texts_of_like_length_together() {
    let (_directory, store) = opened();
    let wanted = EmbeddingCacheOptions {
        batch_size: Some(2),
        ..options("m")
    };
    let cache = EmbeddingCache::new(&store, wanted).unwrap();
    let model = Arc::new(HashEmbedder::new(16));
    let source = ModelSource(Arc::clone(&model) as _);
    let texts = ["one", "a much longer text", "two", "another longer text"];
    let rows = cache.embed(&texts, &source).unwrap();
    for (number, text) in texts.iter().enumerate() {
        let alone = source.embed(&[text]).unwrap();
        assert_eq!(row(&rows, number), alone.row(0).unwrap());
    }
    assert_eq!(cache.stats().batches, 2);
}

#[test]
fn many_vectors_are_put_at_once_and_found_by_a_handle_that_was_made_before() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path(), Options::default()).unwrap();
    let options = EmbeddingCacheOptions {
        model: "model".to_owned(),
        dimension: None,
        precision: EmbeddingPrecision::F32,
        ttl_seconds: None,
        batch_size: None,
    };
    let reader = EmbeddingCache::new(&store, options.clone()).unwrap();
    assert_eq!(reader.find_dimension().unwrap(), None);
    let writer = EmbeddingCache::new(&store, options).unwrap();
    let texts: Vec<String> = (0..2500).map(|number| format!("text {number}")).collect();
    let vectors: Vec<_> = texts.iter().map(|text| vector_of(text, 3)).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut rows: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
    // The same text again, with another vector: the last one counts.
    texts.push("text 0");
    rows.push(&[7.0, 8.0, 9.0]);
    writer.put_many(&texts, &rows).unwrap();
    assert_eq!(writer.len().unwrap(), 2500);
    assert_eq!(reader.find_dimension().unwrap(), Some(3));
    let found = reader.get_many(&texts).unwrap();
    assert_eq!(&*found[0].clone().unwrap(), &[7.0, 8.0, 9.0]);
    for (text, vector) in texts.iter().zip(&found).skip(1).take(2499) {
        assert_eq!(&**vector.as_ref().unwrap(), vector_of(text, 3));
    }
    let refused: [&[&[f32]]; 4] = [&[], &[&[]], &[&[1.0, 2.0]], &[&[f32::NAN, 0.0, 0.0]]];
    for vectors in refused {
        let put = writer.put_many(&["new"], vectors);
        assert!(matches!(put, Err(Error::InvalidArgument(_))));
    }
    writer.put_many(&[], &[]).unwrap();
    assert!(!writer.contains("new").unwrap());
    assert!(store.verify().unwrap().is_empty());
}
