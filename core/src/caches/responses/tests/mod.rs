#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod computing;
mod lifetime;
mod models;
mod precision;
mod properties;

use super::*;
use crate::caches::ModelSource;
use crate::clock::{Clock, ManualClock};
use crate::error::CallbackError;
use crate::options::{DedupMode, Options};
use crate::schema::{OBJECTS, VECTORS, numbered_key};
use prestige_embed::HashEmbedder;
use rocksdb::WriteBatch;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const DAY: u64 = 24 * 3600;

struct Bench {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
    model: Arc<HashEmbedder>,
    source: ModelSource,
    cache: SemanticCache,
    enable_gc: bool,
}

fn cache_options(model: Fingerprint) -> SemanticCacheOptions {
    SemanticCacheOptions {
        model,
        namespace: String::new(),
        threshold: 0.8,
        ttl_seconds: None,
        prices: Prices::default(),
    }
}

fn options(clock: &Arc<ManualClock>) -> Options {
    Options {
        clock: Arc::<ManualClock>::clone(clock),
        reaper_interval_seconds: 0.0,
        ..Options::default()
    }
}

fn bench_with(change: impl FnOnce(&mut Options)) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_000_000_000));
    let mut options = options(&clock);
    change(&mut options);
    let enable_gc = options.enable_gc;
    let store = Store::open(directory.path(), options).unwrap();
    let model = Arc::new(HashEmbedder::new(256));
    let source = ModelSource(Arc::clone(&model) as _);
    let fingerprint = prestige_embed::Embedder::fingerprint(&*model).clone();
    let cache = SemanticCache::new(&store, cache_options(fingerprint)).unwrap();
    Bench {
        directory,
        clock,
        store,
        model,
        source,
        cache,
        enable_gc,
    }
}

fn bench() -> Bench {
    bench_with(|_| {})
}

fn scope(name: &str) -> Scope {
    Scope::new(&json!(name)).unwrap()
}

fn text(text: &str) -> Response {
    Response {
        kind: ResponseKind::Text,
        bytes: text.as_bytes().to_vec(),
    }
}

impl Bench {
    fn put(&self, scope_name: &str, query: &str, response: &str) {
        let response = text(response);
        let put = Put::new(query, &response);
        self.cache
            .put(&scope(scope_name), &put, &self.source)
            .unwrap();
    }

    fn hit(&self, scope_name: &str, query: &str) -> Option<Hit> {
        self.cache
            .get(&scope(scope_name), query, Lookup::default(), &self.source)
            .unwrap()
    }

    fn get(&self, scope_name: &str, query: &str) -> Option<String> {
        let hit = self.hit(scope_name, query)?;
        Some(String::from_utf8(hit.response.bytes).unwrap())
    }

    fn clean(&self) {
        assert_eq!(self.store.verify().unwrap(), []);
    }

    fn reopened(self) -> Self {
        self.store.close().unwrap();
        let options = Options {
            enable_gc: self.enable_gc,
            ..options(&self.clock)
        };
        let store = Store::open(self.directory.path(), options).unwrap();
        let cache = SemanticCache::new(&store, self.cache.options.clone()).unwrap();
        Self {
            store,
            cache,
            ..self
        }
    }
}

#[test]
fn the_query_itself_is_found_without_the_model_and_a_similar_one_with_it() {
    let bench = bench();
    assert_eq!(bench.get("", "how do I reset my password"), None);
    assert_eq!(
        bench.model.calls(),
        0,
        "a scope without entries needs no vector"
    );
    bench.put("", "how do I reset my password", "like this");
    bench.put("", "where is my order", "on its way");
    bench.clock.advance_seconds(60);
    let calls = bench.model.calls();

    let exact = bench.hit("", "how do I reset my password").unwrap();
    assert_eq!((exact.exact, exact.similarity), (true, 1.0));
    assert_eq!(bench.model.calls(), calls);
    let similar = bench.hit("", "how do I now reset my password").unwrap();
    assert!(!similar.exact && similar.similarity > 0.8 && similar.similarity < 1.0);
    assert_eq!(similar.query, "how do I reset my password");
    assert_eq!(similar.response, text("like this"));
    assert!((similar.age_seconds - 60.0).abs() < 1e-9);
    assert_eq!(bench.model.calls(), calls + 1);
    assert_eq!(bench.get("", "who sells shoes"), None);
    let stats = bench.cache.stats();
    assert_eq!(
        (
            stats.exact_hits,
            stats.semantic_hits,
            stats.misses,
            stats.puts
        ),
        (1, 1, 2, 2)
    );
    bench.clean();
}

#[test]
fn responses_are_never_matched() {
    let bench = bench();
    bench.put("", "alpha beta gamma", "delta epsilon zeta");
    assert_eq!(bench.get("", "delta epsilon zeta"), None);
}

#[test]
fn putting_never_merges_and_the_same_query_replaces() {
    let bench = bench();
    for (query, response) in [
        ("one two three", "a"),
        ("three two one", "b"),
        ("one two three", "c"),
    ] {
        bench.put("", query, response);
    }
    assert_eq!(bench.get("", "one two three").unwrap(), "c");
    assert_eq!(bench.get("", "three two one").unwrap(), "b");
    assert_eq!(bench.cache.len(Scopes::All).unwrap(), 2);
    // Of equally similar ones the one put last.
    assert_eq!(bench.get("", "two three one").unwrap(), "c");
    bench.clean();
}

#[test]
fn scopes_do_not_see_each_other() {
    let bench = bench();
    bench.put("a", "the same question", "for a");
    assert_eq!(bench.get("b", "the same question"), None);
    assert_eq!(bench.get("b", "the same question please"), None);
    bench.put("b", "the same question", "for b");
    assert_eq!(bench.get("a", "the same question").unwrap(), "for a");
    assert_eq!(bench.get("b", "the same question please").unwrap(), "for b");
    let scopes = bench.cache.scopes().unwrap();
    let mut names: Vec<_> = scopes
        .iter()
        .map(|(scope, n)| (scope.as_json(), *n))
        .collect();
    names.sort_unstable();
    assert_eq!(names, [("\"a\"", 1), ("\"b\"", 1)]);
    bench.clean();
}

#[test]
fn kinds_metadata_and_figures_come_back() {
    let bench = bench();
    let metadata: EntryMetadata = [("source".to_owned(), "faq".to_owned())].into();
    for (query, kind, bytes) in [
        ("a", ResponseKind::Text, "ü".as_bytes()),
        ("b", ResponseKind::Bytes, b"\xff\0"),
        ("c", ResponseKind::Json, br#"{"a":[1]}"#),
        ("d", ResponseKind::Bytes, b""),
    ] {
        let response = Response {
            kind,
            bytes: bytes.to_vec(),
        };
        let put = Put {
            metadata: metadata.clone(),
            computing_us: 1_500_000,
            tokens: 2000,
            ..Put::new(query, &response)
        };
        bench.cache.put(&scope(""), &put, &bench.source).unwrap();
        let hit = bench.hit("", query).unwrap();
        assert_eq!((hit.response, hit.metadata), (response, metadata.clone()));
        assert_eq!((hit.computing_us, hit.tokens), (1_500_000, 2000));
    }
    let prices = Prices {
        per_call: 0.5,
        per_1k_tokens: 0.25,
    };
    let stats = bench.cache.stats.stats(prices);
    assert_eq!(
        (stats.seconds_saved, stats.money_saved),
        (6.0, 4.0 * 0.5 + 8.0 * 0.25)
    );
    bench.clean();
}

#[test]
fn blank_and_long_queries_are_found_by_their_text_alone() {
    struct Short(ModelSource);
    impl VectorSource for Short {
        fn embed(&self, texts: &[&str]) -> Result<Embeddings> {
            self.0.embed(texts)
        }
        fn fits(&self, text: &str) -> bool {
            text.len() < 20
        }
    }
    let bench = bench();
    let source = Short(ModelSource(Arc::clone(&bench.model) as _));
    let (response, all) = (text("r"), scope(""));
    for query in ["", "  ", "word word word word word"] {
        bench
            .cache
            .put(&all, &Put::new(query, &response), &source)
            .unwrap();
        assert!(bench.hit("", query).unwrap().exact);
    }
    assert_eq!(bench.model.calls(), 0);
    bench.clean();
    // One with a vector beside them.
    bench
        .cache
        .put(&all, &Put::new("word", &response), &source)
        .unwrap();
    let found = |query| {
        bench
            .cache
            .get(&all, query, Lookup::default(), &source)
            .unwrap()
    };
    assert!(found("word word word").is_some_and(|hit| hit.query == "word"));
    assert!(found("word word word word word word").is_none());
    bench.clean();
}

#[test]
fn given_embeddings_are_used_and_checked() {
    let bench = bench();
    let (response, all) = (text("r"), scope(""));
    let put = |query, embedding: &[f32]| {
        let put = Put {
            embedding: Some(embedding),
            ..Put::new(query, &response)
        };
        bench.cache.put(&all, &put, &bench.source)
    };
    let get = |embedding: &[f32], threshold| {
        let lookup = Lookup {
            threshold: Some(threshold),
            embedding: Some(embedding),
        };
        bench.cache.get(&all, "other", lookup, &bench.source)
    };
    put("x", &[10.0, 0.0]).unwrap();
    put("y", &[0.0, 0.1]).unwrap();
    assert_eq!(get(&[1.0, 0.1], 0.9).unwrap().unwrap().query, "x");
    let hit = get(&[3.0, 4.0], 0.79).unwrap().unwrap();
    assert_eq!(hit.query, "y");
    assert!((hit.similarity - 0.8).abs() < 1e-3);
    assert!(get(&[3.0, 4.0], 0.81).unwrap().is_none());
    // The same query with another embedding is found by that one.
    put("x", &[-1.0, 0.0]).unwrap();
    assert!(get(&[1.0, 0.1], 0.9).unwrap().is_none());
    assert_eq!(get(&[-1.0, 0.1], 0.9).unwrap().unwrap().query, "x");
    for bad in [
        &[1.0, 0.0, 0.0][..],
        &[],
        &[0.0, 0.0],
        &[f32::NAN, 1.0],
        &[f32::INFINITY, 0.0],
    ] {
        assert!(
            matches!(put("z", bad), Err(Error::InvalidArgument(_))),
            "{bad:?}"
        );
        assert!(
            matches!(get(bad, 0.5), Err(Error::InvalidArgument(_))),
            "{bad:?}"
        );
    }
    for bad in [0.0, -0.5, 1.1, f64::NAN] {
        assert!(matches!(
            get(&[1.0, 0.0], bad),
            Err(Error::InvalidArgument(_))
        ));
    }
    assert_eq!(
        (bench.model.calls(), bench.cache.len(Scopes::All).unwrap()),
        (0, 2)
    );
    bench.clean();
}

#[test]
fn another_model_is_refused_by_name_until_the_entries_are_gone() {
    let bench = bench();
    bench.put("a", "question", "response");
    let other = Fingerprint::from_parts("other-model", &[b"other"]);
    let error = SemanticCache::new(&bench.store, cache_options(other.clone())).unwrap_err();
    assert!(matches!(error, Error::Model(_)));
    let message = error.to_string();
    assert!(
        message.contains("hash-256") && message.contains("other-model"),
        "{message}"
    );
    // Opened before the first entry, it is refused with the first lookup.
    bench
        .cache
        .invalidate(Scopes::All, &EntryMetadata::new(), None)
        .unwrap();
    let late = SemanticCache::new(&bench.store, cache_options(other.clone())).unwrap();
    bench.put("a", "question", "response");
    let lookup = late.get(&scope("a"), "question", Lookup::default(), &bench.source);
    assert!(matches!(lookup, Err(Error::Model(_))));
    assert!(
        late.get(&scope("b"), "question", Lookup::default(), &bench.source)
            .unwrap()
            .is_none()
    );
    // A scope whose entries are all gone is nobody's.
    let view = bench.store.namespace(scope("a").namespace()).unwrap();
    view.evict_lru(0).unwrap();
    let other = SemanticCache::new(&bench.store, cache_options(other)).unwrap();
    let response = text("r");
    let put = Put {
        ttl_seconds: Some(1),
        ..Put::new("q", &response)
    };
    other.put(&scope("a"), &put, &bench.source).unwrap();
    // So is one whose entries have all expired, swept or not.
    let own = bench.cache.options.clone();
    assert!(SemanticCache::new(&bench.store, own.clone()).is_err());
    bench.clock.advance_seconds(2);
    let own = SemanticCache::new(&bench.store, own).unwrap();
    assert_eq!(own.len(Scopes::All).unwrap(), 0);
    let lookup = own.get(&scope("a"), "q", Lookup::default(), &bench.source);
    assert!(lookup.unwrap().is_none());
    bench.put("a", "q", "r");
    assert_eq!(bench.get("a", "q").as_deref(), Some("r"));
    bench.clean();
}

#[test]
fn in_a_semantic_store_the_cache_has_its_own_model() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let semantic = Options {
            dedup_mode: Some(DedupMode::Semantic),
            embedder: Some(Arc::new(|| Ok(Arc::new(HashEmbedder::new(64)) as _))),
            ..Options::default()
        };
        Store::open(directory.path(), semantic).unwrap()
    };
    let model = Arc::new(HashEmbedder::new(256));
    let source = ModelSource(Arc::clone(&model) as _);
    let fingerprint = prestige_embed::Embedder::fingerprint(&*model).clone();
    let store = open();
    store.put(b"key", b"some text of the store", None).unwrap();
    let cache = SemanticCache::new(&store, cache_options(fingerprint.clone())).unwrap();
    cache
        .put(
            &scope(""),
            &Put::new("some question here", &text("r")),
            &source,
        )
        .unwrap();
    store.close().unwrap();
    let store = open();
    let cache = SemanticCache::new(&store, cache_options(fingerprint)).unwrap();
    let hit = cache.get(&scope(""), "here some question", Lookup::default(), &source);
    assert!(hit.unwrap().is_some());
    assert_eq!(store.verify().unwrap(), []);
}
