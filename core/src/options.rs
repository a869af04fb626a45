//! Options of a store, their units, defaults and ranges.

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::normalize::NormalizationMode;
use prestige_embed::Embedder;
use std::fmt;
use std::sync::Arc;

/// Which values share one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DedupMode {
    /// Values of identical (normalised) bytes, by SHA-256.
    Exact,
    /// Also texts whose embeddings have a cosine similarity of at least the threshold.
    Semantic,
}

impl fmt::Display for DedupMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Exact => "EXACT",
            Self::Semantic => "SEMANTIC",
        })
    }
}

/// Makes the embedder of a semantic store; called once, when such a store is opened.
pub type EmbedderProvider = Arc<dyn Fn() -> Result<Arc<dyn Embedder>> + Send + Sync>;

/// How a store is opened. `Options::default()` is an exact store without limits.
#[derive(Clone)]
pub struct Options {
    /// Which values share one object. `None`: as the store was created, exact for a new one. A store keeps the mode
    /// it was created with.
    pub dedup_mode: Option<DedupMode>,
    /// How text values are normalised before they are hashed and stored.
    pub normalization_mode: NormalizationMode,
    /// Longest value that is normalised, in bytes. Default 1 MiB.
    pub normalization_max_bytes: u64,
    /// TTL of keys put without one, in seconds; 0: they do not expire.
    pub default_ttl_seconds: u64,
    /// Upper bound of `total_bytes`; 0: none. When it is exceeded, least recently used keys are evicted.
    pub max_store_bytes: u64,
    /// Share of `max_store_bytes` that automatic eviction leaves, over 0 and at most 1. Default 0.8.
    pub eviction_target_ratio: f64,
    /// Whether reads move a key's access time on. Without it eviction goes by the time of the last put.
    pub track_access_time: bool,
    /// A key's access time is refreshed at most once in this many seconds. Default 3,600.
    pub lru_update_interval_seconds: u64,
    /// Whether an object is deleted with its last key; otherwise it stays until `sweep`. Default true.
    pub enable_gc: bool,
    /// Seconds between two rounds in which a background thread removes expired keys of all namespaces, fractions allowed;
    /// 0: expired keys stay until something else removes them. Default 60.
    pub reaper_interval_seconds: f64,
    /// RocksDB block cache, in bytes. Default 64 MiB.
    pub block_cache_bytes: u64,
    /// Cache of hot keys and values in front of RocksDB, in bytes; 0: none. Default 256 MiB.
    pub value_cache_bytes: u64,
    /// RocksDB write buffers of the whole store, in bytes. Default 64 MiB.
    pub write_buffer_bytes: u64,
    /// Bits of the bloom filter a key, 0: no filter. Default 10 (about 1 % false positives).
    pub bloom_bits_per_key: u32,
    /// Whether RocksDB gathers statistics.
    pub enable_statistics: bool,
    /// Whether the store is opened for reading only, beside its owner or without one: it is then seen as it is now, or
    /// at the last [`refresh`](crate::Store::refresh), nothing of its directory changes, and a store that is not there
    /// is not created.
    pub read_only: bool,
    /// Whether every write is synced to disk before it is acknowledged.
    pub sync_writes: bool,
    /// Longest wait for another thread's work on the same key or value, in milliseconds. Default 2,000.
    pub lock_timeout_ms: u64,
    /// Options of semantic mode; without meaning in exact mode.
    pub semantic: SemanticOptions,
    /// Makes the embedder; a semantic store cannot be opened without one.
    pub embedder: Option<EmbedderProvider>,
    /// Whether opening embeds every text anew if the vectors of the store are those of another model than `embedder`, whose
    /// own is not needed for it: see [`crate::Store::reembed`]. Default false.
    pub reembed: bool,
    /// Asked before texts merge, after every other condition; `None`: nobody is.
    pub verifier: Option<Verifier>,
    /// Source of time.
    pub clock: Arc<dyn Clock>,
}

/// Has the last word on a merge: given the new text, the stored one and their cosine similarity, whether they mean the
/// same. Called by whichever thread puts, without any lock of the store. An error fails the put, and nothing is stored.
pub type Verifier = Arc<dyn Fn(&str, &str, f32) -> Result<bool> + Send + Sync>;

/// How many bits are kept of each number of a vector.
pub use prestige_index::Precision as VectorPrecision;

/// Options of semantic mode.
#[derive(Clone, Debug, PartialEq)]
pub struct SemanticOptions {
    /// Least cosine similarity at which two texts share one object, over 0 and at most 1. Default
    /// [`DEFAULT_THRESHOLD`].
    pub threshold: f64,
    /// Longest text that is embedded, in bytes; longer ones, and those of more tokens than the model reads, deduplicate
    /// exactly. Default 8,192.
    pub max_text_bytes: u64,
    /// Nearest neighbours that are fetched from the index and scored exactly. Default 8.
    pub search_k: usize,
    /// How much more similar the best candidate must be than the second best, 0 to 2; 0: no matter. Default 0.
    pub margin: f64,
    /// The new text must be among so many nearest ones of the candidate, at most 10,000; 0: no matter. Default 0.
    pub reciprocal_k: usize,
    /// How vectors are held: in the index as it says, on disk in 32 bits for [`VectorPrecision::F32`] and in 16
    /// otherwise. With another value than at the last opening the index is rebuilt; vectors that are stored stay as they
    /// are. Default [`VectorPrecision::F16`].
    pub vector_precision: VectorPrecision,
    /// Whether candidates are scored again with their stored vectors before the threshold decides. Default true.
    pub verify_exact: bool,
    /// Most vectors of the index; texts beyond it deduplicate exactly. 0: no bound.
    pub max_index_entries: u64,
    /// Index operations between background checkpoints; 0: a quarter of the index, at least 4,096.
    pub index_save_interval: u64,
    /// Links of a vector in the graph (M of Malkov and Yashunin, arXiv:1603.09320). Default 16.
    pub hnsw_m: usize,
    /// Candidates considered when a vector is linked (efConstruction). Default 200.
    pub hnsw_ef_construction: usize,
    /// Candidates considered in a search (efSearch). Default 100.
    pub hnsw_ef_search: usize,
}

/// Default of [`SemanticOptions::threshold`]; its precision and recall are in `docs/semantic.md`.
pub const DEFAULT_THRESHOLD: f64 = 0.97;

impl Default for Options {
    fn default() -> Self {
        Self {
            dedup_mode: None,
            normalization_mode: NormalizationMode::None,
            normalization_max_bytes: 1 << 20,
            default_ttl_seconds: 0,
            max_store_bytes: 0,
            eviction_target_ratio: 0.8,
            track_access_time: true,
            lru_update_interval_seconds: 3600,
            enable_gc: true,
            reaper_interval_seconds: 60.0,
            block_cache_bytes: 64 << 20,
            value_cache_bytes: 256 << 20,
            write_buffer_bytes: 64 << 20,
            bloom_bits_per_key: 10,
            enable_statistics: false,
            read_only: false,
            sync_writes: false,
            lock_timeout_ms: 2000,
            semantic: SemanticOptions::default(),
            embedder: None,
            reembed: false,
            verifier: None,
            clock: Arc::new(SystemClock),
        }
    }
}

impl Default for SemanticOptions {
    fn default() -> Self {
        Self {
            threshold: DEFAULT_THRESHOLD,
            max_text_bytes: 8192,
            search_k: 8,
            margin: 0.0,
            reciprocal_k: 0,
            vector_precision: VectorPrecision::F16,
            verify_exact: true,
            max_index_entries: 0,
            index_save_interval: 0,
            hnsw_m: 16,
            hnsw_ef_construction: 200,
            hnsw_ef_search: 100,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("dedup_mode", &self.dedup_mode)
            .field("normalization_mode", &self.normalization_mode)
            .field("default_ttl_seconds", &self.default_ttl_seconds)
            .field("max_store_bytes", &self.max_store_bytes)
            .field("semantic", &self.semantic)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the option, its range and the value found.
    pub fn validate(&self) -> Result<()> {
        if self.read_only && self.reembed {
            return Err(Error::InvalidArgument(
                "reembed writes to the store, and read_only allows nothing of that: leave one of them out".to_owned(),
            ));
        }
        in_unit_interval("eviction_target_ratio", self.eviction_target_ratio)?;
        in_unit_interval("semantic_threshold", self.semantic.threshold)?;
        not_negative("reaper_interval_seconds", self.reaper_interval_seconds)?;
        at_least("lock_timeout_ms", self.lock_timeout_ms, 1)?;
        at_least("write_buffer_bytes", self.write_buffer_bytes, 1 << 16)?;
        at_least("semantic_search_k", self.semantic.search_k as u64, 1)?;
        at_least("hnsw_m", self.semantic.hnsw_m as u64, 2)?;
        at_least(
            "hnsw_ef_construction",
            self.semantic.hnsw_ef_construction as u64,
            1,
        )?;
        at_least("hnsw_ef_search", self.semantic.hnsw_ef_search as u64, 1)?;
        at_most("bloom_bits_per_key", u64::from(self.bloom_bits_per_key), 64)?;
        at_most("semantic_search_k", self.semantic.search_k as u64, 10_000)?;
        at_most("semantic_rnn_k", self.semantic.reciprocal_k as u64, 10_000)?;
        if !(0.0..=2.0).contains(&self.semantic.margin) {
            return Err(Error::InvalidArgument(format!(
                "semantic_margin_threshold must be from 0 to 2, not {}",
                self.semantic.margin
            )));
        }
        at_most("hnsw_m", self.semantic.hnsw_m as u64, 512)?;
        at_most(
            "hnsw_ef_construction",
            self.semantic.hnsw_ef_construction as u64,
            65_536,
        )?;
        at_most(
            "hnsw_ef_search",
            self.semantic.hnsw_ef_search as u64,
            65_536,
        )?;
        // RocksDB takes sizes as signed 64-bit numbers.
        at_most("block_cache_bytes", self.block_cache_bytes, 1 << 50)?;
        at_most("value_cache_bytes", self.value_cache_bytes, 1 << 50)?;
        at_most("write_buffer_bytes", self.write_buffer_bytes, 1 << 40)
    }
}

fn in_unit_interval(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value <= 1.0 {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "{name} must be over 0 and at most 1, not {value}"
    )))
}

fn not_negative(name: &str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "{name} must be a finite number from 0 on, not {value}"
    )))
}

fn at_least(name: &str, value: u64, least: u64) -> Result<()> {
    if value >= least {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "{name} must be at least {least}, not {value}"
    )))
}

fn at_most(name: &str, value: u64, most: u64) -> Result<()> {
    if value <= most {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "{name} must be at most {most}, not {value}"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn defaults_are_valid_and_bad_numbers_are_named() {
        Options::default().validate().unwrap();
        let refused = |change: fn(&mut Options), name: &str| {
            let mut options = Options::default();
            change(&mut options);
            assert!(options.validate().unwrap_err().to_string().contains(name));
        };
        refused(
            |options| options.eviction_target_ratio = 0.0,
            "eviction_target_ratio",
        );
        refused(
            |options| options.eviction_target_ratio = f64::NAN,
            "eviction_target_ratio",
        );
        refused(
            |options| options.semantic.threshold = 1.01,
            "semantic_threshold",
        );
        refused(|options| options.lock_timeout_ms = 0, "lock_timeout_ms");
        refused(
            |options| options.reaper_interval_seconds = -1.0,
            "reaper_interval_seconds",
        );
        refused(
            |options| options.reaper_interval_seconds = f64::INFINITY,
            "reaper_interval_seconds",
        );
        refused(|options| options.semantic.search_k = 0, "semantic_search_k");
        refused(
            |options| options.semantic.margin = f64::NAN,
            "semantic_margin_threshold",
        );
        refused(
            |options| options.semantic.reciprocal_k = 10_001,
            "semantic_rnn_k",
        );
        refused(
            |options| options.bloom_bits_per_key = 65,
            "bloom_bits_per_key",
        );
    }
}
