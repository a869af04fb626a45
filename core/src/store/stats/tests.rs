#![allow(clippy::unwrap_used)]

use crate::{
    CandidateOptions, DedupMode, EmbeddingCache, EmbeddingCacheOptions, EmbeddingPrecision, Entry,
    Figure, Lookup, ManualClock, ModelSource, Options, Prices, Put, Query, Response, ResponseKind,
    Scope, SemanticCache, SemanticCacheOptions, Stats, Store,
};
use prestige_embed::{Embedder as _, HashEmbedder};
use std::sync::Arc;
use std::time::Duration;

fn entry<'a>(key: &'a [u8], value: &'a [u8]) -> Entry<'a> {
    Entry {
        key,
        value,
        ttl_seconds: None,
        metadata: None,
        lent: None,
    }
}

#[test]
fn every_operation_is_counted_once_and_in_its_namespace() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let view = store.namespace("other").unwrap();
    assert_eq!(store.stats().unwrap(), Stats::default());

    view.put(b"key", b"of another namespace", None).unwrap();
    store.put(b"a", b"12345", None).unwrap();
    store.put(b"b", b"12345", None).unwrap();
    let batch = [entry(b"c", b"12345"), entry(b"d", b"1"), entry(b"d", b"22")];
    store.put_many(&batch).unwrap();
    store.put(b"too long", &[0; 10], None).unwrap();
    assert!(store.put(&[0; 70_000], b"x", None).is_err());
    let stats = store.stats().unwrap();
    assert_eq!((stats.puts, stats.dedup_hits), (5, 2));
    assert_eq!(stats.bytes_written, 5 + 5 + (5 + 1 + 2) + 10);
    let other = view.stats().unwrap();
    assert_eq!((other.puts, other.gets, other.deletes), (1, 0, 0));

    // What was put is in memory until the store is closed.
    drop(view);
    store.close().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    assert_eq!(store.stats().unwrap(), Stats::default());
    // From the disk, from memory, not there; one by one and together.
    for _ in 0..3 {
        assert!(store.get(b"a").unwrap().is_some());
        assert!(store.get(b"missing").unwrap().is_none());
    }
    let reader = store.reader().unwrap();
    assert!(reader.get_cached(b"a").is_some());
    assert!(reader.get_cached(b"d").is_none());
    let found = reader.get_many(&[b"a", b"b", b"d", b"missing"]).unwrap();
    assert_eq!(found.iter().flatten().count(), 3);
    let stats = store.stats().unwrap();
    assert_eq!((stats.gets, stats.hits, stats.misses), (11, 7, 4));
    // "a" and "b" share an object: only the first get of each value had to read it.
    assert_eq!((stats.value_cache_misses, stats.value_cache_hits), (2, 5));
    assert_eq!(stats.bytes_read, 4 * 5 + 5 + 5 + 2);

    store.delete(b"a").unwrap();
    assert!(store.delete(b"a").is_err());
    assert_eq!(store.delete_many(&[b"b", b"missing"]).unwrap(), 1);
    assert_eq!(store.stats().unwrap().deletes, 2);
    let other = store.namespace("other").unwrap().stats().unwrap();
    assert_eq!(other, Stats::default());
}

#[test]
fn whatever_removes_keys_is_counted_apart() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let options = Options {
        clock: clock.clone(),
        reaper_interval_seconds: 0.0,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    for i in 0..10_u8 {
        store.put(&[i], &[i], (i < 3).then_some(1)).unwrap();
        clock.advance_seconds(1);
    }
    assert_eq!(store.prune(5, 0).unwrap(), 5);
    assert_eq!(store.evict_lru(2 * 3).unwrap(), 2);
    let stats = store.stats().unwrap();
    assert_eq!((stats.expirations, stats.pruned), (3, 2));
    assert_eq!((stats.evictions, stats.deletes), (2, 0));
}

#[test]
fn latencies_are_measured_for_each_kind_of_call() {
    let directory = tempfile::tempdir().unwrap();
    // With a cache, one in sixteen gets from memory is measured.
    let options = Options {
        value_cache_bytes: 0,
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    store.put(b"key", b"value", None).unwrap();
    assert_eq!(store.stats().unwrap().put_many.max, Duration::ZERO);
    store.put_many(&[entry(b"one", b"value")]).unwrap();
    store.get(b"key").unwrap();
    store.reader().unwrap().get_many(&[b"key"]).unwrap();
    let stats = store.stats().unwrap();
    for latency in [stats.get, stats.put, stats.get_many, stats.put_many] {
        assert!(Duration::ZERO < latency.p50 && latency.p50 <= latency.p90);
        assert!(latency.p90 <= latency.p99 && latency.p99 <= latency.max);
    }
}

#[test]
fn figures_have_names_of_their_own() {
    let figures = Stats::default().figures();
    let mut names: Vec<_> = figures.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), 20 + 4 * 7 + 2);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), figures.len());
    for (name, figure) in figures {
        assert_eq!(name.ends_with("_s"), matches!(figure, Figure::Float(_)));
        let bins = matches!(figure, Figure::Histogram(_));
        assert_eq!(name.ends_with("_similarities"), bins);
    }
}

fn semantic(directory: &tempfile::TempDir, clock: &Arc<ManualClock>) -> Store {
    let options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| Ok(Arc::new(HashEmbedder::new(64))))),
        clock: clock.clone(),
        ..Options::default()
    };
    Store::open(directory.path(), options).unwrap()
}

#[test]
fn the_semantic_stage_is_counted_and_timed() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    let store = semantic(&directory, &clock);
    let age = |store: &Store| store.health().unwrap().index_checkpoint_age_seconds;
    // The first has nothing to be compared with.
    store.put(b"a", b"a red apple and a pear", None).unwrap();
    assert_eq!(store.stats().unwrap().put_similarities.decisions(), 0);
    let two = [
        entry(b"b", b"a red apple and a pear"),
        entry(b"c", b"something else altogether"),
        entry(b"d", b"a red apple and a pear!"),
    ];
    store.put_many(&two).unwrap();
    store
        .candidates(Query::Value(b"a green apple"), &CandidateOptions::default())
        .unwrap();
    assert_eq!(age(&store), None);
    store.flush().unwrap();
    clock.advance_seconds(9);
    assert_eq!(age(&store), Some(9));

    let stats = store.stats().unwrap();
    assert_eq!((stats.texts_embedded, stats.embed.count), (1 + 2 + 1, 3));
    assert_eq!((stats.search.count, stats.checkpoint.count), (3 + 1, 1));
    assert_eq!(stats.put_similarities.decisions(), 2);
    // What differs in one mark is most similar.
    let bins = stats.put_similarities.bins;
    assert!(bins.iter().skip(30).any(|count| *count > 0), "{bins:?}");
    assert_eq!(stats.lookup_similarities.decisions(), 0);
    assert!(store.verify().unwrap().is_empty());
    store.close().unwrap();
    let store = semantic(&directory, &clock);
    assert_eq!(age(&store), None);
}

#[test]
fn a_decision_that_is_made_anew_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| Ok(Arc::new(HashEmbedder::new(64))))),
        verifier: Some(Arc::new(|_, _, _| Ok(false))),
        ..Options::default()
    };
    let store = Store::open(directory.path(), options).unwrap();
    store.put(b"a", b"a red apple and a pear", None).unwrap();
    // The put begins anew after the verifier was asked.
    store.put(b"b", b"a red apple and a pear ", None).unwrap();
    assert_eq!(store.stats().unwrap().put_similarities.decisions(), 1);
}

#[test]
fn look_ups_of_caches_are_those_of_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let model = Arc::new(HashEmbedder::new(64));
    let source = ModelSource(model.clone());
    let embeddings = EmbeddingCacheOptions {
        model: "m".to_owned(),
        dimension: None,
        precision: EmbeddingPrecision::F32,
        ttl_seconds: None,
        batch_size: None,
    };
    let embeddings = EmbeddingCache::new(&store, embeddings).unwrap();
    let misses = |texts: &[&str]| embeddings.embed(texts, &source).unwrap().misses;
    assert_eq!(misses(&["a", "b", "a"]), 3);
    assert_eq!(misses(&["a", "c"]), 1);
    assert_eq!(misses(&["a"]), 0);
    embeddings.get_many(&["a", "d"]).unwrap();
    let responses = SemanticCacheOptions {
        model: model.fingerprint().clone(),
        namespace: String::new(),
        threshold: 0.5,
        ttl_seconds: None,
        prices: Prices::default(),
    };
    let responses = SemanticCache::new(&store, responses).unwrap();
    let scope = Scope::new(&serde_json::Value::Null).unwrap();
    let response = Response {
        kind: ResponseKind::Text,
        bytes: b"r".to_vec(),
    };
    let get = |query| {
        let found = responses.get(&scope, query, Lookup::default(), &source);
        found.unwrap().map(|hit| hit.exact)
    };
    assert_eq!(get("how do I reset it?"), None);
    responses
        .put(&scope, &Put::new("how do I reset it?", &response), &source)
        .unwrap();
    assert_eq!(get("how do I reset it?"), Some(true));
    assert_eq!(get("how do I reset it ?"), Some(false));
    assert_eq!(get("0123456789"), None);

    let stats = store.stats().unwrap();
    let found = (stats.embedding_cache_hits, stats.embedding_cache_misses);
    assert_eq!(found, (1 + 1 + 1, 3 + 1 + 1));
    let exact = stats.semantic_cache_exact_hits;
    let semantic = stats.semantic_cache_semantic_hits;
    assert_eq!((exact, semantic, stats.semantic_cache_misses), (1, 1, 2));
    // The decisions are those of the scope.
    let name = store
        .namespaces()
        .unwrap()
        .into_iter()
        .find(|name| name.starts_with("responses/"));
    let view = store.namespace(&name.unwrap()).unwrap().stats().unwrap();
    assert_eq!(view.lookup_similarities.decisions(), 2);
    assert_eq!(view.search.count, 2);
    assert_eq!(
        (view.embedding_cache_hits, view.semantic_cache_misses),
        (0, 0)
    );
    assert!(store.verify().unwrap().is_empty());
}
