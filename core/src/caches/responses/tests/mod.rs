#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
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
fn expired_and_deleted_entries_are_not_served_and_the_next_best_is() {
    for enable_gc in [true, false] {
        let bench = bench_with(|options| options.enable_gc = enable_gc);
        let all = scope("");
        // Fifty entries that are nearer than the one that stays, more than the index is asked for first.
        for number in 0..50_u8 {
            let (query, response) = (format!("gone {number}"), text("gone"));
            let put = Put {
                ttl_seconds: Some(if number < 25 { DAY } else { 0 }),
                embedding: Some(&[1.0, f32::from(number) / 1000.0]),
                ..Put::new(&query, &response)
            };
            bench.cache.put(&all, &put, &bench.source).unwrap();
        }
        let response = text("stays");
        let put = Put {
            embedding: Some(&[1.0, 0.3]),
            ..Put::new("stays", &response)
        };
        bench.cache.put(&all, &put, &bench.source).unwrap();
        bench.clock.advance_seconds(DAY);
        let view = bench.store.namespace(all.namespace()).unwrap();
        for number in 25..50 {
            view.delete(&Digest::of(format!("gone {number}").as_bytes()).0)
                .unwrap();
        }
        let lookup = Lookup {
            threshold: Some(0.9),
            embedding: Some(&[1.0, 0.0]),
        };
        let hit = bench.cache.get(&all, "q", lookup, &bench.source).unwrap();
        assert_eq!(hit.unwrap().query, "stays");
        assert_eq!(bench.cache.exact(&all, "gone 7").unwrap(), None);
        assert_eq!(bench.cache.len(Scopes::All).unwrap(), 1);
        bench.clean();
        bench.store.sweep().unwrap();
        view.sweep().unwrap();
        assert_eq!(view.count_unique_values().unwrap(), 1);
        bench.clean();
    }
}

#[test]
fn the_vector_of_an_evicted_entry_goes_too() {
    let bench = bench();
    for number in 0..20 {
        bench.clock.advance_seconds(1);
        bench.put(
            "",
            &format!("question {number} {number}{number}"),
            "response",
        );
    }
    let view = bench.store.namespace(scope("").namespace()).unwrap();
    assert_eq!(view.health().unwrap().index_vectors, 20);
    view.evict_lru(view.total_bytes().unwrap() / 2).unwrap();
    let left = bench.cache.len(Scopes::All).unwrap();
    assert!((5..=10).contains(&left), "{left}");
    assert_eq!(view.health().unwrap().index_vectors, left);
    assert!(bench.get("", "question 19 1919").is_some());
    assert_eq!(bench.get("", "question 0 00"), None);
    bench.clean();
    // By the limit of the store as well, and with the stage not loaded yet.
    let bench = bench.reopened();
    bench.store.close().unwrap();
    let small = Options {
        max_store_bytes: 700,
        ..options(&bench.clock)
    };
    let store = Store::open(bench.directory.path(), small).unwrap();
    store.put(b"key", b"value", None).unwrap();
    assert!(store.total_bytes().unwrap() <= 700);
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn entries_outlive_the_store_and_the_index_follows() {
    let mut bench = bench();
    for round in 0..3 {
        for number in 0..30 {
            bench.put(
                "a",
                &format!("topic {number} round {round}"),
                &number.to_string(),
            );
        }
        bench = bench.reopened();
        bench.clean();
        assert!(
            bench
                .hit("a", "round topic 7 0")
                .is_some_and(|hit| !hit.exact)
        );
    }
    assert_eq!(bench.cache.len(Scopes::One(&scope("a"))).unwrap(), 90);
    // Small scopes write no index files.
    let files = std::fs::read_dir(bench.directory.path().join("index"));
    assert_eq!(files.map_or(0, Iterator::count), 0);
}

#[test]
fn a_large_scope_has_a_graph_and_a_checkpoint() {
    let bench = bench();
    let (response, all) = (text("r"), scope(""));
    let vector = |number: u32| {
        let angle = f64::from(number) * 0.001;
        [angle.cos() as f32, angle.sin() as f32]
    };
    for number in 0..9000 {
        let (query, vector) = (number.to_string(), vector(number));
        let put = Put {
            embedding: Some(&vector),
            ..Put::new(&query, &response)
        };
        bench.cache.put(&all, &put, &bench.source).unwrap();
    }
    let bench = bench.reopened();
    let files = std::fs::read_dir(bench.directory.path().join("index")).unwrap();
    assert_eq!(files.count(), 1);
    let vector = vector(8000);
    let lookup = Lookup {
        threshold: Some(0.999),
        embedding: Some(&vector),
    };
    assert!(
        bench
            .cache
            .get(&all, "q", lookup, &bench.source)
            .unwrap()
            .is_some()
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
    let put = other.put(&scope("a"), &Put::new("q", &text("r")), &bench.source);
    put.unwrap();
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

#[test]
fn invalidation_takes_what_is_described_and_nothing_else() {
    let bench = bench();
    let put = |scope_name: &str, query: &str, source_name: &str| {
        let response = text("r");
        let put = Put {
            metadata: [("source".to_owned(), source_name.to_owned())].into(),
            ..Put::new(query, &response)
        };
        bench
            .cache
            .put(&scope(scope_name), &put, &bench.source)
            .unwrap();
    };
    for scope_name in ["a", "b"] {
        for number in 0..700 {
            put(
                scope_name,
                &format!("old {number}"),
                if number % 2 == 0 { "faq" } else { "web" },
            );
        }
    }
    bench.clock.advance_seconds(100);
    put("a", "new", "faq");
    let faq: EntryMetadata = [("source".to_owned(), "faq".to_owned())].into();
    let (a, b) = (scope("a"), scope("b"));
    let none = EntryMetadata::new();
    let remove = |scopes, metadata, older| bench.cache.invalidate(scopes, metadata, older).unwrap();
    assert_eq!(remove(Scopes::One(&a), &faq, Some(50.0)), 350);
    assert_eq!(remove(Scopes::One(&a), &faq, None), 1);
    assert_eq!(remove(Scopes::All, &none, Some(200.0)), 0);
    assert_eq!(bench.cache.len(Scopes::One(&a)).unwrap(), 350);
    bench.clean();
    assert_eq!(remove(Scopes::All, &none, Some(50.0)), 350 + 700);
    assert_eq!(bench.cache.len(Scopes::All).unwrap(), 0);
    put("b", "again", "web");
    assert_eq!(remove(Scopes::One(&b), &none, None), 1);
    assert_eq!(remove(Scopes::One(&b), &none, None), 0);
    assert_eq!(remove(Scopes::All, &none, None), 0);
    assert!(bench.store.namespaces().unwrap().is_empty());
    bench.clean();
}

fn computed(bench: &Bench, query: &str, compute: &dyn Fn() -> Result<Computed>) -> Result<String> {
    let none = EntryMetadata::new();
    let (all, lookup) = (scope(""), Lookup::default());
    let answer =
        bench
            .cache
            .get_or_compute(&all, query, lookup, &bench.source, compute, None, &none)?;
    Ok(match answer {
        Answer::Hit(hit) => format!("hit {}", String::from_utf8(hit.response.bytes).unwrap()),
        Answer::Computed(response) => String::from_utf8(response.bytes.clone()).unwrap(),
    })
}

#[test]
fn concurrent_misses_compute_once_and_embed_no_more_than_each() {
    let bench = bench();
    let calls = AtomicUsize::new(0);
    let compute = || {
        calls.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        Ok(Computed {
            response: text("answer"),
            tokens: 7,
        })
    };
    std::thread::scope(|threads| {
        for _ in 0..32 {
            threads.spawn(|| {
                let answer = computed(&bench, "a question", &compute).unwrap();
                assert!(answer.ends_with("answer"));
            });
        }
    });
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(
        computed(&bench, "a question", &compute).unwrap(),
        "hit answer"
    );
    let hit = bench.hit("", "a question").unwrap();
    assert!(hit.computing_us >= 50_000);
    assert_eq!(hit.tokens, 7);
    assert_eq!(bench.cache.stats().computed, 1);
    bench.clean();
}

#[test]
fn a_failure_reaches_all_who_wait_and_the_next_call_tries_again() {
    let bench = bench();
    let calls = AtomicUsize::new(0);
    let joined = AtomicUsize::new(0);
    let fails = || {
        calls.fetch_add(1, Ordering::SeqCst);
        // Until the others are on their way to wait; they need some milliseconds, and get many.
        while joined.load(Ordering::SeqCst) < 8 {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(300));
        let error = std::io::Error::other("no network");
        Err(Error::Callback(CallbackError::new(error)))
    };
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                joined.fetch_add(1, Ordering::SeqCst);
                let error = computed(&bench, "q", &fails).unwrap_err();
                assert_eq!(error.to_string(), "no network");
            });
        }
    });
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(bench.get("", "q"), None);
    let works = || {
        Ok(Computed {
            response: text("now"),
            tokens: 0,
        })
    };
    assert_eq!(computed(&bench, "q", &works).unwrap(), "now");
    bench.clean();
}

#[test]
fn turns_are_told_when_they_end() {
    let bench = bench();
    let all = scope("");
    let Turn::Leads(leading) = bench.cache.begin(&all, "q", false).unwrap() else {
        panic!("nobody leads yet");
    };
    let Turn::Follows(following) = bench.cache.begin(&all, "q", false).unwrap() else {
        panic!("two lead");
    };
    // The thread that began it may do other things meanwhile, and the computing may go on in another one.
    assert!(matches!(
        bench.cache.begin(&all, "q", true).unwrap(),
        Turn::Follows(_)
    ));
    let told = Arc::new(AtomicUsize::new(0));
    let tell = || {
        let told = Arc::clone(&told);
        Box::new(move || {
            told.fetch_add(1, Ordering::SeqCst);
        })
    };
    following.on_end(tell());
    assert!(following.outcome().is_none());
    leading.succeed(Arc::new(text("r")));
    following.on_end(tell());
    assert_eq!(told.load(Ordering::SeqCst), 2);
    assert_eq!(*following.outcome().unwrap().unwrap(), text("r"));
    bench.put("", "q", "stored");
    assert!(matches!(
        bench.cache.begin(&all, "q", false).unwrap(),
        Turn::Hit(_)
    ));
}

#[test]
fn damage_is_found() {
    let bench = bench();
    bench.put("", "first question", "a");
    bench.put("", "second question", "b");
    let view = bench.store.namespace(scope("").namespace()).unwrap();
    let id = |query: &str| {
        view.object_id(&Digest::of(query.as_bytes()).0)
            .unwrap()
            .unwrap()
    };
    let (first, second) = (id("first question"), id("second question"));
    let engine = bench.store.engine().unwrap();
    let namespace = engine.find_namespace(scope("").namespace()).unwrap();
    let name = |id| numbered_key(namespace.id, id);
    let read = |family, id| engine.db.get(family, &name(id)).unwrap().unwrap().to_vec();
    let write = |family: &str, id, value: &[u8]| {
        let mut batch = WriteBatch::default();
        batch.put_cf(engine.db.family(family).unwrap(), name(id), value);
        engine.db.write(batch).unwrap();
        engine.cache.as_ref().unwrap().forget_value(id);
    };
    let found = || {
        let violations = bench.store.verify().unwrap();
        violations
            .iter()
            .map(|one| one.invariant)
            .collect::<Vec<_>>()
    };
    for family in [VECTORS, OBJECTS] {
        let (one, other) = (read(family, first), read(family, second));
        write(family, first, &other);
        assert!(found().contains(&11), "{family}");
        if family == OBJECTS {
            let lookup = bench.cache.get(
                &scope(""),
                "first question",
                Lookup::default(),
                &bench.source,
            );
            assert!(
                matches!(lookup, Err(Error::Corruption(_))),
                "another query's response"
            );
        }
        write(family, first, &one);
        assert!(found().is_empty());
    }
    write(OBJECTS, first, b"short");
    assert!(found().contains(&11));
}

#[test]
fn a_read_only_store_is_looked_up_and_nothing_is_put() {
    let bench = bench();
    bench.put("", "some question here", "r");
    bench.store.close().unwrap();
    let read_only = Options {
        read_only: true,
        ..options(&bench.clock)
    };
    let store = Store::open(bench.directory.path(), read_only).unwrap();
    let cache = SemanticCache::new(&store, bench.cache.options.clone()).unwrap();
    let hit = |query| {
        cache
            .get(&scope(""), query, Lookup::default(), &bench.source)
            .unwrap()
    };
    assert!(hit("some question here").unwrap().exact);
    assert!(hit("here some question").is_some());
    let put = cache.put(&scope(""), &Put::new("q", &text("r")), &bench.source);
    assert!(matches!(put, Err(Error::ReadOnly(_))));
    let removed = cache.invalidate(Scopes::All, &EntryMetadata::new(), None);
    assert!(matches!(removed, Err(Error::ReadOnly(_))));
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn a_thousand_scopes_have_no_files_of_their_own() {
    let bench = bench();
    for number in 0..1000 {
        bench.put(&number.to_string(), "one question for all", "r");
    }
    assert_eq!(bench.cache.scopes().unwrap().len(), 1000);
    let bench = bench.reopened();
    assert!(bench.get("999", "for all one question").is_some());
    assert_eq!(bench.cache.len(Scopes::All).unwrap(), 1000);
    // An index file for each would have to be written, synced and renamed.
    assert!(!bench.directory.path().join("index").exists());
    bench.clean();
}

#[test]
fn the_clock_is_the_stores() {
    let bench = bench();
    bench.put("", "q", "r");
    bench.clock.advance_seconds(5);
    assert_eq!(bench.clock.now_us(), 1_000_000_000 + 5_000_000);
    assert!((bench.hit("", "q").unwrap().age_seconds - 5.0).abs() < 1e-9);
}
