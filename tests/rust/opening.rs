//! A child process opens a store that has many write-ahead logs and is killed with SIGKILL meanwhile, again and again: the
//! store is never refused and nothing is lost.
//!
//! RocksDB deletes the logs that it has recovered, the newest first. A kill between leaves the oldest ones, with a gap
//! behind them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use prestige_core::{Options, Store};
use prestige_tests::Random;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DIRECTORY: &str = "PRESTIGE_OPENING_DIRECTORY";
const LOGS: usize = 14;

fn key(i: usize) -> String {
    format!("key{i}")
}

fn value(i: usize) -> Vec<u8> {
    format!("{i} ").repeat(300).into_bytes()
}

fn logs(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut logs: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    logs
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What a kill leaves: one key in each of the logs, none in a table. All writes fit into the first block of one log, so
/// parts of it are logs as well.
fn store_with_many_logs() -> tempfile::TempDir {
    let (live, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(live.path(), Options::default()).unwrap();
    let log = logs(live.path()).pop().unwrap();
    let mut ends = vec![0];
    for i in 0..LOGS {
        store.put(key(i).as_bytes(), &value(i), None).unwrap();
        ends.push(usize::try_from(log.metadata().unwrap().len()).unwrap());
    }
    assert!(ends[LOGS] < 32_768);
    copy(live.path(), left.path());
    let bytes = std::fs::read(&log).unwrap();
    let number: u64 = log.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    for i in 0..LOGS {
        // Numbers between belong to tables.
        let number = if i == 0 { number } else { 1000 + 3 * i as u64 };
        let name = format!("{number:06}.log");
        std::fs::write(left.path().join(name), &bytes[ends[i]..ends[i + 1]]).unwrap();
    }
    left
}

/// What the child does; in the parent's run of the tests this is no test at all.
#[test]
fn child() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        println!("\nopening");
        let store = Store::open(directory, Options::default()).unwrap();
        println!("\nopened");
        // Killed while it waits, not while the store closes.
        std::thread::sleep(Duration::from_secs(60));
        drop(store);
    }
}

/// Kills a child `after` it began to open the store. Without a time, as soon as it has opened it, and returns how long
/// that took.
fn open_and_kill(directory: &Path, after: Option<Duration>) -> Duration {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut wait_for = |word: &str| {
        let found = lines.any(|line| line.unwrap() == word);
        assert!(found, "the child ended before it was {word}");
    };
    wait_for("opening");
    let begun = Instant::now();
    match after {
        Some(after) => std::thread::sleep(after),
        None => wait_for("opened"),
    }
    let taken = begun.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    taken
}

#[test]
fn a_store_with_many_logs_survives_kills_while_it_is_opened() {
    let rounds = std::env::var("PRESTIGE_CRASH_ROUNDS");
    let rounds: u64 = rounds.map_or(30, |rounds| rounds.parse().unwrap());
    let healthy = store_with_many_logs();
    let once = tempfile::tempdir().unwrap();
    copy(healthy.path(), once.path());
    assert_eq!(logs(once.path()).len(), LOGS);
    let longest = open_and_kill(once.path(), None).as_micros() as u64;
    let mut random = Random::new(3);
    let mut with_obsolete_logs = 0;
    for round in 0..rounds {
        let directory = tempfile::tempdir().unwrap();
        copy(healthy.path(), directory.path());
        for _ in 0..=random.below(3) {
            // Rather late than early: the logs are deleted at the end.
            let after = longest / 3 + random.below(longest);
            open_and_kill(directory.path(), Some(Duration::from_micros(after)));
            let left = logs(directory.path()).len();
            with_obsolete_logs += u64::from(left > 1 && left < LOGS);
        }
        let store = Store::open(directory.path(), Options::default())
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        for i in 0..LOGS {
            let found = store.get(key(i).as_bytes()).unwrap();
            assert_eq!(found, Some(value(i)), "round {round}");
        }
        assert!(store.verify().unwrap().is_empty(), "round {round}");
    }
    println!("{with_obsolete_logs} kills left some of the logs");
}
