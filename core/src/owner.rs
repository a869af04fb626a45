//! One owner for a directory: a lock file that is held from before the first look at the store until it is closed.
//!
//! RocksDB has a lock of its own, but it knows a directory by its name, so that two names of one directory (a
//! symbolic link, a mount) would both be let in by one process, and it is taken only after parts of the directory
//! have been read.
//!
//! The lock file also keeps a mark: how far the store is known to have come. A store that opens with less has lost
//! files, or got older ones back, in a way that RocksDB cannot see: a MANIFEST cut between two records reads as an
//! earlier state of the store, and a missing log as an empty one.
//!
//! ```text
//! 0            8              16
//! │ "PRESTIGE" │ sequence, LE │ CRC-32C of the first 16 bytes, LE │
//! ```
//! The mark is written after the log was synced up to that sequence, so no power cut can put it ahead of the data. A
//! mark that does not read (torn, or none yet) says nothing.

use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

const MAGIC: &[u8; 8] = b"PRESTIGE";

/// Name of the lock file in the store's directory. It stays when the store is closed.
const NAME: &str = "store.lock";

/// Ownership of a directory, given up when dropped.
#[derive(Debug)]
pub(crate) struct Owner {
    file: File,
    /// The lock file was there before, so somebody has at least begun to make a store here.
    found: bool,
    /// Sequence of the last mark in the file. Held while one is written, so that marks only go forward.
    marked: Mutex<Option<u64>>,
}

impl Owner {
    /// Becomes the owner of the existing directory `path`.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let name = path.join(NAME);
        let found = name.exists();
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&name);
        let file = file.map_err(|error| Error::io("open", &name, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                found,
                marked: Mutex::new(read_mark(&file)),
                file,
            }),
            Err(TryLockError::WouldBlock) => Err(busy(path)),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &name, &error)),
        }
    }

    /// The sequence of the last mark, if there is one.
    pub(crate) fn marked(&self) -> Option<u64> {
        *self.marked.lock()
    }

    /// Whether a store was begun here and never finished: the mark is the last thing its creation writes, so nothing
    /// was ever acknowledged.
    pub(crate) fn creation_was_cut_short(&self) -> bool {
        self.found && self.marked().is_none()
    }

    /// Marks that everything up to `sequence` is durable.
    pub(crate) fn mark(&self, path: &Path, sequence: u64) -> Result<()> {
        let mut marked = self.marked.lock();
        if marked.is_some_and(|marked| sequence <= marked) {
            return Ok(());
        }
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&encode_mark(sequence)))
            .and_then(|()| file.sync_data())
            .map_err(|error| Error::io("write", &path.join(NAME), &error))?;
        *marked = Some(sequence);
        Ok(())
    }
}

/// Whoever reads the store in a directory without owning it. While one that waits for no owner exists, nobody becomes
/// the owner.
#[derive(Debug)]
pub(crate) struct Guest {
    /// Open for reading only, so that the directory need not be writable.
    file: File,
}

impl Guest {
    /// Keeps the store at `path` from being opened by an owner.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let guest = Self::beside_an_owner(path)?;
        match guest.file.try_lock_shared() {
            Ok(()) => Ok(guest),
            Err(TryLockError::WouldBlock) => Err(busy(path)),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &path.join(NAME), &error)),
        }
    }

    /// Reads the store at `path` whether it has an owner or not.
    pub(crate) fn beside_an_owner(path: &Path) -> Result<Self> {
        let name = path.join(NAME);
        match File::open(&name) {
            Ok(file) => Ok(Self { file }),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                let reason = if path.is_dir() {
                    format!("it has no {NAME}")
                } else if path.exists() {
                    "it is no directory".to_owned()
                } else {
                    "there is no such directory".to_owned()
                };
                Err(Error::Io(format!(
                    "there is no Prestige store in {}: {reason}. Check the path",
                    path.display()
                )))
            }
            Err(error) => Err(Error::io("open", &name, &error)),
        }
    }

    /// The sequence of the last mark, if there is one.
    pub(crate) fn marked(&self) -> Option<u64> {
        read_mark(&self.file)
    }
}

/// Gives a copy of a store that reaches up to `sequence` a lock file of its own.
pub(crate) fn write_mark(path: &Path, sequence: u64) -> Result<()> {
    let name = path.join(NAME);
    std::fs::write(&name, encode_mark(sequence)).map_err(|error| Error::io("write", &name, &error))
}

fn encode_mark(sequence: u64) -> Vec<u8> {
    let mut mark = MAGIC.to_vec();
    mark.extend_from_slice(&sequence.to_le_bytes());
    let checksum = crc32c::crc32c(&mark);
    mark.extend_from_slice(&checksum.to_le_bytes());
    mark
}

fn read_mark(mut file: &File) -> Option<u64> {
    let mut mark = [0; 20];
    file.read_exact(&mut mark).ok()?;
    let (body, checksum) = mark.split_last_chunk::<4>()?;
    let (magic, sequence) = body.split_first_chunk::<8>()?;
    let whole = magic == MAGIC && crc32c::crc32c(body) == u32::from_le_bytes(*checksum);
    if !whole {
        return None;
    }
    sequence.try_into().ok().map(u64::from_le_bytes)
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Closing the file is not enough: a forked child may still hold it open, and the lock with it.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the lock of the store was not released");
        }
    }
}

/// What a second opening is told.
pub(crate) fn busy(path: &Path) -> Error {
    Error::Busy(format!(
        "the store at {} is open already, in this process or another one. One process owns a store at a time: use \
         the open handle, close it, open it with read_only to read beside it, or share it by a server (`prestige serve`)",
        path.display()
    ))
}
