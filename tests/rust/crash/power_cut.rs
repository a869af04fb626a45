//! A power cut, simulated: the child is stopped, its directory copied as it is, and what was not synced is cut off the
//! end of the log. RocksDB syncs everything else before it relies on it: table files and the MANIFEST when they are
//! written, and the logs before the newest with the tables made of them.

use crate::child::{newest_log, options};
use crate::expected::{Expected, Found};
use crate::process::Running;
use crate::script::{Script, Step};
use prestige_core::Store;
use prestige_tests::{Random, assert_sound};
use std::path::Path;

const ROUNDS: u64 = 12;
/// Most steps before the power is cut, where each is synced.
const SYNCED_STEPS: u64 = 150;
/// The same, where most of them are not: several flushes, and much that comes after one. Counted in steps, not in time,
/// since on a slow disk nearly all the time goes by in flushes.
const STEPS: u64 = 2000;

#[test]
fn synced_writes_survive_a_power_cut() {
    rounds("synced exact", 100);
}

#[test]
fn synced_writes_survive_a_power_cut_in_semantic_mode() {
    rounds("synced semantic", 200);
}

#[test]
fn without_sync_what_was_flushed_survives_and_the_rest_is_a_beginning() {
    rounds("flushed exact", 300);
}

fn rounds(role: &str, first_seed: u64) {
    let mut random = Random::new(first_seed);
    let mut cut_off = 0;
    for seed in first_seed..first_seed + ROUNDS {
        let directory = tempfile::tempdir().unwrap();
        let (running, copy) = (
            directory.path().join("running"),
            directory.path().join("copy"),
        );
        let mut child = Running::start(role, seed, &running, &directory.path().join("acks"));
        let most = if role.starts_with("synced") {
            SYNCED_STEPS
        } else {
            STEPS
        };
        // The first line is written before the first step.
        child.wait_for_lines(1 + random.below(most));
        child.stop();
        copy_directory(&running, &copy);
        let acknowledged = String::from_utf8(child.kill()).unwrap();

        let durable = Durable::of(&acknowledged);
        // A flush under way has synced more than the child came to say.
        let under_way = Script::new(seed, 0).nth(durable.begun - 1).unwrap();
        if !matches!(under_way, Step::Flush) {
            cut_off += durable.cut_log(&copy, &mut random);
        }
        let store = Store::open(&copy, options(role, seed)).unwrap();
        assert_sound(&store);
        let found = Found::of(&store, 0);
        let mut expected = Expected::default();
        let mut script = Script::new(seed, 0);
        let mut differences = Vec::new();
        for done in 0..=durable.begun {
            if done >= durable.steps {
                match expected.difference(&found) {
                    None => break,
                    Some(difference) => differences.push((done, difference)),
                }
            }
            assert!(
                done < durable.begun,
                "seed {seed}: the store is not as after any step from {} on: {differences:#?}",
                durable.steps
            );
            expected.apply(&script.next().unwrap());
        }
    }
    assert!(cut_off > 0, "nothing was ever cut off");
}

/// What the child said last.
struct Durable {
    /// Steps that must have survived.
    steps: usize,
    /// Steps that may have been begun.
    begun: usize,
    log: u64,
    length: u64,
}

impl Durable {
    fn of(acknowledged: &str) -> Self {
        // The line being written when the child was stopped has no end.
        let whole = acknowledged
            .rsplit_once('\n')
            .map_or("", |(whole, _)| whole);
        let mut durable = Self {
            steps: 0,
            begun: 1,
            log: 0,
            length: 0,
        };
        for line in whole.lines() {
            let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
            durable.begun = numbers[0] as usize + 1;
            if let [steps, log, length] = numbers[..] {
                (durable.steps, durable.log, durable.length) = (steps as usize, log, length);
            }
        }
        durable
    }

    /// Cuts the newest log somewhere after what was durable. Returns the number of bytes cut off.
    fn cut_log(&self, copy: &Path, random: &mut Random) -> u64 {
        let (log, length) = newest_log(copy);
        let least = if log == self.log { self.length } else { 0 };
        assert!(length >= least);
        let kept = match random.below(3) {
            0 => least,
            _ => least + random.below(length - least + 1),
        };
        let file = std::fs::File::options()
            .write(true)
            .open(copy.join(format!("{log:06}.log")))
            .unwrap();
        file.set_len(kept).unwrap();
        length - kept
    }
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
