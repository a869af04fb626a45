//! Checks the write-ahead logs before RocksDB reads them, and cuts off what a killed process left at the end of the
//! last one.
//!
//! RocksDB's reader never ends on some damage, and takes some for the end of a log: whole records behind it would be
//! dropped without a word. So it only gets logs that end with a whole record.
//!
//! Logs that RocksDB does not need any more are not looked at: they may be torn, or lack others between them, until it
//! deletes them.
//!
//! A missing log shows as a gap in the numbers of the writes. RocksDB's `track_and_verify_wals` would also know the
//! oldest one, but refuses healthy stores: after a failed write (a full disk) the next log records a size of its
//! predecessor that includes what could not be written.

use crate::error::{Error, Result};
use crate::log_file::{self, Content, Extent};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A log whose last write was cut short.
#[derive(Debug)]
pub(crate) struct TornTail {
    log: PathBuf,
    extent: Extent,
}

/// Refuses the logs in the directory `path` if one is damaged. Returns those that have a torn tail; changes nothing.
///
/// `oldest`: number of the oldest log that is needed.
pub(crate) fn check(path: &Path, oldest: u64) -> Result<Vec<TornTail>> {
    let mut torn: Vec<TornTail> = Vec::new();
    let mut next = None;
    for log in logs(path, oldest)? {
        let mut writes = Writes::default();
        let extent = log_file::check(&log, &mut writes)?;
        if let Some(sequences) = writes.sequences {
            // Writes are numbered through, over all logs.
            if next.is_some_and(|next| sequences.start > next) {
                return Err(missing_before(&log));
            }
            next = Some(sequences.end);
        }
        // A log is begun when the one before is complete, so a torn tail is followed by nothing.
        if let (Some(tail), true) = (torn.first(), extent.has_data) {
            return Err(tail.is_not_the_end(&log));
        }
        if extent.sound < extent.size {
            torn.push(TornTail { log, extent });
        }
    }
    Ok(torn)
}

/// The writes in a log. Each record begins with the sequence number of the first operation of a write and the count of
/// its operations, 8 and 4 bytes, little-endian.
#[derive(Debug, Default, PartialEq, Eq)]
struct Writes {
    /// Sequence number of the first operation, and the one after the last.
    sequences: Option<Range<u64>>,
}

impl Content for Writes {
    const BYTES: usize = 12;

    fn add(&mut self, beginning: &[u8]) {
        if let Some((sequence, count)) = write_header(beginning) {
            let first = self.sequences.as_ref().map_or(sequence, |it| it.start);
            self.sequences = Some(first..sequence.saturating_add(count.into()));
        }
    }

    /// A write behind another has a later number, and an operation takes more than one byte. What has no number is taken
    /// for a write: damage must not be missed.
    fn is_plausible(&self, beginning: &[u8], distance: u64) -> bool {
        let (Some(before), Some((sequence, _))) = (&self.sequences, write_header(beginning)) else {
            return true;
        };
        sequence >= before.end && sequence - before.end <= distance
    }
}

fn write_header(beginning: &[u8]) -> Option<(u64, u32)> {
    let (sequence, rest) = beginning.split_first_chunk()?;
    let (count, _) = rest.split_first_chunk()?;
    Some((u64::from_le_bytes(*sequence), u32::from_le_bytes(*count)))
}

/// Whether RocksDB would take a file of this name for a log of its own, and delete it.
pub(crate) fn is_log(name: &str) -> bool {
    number(name).is_some()
}

/// The number in the name of a log.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let number = digits.bytes().all(|byte| byte.is_ascii_digit());
    number.then(|| digits.parse().ok())?
}

/// The logs in the directory `path` from the one with the number `oldest` on, oldest first.
fn logs(path: &Path, oldest: u64) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io("read the store directory", path, &error);
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match entry.file_name().to_str().and_then(number) {
            Some(number) if number >= oldest => logs.push((number, entry.path())),
            _ => {}
        }
    }
    logs.sort();
    Ok(logs.into_iter().map(|(_, log)| log).collect())
}

fn missing_before(log: &Path) -> Error {
    Error::Corruption(format!(
        "{} does not continue the log before it: writes between them are missing, perhaps a whole log; restore the \
         store from a backup",
        log.display()
    ))
}

impl TornTail {
    /// Cuts the tail off, for good: the bytes are gone when this returns.
    pub(crate) fn cut(&self) -> Result<()> {
        let Extent { size, sound, .. } = self.extent;
        tracing::warn!(
            log = %self.log.display(),
            bytes = size - sound,
            "a write that was cut short is dropped from the end of the log; it was never acknowledged"
        );
        File::options()
            .write(true)
            .open(&self.log)
            .and_then(|file| {
                file.set_len(sound)?;
                file.sync_all()
            })
            .map_err(|error| Error::io("cut off the torn tail of", &self.log, &error))
    }

    fn is_not_the_end(&self, later: &Path) -> Error {
        Error::Corruption(format!(
            "{} ends at byte {} within a record, but {} continues it, so a part is missing; restore the store from a \
             backup",
            self.log.display(),
            self.extent.size,
            later.display()
        ))
    }
}

#[cfg(test)]
mod tests;
