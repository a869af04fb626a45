//! The counts of one namespace, or of several together.

use super::latency::LatencySnapshot;
use super::recorder::{COUNTS, Count, TIMES, Timed};
use super::similarities::Similarities;
use super::{CacheCounts, Stats};

/// What recorders have counted, added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatsSum {
    pub(super) counts: [u64; COUNTS],
    pub(super) times: [LatencySnapshot; TIMES],
    pub(super) put_similarities: Similarities,
    pub(super) lookup_similarities: Similarities,
    /// Of the caches in the store.
    pub(crate) caches: CacheCounts,
}

impl StatsSum {
    fn count(&self, count: Count) -> u64 {
        self.counts.get(count as usize).copied().unwrap_or(0)
    }

    /// The durations of an operation.
    pub(crate) fn times(&self, timed: Timed) -> LatencySnapshot {
        self.times.get(timed as usize).cloned().unwrap_or_default()
    }

    pub(crate) fn hits(&self) -> u64 {
        self.count(Count::CacheHits) + self.count(Count::CacheMisses)
    }

    pub(crate) fn misses(&self) -> u64 {
        self.count(Count::Misses)
    }

    pub(crate) fn puts(&self) -> u64 {
        self.count(Count::Puts)
    }

    /// Adds what was counted elsewhere in the same store.
    pub(crate) fn add(&mut self, other: &Self) {
        for (own, more) in self.counts.iter_mut().zip(other.counts) {
            *own += more;
        }
        for (own, more) in self.times.iter_mut().zip(&other.times) {
            own.add(more);
        }
        self.put_similarities.add(&other.put_similarities);
        self.lookup_similarities.add(&other.lookup_similarities);
        self.caches.add(&other.caches);
    }

    pub(crate) fn stats(&self) -> Stats {
        let count = |count| self.count(count);
        let [get, put, get_many, put_many, embed, search, checkpoint] =
            Timed::ALL.map(|timed| self.times(timed).latency());
        let (hits, misses) = (self.hits(), self.misses());
        Stats {
            gets: hits + misses,
            hits,
            misses,
            puts: self.puts(),
            deletes: count(Count::Deletes),
            dedup_hits: count(Count::DedupHits),
            semantic_hits: count(Count::SemanticHits),
            evictions: count(Count::Evictions),
            expirations: count(Count::Expirations),
            pruned: count(Count::Pruned),
            value_cache_hits: count(Count::CacheHits),
            value_cache_misses: count(Count::CacheMisses),
            bytes_read: count(Count::BytesRead),
            bytes_written: count(Count::BytesWritten),
            texts_embedded: count(Count::TextsEmbedded),
            embedding_cache_hits: self.caches.embedding_hits,
            embedding_cache_misses: self.caches.embedding_misses,
            semantic_cache_exact_hits: self.caches.exact_hits,
            semantic_cache_semantic_hits: self.caches.semantic_hits,
            semantic_cache_misses: self.caches.misses,
            get,
            put,
            get_many,
            put_many,
            embed,
            search,
            checkpoint,
            put_similarities: self.put_similarities,
            lookup_similarities: self.lookup_similarities,
        }
    }
}
