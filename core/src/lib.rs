//! The store of Prestige: one copy of every distinct value, on RocksDB.
//!
//! Keys point at objects. Two keys whose values are the same bytes (exact mode), or mean the same (semantic mode),
//! share one object.
//!
//! ```
//! use prestige_core::{Options, Store};
//!
//! let directory = tempfile::tempdir()?;
//! let store = Store::open(directory.path(), Options::default())?;
//! store.put(b"greeting", b"hello", None)?;
//! store.put(b"salutation", b"hello", None)?;
//! assert_eq!(store.get(b"greeting")?.as_deref(), Some(&b"hello"[..]));
//! assert_eq!(store.count_keys(true)?, 2);
//! assert_eq!(store.count_unique_values()?, 1);
//! assert!(store.verify()?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout
//!
//! - `store/`: the handle, and put, get, remove, list, open
//! - `semantic/`: embeddings, the decision to merge, the index with its checkpoints and log
//! - `lifetime/`: TTL, access times, sweep, prune, eviction; `stats/`: counts and latencies; `worker`: the background threads
//! - `mutation`: one atomic change; `locks`, `lock_order`: stripes, and in which order locks are taken; `known`: objects
//!   written lately; `counters`: exact figures
//! - `schema`, `record`: bytes on disk; `format`: their version; `db`: RocksDB; `manifest`, `version_edit`, `wal`,
//!   `log_file`, `owner`: what is checked before RocksDB may touch a directory
//! - `backup`: copies that open as stores; `staging`: what is made under a temporary name
//! - `options`, `error`, `clock`, `digest`, `normalize`, `health`, `verify`

mod backup;
mod cache;
mod clock;
mod counters;
mod db;
mod digest;
mod engine;
mod error;
mod fork;
mod format;
mod health;
mod known;
mod lifetime;
mod lock_order;
mod locks;
mod log_file;
mod manifest;
mod mutation;
mod namespace;
mod normalize;
mod object_ids;
mod options;
mod owner;
mod record;
mod schema;
mod semantic;
mod snapshot;
mod staging;
mod stats;
mod store;
mod verify;
mod version_edit;
mod wal;
mod worker;

pub use backup::restore;
pub use clock::{Clock, ManualClock, SystemClock};
pub use digest::{DIGEST_BYTES, Digest};
pub use error::{CallbackError, Error, Result};
pub use health::{Figure, Health};
pub use namespace::MAX_NAMESPACE_BYTES;
pub use normalize::NormalizationMode;
pub use options::{DEFAULT_THRESHOLD, DedupMode, EmbedderProvider, Options, SemanticOptions};
/// The embedding stage, for callers that make or bring an embedder.
pub use prestige_embed as embed;
pub use stats::{Latency, Stats};
pub use store::{
    Dedup, Entry, MAX_KEY_BYTES, MAX_VALUE_BYTES, PutOutcome, Range, Reader, Record, Scan, Store,
    Value,
};
pub use verify::Violation;
