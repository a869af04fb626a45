//! A child process puts under load and is killed with SIGKILL; what it acknowledged must be there afterwards.
//!
//! A destructor is not a crash: the child is this test binary run again, and nothing of it survives the kill but the
//! files. It acknowledges an operation by a line on its standard output, after the call has returned.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use prestige_core::{Options, Store};
use prestige_tests::{
    Random, assert_sound, fast_semantic_options, question, real_semantic_options,
};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CHILD: &str = "PRESTIGE_CRASH_CHILD";
const DIRECTORY: &str = "PRESTIGE_CRASH_DIRECTORY";
const TEXTS: usize = 1000;

fn spawn(role: &str, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, role)
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Lets the child run for a while after its first acknowledgement, kills it and returns what it acknowledged.
fn acknowledged_until_killed(mut child: Child, run: Duration) -> Vec<String> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let (first, started) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut lines = Vec::new();
        // The line being written when the kill came has no end and counts as not acknowledged.
        for line in output.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8(line).unwrap();
            if let Some(acknowledged) = line
                .strip_prefix("ack ")
                .and_then(|rest| rest.strip_suffix(" ."))
            {
                lines.push(acknowledged.to_owned());
                let _ = first.send(());
            }
        }
        lines
    });
    started.recv_timeout(Duration::from_secs(60)).unwrap();
    std::thread::sleep(run);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn acknowledge(what: &str) {
    let mut output = std::io::stdout().lock();
    output
        .write_all(format!("ack {what} .\n").as_bytes())
        .unwrap();
    output.flush().unwrap();
}

/// What the child does; in the parent's run of the tests this is no test at all.
#[test]
fn child() {
    let Ok(role) = std::env::var(CHILD) else {
        return;
    };
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    match role.as_str() {
        "texts" => {
            let store = Store::open(directory, real_semantic_options()).unwrap();
            for i in 0..TEXTS {
                store
                    .put(format!("q{i}").as_bytes(), question(i).as_bytes(), None)
                    .unwrap();
                acknowledge(&i.to_string());
            }
        }
        "exact" => mixed_load(&Store::open(directory, mixed_options(Options::default())).unwrap()),
        "semantic" => {
            mixed_load(&Store::open(directory, mixed_options(fast_semantic_options())).unwrap())
        }
        other => panic!("unknown role {other}"),
    }
    // Killed while it waits, not while the store closes.
    std::thread::sleep(Duration::from_secs(60));
}

fn mixed_options(options: Options) -> Options {
    let mut options = Options {
        write_buffer_bytes: 1 << 18,
        ..options
    };
    options.semantic.index_save_interval = 50;
    options
}

/// Three threads put, overwrite and delete keys of their own; a fourth sweeps and flushes.
fn mixed_load(store: &Store) {
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            scope.spawn(move || {
                let mut random = Random::new(u64::from(std::process::id()) * 4 + thread);
                for step in 0.. {
                    let key = format!("{thread}/{}", random.below(60));
                    if random.below(5) == 0 {
                        if store.delete(key.as_bytes()).is_ok() {
                            acknowledge(&format!("{thread} {key} -"));
                        }
                    } else {
                        let number = random.below(400);
                        let value =
                            format!("{} {}", question(number as usize), "x".repeat(step % 300));
                        store.put(key.as_bytes(), value.as_bytes(), None).unwrap();
                        acknowledge(&format!("{thread} {key} {value}"));
                    }
                }
            });
        }
        scope.spawn(|| {
            loop {
                store.sweep().unwrap();
                store.flush().unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    });
}

#[test]
fn acknowledged_texts_survive_a_kill() {
    let rounds = std::env::var("PRESTIGE_CRASH_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(20);
    let mut random = Random::new(1);
    for round in 0..rounds {
        let directory = tempfile::tempdir().unwrap();
        let child = spawn("texts", directory.path());
        let acknowledged =
            acknowledged_until_killed(child, Duration::from_millis(random.below(3000)));
        let store = Store::open(directory.path(), real_semantic_options()).unwrap();
        assert_sound(&store);
        let options = Options::default();
        assert!(options.embedder.is_none());
        for line in &acknowledged {
            let i: usize = line.parse().unwrap();
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
    mixed_rounds("exact", || mixed_options(Options::default()), true);
}

#[test]
fn acknowledged_operations_survive_a_kill_in_semantic_mode() {
    mixed_rounds("semantic", || mixed_options(fast_semantic_options()), false);
}

/// Kills the same store again and again, so that every round starts from what a crash left.
fn mixed_rounds(role: &str, options: fn() -> Options, exact: bool) {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new(2);
    let mut before: HashMap<String, Vec<u8>> = HashMap::new();
    for _ in 0..10 {
        let child = spawn(role, directory.path());
        let acknowledged =
            acknowledged_until_killed(child, Duration::from_millis(random.below(400)));
        let store = Store::open(directory.path(), options()).unwrap();
        assert_sound(&store);
        // The last word on each key, and how often each thread may have gone one operation further.
        let mut last: HashMap<String, Option<Vec<u8>>> = before
            .iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect();
        for line in &acknowledged {
            let (_thread, rest) = line.split_once(' ').unwrap();
            let (key, value) = rest.split_once(' ').unwrap();
            last.insert(
                key.to_owned(),
                (value != "-").then(|| value.as_bytes().to_vec()),
            );
        }
        let mut surprises = 0;
        for (key, expected) in &last {
            let found = store.get(key.as_bytes()).unwrap();
            let same = if exact {
                found == *expected
            } else {
                found.is_some() == expected.is_some()
            };
            surprises += usize::from(!same);
        }
        // Each of the three threads may have finished one operation that it could not acknowledge any more.
        assert!(surprises <= 3, "{surprises} keys are not as acknowledged");
        before = store
            .list_keys(b"", None, usize::MAX)
            .unwrap()
            .into_iter()
            .map(|key| {
                (
                    String::from_utf8(key.clone()).unwrap(),
                    store.get(&key).unwrap().unwrap(),
                )
            })
            .collect();
    }
}
