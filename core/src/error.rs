//! The one error type of the crate. Every message says what was expected, what was found and what to do.

use crate::digest::Digest;
use std::path::{Path, PathBuf};

pub use prestige_embed::CallbackError;

/// Result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong. A failed write leaves the store as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was named is not in the store: a key that is absent or has expired, a namespace, a family without outcomes.
    #[error("{0}")]
    NotFound(String),
    /// An argument or option is out of its range, or contradicts what is on disk.
    #[error("{0}")]
    InvalidArgument(String),
    /// The operating system refused a read or a write: permissions, disk space, a path that is not a directory.
    #[error("{0}")]
    Io(String),
    /// Bytes on disk are not what was written there.
    #[error("{0}")]
    Corruption(String),
    /// Another process or another handle of this process has the store open.
    #[error("{0}")]
    Busy(String),
    /// A lock was not free within `lock_timeout_ms`, or RocksDB gave up waiting.
    #[error("{0}")]
    TimedOut(String),
    /// What was asked of a key before it is written does not hold; with the digest of its value, `None`: it is absent.
    #[error(
        "{}, which is not what the call asks for; nothing was written: read the key and decide anew",
        .0.map_or("the key is absent".to_owned(), |digest| format!("the value of the key has the digest {}", digest.to_hex()))
    )]
    ConditionFailed(Option<Digest>),
    /// The store was opened read-only, and the call would change it.
    #[error("the store at {0} was opened read-only; open it without read_only to change it")]
    ReadOnly(PathBuf),
    /// The store, or this view of it, was closed before the call, or while it waited.
    #[error("{0}")]
    Closed(ClosedHandle),
    /// The store was opened before a fork: locks, threads and file handles of the parent cannot be used here.
    #[error(
        "the store at {path} was opened by process {opened_by} and cannot be used in its forked child {child}; \
         fork before the first store is opened, or use the `spawn` start method of multiprocessing"
    )]
    Forked {
        /// Directory of the store.
        path: PathBuf,
        /// Process id that opened it.
        opened_by: u32,
        /// Process id that made the call.
        child: u32,
    },
    /// This process was forked from one that had opened a store. RocksDB's background threads are shared by all stores
    /// of a process and do not survive a fork, so a store opened here would hang.
    #[error(
        "the store at {0} cannot be opened in a forked child of a process that has opened a store; fork before the \
         first store is opened, or use the `spawn` start method of multiprocessing"
    )]
    ForkedBeforeOpen(PathBuf),
    /// The embedding model is missing, damaged, another one than the store was built with, or failed on a text.
    #[error("{0}")]
    Model(String),
    /// A function that the caller gave has failed.
    #[error("{0}")]
    Callback(CallbackError),
}

/// Which handle was closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClosedHandle {
    /// The store in this directory.
    #[error("the store at {} is closed; open it again with prestige.open()", .0.display())]
    Store(PathBuf),
    /// A view of the namespace of this name; the store is open.
    #[error(
        "this view of the namespace {0:?} is closed; take it again with store.namespace({0:?})"
    )]
    View(String),
}

impl Error {
    pub(crate) fn closed(path: &Path) -> Self {
        Self::Closed(ClosedHandle::Store(path.to_path_buf()))
    }

    /// [`Error::NotFound`] of a key: as text where it is UTF-8, escaped otherwise, cut at 200 bytes.
    #[must_use]
    pub fn not_found(key: &[u8]) -> Self {
        let shown = key.get(..200).unwrap_or(key).escape_ascii().to_string();
        let shown = match std::str::from_utf8(key) {
            Ok(text) if key.len() <= 200 => text.to_owned(),
            _ => shown,
        };
        Self::NotFound(format!("key not found: {shown}"))
    }

    pub(crate) fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::Io(format!("cannot {action} {}: {error}", path.display()))
    }

    /// A record of the store that does not decode.
    pub(crate) fn record(family: &str, expected: usize, found: usize) -> Self {
        Self::Corruption(format!(
            "a record of the `{family}` family should have {expected} bytes and has {found}; restore the store from \
             a backup"
        ))
    }
}

impl From<rocksdb::Error> for Error {
    fn from(error: rocksdb::Error) -> Self {
        use rocksdb::ErrorKind;
        let message = format!("RocksDB: {error}");
        match error.kind() {
            ErrorKind::Corruption => Self::Corruption(format!(
                "{message}; the files of the store are damaged, restore them from a backup"
            )),
            ErrorKind::InvalidArgument | ErrorKind::NotSupported => Self::InvalidArgument(message),
            ErrorKind::TimedOut | ErrorKind::Expired => Self::TimedOut(message),
            ErrorKind::Busy | ErrorKind::TryAgain => Self::Busy(message),
            _ if message.contains("No space left on device") => Self::Io(format!(
                "{message}; the write did not happen and reads go on. Free disk space, at least write_buffer_bytes: \
                 the store notices within seconds and need not be opened anew"
            )),
            // Tables are kept open where a store is read beside its owner; files of large values are opened when read.
            _ if message.contains(".blob") && message.contains("No such file") => {
                Self::Io(format!(
                    "{message}; in a store opened read-only, its owner has removed the value since: call refresh(). \
                 Otherwise the file is lost, restore the store from a backup"
                ))
            }
            _ => Self::Io(message),
        }
    }
}

impl From<prestige_embed::EmbedError> for Error {
    fn from(error: prestige_embed::EmbedError) -> Self {
        match error {
            prestige_embed::EmbedError::InvalidInput { .. } => {
                Self::InvalidArgument(error.to_string())
            }
            prestige_embed::EmbedError::Callback(failure) => Self::Callback(failure),
            _ => Self::Model(error.to_string()),
        }
    }
}

impl From<prestige_index::IndexError> for Error {
    fn from(error: prestige_index::IndexError) -> Self {
        Self::Io(format!("vector index: {error}"))
    }
}
