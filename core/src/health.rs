//! Figures of a store: reads of counters and of the ends of time-ordered families, never a scan of the store.

use crate::clock::MICROS_PER_SECOND;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::options::DedupMode;
use crate::schema::{ACCESS, CREATED, namespace_end, numbered_key, split_number};
use crate::semantic::Semantic;
use crate::stats::SIMILARITY_BINS;
use crate::store::Store;
use std::sync::atomic::Ordering;

/// Figures of a store at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// How values are deduplicated.
    pub dedup_mode: DedupMode,
    /// Keys, the expired and not yet swept among them.
    pub total_keys: u64,
    /// Distinct values.
    pub total_objects: u64,
    /// Bytes of all keys and all distinct values, before compression.
    pub total_bytes: u64,
    /// Keys per distinct value; 1 for an empty store.
    pub dedup_ratio: f64,
    /// Bytes of values that deduplication did not store again.
    pub bytes_saved: u64,
    /// Bytes of the table files on disk; what is still in memory and in the log comes on top.
    pub bytes_on_disk: u64,
    /// Keys that have expired and are not swept yet.
    pub expired_keys: u64,
    /// Objects that no key points at.
    pub orphaned_objects: u64,
    /// Seconds since the oldest put of a key that is still there; 0 for an empty store.
    pub oldest_key_age_seconds: u64,
    /// Seconds since the latest put or noted access, also of a key that is gone by now; 0 for an empty store.
    pub newest_access_age_seconds: u64,
    /// Seconds since the last sweep; `None`: not since the store was opened.
    pub last_sweep_age_seconds: Option<u64>,
    /// Vectors in the index; 0 in exact mode.
    pub index_vectors: u64,
    /// Index operations since the last checkpoint; 0 in exact mode.
    pub index_log_entries: u64,
    /// Seconds since the last checkpoint of the index; `None`: not since it was loaded, or exact mode.
    pub index_checkpoint_age_seconds: Option<u64>,
    /// Whether the live index follows every write; `false` only after an index failure, until the store is reopened.
    pub index_ok: bool,
    /// Texts that wait for the model of the store now, of all that use it; 0 in exact mode.
    pub embed_queue_texts: u64,
}

/// One figure of [`Health::figures`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Figure {
    /// A count, bytes or whole seconds.
    Integer(u64),
    /// A ratio.
    Float(f64),
    /// A name.
    Text(&'static str),
    /// Yes or no.
    Boolean(bool),
    /// Counts of similarities, in bins from 0 to 1.
    Histogram([u32; SIMILARITY_BINS]),
    /// Not known.
    Unknown,
}

impl Health {
    /// Every figure with the name under which Python and HTTP show it. Names in `_s` are whole seconds.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, Figure)> {
        use Figure::{Boolean, Float, Integer, Text, Unknown};
        let mode = match self.dedup_mode {
            DedupMode::Exact => "exact",
            DedupMode::Semantic => "semantic",
        };
        vec![
            ("total_keys", Integer(self.total_keys)),
            ("total_objects", Integer(self.total_objects)),
            ("total_bytes", Integer(self.total_bytes)),
            ("dedup_ratio", Float(self.dedup_ratio)),
            ("dedup_mode", Text(mode)),
            ("bytes_saved", Integer(self.bytes_saved)),
            ("bytes_on_disk", Integer(self.bytes_on_disk)),
            ("expired_objects", Integer(self.expired_keys)),
            ("orphaned_objects", Integer(self.orphaned_objects)),
            ("oldest_object_age_s", Integer(self.oldest_key_age_seconds)),
            (
                "newest_access_age_s",
                Integer(self.newest_access_age_seconds),
            ),
            (
                "last_sweep_age_s",
                self.last_sweep_age_seconds.map_or(Unknown, Integer),
            ),
            ("index_vectors", Integer(self.index_vectors)),
            ("index_log_entries", Integer(self.index_log_entries)),
            (
                "index_checkpoint_age_s",
                self.index_checkpoint_age_seconds.map_or(Unknown, Integer),
            ),
            ("index_ok", Boolean(self.index_ok)),
            ("embed_queue_texts", Integer(self.embed_queue_texts)),
        ]
    }

    /// The figures of no namespace.
    pub(crate) fn empty(engine: &Engine, bytes_on_disk: u64) -> Self {
        Self {
            dedup_mode: engine.mode,
            total_keys: 0,
            total_objects: 0,
            total_bytes: 0,
            dedup_ratio: 1.0,
            bytes_saved: 0,
            bytes_on_disk,
            expired_keys: 0,
            orphaned_objects: 0,
            oldest_key_age_seconds: 0,
            newest_access_age_seconds: 0,
            last_sweep_age_seconds: None,
            index_vectors: 0,
            index_log_entries: 0,
            index_checkpoint_age_seconds: None,
            index_ok: true,
            embed_queue_texts: engine.embed_queue_texts(),
        }
    }

    /// Makes these the figures of two namespaces of one store together.
    pub(crate) fn add(&mut self, other: &Self) {
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        match (self.total_keys, other.total_keys) {
            (_, 0) => {}
            (0, _) => {
                self.oldest_key_age_seconds = other.oldest_key_age_seconds;
                self.newest_access_age_seconds = other.newest_access_age_seconds;
            }
            _ => {
                let (oldest, newest) = (
                    other.oldest_key_age_seconds,
                    other.newest_access_age_seconds,
                );
                self.oldest_key_age_seconds = self.oldest_key_age_seconds.max(oldest);
                self.newest_access_age_seconds = self.newest_access_age_seconds.min(newest);
            }
        }
        self.total_keys += other.total_keys;
        self.total_objects += other.total_objects;
        self.total_bytes += other.total_bytes;
        self.dedup_ratio = dedup_ratio(self.total_keys, self.total_objects);
        self.bytes_saved += other.bytes_saved;
        self.expired_keys += other.expired_keys;
        self.orphaned_objects += other.orphaned_objects;
        self.last_sweep_age_seconds =
            least(self.last_sweep_age_seconds, other.last_sweep_age_seconds);
        self.index_vectors += other.index_vectors;
        self.index_log_entries += other.index_log_entries;
        self.index_checkpoint_age_seconds = self
            .index_checkpoint_age_seconds
            .max(other.index_checkpoint_age_seconds);
        self.index_ok &= other.index_ok;
    }
}

impl Store {
    /// Figures of a namespace that does not exist: those of an empty one.
    ///
    /// # Errors
    /// As [`Store::health`].
    pub fn health_of_none(&self) -> Result<Health> {
        let engine = self.engine()?;
        Ok(Health::empty(&engine, engine.db.bytes_on_disk()?))
    }
}

impl Engine {
    pub(crate) fn count_keys(&self, namespace: &Namespace, approximate: bool) -> Result<u64> {
        let keys = u64::try_from(namespace.totals.get().keys).unwrap_or(0);
        if approximate {
            return Ok(keys);
        }
        Ok(keys.saturating_sub(self.count_expired(namespace)?))
    }

    pub(crate) fn health(&self, namespace: &Namespace) -> Result<Health> {
        let semantic = namespace.semantic(self)?;
        self.health_with(namespace, semantic.as_deref(), self.db.bytes_on_disk()?)
    }

    /// As [`Self::health`], given the semantic stage, if it is to be part of it, and the bytes on disk.
    pub(crate) fn health_with(
        &self,
        namespace: &Namespace,
        semantic: Option<&Semantic>,
        bytes_on_disk: u64,
    ) -> Result<Health> {
        let totals = namespace.totals.get();
        let unsigned = |figure: i64| u64::try_from(figure).unwrap_or(0);
        let now_us = self.now_us();
        let age = |time_us: u64| now_us.saturating_sub(time_us) / MICROS_PER_SECOND;
        let (index_log_entries, index_vectors) =
            semantic.map_or((0, 0), |semantic| semantic.log_and_index_len());
        let last_sweep_us = namespace.last_sweep_us.load(Ordering::Relaxed);
        let oldest = self.oldest_put(namespace)?;
        let newest = match totals.keys {
            0 => None,
            _ => self.latest_use(namespace)?,
        };
        Ok(Health {
            dedup_mode: self.mode,
            total_keys: unsigned(totals.keys),
            total_objects: unsigned(totals.objects),
            total_bytes: namespace.total_bytes(),
            dedup_ratio: dedup_ratio(unsigned(totals.keys), unsigned(totals.objects)),
            bytes_saved: unsigned(totals.logical_bytes.saturating_sub(totals.object_bytes)),
            bytes_on_disk,
            expired_keys: self.count_expired(namespace)?,
            orphaned_objects: unsigned(totals.orphans),
            oldest_key_age_seconds: oldest.map_or(0, age),
            newest_access_age_seconds: newest.map_or(0, age),
            last_sweep_age_seconds: (last_sweep_us != 0).then(|| age(last_sweep_us)),
            index_vectors,
            index_log_entries,
            index_checkpoint_age_seconds: semantic.and_then(Semantic::checkpointed_us).map(age),
            index_ok: semantic.is_none_or(|semantic| !semantic.is_stale()),
            embed_queue_texts: self.embed_queue_texts(),
        })
    }

    fn embed_queue_texts(&self) -> u64 {
        let embedder = self.embedder();
        embedder.map_or(0, |embedder| embedder.load().waiting)
    }

    /// The earliest put of a key that is still there.
    fn oldest_put(&self, namespace: &Namespace) -> Result<Option<u64>> {
        // `access` lists the keys that were not used since their put, and others at the later time of their use. In this
        // order, since a key that is used meanwhile goes from the first to the second.
        let unused = self.next_time(namespace, ACCESS, b"")?;
        let used = self.next_time(namespace, CREATED, b"")?;
        Ok(unused.into_iter().chain(used).min())
    }

    /// The latest put or noted access. Kept with every write, since the end of a family may be a long row of tombstones;
    /// read once after the opening, since a write may be of an older time than what was there.
    fn latest_use(&self, namespace: &Namespace) -> Result<Option<u64>> {
        let kept = &namespace.latest_use_us;
        if !namespace.latest_use_read.load(Ordering::Relaxed) {
            let accessed = self.last_time(namespace, ACCESS)?;
            let read = accessed.max(self.last_time(namespace, CREATED)?);
            kept.fetch_max(read.unwrap_or(0), Ordering::Relaxed);
            namespace.latest_use_read.store(true, Ordering::Relaxed);
        }
        Ok(Some(kept.load(Ordering::Relaxed)).filter(|time_us| *time_us != 0))
    }

    fn last_time(&self, namespace: &Namespace, family: &'static str) -> Result<Option<u64>> {
        let last = self.db.last_key(
            family,
            &numbered_key(namespace.id, 0),
            &namespace_end(namespace.id),
        )?;
        last.map(|entry| Ok(split_number(family, &entry)?.0))
            .transpose()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio for people; counts stay far below 2^53"
)]
fn dedup_ratio(keys: u64, objects: u64) -> f64 {
    if objects > 0 {
        keys as f64 / objects as f64
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests;
