#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::{Embedder, HashEmbedder};

/// Most texts of a round in these tests.
const ROUND_TEXTS: usize = 256;

/// Embeds when its gate is open, writes down what each call was asked for, and fails on certain
/// texts.
#[derive(Debug)]
struct Gated {
    inner: HashEmbedder,
    calls: Mutex<Vec<Vec<String>>>,
    open: Mutex<bool>,
    opened: Condvar,
    running: AtomicUsize,
}

impl Gated {
    fn new(open: bool) -> Self {
        Self {
            inner: HashEmbedder::new(16),
            calls: Mutex::default(),
            open: Mutex::new(open),
            opened: Condvar::new(),
            running: AtomicUsize::new(0),
        }
    }

    fn sizes(&self) -> Vec<usize> {
        self.calls.lock().iter().map(Vec::len).collect()
    }
}

impl Stages for Gated {
    type Input = String;

    fn model(&self) -> &str {
        &self.inner.fingerprint().model
    }

    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    fn prepare(&self, text: &str) -> Result<String, EmbedError> {
        match text {
            "unprepared" => Err(EmbedError::invalid("texts that can be prepared", text)),
            "unprepared panic" => panic!("while a text was prepared"),
            text => Ok(text.to_owned()),
        }
    }

    fn size(&self, text: &String) -> usize {
        text.len()
    }

    fn round_length(&self, sizes: &[usize]) -> usize {
        assert!(sizes.is_sorted_by(|a, b| a >= b));
        sizes.len().min(ROUND_TEXTS)
    }

    fn compute(&self, texts: &[&String]) -> Result<Embeddings, EmbedError> {
        let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
        assert!(texts.is_sorted_by(|a, b| a.len() >= b.len()));
        assert_eq!(
            self.running.fetch_add(1, Ordering::SeqCst),
            0,
            "two calls at once"
        );
        self.calls
            .lock()
            .push(texts.iter().map(|&text| text.to_owned()).collect());
        let mut open = self.open.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
        drop(open);
        assert_eq!(self.running.fetch_sub(1, Ordering::SeqCst), 1);
        if texts.contains(&"panic") {
            panic!("found the text panic");
        }
        if texts.contains(&"bad") {
            return Err(EmbedError::invalid("good texts", "bad"));
        }
        if texts.contains(&"short") {
            return Embeddings::new(Vec::new(), 16);
        }
        self.inner.embed(&texts)
    }
}

/// Embeds to the end.
fn embed(batched: &Batched<Gated>, texts: &[&str]) -> Result<Embeddings, EmbedError> {
    batched.embed(texts, &|| Ok(()), &|| Ok(()))
}

fn assert_idle(batched: &Batched<Gated>) {
    let queue = batched.queue.lock();
    assert!(!queue.busy && queue.waiting.is_empty());
}

type Answers = Vec<Result<Embeddings, EmbedError>>;

/// Lets one caller in, queues the others behind it in order, then opens the gate. Answers in the
/// order of `callers`.
fn queue_up(batched: &Batched<Gated>, callers: &[Vec<&str>]) -> Answers {
    let answers = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, texts) in callers.iter().enumerate() {
            threads.push(scope.spawn(move || embed(batched, texts)));
            // The first caller is inside the embedder, each later one in the queue, before the next
            // may start.
            let arrived = || match index {
                0 => batched.stages.calls.lock().len(),
                _ => batched.queue.lock().waiting.len(),
            };
            while arrived() < index.max(1) {
                thread::yield_now();
            }
        }
        *batched.stages.open.lock() = true;
        batched.stages.opened.notify_all();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_idle(batched);
    answers
}

fn direct(texts: &[&str]) -> Embeddings {
    HashEmbedder::new(16).embed(texts).unwrap()
}

#[test]
fn waiting_callers_share_one_round_and_each_distinct_text_is_embedded_once() {
    let batched = Batched::new(Gated::new(false));
    let callers = [
        vec!["first"],
        vec!["a", "b", "a"],
        vec!["b", "c"],
        vec!["first"],
        vec![],
        vec!["c", "a"],
    ];
    // A call without texts never waits.
    assert!(embed(&batched, &callers[4]).unwrap().is_empty());
    let callers = [&callers[..4], &callers[5..]].concat();
    let answers = queue_up(&batched, &callers);
    for (texts, answer) in callers.iter().zip(answers) {
        assert_eq!(answer.unwrap(), direct(texts), "{texts:?}");
    }
    let calls = batched.stages.calls.lock();
    assert_eq!(*calls, [vec!["first"], vec!["first", "a", "b", "c"]]);
}

#[test]
fn a_leader_of_few_texts_waits_for_the_callers_of_the_last_round() {
    let batched = Batched::new(Gated::new(false));
    batched.queue.lock().returns = Returns::patient();
    thread::scope(|scope| {
        scope.spawn(|| {
            embed(&batched, &["first"]).unwrap();
            // Whoever would not wait is long done when it comes back.
            thread::sleep(Duration::from_millis(50));
            let back = embed(&batched, &["back again"]).unwrap();
            assert_eq!(back, direct(&["back again"]));
        });
        while batched.stages.calls.lock().is_empty() {
            thread::yield_now();
        }
        scope.spawn(|| embed(&batched, &["second"]).unwrap());
        while batched.queue.lock().waiting.is_empty() {
            thread::yield_now();
        }
        *batched.stages.open.lock() = true;
        batched.stages.opened.notify_all();
    });
    assert_idle(&batched);
    let calls = batched.stages.calls.lock();
    assert_eq!(*calls, [vec!["first"], vec!["back again", "second"]]);
}

#[test]
fn a_leader_goes_on_alone_when_nobody_comes_back_or_others_make_a_round() {
    let many: Vec<String> = (0..40).map(|number| format!("text {number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    // With the patience there is in use, and with some that no test would live to see the end of.
    for (returns, second) in [
        (Returns::default(), vec!["second"]),
        (Returns::patient(), many),
    ] {
        let batched = Batched::new(Gated::new(false));
        batched.queue.lock().returns = returns;
        let start = Instant::now();
        let answers = queue_up(&batched, &[vec!["first"], second.clone()]);
        assert_eq!(answers[1].as_ref().unwrap(), &direct(&second));
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn rounds_are_bounded_and_first_come_first_served() {
    let names: Vec<String> = (0..700).map(|i| format!("text {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let callers = [
        &names[..1],
        &names[1..201],
        &names[201..301],
        &names[301..311],
        &names[311..571],
    ]
    .map(<[&str]>::to_vec);
    let batched = Batched::new(Gated::new(false));
    let answers = queue_up(&batched, &callers);
    for (texts, answer) in callers.iter().zip(answers) {
        assert_eq!(answer.unwrap(), direct(texts));
    }
    // 200 + 100 do not fit together; 100 + 10 do, and 256 of the last caller do not fit with them.
    // Nobody overtakes.
    assert_eq!(batched.stages.sizes(), [1, 200, 110, 256, 4]);
}

#[test]
fn an_error_or_panic_reaches_only_the_caller_who_caused_it() {
    let batched = Batched::new(Gated::new(false));
    let callers = [
        vec!["first"],
        vec!["a"],
        vec!["x", "bad"],
        vec!["panic"],
        vec!["short"],
        vec!["b", "a"],
    ];
    let answers = queue_up(&batched, &callers);
    for (index, answer) in answers.iter().enumerate() {
        let texts = &callers[index];
        match index {
            2 => assert!(
                matches!(answer, Err(EmbedError::InvalidInput { .. })),
                "{answer:?}"
            ),
            3 | 4 => {
                let text = answer.as_ref().unwrap_err().to_string();
                let reason = ["panicked: found the text panic", "expected 1 rows of 16"][index - 3];
                assert!(text.contains(reason) && text.contains("hash-16"), "{text}");
            }
            _ => assert_eq!(answer.as_ref().unwrap(), &direct(texts)),
        }
    }
    // And with the leader of the shared round at fault.
    *batched.stages.open.lock() = false;
    batched.stages.calls.lock().clear();
    let callers = [vec!["panic"], vec!["bad"], vec!["a"], vec!["b"]];
    let answers = queue_up(&batched, &callers);
    assert!(answers[0].is_err() && answers[1].is_err());
    assert_eq!(answers[2].as_ref().unwrap(), &direct(&["a"]));
    assert_eq!(answers[3].as_ref().unwrap(), &direct(&["b"]));
    assert_eq!(embed(&batched, &["c"]).unwrap(), direct(&["c"]));
}

#[test]
fn what_cannot_be_prepared_is_its_callers_affair() {
    let batched = Batched::new(Gated::new(true));
    let text = embed(&batched, &["a", "unprepared"])
        .unwrap_err()
        .to_string();
    assert!(text.contains("texts that can be prepared"), "{text}");
    let text = embed(&batched, &["unprepared panic"])
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("panicked: while a text was prepared"),
        "{text}"
    );
    assert!(batched.stages.sizes().is_empty());
    assert_idle(&batched);
}

/// An error that says: give up.
fn given_up() -> EmbedError {
    EmbedError::invalid("patience", "none")
}

#[test]
fn a_long_call_can_be_given_up_between_two_rounds() {
    let batched = Batched::new(Gated::new(true));
    let names: Vec<String> = (0..1000).map(|i| format!("text {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asked = AtomicUsize::new(0);
    let answer = batched.embed(
        &names,
        &|| Ok(()),
        &|| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err(given_up()),
        },
    );
    assert_eq!(answer, Err(given_up()));
    assert_eq!(batched.stages.sizes(), [256, 256]);
    assert_idle(&batched);
    // Nobody is asked when there is nothing left to give up.
    let answer = batched.embed(&names[..256], &|| Ok(()), &|| Err(given_up()));
    assert_eq!(answer.unwrap(), direct(&names[..256]));
}

#[test]
fn a_caller_who_waits_can_give_up_and_the_others_do_not_notice() {
    let batched = Batched::new(Gated::new(false));
    thread::scope(|scope| {
        let first = scope.spawn(|| embed(&batched, &["first"]));
        while batched.stages.sizes().is_empty() {
            thread::yield_now();
        }
        let before = scope.spawn(|| embed(&batched, &["before"]));
        while batched.queue.lock().waiting.is_empty() {
            thread::yield_now();
        }
        // Gives up as soon as it is asked, while the gate is still shut.
        assert_eq!(
            batched.embed(&["impatient"], &|| Ok(()), &|| Err(given_up())),
            Err(given_up())
        );
        assert_eq!(batched.queue.lock().waiting.len(), 1);
        *batched.stages.open.lock() = true;
        batched.stages.opened.notify_all();
        assert_eq!(first.join().unwrap().unwrap(), direct(&["first"]));
        assert_eq!(before.join().unwrap().unwrap(), direct(&["before"]));
    });
    assert_idle(&batched);
    assert_eq!(*batched.stages.calls.lock(), [["first"], ["before"]]);
}

#[test]
fn a_caller_who_gives_up_when_it_is_to_lead_passes_it_on() {
    let batched = Batched::new(Gated::new(true));
    // As if a leader had taken the job off the queue, and then woken it.
    batched.queue.lock().busy = true;
    let job = Arc::new(Job::new(vec!["given up".to_owned()]));
    let follower = Arc::new(Job::new(vec!["next".to_owned()]));
    batched
        .queue
        .lock()
        .waiting
        .push_back(Arc::clone(&follower));
    let waited = batched.wait(&job, &|| {
        job.set(Turn::Lead);
        Err(given_up())
    });
    assert!(waited.is_err());
    assert!(matches!(*follower.turn.lock(), Turn::Lead));
}

#[test]
fn a_long_list_is_computed_in_parts_of_like_length() {
    let batched = Batched::new(Gated::new(true));
    let texts: Vec<String> = (0..1000).map(|i| "word ".repeat(i * 7 % 500)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(embed(&batched, &texts).unwrap(), direct(&texts));
    assert_eq!(batched.stages.sizes(), [256, 244]);
    let calls = batched.stages.calls.lock();
    let lengths: Vec<usize> = calls.iter().flatten().map(String::len).collect();
    assert!(lengths.is_sorted_by(|a, b| a >= b));
}

#[test]
fn sixteen_threads_get_what_each_would_get_alone() {
    let batched = Batched::new(Gated::new(true));
    thread::scope(|scope| {
        for caller in 0..16_usize {
            let batched = &batched;
            scope.spawn(move || {
                for turn in 0..200 {
                    // Texts overlap between threads; every tenth call fails.
                    let mut texts: Vec<String> = (0..(caller + turn) % 7)
                        .map(|i| format!("text {}", (caller * turn + i * 3) % 40))
                        .collect();
                    if (caller + turn) % 10 == 0 {
                        texts.push("bad".to_owned());
                    }
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    match embed(batched, &texts) {
                        Ok(rows) => assert_eq!(rows, direct(&texts)),
                        Err(error) => assert!(texts.contains(&"bad"), "{texts:?}: {error}"),
                    }
                }
            });
        }
    });
    assert_idle(&batched);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_list_gives_the_rows_of_the_inner_embedder(
        texts in proptest::collection::vec("[ab]{0,9}( [a-z]{1,3})?", 0..600)
    ) {
        let batched = Batched::new(Gated::new(true));
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        prop_assert_eq!(embed(&batched, &texts).unwrap(), direct(&texts));
        let mut distinct = texts.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(batched.stages.inner.texts(), distinct.len() as u64);
    }
}
