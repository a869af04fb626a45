//! Where operations are counted.

use super::Stats;
use super::histogram::Histogram;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One in so many gets from memory is timed: reading the clock twice costs about as much as the get.
pub(crate) const SAMPLED: u64 = 16;
/// Threads share so many sets of counters: enough that those that run at once rarely meet on a cache line, few enough
/// for thousands of namespaces.
const SHARDS: usize = 4;
const COUNTS: usize = 12;

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
}

/// What is timed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timed {
    Get,
    Put,
    GetMany,
    PutMany,
}

/// A set of counters, alone on its cache lines (two, since processors fetch them in pairs).
#[repr(align(128))]
#[derive(Default)]
struct Shard([AtomicU64; COUNTS]);

/// The counters and histograms of a namespace.
pub(crate) struct Recorder {
    shards: [Shard; SHARDS],
    /// Made with the first operation that is timed: most of thousands of namespaces may be idle.
    times: OnceLock<Box<[Histogram; 4]>>,
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
            times: OnceLock::new(),
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
        let histograms = self
            .times
            .get_or_init(|| Box::new(std::array::from_fn(|_| Histogram::new())));
        if let Some(histogram) = histograms.get(timed as usize) {
            histogram.record(elapsed, times);
        }
    }

    /// The counts and percentiles so far.
    pub(crate) fn stats(&self) -> Stats {
        let count = |count: Count| {
            self.shards
                .iter()
                .filter_map(|shard| shard.0.get(count as usize))
                .map(|counter| counter.load(Ordering::Relaxed))
                .sum::<u64>()
        };
        let latency = |timed: Timed| {
            self.times
                .get()
                .and_then(|histograms| histograms.get(timed as usize))
                .map_or_else(Default::default, Histogram::latency)
        };
        let (value_cache_hits, value_cache_misses) =
            (count(Count::CacheHits), count(Count::CacheMisses));
        let (hits, misses) = (value_cache_hits + value_cache_misses, count(Count::Misses));
        Stats {
            gets: hits + misses,
            hits,
            misses,
            puts: count(Count::Puts),
            deletes: count(Count::Deletes),
            dedup_hits: count(Count::DedupHits),
            semantic_hits: count(Count::SemanticHits),
            evictions: count(Count::Evictions),
            expirations: count(Count::Expirations),
            pruned: count(Count::Pruned),
            value_cache_hits,
            value_cache_misses,
            bytes_read: count(Count::BytesRead),
            bytes_written: count(Count::BytesWritten),
            get: latency(Timed::Get),
            put: latency(Timed::Put),
            get_many: latency(Timed::GetMany),
            put_many: latency(Timed::PutMany),
        }
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
        let stats = recorder.stats();
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
