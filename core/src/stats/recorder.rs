//! Where operations are counted.

use super::histogram::Histogram;
use super::similarities::Ring;
use super::sum::StatsSum;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One in so many gets from memory is timed: reading the clock twice costs about as much as the get.
pub(crate) const SAMPLED: u64 = 16;
/// Threads share so many sets of counters: enough that those that run at once rarely meet on a cache line, few enough
/// for thousands of namespaces.
const SHARDS: usize = 4;
pub(super) const COUNTS: usize = 13;
pub(super) const TIMES: usize = 7;

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    CacheHits,
    CacheMisses,
    Misses,
    BytesRead,
    Puts,
    BytesWritten,
    DedupHits,
    SemanticHits,
    Deletes,
    Evictions,
    Expirations,
    Pruned,
    TextsEmbedded,
}

/// What is timed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timed {
    Get,
    Put,
    GetMany,
    PutMany,
    Embed,
    Search,
    Checkpoint,
}

impl Timed {
    pub(super) const ALL: [Self; TIMES] = [
        Self::Get,
        Self::Put,
        Self::GetMany,
        Self::PutMany,
        Self::Embed,
        Self::Search,
        Self::Checkpoint,
    ];
}

/// What a similarity was compared with a threshold for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compared {
    Put,
    Lookup,
}

/// A set of counters, alone on its cache lines (two, since processors fetch them in pairs).
#[repr(align(128))]
#[derive(Default)]
struct Shard([AtomicU64; COUNTS]);

/// The counters and histograms of a namespace.
pub(crate) struct Recorder {
    shards: [Shard; SHARDS],
    /// Each made with the first operation that it times: most of thousands of namespaces may be idle.
    times: [OnceLock<Box<Histogram>>; TIMES],
    decisions: Ring,
    lookups: Ring,
}

/// Shard of the thread that was asked last for one.
static LAST_SHARD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The shard of this thread; [`SHARDS`]: none yet.
    static SHARD: Cell<usize> = const { Cell::new(SHARDS) };
    /// State of the generator that picks the gets to be timed. Random, so that no rhythm of the caller meets it.
    static SAMPLE: Cell<u64> = const { Cell::new(0x9e37_79b9_7f4a_7c15) };
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
            times: std::array::from_fn(|_| OnceLock::new()),
            decisions: Ring::new(),
            lookups: Ring::new(),
        }
    }

    /// Adds to a count.
    pub(crate) fn add(&self, count: Count, change: u64) {
        let shard = SHARD.with(|shard| {
            if shard.get() == SHARDS {
                shard.set(LAST_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS);
            }
            shard.get()
        });
        let counter = self
            .shards
            .get(shard)
            .and_then(|shard| shard.0.get(count as usize));
        if let Some(counter) = counter {
            counter.fetch_add(change, Ordering::Relaxed);
        }
    }

    /// Counts a value of `bytes` that was returned, from memory if `cached`.
    pub(crate) fn add_hit(&self, cached: bool, bytes: usize) {
        self.add(
            if cached {
                Count::CacheHits
            } else {
                Count::CacheMisses
            },
            1,
        );
        self.add(Count::BytesRead, bytes as u64);
    }

    /// Counts an operation that took `elapsed`, for as many as it stands for.
    pub(crate) fn add_time(&self, timed: Timed, elapsed: Duration, times: u64) {
        if let Some(histogram) = self.times.get(timed as usize) {
            histogram
                .get_or_init(|| Box::new(Histogram::new()))
                .record(elapsed, times);
        }
    }

    /// Notes how similar the nearest text was of which a put or a lookup decided.
    pub(crate) fn add_similarity(&self, compared: Compared, similarity: f32) {
        match compared {
            Compared::Put => self.decisions.record(similarity),
            Compared::Lookup => self.lookups.record(similarity),
        }
    }

    /// Adds all that was counted so far to `sum`.
    pub(crate) fn add_to(&self, sum: &mut StatsSum) {
        for (number, total) in sum.counts.iter_mut().enumerate() {
            let counters = self.shards.iter().filter_map(|shard| shard.0.get(number));
            *total += counters
                .map(|counter| counter.load(Ordering::Relaxed))
                .sum::<u64>();
        }
        for (histogram, total) in self.times.iter().zip(&mut sum.times) {
            if let Some(histogram) = histogram.get() {
                total.add(&histogram.snapshot());
            }
        }
        sum.put_similarities.add(&self.decisions.similarities());
        sum.lookup_similarities.add(&self.lookups.similarities());
    }
}

/// The time, for one in [`SAMPLED`] calls.
pub(crate) fn sampled_start() -> Option<Instant> {
    SAMPLE.with(|state| {
        // The multiplier of Knuth's MMIX; the upper bits of such a generator are the random ones.
        let next = state
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.set(next);
        ((next >> 32) % SAMPLED == 0).then(Instant::now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_add_up() {
        let recorder = Recorder::new();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        recorder.add_hit(true, 3);
                        recorder.add(Count::Pruned, 2);
                    }
                });
            }
        });
        let mut sum = StatsSum::default();
        recorder.add_to(&mut sum);
        let stats = sum.stats();
        let each = 1000 * 2 * SHARDS as u64;
        assert_eq!((stats.hits, stats.bytes_read), (each, 3 * each));
        assert_eq!((stats.pruned, stats.misses), (2 * each, 0));
    }

    #[test]
    fn about_one_in_sixteen_is_timed() {
        let timed = (0..16_000).filter(|_| sampled_start().is_some()).count();
        assert!((800..1200).contains(&timed), "{timed}");
    }
}
