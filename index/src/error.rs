//! One error type for the crate. Each variant says what was expected, what was found and what to
//! do.

use std::io;
use std::path::PathBuf;

/// What can go wrong in a [`VectorIndex`](crate::VectorIndex). A failed call leaves the index as it
/// was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A parameter is outside its range.
    #[error("index parameter {name} must be {expected}, not {found}")]
    InvalidParameter {
        /// Field of [`IndexParameters`](crate::IndexParameters).
        name: &'static str,
        /// What would be accepted.
        expected: String,
        /// What was given.
        found: String,
    },

    /// A vector or query has another length than the index.
    #[error(
        "vector has {found} values, this index holds vectors of {expected}: \
         embed with the model it was made for"
    )]
    WrongLength {
        /// Dimension of the index.
        expected: usize,
        /// Length of the slice.
        found: usize,
    },

    /// A vector or query holds a NaN or an infinity.
    #[error(
        "value {position} of the vector is {value}, expected finite numbers: check the embedder"
    )]
    NotFinite {
        /// Position of the first such value.
        position: usize,
        /// The value.
        value: f32,
    },

    /// A vector or query has length zero.
    #[error("vector is zero, so it has no direction to compare: check the embedder")]
    ZeroVector,

    /// The id is present already.
    #[error("id {id} is in the index already: remove it first to replace its vector")]
    DuplicateId {
        /// The id.
        id: u64,
    },

    /// A [`Frozen`](crate::Frozen) of this index is alive, or being merged.
    #[error(
        "the index is frozen already: one checkpoint at a time, wait until the other one is done"
    )]
    AlreadyFrozen,

    /// A checkpoint's file name is not a plain name.
    #[error("checkpoint file name {name:?} must be one plain name without separators")]
    InvalidFileName {
        /// The name.
        name: String,
    },

    /// The checkpoint's path cannot be handed to the graph library.
    #[error(
        "path {} is not UTF-8, which a graph's file needs: choose another directory",
        path.display()
    )]
    PathNotUtf8 {
        /// The path.
        path: PathBuf,
    },

    /// The checkpoint file does not exist.
    #[error("checkpoint file {} is missing: rebuild the index", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },

    /// The checkpoint file is shorter or longer than recorded.
    #[error(
        "checkpoint file {} has {found} bytes, {expected} were recorded: rebuild the index",
        path.display()
    )]
    WrongFileLength {
        /// The file.
        path: PathBuf,
        /// Bytes recorded when it was saved.
        expected: u64,
        /// Bytes found.
        found: u64,
    },

    /// The checkpoint file's bytes are not those that were saved.
    #[error(
        "checkpoint file {} has checksum {found:08x}, {expected:08x} was recorded: \
         rebuild the index",
        path.display()
    )]
    WrongChecksum {
        /// The file.
        path: PathBuf,
        /// CRC-32C recorded when it was saved.
        expected: u32,
        /// CRC-32C of the bytes found.
        found: u32,
    },

    /// The checkpoint was made with parameters that are built into it and differ from those asked
    /// for.
    #[error("the checkpoint was made with {name} {found}, asked for {expected}: rebuild the index")]
    OtherParameters {
        /// Field of [`IndexParameters`](crate::IndexParameters).
        name: &'static str,
        /// What was asked for.
        expected: String,
        /// What the checkpoint was made with.
        found: String,
    },

    /// The checkpoint file was written in a format this version does not know.
    #[error(
        "checkpoint file {} has format version {found}, expected {expected}: rebuild the index",
        path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The version this crate reads and writes.
        expected: u32,
        /// The version found.
        found: u32,
    },

    /// The checkpoint file contradicts itself or its record.
    #[error("checkpoint file {} is damaged: {reason}; rebuild the index", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },

    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, such as "rename".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },

    /// The graph library refused an operation; in practice it is out of memory.
    #[error("the vector graph cannot {action}: {message}")]
    Graph {
        /// What was attempted, such as "add a vector".
        action: &'static str,
        /// The library's reason.
        message: String,
    },
}
