//! Look-ups of the caches of a store, all of them together: each of their objects counts its own besides.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of look-ups, relaxed: figures for people, which order nothing.
#[derive(Debug, Default)]
pub(crate) struct CacheRecorder {
    pub embedding_hits: AtomicU64,
    pub embedding_misses: AtomicU64,
    pub exact_hits: AtomicU64,
    pub semantic_hits: AtomicU64,
    pub misses: AtomicU64,
}

/// What a [`CacheRecorder`] has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CacheCounts {
    pub embedding_hits: u64,
    pub embedding_misses: u64,
    pub exact_hits: u64,
    pub semantic_hits: u64,
    pub misses: u64,
}

impl CacheRecorder {
    pub(crate) fn embeddings(&self, hits: usize, misses: usize) {
        add(&self.embedding_hits, hits);
        add(&self.embedding_misses, misses);
    }

    /// A look-up in a cache of responses. `exact`: whether the hit was the query itself; `None`: no hit.
    pub(crate) fn response(&self, exact: Option<bool>) {
        let counter = match exact {
            None => &self.misses,
            Some(true) => &self.exact_hits,
            Some(false) => &self.semantic_hits,
        };
        add(counter, 1);
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounts {
            embedding_hits: load(&self.embedding_hits),
            embedding_misses: load(&self.embedding_misses),
            exact_hits: load(&self.exact_hits),
            semantic_hits: load(&self.semantic_hits),
            misses: load(&self.misses),
        }
    }
}

impl CacheCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.embedding_hits += other.embedding_hits;
        self.embedding_misses += other.embedding_misses;
        self.exact_hits += other.exact_hits;
        self.semantic_hits += other.semantic_hits;
        self.misses += other.misses;
    }
}

fn add(counter: &AtomicU64, change: usize) {
    counter.fetch_add(change as u64, Ordering::Relaxed);
}
