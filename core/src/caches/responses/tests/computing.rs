//! Computing what is missing, once.

use super::*;

fn computed(bench: &Bench, query: &str, compute: &dyn Fn() -> Result<Computed>) -> Result<String> {
    let none = EntryMetadata::new();
    let (all, lookup) = (scope(""), Lookup::default());
    let answer = bench.cache.get_or_compute(
        &all,
        query,
        lookup,
        &bench.source,
        &|_| compute(),
        None,
        &none,
        &[],
    )?;
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
    let Turn::Leads(leading) = bench
        .cache
        .begin(&all, "q", &EntryMetadata::new(), false, &[])
        .unwrap()
    else {
        panic!("nobody leads yet");
    };
    let Turn::Follows(following) = bench
        .cache
        .begin(&all, "q", &EntryMetadata::new(), false, &[])
        .unwrap()
    else {
        panic!("two lead");
    };
    // The thread that began it may do other things meanwhile, and the computing may go on in another one.
    assert!(matches!(
        bench
            .cache
            .begin(&all, "q", &EntryMetadata::new(), true, &[])
            .unwrap(),
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
        bench
            .cache
            .begin(&all, "q", &EntryMetadata::new(), false, &[])
            .unwrap(),
        Turn::Hit(_)
    ));
}

/// A service that is down.
struct Down(bool);

impl VectorSource for Down {
    fn embed(&self, _: &[&str]) -> Result<Embeddings> {
        let error = std::io::Error::other("the service is down");
        Err(Error::Callback(match self.0 {
            true => CallbackError::interrupt(error),
            false => CallbackError::new(error),
        }))
    }
}

#[test]
fn what_was_computed_reaches_all_even_if_it_cannot_be_stored() {
    let bench = bench_with(|options| options.max_store_bytes = 5000);
    let (all, none) = (scope(""), EntryMetadata::new());
    let lookup = Lookup::default();
    let (down, interrupted) = (Down(false), Down(true));
    let large = "r".repeat(6000);
    let cases: [(&dyn VectorSource, &str, bool); 3] = [
        (&down, "small", true),
        (&bench.source, &large, true),
        // The caller is to end, but what it has computed is not lost to the others.
        (&interrupted, "small", false),
    ];
    for (source, response, returns) in cases {
        let (calls, following) = (AtomicUsize::new(0), std::sync::Mutex::new(None));
        let compute = || {
            calls.fetch_add(1, Ordering::SeqCst);
            let turn = bench.cache.begin(&all, "q", &none, false, &[])?;
            *following.lock().unwrap() = Some(turn);
            Ok(Computed {
                response: text(response),
                tokens: 0,
            })
        };
        let before = bench.cache.stats();
        let cache = &bench.cache;
        let answer =
            cache.get_or_compute(&all, "q", lookup, source, &|_| compute(), None, &none, &[]);
        match answer {
            Ok(Answer::Computed(computed)) if returns => assert_eq!(*computed, text(response)),
            Err(Error::Callback(error)) if !returns => assert!(error.is_interrupt()),
            other => panic!("{other:?}"),
        }
        let Some(Turn::Follows(following)) = following.lock().unwrap().take() else {
            panic!("two lead");
        };
        assert_eq!(
            bench.cache.stats().shared,
            before.shared,
            "nothing received"
        );
        assert_eq!(*following.outcome().unwrap().unwrap(), text(response));
        let stats = bench.cache.stats();
        assert_eq!(stats.shared, before.shared + 1);
        assert_eq!(stats.not_stored, before.not_stored + 1);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
    bench.clean();
}

#[test]
fn metadata_beyond_the_bounds_is_refused_before_anything_is_computed() {
    let bench = bench();
    let pairs = (0..65).map(|number| (number.to_string(), String::new()));
    let metadata: EntryMetadata = pairs.collect();
    let never = |_: &Leading| -> Result<Computed> { panic!("it has been called") };
    let answer = bench.cache.get_or_compute(
        &scope(""),
        "q",
        Lookup::default(),
        &bench.source,
        &never,
        None,
        &metadata,
        &[],
    );
    assert!(matches!(answer, Err(Error::InvalidArgument(_))));
    let none = EntryMetadata::new();
    let turn = bench.cache.begin(&scope(""), "q", &none, false, &[]);
    assert!(matches!(turn, Ok(Turn::Leads(_))), "no flight is left");
    bench.clean();
}

#[test]
fn who_leads_without_a_thread_is_not_to_wait_for_itself() {
    let bench = bench();
    let (all, none) = (scope(""), EntryMetadata::new());
    let Turn::Leads(leading) = bench.cache.begin(&all, "q", &none, false, &[]).unwrap() else {
        panic!("nobody leads yet");
    };
    let own = [leading.computation()];
    for waits in [false, true] {
        let turn = bench.cache.begin(&all, "q", &none, waits, &own);
        assert!(matches!(turn, Err(Error::InvalidArgument(_))));
    }
    let turn = bench.cache.begin(&all, "p", &none, false, &own);
    assert!(matches!(turn, Ok(Turn::Leads(_))));
    drop(leading);
    let turn = bench.cache.begin(&all, "q", &none, true, &own);
    assert!(matches!(turn, Ok(Turn::Leads(_))), "it has ended");
}
