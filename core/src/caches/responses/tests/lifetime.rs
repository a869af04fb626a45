//! How entries come back, expire, are evicted, invalidated and checked.

use super::*;

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
fn a_scope_with_a_graph_has_a_checkpoint() {
    let bench = bench();
    let (response, all) = (text("r"), scope(""));
    let vector = |number: u32| {
        let angle = f64::from(number) * 0.001;
        [angle.cos() as f32, angle.sin() as f32]
    };
    for number in 0..900 {
        let (query, vector) = (number.to_string(), vector(number));
        let put = Put {
            embedding: Some(&vector),
            ..Put::new(&query, &response)
        };
        bench.cache.put(&all, &put, &bench.source).unwrap();
    }
    let index_files = |bench: &Bench| {
        let files = std::fs::read_dir(bench.directory.path().join("index"));
        files.map_or(0, Iterator::count)
    };
    let bench = bench.reopened();
    assert_eq!(index_files(&bench), 0);
    {
        let engine = bench.store.engine().unwrap();
        let namespace = engine.namespaces.all().pop().unwrap();
        crate::semantic::rebuild_as_graph(&engine, &namespace);
    }
    let bench = bench.reopened();
    assert_eq!(index_files(&bench), 1);
    let vector = vector(800);
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
        write(family, first, &one);
        assert!(found().is_empty());
    }
    write(OBJECTS, first, b"short");
    assert!(found().contains(&11));
    // It keeps nobody from other entries: not as the nearest one,
    let lookup = Lookup {
        threshold: Some(0.1),
        embedding: None,
    };
    let near = |query| {
        bench
            .cache
            .get(&scope(""), query, lookup, &bench.source)
            .unwrap()
    };
    let hits = view.stats().unwrap().hits;
    assert_eq!(
        near("question first").map(|hit| hit.query).as_deref(),
        Some("second question")
    );
    assert_eq!(view.stats().unwrap().hits, hits + 1, "one object was a hit");
    // not where entries are described,
    let metadata: EntryMetadata = [("source".to_owned(), "faq".to_owned())].into();
    let removed = bench.cache.invalidate(Scopes::All, &metadata, None);
    assert_eq!(removed.unwrap(), 0);
    // and not under its own name, where it is gone at once and put anew, the same bytes too.
    for bytes in [b"short".to_vec(), read(OBJECTS, second)] {
        write(OBJECTS, id("first question"), &bytes);
        let hit = near("first question").unwrap();
        assert_eq!((hit.exact, &*hit.query), (false, "second question"));
        bench.put("", "first question", "a");
        assert_eq!(bench.get("", "first question").unwrap(), "a");
        bench.clean();
    }
}

#[test]
fn a_put_that_is_refused_leaves_no_scope_behind() {
    let bench = bench_with(|options| options.max_store_bytes = 2000);
    let (small, large) = (text("r"), text(&"r".repeat(2000)));
    let refused = |put: &Put<'_>| {
        let put = bench.cache.put(&scope(""), put, &bench.source);
        assert!(matches!(put, Err(Error::InvalidArgument(_))));
        assert!(bench.store.namespaces().unwrap().is_empty());
    };
    let three: &[f32] = &[1.0, 0.0, 0.0];
    refused(&Put {
        embedding: Some(three),
        ..Put::new("q", &large)
    });
    refused(&Put {
        embedding: Some(three),
        metadata: [("a".to_owned(), "b".repeat(5000))].into(),
        ..Put::new("q", &small)
    });
    let put = Put {
        embedding: Some(&[1.0, 0.0]),
        ..Put::new("q", &small)
    };
    bench.cache.put(&scope(""), &put, &bench.source).unwrap();
    bench.clean();
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

#[test]
fn a_scope_that_is_dropped_again_and_again_is_a_miss_and_never_an_error() {
    let bench = bench();
    let (all, none) = (scope(""), EntryMetadata::new());
    let response = text("r");
    // Not loaded yet when it is dropped, loaded, put into: whatever the threads meet.
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for number in 0..300_u16 {
                let embedding = [1.0, f32::from(number)];
                let query = format!("q{number}");
                let put = Put {
                    embedding: Some(&embedding),
                    ..Put::new(&query, &response)
                };
                bench.cache.put(&all, &put, &bench.source).unwrap();
            }
        });
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..3000 {
                    let lookup = Lookup {
                        threshold: Some(0.1),
                        embedding: Some(&[1.0, 1.0]),
                    };
                    let hit = bench.cache.get(&all, "other", lookup, &bench.source);
                    assert!(hit.unwrap().is_none_or(|hit| hit.response == response));
                    bench.cache.len(Scopes::All).unwrap();
                    bench.cache.scopes().unwrap();
                }
            });
        }
        threads.spawn(|| {
            for _ in 0..300 {
                bench.cache.invalidate(Scopes::All, &none, None).unwrap();
                bench
                    .cache
                    .invalidate(Scopes::All, &none, Some(9.0))
                    .unwrap();
            }
        });
    });
    bench.clean();
}
