//! Opening for reading only, beside whoever owns the store.
//!
//! RocksDB reads the MANIFEST, opens every table that it names and replays the logs into memory; it keeps the tables
//! open, so that their files can be deleted meanwhile. It knows nothing of an owner that works on. What is found is
//! one state of the store if **the oldest log that the MANIFEST needs is the same before and after**: a log is deleted
//! only when a MANIFEST was written that begins with a later one, so none of those from it on was deleted in between, and
//! the logs, which are written in order, end with some write. Otherwise a log could have been deleted between the two
//! looks, and its writes would be missing from the middle. Then all of it is done again, and also if a table was deleted
//! before it was opened. Flushes and compactions alone change the MANIFEST too often to ask for more.
//!
//! A secondary instance of RocksDB follows its owner more cheaply, but it has no snapshots, needs a directory of its
//! own, and does not notice such a missing log before it has caught up.

use crate::db::Db;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::format;
use crate::manifest;
use crate::options::Options;
use crate::owner::Guest;
use std::path::Path;
use std::time::Duration;

/// Openings that are tried while the owner keeps deleting logs. It does so when its slowest column family has flushed.
const CHANGED_ATTEMPTS: u32 = 100;
/// Openings that are tried while they fail: a log that was listed may be gone when it is read.
const FAILED_ATTEMPTS: u32 = 4;
/// Pause before another attempt.
const PAUSE: Duration = Duration::from_millis(20);

impl Engine {
    /// The store in the directory `path` as it is now, without a semantic stage: that would change its index.
    pub(crate) fn open_read_only(path: &Path, mut options: Options) -> Result<Self> {
        options.track_access_time = false;
        // Before anything of the database is read, so that what is read is at least that new.
        let marked = Guest::beside_an_owner(path)?.marked();
        let db = unchanged_meanwhile(path, || {
            format::check_files(path, marked.is_some(), false)?;
            if !path.join("CURRENT").is_file() {
                return Err(unfinished(path));
            }
            Db::open_read_only(path, &options).map_err(|error| format::opening(path, error))
        })?;
        if marked.is_some_and(|sequence| db.sequence() < sequence) {
            return Err(format::lost_writes(path));
        }
        let mode =
            format::existing(&db, path, options.dedup_mode)?.ok_or_else(|| unfinished(path))?;
        Self::assemble(path, options, db, mode, None, None)
    }
}

/// Calls `open` until no log that it needs can have been deleted meanwhile. An error is real if nothing changed meanwhile.
fn unchanged_meanwhile(path: &Path, open: impl Fn() -> Result<Db>) -> Result<Db> {
    let mut failures = 0;
    for _ in 0..CHANGED_ATTEMPTS {
        let before = State::of(path);
        let opened = open();
        let after = State::of(path);
        match opened {
            Ok(db) if before.keeps_logs(&after) => return Ok(db),
            Ok(_) => {}
            Err(error @ (Error::Io(_) | Error::Corruption(_))) => {
                failures += 1;
                if before == after && failures >= FAILED_ATTEMPTS {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(PAUSE);
    }
    Err(Error::Busy(format!(
        "the owner of the store at {} kept changing its files while they were read; try again",
        path.display()
    )))
}

/// How far the MANIFEST is.
#[derive(Debug, PartialEq)]
struct State {
    /// Its name and length; it only grows until another one takes its place. `None`: there is none.
    manifest: Option<(String, u64)>,
    /// The oldest log that it needs; 0: not known.
    oldest_log: u64,
}

impl State {
    fn of(path: &Path) -> Self {
        let name = std::fs::read_to_string(path.join("CURRENT")).ok();
        let manifest = name.and_then(|name| {
            let length = path.join(name.trim_end()).metadata().ok()?.len();
            Some((name, length))
        });
        Self {
            manifest,
            oldest_log: manifest::check(path).unwrap_or(0),
        }
    }

    /// Whether every log that was needed in this state, or in one on the way to `later`, is still there.
    fn keeps_logs(&self, later: &Self) -> bool {
        self == later || (self.oldest_log != 0 && self.oldest_log == later.oldest_log)
    }
}

fn unfinished(path: &Path) -> Error {
    Error::Io(format!(
        "there is no Prestige store in {} yet, only the beginning of one",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Store;
    use std::cell::Cell;

    #[test]
    fn an_opening_during_which_a_log_was_done_with_is_done_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let store = Store::open(path, Options::default()).unwrap();
        let opened = || Db::open_read_only(path, &Options::default());
        let calls = Cell::new(0);
        unchanged_meanwhile(path, || {
            calls.set(calls.get() + 1);
            if calls.get() < 3 {
                // Every family flushes, so that the log of before is needed no more.
                store.put(b"key", &[calls.get()], None).unwrap();
                store.flush().unwrap();
            }
            opened()
        })
        .unwrap();
        assert_eq!(calls.get(), 3);

        calls.set(0);
        let failed = unchanged_meanwhile(path, || {
            calls.set(calls.get() + 1);
            if calls.get() < 3 {
                return Err(Error::Io("a log that is gone".to_owned()));
            }
            opened()
        });
        assert!(failed.is_ok());
        let failed = unchanged_meanwhile(path, || Err(Error::Io("gone for good".to_owned())));
        assert!(matches!(failed, Err(Error::Io(_))));
    }
}
