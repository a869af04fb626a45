//! A child process puts under load and is killed with SIGKILL; what it acknowledged must be there afterwards, what it did
//! not is there wholly or not at all, and every invariant holds.
//!
//! `PRESTIGE_CRASH_ROUNDS` multiplies the number of kills, which is over 100 by default.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod child;
mod expected;
mod power_cut;
mod process;
mod script;

use child::{REEMBEDDING, TEXTS, THREADS, open};
use expected::{Expected, Found};
use prestige_core::Store;
use prestige_tests::{Random, assert_sound, question, real_semantic_options};
use process::{ROLE, Running, STORE};
use script::Script;
use std::path::PathBuf;
use std::time::Duration;

/// Kills of one store, each in the state that the one before left.
const LIVES: u64 = 12;

/// In the parent's run of the tests this is no test at all.
#[test]
fn child() {
    if let Ok(role) = std::env::var(ROLE) {
        child::run(&role, &PathBuf::from(std::env::var_os(STORE).unwrap()));
    }
}

fn rounds(by_default: u64) -> u64 {
    let factor = std::env::var("PRESTIGE_CRASH_ROUNDS").ok();
    by_default * factor.and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

#[test]
fn acknowledged_texts_survive_a_kill() {
    let mut random = Random::new(1);
    for round in 0..rounds(8) {
        let directory = tempfile::tempdir().unwrap();
        let (path, acknowledged) = (
            directory.path().join("store"),
            directory.path().join("acks"),
        );
        let mut child = Running::start("texts", round, &path, &acknowledged);
        child.wait_for_acknowledgement();
        std::thread::sleep(Duration::from_millis(random.below(2000)));
        let acknowledged = child.kill().len();
        assert!(acknowledged <= TEXTS);
        let store = Store::open(&path, real_semantic_options()).unwrap();
        assert_sound(&store);
        for i in 0..acknowledged {
            let value = store.get(format!("q{i}").as_bytes()).unwrap();
            // It may be the wording of an earlier question that means the same.
            let value =
                String::from_utf8(value.unwrap_or_else(|| panic!("round {round}: q{i} is lost")))
                    .unwrap();
            assert!(
                (0..=i).any(|j| question(j) == value),
                "round {round}: q{i} has the value {value:?}"
            );
        }
    }
}

#[test]
fn acknowledged_operations_survive_a_kill_in_exact_mode() {
    for first in 0..rounds(6) {
        kill_again_and_again("exact", 1000 + first * LIVES);
    }
}

#[test]
fn acknowledged_operations_survive_a_kill_in_semantic_mode() {
    for first in 0..rounds(3) {
        kill_again_and_again("semantic", 5000 + first * LIVES);
    }
}

#[test]
fn a_kill_while_texts_are_embedded_anew_loses_nothing_and_leaves_one_model() {
    for first in 0..rounds(9) {
        kill_again_and_again(REEMBEDDING, 9000 + first * LIVES);
    }
}

/// Kills a store in each of its lives, at a random moment: of its work, or of its opening.
fn kill_again_and_again(role: &str, first_seed: u64) {
    let directory = tempfile::tempdir().unwrap();
    let (path, acks) = (
        directory.path().join("store"),
        directory.path().join("acks"),
    );
    let mut random = Random::new(first_seed);
    let mut expected = vec![Expected::default(); THREADS as usize];
    for seed in first_seed..first_seed + LIVES {
        let mut child = Running::start(role, seed, &path, &acks);
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_millis(random.below(80)));
        } else {
            child.wait_for_acknowledgement();
            std::thread::sleep(Duration::from_millis(random.below(350)));
        }
        let acknowledged = child.kill();
        let store = open(role, seed, &path);
        assert_sound(&store);
        for thread in 0..THREADS {
            let expected = &mut expected[thread as usize];
            let mut script = Script::new(seed, thread);
            let done = acknowledged
                .iter()
                .filter(|ack| u64::from(**ack) == thread)
                .count();
            script
                .by_ref()
                .take(done)
                .for_each(|step| expected.apply(&step));
            let found = Found::of(&store, thread);
            if let Some(without) = expected.difference(&found) {
                // The next step may have been done and not acknowledged any more.
                let step = script.next().unwrap();
                expected.apply(&step);
                if let Some(with) = expected.difference(&found) {
                    panic!(
                        "seed {seed}, thread {thread}, {done} steps: {without}; and had the next step, {step:?}, been \
                         done: {with}"
                    );
                }
            }
            expected.settle(&found);
        }
        store.close().unwrap();
    }
}
