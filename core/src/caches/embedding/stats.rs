//! What a cache of embeddings has done since it was made.

use crate::health::Figure;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts and times of an [`super::EmbeddingCache`] since it was made.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingStats {
    /// Texts asked for that were there.
    pub hits: u64,
    /// Texts asked for that were not.
    pub misses: u64,
    /// Texts that were computed: of the misses, each distinct one, and of concurrent callers one.
    pub computed: u64,
    /// Calls of the function that succeeded.
    pub batches: u64,
    /// Stored vectors that could not be read, or had another length; they were computed again.
    pub damaged: u64,
    /// Computed vectors that could not be stored.
    pub not_stored: u64,
    /// Seconds that the function took.
    pub seconds_computing: f64,
    /// Seconds that the hits would have taken, at the average of what was computed; 0 before anything was.
    pub seconds_saved: f64,
}

impl EmbeddingStats {
    /// Every figure with the name under which Python shows it.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, Figure)> {
        vec![
            ("hits", Figure::Integer(self.hits)),
            ("misses", Figure::Integer(self.misses)),
            ("computed", Figure::Integer(self.computed)),
            ("batches", Figure::Integer(self.batches)),
            ("damaged", Figure::Integer(self.damaged)),
            ("not_stored", Figure::Integer(self.not_stored)),
            ("seconds_computing", Figure::Float(self.seconds_computing)),
            ("seconds_saved", Figure::Float(self.seconds_saved)),
        ]
    }
}

/// Relaxed counters: figures for people, which order nothing.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    hits: AtomicU64,
    misses: AtomicU64,
    computed: AtomicU64,
    batches: AtomicU64,
    damaged: AtomicU64,
    not_stored: AtomicU64,
    computing_us: AtomicU64,
}

impl Recorder {
    pub(super) fn looked_up(&self, hits: usize, misses: usize) {
        add(&self.hits, hits);
        add(&self.misses, misses);
    }

    pub(super) fn computed(&self, texts: usize, elapsed: Duration) {
        add(&self.computed, texts);
        add(&self.batches, 1);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.computing_us.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn damaged(&self, vectors: usize) {
        add(&self.damaged, vectors);
    }

    pub(super) fn not_stored(&self, vectors: usize) {
        add(&self.not_stored, vectors);
    }

    pub(super) fn stats(&self) -> EmbeddingStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (hits, computed) = (load(&self.hits), load(&self.computed));
        let seconds_computing = Duration::from_micros(load(&self.computing_us)).as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            reason = "an estimate for people; counts stay far below 2^53"
        )]
        let seconds_saved = seconds_computing * hits as f64 / computed.max(1) as f64;
        EmbeddingStats {
            hits,
            misses: load(&self.misses),
            computed,
            batches: load(&self.batches),
            damaged: load(&self.damaged),
            not_stored: load(&self.not_stored),
            seconds_computing,
            seconds_saved,
        }
    }
}

fn add(counter: &AtomicU64, change: usize) {
    counter.fetch_add(change as u64, Ordering::Relaxed);
}
