//! What has happened in a namespace since the store was opened: counts of operations, and how long they took.
//!
//! Nothing here is on disk, and nothing takes a lock. A get that is answered from memory takes some hundred
//! nanoseconds, so it adds to two counters that no other thread is likely to be adding to, and only one of
//! [`SAMPLED`] looks at the clock.

mod caches;
mod histogram;
mod latency;
mod recorder;
mod similarities;
mod sum;

pub(crate) use caches::{CacheCounts, CacheRecorder};
pub use latency::{LATENCY_BUCKETS, Latency, LatencySnapshot};
pub(crate) use recorder::{Compared, Count, Recorder, SAMPLED, Timed, sampled_start};
pub use similarities::{SIMILARITY_BINS, Similarities};
pub(crate) use sum::StatsSum;

use crate::health::Figure;

/// Counts and latencies of a namespace since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Keys asked for, by `get` and `get_many`: `hits` and `misses`.
    pub gets: u64,
    /// Of these, keys that had a value.
    pub hits: u64,
    /// Of these, keys that were absent or had expired.
    pub misses: u64,
    /// Keys put. Of several entries of one batch with the same key one counts.
    pub puts: u64,
    /// Keys removed by `delete` and `delete_many`.
    pub deletes: u64,
    /// Puts whose value was stored already, byte for byte after normalisation.
    pub dedup_hits: u64,
    /// Puts of a text that took the place of a similar one.
    pub semantic_hits: u64,
    /// Keys evicted, automatically or on request.
    pub evictions: u64,
    /// Expired keys removed, by whatever removes them.
    pub expirations: u64,
    /// Keys that `prune` removed for their age or idleness.
    pub pruned: u64,
    /// Hits whose value was in memory.
    pub value_cache_hits: u64,
    /// Hits whose value was read from RocksDB.
    pub value_cache_misses: u64,
    /// Bytes of the values returned.
    pub bytes_read: u64,
    /// Bytes of the values put, as they were given: before normalisation and deduplication.
    pub bytes_written: u64,
    /// Texts that the store had embedded, for puts, candidates and explanations.
    pub texts_embedded: u64,
    /// Texts asked for in the caches of embeddings of this store that were there. Those and the next four are counted by
    /// the store itself, for all its caches: 0 in a namespace.
    pub embedding_cache_hits: u64,
    /// Texts asked for in the caches of embeddings of this store that were not there.
    pub embedding_cache_misses: u64,
    /// Look-ups in the semantic caches of this store that found the query itself.
    pub semantic_cache_exact_hits: u64,
    /// Look-ups in the semantic caches of this store that found a query of the same meaning.
    pub semantic_cache_semantic_hits: u64,
    /// Look-ups in the semantic caches of this store that found nothing.
    pub semantic_cache_misses: u64,
    /// Time that `get` took inside the store. Of gets answered from memory a random sixteenth is measured, and counts
    /// sixteenfold.
    pub get: Latency,
    /// Time that `put` took inside the store.
    pub put: Latency,
    /// Time that `get_many` took, per call.
    pub get_many: Latency,
    /// Time that `put_many` took, per call.
    pub put_many: Latency,
    /// Time that embedding took, per call of the embedder.
    pub embed: Latency,
    /// Time that looking for the nearest vectors took, comparing them with the stored ones included: for the decisions of
    /// puts, for candidates, and in a scope of a semantic cache for look-ups.
    pub search: Latency,
    /// Time that writing a checkpoint of the vector index took.
    pub checkpoint: Latency,
    /// Similarities of the nearest stored text, of the latest decisions of puts whether to merge.
    pub put_similarities: Similarities,
    /// Similarities of the nearest stored query, of the latest look-ups in a scope of a semantic cache.
    pub lookup_similarities: Similarities,
}

impl Stats {
    /// Every figure with the name under which Python and HTTP show it. Counts are integers; names in `_s` are
    /// seconds.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figures: Vec<_> = [
            ("gets", self.gets),
            ("hits", self.hits),
            ("misses", self.misses),
            ("puts", self.puts),
            ("deletes", self.deletes),
            ("dedup_hits", self.dedup_hits),
            ("semantic_hits", self.semantic_hits),
            ("evictions", self.evictions),
            ("expirations", self.expirations),
            ("pruned", self.pruned),
            ("value_cache_hits", self.value_cache_hits),
            ("value_cache_misses", self.value_cache_misses),
            ("bytes_read", self.bytes_read),
            ("bytes_written", self.bytes_written),
            ("texts_embedded", self.texts_embedded),
            ("embedding_cache_hits", self.embedding_cache_hits),
            ("embedding_cache_misses", self.embedding_cache_misses),
            ("semantic_cache_exact_hits", self.semantic_cache_exact_hits),
            (
                "semantic_cache_semantic_hits",
                self.semantic_cache_semantic_hits,
            ),
            ("semantic_cache_misses", self.semantic_cache_misses),
        ]
        .map(|(name, count)| (name, Figure::Integer(count)))
        .into();
        let latencies = [
            (
                ["get_p50_s", "get_p90_s", "get_p99_s", "get_max_s"],
                self.get,
            ),
            (
                ["put_p50_s", "put_p90_s", "put_p99_s", "put_max_s"],
                self.put,
            ),
            (
                [
                    "get_many_p50_s",
                    "get_many_p90_s",
                    "get_many_p99_s",
                    "get_many_max_s",
                ],
                self.get_many,
            ),
            (
                [
                    "put_many_p50_s",
                    "put_many_p90_s",
                    "put_many_p99_s",
                    "put_many_max_s",
                ],
                self.put_many,
            ),
            (
                ["embed_p50_s", "embed_p90_s", "embed_p99_s", "embed_max_s"],
                self.embed,
            ),
            (
                [
                    "search_p50_s",
                    "search_p90_s",
                    "search_p99_s",
                    "search_max_s",
                ],
                self.search,
            ),
            (
                [
                    "checkpoint_p50_s",
                    "checkpoint_p90_s",
                    "checkpoint_p99_s",
                    "checkpoint_max_s",
                ],
                self.checkpoint,
            ),
        ];
        for (names, latency) in latencies {
            let times = [latency.p50, latency.p90, latency.p99, latency.max];
            let times = times.map(|time| Figure::Float(time.as_secs_f64()));
            figures.extend(names.into_iter().zip(times));
        }
        figures.extend([
            (
                "put_similarities",
                Figure::Histogram(self.put_similarities.bins),
            ),
            (
                "lookup_similarities",
                Figure::Histogram(self.lookup_similarities.bins),
            ),
        ]);
        figures
    }

    /// The operations that are timed, by name.
    #[must_use]
    pub fn latencies(&self) -> [(&'static str, &Latency); 7] {
        [
            ("get", &self.get),
            ("put", &self.put),
            ("get_many", &self.get_many),
            ("put_many", &self.put_many),
            ("embed", &self.embed),
            ("search", &self.search),
            ("checkpoint", &self.checkpoint),
        ]
    }
}
