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
//! - `caches/`: the cache of embeddings and the cache of responses, each in namespaces of its own
//! - `store/`: the handle, and put, get, remove, list, open
//! - `semantic/`: embeddings, the decision to merge, the index with its checkpoints and log
//! - `lifetime/`: TTL, access times, sweep, prune, eviction; `stats/`: counts and latencies; `worker`: the background threads
//! - `mutation`: one atomic change; `locks`, `lock_order`: stripes, and in which order locks are taken; `known`: objects
//!   written lately; `counters`: exact figures
//! - `schema`, `record`: bytes on disk; `format`: their version; `db`: RocksDB; `manifest`, `version_edit`, `wal`,
//!   `log_file`, `owner`: what is checked before RocksDB may touch a directory
//! - `candidates`: the values nearest to a query; `metadata`: what belongs to a value besides its bytes; `outcomes`: what
//!   callers decided about candidates; `explain`: why a put does what it does; `calibrate`: thresholds from judged pairs
//! - `backup`: copies that open as stores; `staging`: what is made under a temporary name
//! - `options`, `error`, `clock`, `digest`, `normalize`, `health`, `overview`, `verify`

mod backup;
mod cache;
mod cached_bytes;
mod caches;
mod calibrate;
mod candidates;
mod clock;
mod counters;
mod db;
mod digest;
mod engine;
mod entered;
mod error;
mod explain;
mod few_map;
mod fork;
mod format;
mod health;
mod known;
mod lifetime;
mod lock_order;
mod locks;
mod log_file;
mod manifest;
mod metadata;
mod mutation;
mod namespace;
mod normalize;
mod object_ids;
mod options;
mod outcomes;
mod overview;
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
pub use cached_bytes::{CachedBytes, LentBytes};
pub use caches::{
    Answer, Computed, DEFAULT_CACHE_THRESHOLD, EmbeddingCache, EmbeddingCacheOptions,
    EmbeddingPrecision, EmbeddingStats, EntryMetadata, Following, Hit, Leading, Lookup,
    ModelSource, Prices, Put, Response, ResponseKind, Rows, Scope, Scopes, SemanticCache,
    SemanticCacheOptions, SemanticStats, Turn, VectorSource,
};
pub use calibrate::{Calibration, CalibrationRow, Judged, Share, calibrate};
pub use candidates::{Candidate, CandidateOptions, MAX_CANDIDATES, Query};
pub use clock::{Clock, ManualClock, SystemClock};
pub use digest::{DIGEST_BYTES, Digest};
pub use error::{CallbackError, ClosedHandle, Error, Result};
pub use explain::{Explanation, Verdict as PutVerdict};
pub use fork::generation as fork_generation;
pub use health::{Figure, Health};
pub use metadata::{
    MAX_METADATA_NAME_BYTES, MAX_METADATA_PAIRS, MAX_METADATA_TEXT_BYTES, Metadata,
};
pub use namespace::MAX_NAMESPACE_BYTES;
pub use normalize::NormalizationMode;
pub use options::{
    DEFAULT_THRESHOLD, DedupMode, EmbedderProvider, Options, SemanticOptions, VectorPrecision,
    Verifier,
};
pub use outcomes::{
    FamilyReport, MAX_FAMILY_BYTES, MAX_NOTE_BYTES, Outcome, RecordedOutcome, Verdict,
};
pub use overview::{NamespaceFigures, Overview};
/// The embedding stage, for callers that make or bring an embedder.
pub use prestige_embed as embed;
pub use semantic::{Gate, Progress};
pub use stats::{LATENCY_BUCKETS, Latency, LatencySnapshot, SIMILARITY_BINS, Similarities, Stats};
pub use store::{
    Condition, Dedup, Details, Embedded, EmbeddingAhead, Entry, MAX_KEY_BYTES, MAX_VALUE_BYTES,
    PutOutcome, Range, Reader, Record, Scan, Store, TextSet, Value, check_key, jsonl_problem,
};
pub use verify::Violation;
