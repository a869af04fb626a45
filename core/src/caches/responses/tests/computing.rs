//! Computing what is missing, once.

use super::*;

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
