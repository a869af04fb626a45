//! Models of scopes: whose entries are looked at, and what becomes of scopes without any.

use super::*;
use std::sync::Barrier;

fn named(name: &str) -> Fingerprint {
    Fingerprint::from_parts(name, &[name.as_bytes()])
}

fn cache_of(store: &Store, namespace: &str, model: &str) -> Result<SemanticCache> {
    let options = SemanticCacheOptions {
        namespace: namespace.to_owned(),
        ..cache_options(named(model))
    };
    SemanticCache::new(store, options)
}

/// Where embeddings are given.
struct Given;

impl VectorSource for Given {
    fn embed(&self, _: &[&str]) -> Result<Embeddings> {
        panic!("embeddings are given")
    }
}

fn put(cache: &SemanticCache, scope: &Scope, query: &str, temporary: bool) -> Result<()> {
    let response = text(query);
    let mut put = Put {
        embedding: Some(&[0.6, 0.8]),
        ..Put::new(query, &response)
    };
    if temporary {
        put.metadata.insert("kept".to_owned(), "no".to_owned());
    }
    cache.put(scope, &put, &Given)
}

fn has(cache: &SemanticCache, scope: &Scope, query: &str) -> bool {
    let lookup = Lookup {
        threshold: Some(1.0),
        embedding: Some(&[0.6, 0.8]),
    };
    let hit = cache.get(scope, query, lookup, &Given).unwrap();
    hit.is_some_and(|hit| hit.exact)
}

/// Removes the temporary entries one by one, so that the scope stays.
fn empty(cache: &SemanticCache, scope: &Scope) {
    let metadata = EntryMetadata::from([("kept".to_owned(), "no".to_owned())]);
    cache
        .invalidate(Scopes::One(scope), &metadata, None)
        .unwrap();
}

#[test]
fn the_entries_of_one_namespace_fix_no_model_of_another() {
    let bench = bench();
    let spaces = ["", "tenant-a", "tenant-b"];
    for (space, model) in spaces.into_iter().zip(["one", "two", "three"]) {
        let cache = cache_of(&bench.store, space, model).unwrap();
        let scope = Scope::within(space, &json!("s")).unwrap();
        put(&cache, &scope, "q", false).unwrap();
        assert!(has(&cache, &scope, "q"));
    }
    for (space, model) in spaces.into_iter().zip(["one", "two", "three"]) {
        let recorded = SemanticCache::recorded_model(&bench.store, space).unwrap();
        assert_eq!(recorded.unwrap().model, model);
        let error = cache_of(&bench.store, space, "four").unwrap_err();
        assert!(matches!(error, Error::Model(_)));
        let message = error.to_string();
        assert!(
            message.contains(model) && message.contains(space),
            "{message}"
        );
        // Nothing of the others.
        for other in spaces.into_iter().filter(|other| !other.is_empty()) {
            assert_eq!(message.contains(other), other == space, "{message}");
        }
    }
    assert!(
        SemanticCache::recorded_model(&bench.store, "tenant-c")
            .unwrap()
            .is_none()
    );
    cache_of(&bench.store, "tenant-c", "four").unwrap();
    bench.clean();
}

#[test]
fn scopes_of_two_models_lock_nobody_out() {
    let bench = bench();
    // Both are opened while there is nothing to be of another model.
    let one = cache_of(&bench.store, "", "one").unwrap();
    let two = cache_of(&bench.store, "", "two").unwrap();
    put(&one, &scope("a"), "q", false).unwrap();
    put(&two, &scope("b"), "q", false).unwrap();
    for model in ["one", "two"] {
        cache_of(&bench.store, "", model).unwrap();
    }
    assert!(cache_of(&bench.store, "", "three").is_err());
    // Each refuses the scope of the other, and can remove it all the same.
    assert!(matches!(one.check_scope(&scope("b")), Err(Error::Model(_))));
    assert!(matches!(
        put(&one, &scope("b"), "r", false),
        Err(Error::Model(_))
    ));
    assert!(has(&two, &scope("b"), "q"));
    let all = EntryMetadata::new();
    assert_eq!(one.len(Scopes::One(&scope("b"))).unwrap(), 1);
    assert_eq!(
        one.invalidate(Scopes::One(&scope("b")), &all, None)
            .unwrap(),
        1
    );
    put(&one, &scope("b"), "r", false).unwrap();
    bench.clean();
}

#[test]
fn a_scope_that_has_entries_is_not_dropped_as_an_empty_one() {
    let bench = bench();
    bench.put("a", "q", "r");
    let engine = bench.store.engine().unwrap();
    let namespace = engine.find_namespace(scope("a").namespace()).unwrap();
    assert!(!engine.drop_namespace_if_empty(&namespace).unwrap());
    assert_eq!(bench.get("a", "q").as_deref(), Some("r"));
    bench
        .store
        .namespace(scope("a").namespace())
        .unwrap()
        .evict_lru(0)
        .unwrap();
    assert!(engine.drop_namespace_if_empty(&namespace).unwrap());
    // Whoever comes late finds it gone.
    assert!(engine.drop_namespace_if_empty(&namespace).unwrap());
    assert!(bench.store.namespaces().unwrap().is_empty());
    bench.put("a", "q", "r");
    // Not the one that has its name now.
    assert!(engine.drop_namespace_if_empty(&namespace).unwrap());
    assert_eq!(bench.get("a", "q").as_deref(), Some("r"));
    bench.clean();
}

/// An empty scope of the first model is made anew for the second while the first puts into it: whatever was acknowledged
/// stays.
#[test]
fn no_acknowledged_put_goes_with_an_empty_scope() {
    const ROUNDS: usize = 200;
    let bench = bench();
    let caches = ["one", "two"].map(|model| cache_of(&bench.store, "", model).unwrap());
    let scopes: Vec<_> = (0..ROUNDS).map(|round| scope(&round.to_string())).collect();
    let barrier = Barrier::new(2);
    let acknowledged = std::thread::scope(|threads| {
        let running = [0, 1].map(|own| {
            let (caches, scopes, barrier) = (&caches, &scopes, &barrier);
            threads.spawn(move || {
                let mut acknowledged = Vec::new();
                for scope in scopes {
                    if own == 0 {
                        put(&caches[0], scope, "temporary", true).unwrap();
                        empty(&caches[0], scope);
                    }
                    barrier.wait();
                    let mut kept = Vec::new();
                    for number in 0..4 {
                        let query = format!("{own} {number}");
                        match put(&caches[own], scope, &query, false) {
                            Ok(()) => kept.push(query),
                            Err(Error::Model(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    acknowledged.push(kept);
                    barrier.wait();
                }
                acknowledged
            })
        });
        running.map(|thread| thread.join().unwrap())
    });
    for (round, scope) in scopes.iter().enumerate() {
        let [first, second] = [0, 1].map(|own| &acknowledged[own][round]);
        assert!(
            first.is_empty() != second.is_empty(),
            "{first:?} {second:?}"
        );
        let cache = &caches[usize::from(first.is_empty())];
        for query in first.iter().chain(second) {
            assert!(has(cache, scope, query), "{round}: {query}");
        }
    }
    bench.clean();
}
