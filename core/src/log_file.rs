//! Reads the files that RocksDB writes as logs, the MANIFEST and the write-ahead logs, to tell three kinds apart: whole
//! ones, those whose last write was cut short, and damaged ones.
//!
//! RocksDB cannot be asked: on some damage its reader never ends, and some it takes for the end of the log, with whole
//! records behind it.
//!
//! A log is a sequence of blocks of 32 KiB. A physical record does not cross a block; where fewer bytes are left than a
//! header takes, the rest of the block is filled up. A logical record is one full physical record, or a first one, any
//! number of middle ones and a last one; the first and the middle ones reach to the end of their blocks.
//!
//! ```text
//! 0        4        6      7
//! │ CRC-32C │ length │ type │ payload │    little-endian
//! ```
//! The checksum is over type and payload, masked by a rotation and a constant, as in RocksDB's `util/crc32c.h`; the
//! types are those of its `db/log_format.h`.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

const BLOCK: usize = 32_768;
const HEADER: usize = 7;
const MASK: u32 = 0xa282_ead8;

/// What the kernel writes to the disk at once; what it has not written yet may read as zeros after a power cut.
const PAGE: u64 = 4096;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// Types from here on hold no data and may be skipped.
const SKIPPABLE: u8 = 128;
/// One of those, but of recycled logs only. Ours never are, and RocksDB's reader would not get past it.
const RECYCLED_PREDECESSOR: u8 = 131;

/// How far a log goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Length of the file, in bytes.
    pub size: u64,
    /// Where its whole records end; what is behind them is a write that was cut short.
    pub sound: u64,
    /// Whether it holds data, be it a part of a record.
    pub has_data: bool,
}

/// What the logical records of a log mean.
pub(crate) trait Content {
    /// How many bytes of each record, from its beginning, are of interest.
    const BYTES: usize;

    /// Takes the first [`Self::BYTES`] of the next record.
    fn add(&mut self, beginning: &[u8]);

    /// Whether a record could begin like this, `distance` bytes behind the end of the last one that was added. If not,
    /// what looks like a record is a part of a value. `beginning` may be short.
    fn is_plausible(&self, beginning: &[u8], distance: u64) -> bool;
}

/// Reads the log `path`, block by block, and refuses it if it is damaged.
///
/// A write that was cut short at its end is no damage: nobody was told that it succeeded. It is taken for one only if
/// no whole record is found behind it, and if it looks like the beginning of a record or like a part that the kernel
/// never wrote.
pub(crate) fn check(path: &Path, content: &mut impl Content) -> Result<Extent> {
    let file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    check_bytes(file, path, content)
}

fn check_bytes<C: Content>(file: impl Read, path: &Path, content: &mut C) -> Result<Extent> {
    let mut log = Log {
        path,
        file,
        start: 0,
        block: Vec::new(),
    };
    let mut extent = Extent::default();
    let mut parted = false;
    let mut beginning = Vec::new();
    while log.advance()? {
        let mut at = 0;
        while at < log.block.len() && BLOCK - at >= HEADER {
            let Some(record) = record_at(&log.block, at) else {
                let sound = extent.sound;
                log.require_cut_short(at, parted, |found, offset| {
                    content.is_plausible(found, offset.saturating_sub(sound))
                })?;
                extent.size = log.end();
                return Ok(extent);
            };
            if !may_follow(record.kind, parted) {
                return Err(log.damaged_at(at));
            }
            if !parted {
                beginning.clear();
            }
            let missing = C::BYTES - beginning.len();
            beginning.extend(record.payload.iter().take(missing));
            at += HEADER + record.payload.len();
            parted = matches!(record.kind, FIRST | MIDDLE);
            extent.has_data |= record.kind < SKIPPABLE;
            if !parted {
                extent.sound = log.start + at as u64;
                if record.kind < SKIPPABLE {
                    content.add(&beginning);
                }
            }
        }
        extent.size = log.end();
        if !parted && log.block.len() == BLOCK {
            extent.sound = extent.size;
        }
    }
    Ok(extent)
}

/// A log file, of which one block is in memory.
struct Log<'a, R> {
    path: &'a Path,
    file: R,
    /// Offset of the block in the file.
    start: u64,
    /// Shorter than [`BLOCK`] at the end of the file only.
    block: Vec<u8>,
}

impl<R: Read> Log<'_, R> {
    /// Reads the next block. At the end of the file it returns false and keeps the one before.
    fn advance(&mut self) -> Result<bool> {
        let mut next = Vec::with_capacity(BLOCK);
        let read = (&mut self.file)
            .take(BLOCK as u64)
            .read_to_end(&mut next)
            .map_err(|error| Error::io("read", self.path, &error))?;
        if read == 0 {
            return Ok(false);
        }
        self.start = self.end();
        self.block = next;
        Ok(true)
    }

    /// Offset of the end of the block.
    fn end(&self) -> u64 {
        self.start + self.block.len() as u64
    }

    /// Refuses the log unless what is at `at` of the block, which is no whole record, is a write that was cut short.
    /// `parted`: a logical record is begun and not ended there. `plausible`: whether a logical record could begin with
    /// this payload at this offset of the file. Reads to the end of the file.
    fn require_cut_short(
        &mut self,
        at: usize,
        parted: bool,
        plausible: impl Fn(&[u8], u64) -> bool,
    ) -> Result<()> {
        let damaged = self.damaged_at(at);
        let bad = self.start + at as u64;
        let rest = self.block.get(at..).unwrap_or_default().to_vec();
        let mut zeros_from = bad;
        let mut from = at;
        loop {
            // `at` itself is not a whole record.
            let found = (from..self.block.len()).any(|offset| {
                data_at(&self.block, offset).is_some_and(|record| {
                    let begins = matches!(record.kind, FULL | FIRST);
                    !begins || plausible(record.payload, self.start + offset as u64)
                })
            });
            if found {
                return Err(damaged);
            }
            let last = self.block.iter().skip(from).rposition(|byte| *byte != 0);
            if let Some(last) = last {
                zeros_from = self.start + (from + last + 1) as u64;
            }
            if !self.advance()? {
                break;
            }
            from = 0;
        }
        let never_written = zeros_from.next_multiple_of(PAGE) < self.end();
        let cut_short = match rest.split_first_chunk() {
            // All of it zeros: not even the header was written.
            _ if zeros_from == bad => true,
            None => true,
            Some((header, payload)) => {
                let header = Header::decode(header);
                header.may_stand_at(at, parted) && (never_written || header.was_cut_short(payload))
            }
        };
        if cut_short { Ok(()) } else { Err(damaged) }
    }

    fn damaged_at(&self, at: usize) -> Error {
        Error::Corruption(format!(
            "{} is damaged at byte {}: the record there is not as it was written, and it is not a write that was cut \
             short at the end; restore the store from a backup",
            self.path.display(),
            self.start + at as u64
        ))
    }
}

struct Header {
    checksum: u32,
    /// Of the payload, in bytes.
    length: usize,
    kind: u8,
}

impl Header {
    fn decode(bytes: &[u8; HEADER]) -> Self {
        let [c0, c1, c2, c3, l0, l1, kind] = *bytes;
        Self {
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
            length: usize::from(u16::from_le_bytes([l0, l1])),
            kind,
        }
    }

    /// Whether `payload` is what this was written for.
    fn fits(&self, payload: &[u8]) -> bool {
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&[self.kind]), payload);
        checksum.rotate_right(15).wrapping_add(MASK) == self.checksum
    }

    fn is_known(&self) -> bool {
        matches!(self.kind, FULL..=LAST | SKIPPABLE..) && self.kind != RECYCLED_PREDECESSOR
    }

    /// Whether RocksDB could have written this header at `at` of a block, and then been stopped.
    fn may_stand_at(&self, at: usize, parted: bool) -> bool {
        let room = BLOCK - at - HEADER;
        let fits = match self.kind {
            FIRST | MIDDLE => self.length == room,
            _ => self.length <= room,
        };
        fits && self.is_known() && may_follow(self.kind, parted)
    }

    /// Whether `payload`, up to the end of the file, is the beginning of a longer one; if it is the whole payload, the
    /// length is what is wrong.
    fn was_cut_short(&self, payload: &[u8]) -> bool {
        payload.len() < self.length && !self.fits(payload)
    }
}

/// A whole physical record.
struct Record<'a> {
    kind: u8,
    payload: &'a [u8],
}

/// The whole record at `at` of `block`, if there is one.
fn record_at(block: &[u8], at: usize) -> Option<Record<'_>> {
    let (header, rest) = block.get(at..)?.split_first_chunk()?;
    let header = Header::decode(header);
    // The checksum last: it is what costs.
    let payload = rest.get(..header.length)?;
    let whole = header.is_known() && header.fits(payload);
    whole.then_some(Record {
        kind: header.kind,
        payload,
    })
}

/// The whole record with data at `at` of `block`, if there is one. One that continues another stands at the start of a
/// block.
fn data_at(block: &[u8], at: usize) -> Option<Record<'_>> {
    let possible = match block.get(at + HEADER - 1) {
        Some(&FULL | &FIRST) => true,
        Some(&MIDDLE | &LAST) => at == 0,
        _ => false,
    };
    possible.then(|| record_at(block, at))?
}

/// Whether a record of this type may come next. `parted`: a logical record is begun and not ended there.
fn may_follow(kind: u8, parted: bool) -> bool {
    matches!(kind, MIDDLE | LAST) == parted
}

#[cfg(test)]
mod tests;
