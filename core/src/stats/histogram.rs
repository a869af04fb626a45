//! Latencies in buckets of two significant digits.
//!
//! Log-linear, as in HdrHistogram (Gil Tene): every power of two is divided into 64 buckets of equal width, so the
//! middle of a bucket is within 0.8 % of every value in it.
//!
//! ```text
//! octave 0        0, 1, …, 63 ns                      one value a bucket
//! octave n > 0    64·2ⁿ⁻¹ up to 128·2ⁿ⁻¹ - 1 ns       64 buckets, 2ⁿ⁻¹ wide
//! ```

use super::latency::LatencySnapshot;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SUB_BITS: u32 = 6;
const SUB_BUCKETS: usize = 1 << SUB_BITS;
/// Enough for every `u64`.
const OCTAVES: usize = 64 - SUB_BITS as usize + 1;

type Octave = [AtomicU64; SUB_BUCKETS];

/// Counts of durations. Atomics, without a lock: whoever reads may see a count that another thread is about to add to.
pub(super) struct Histogram {
    /// Made when first needed: an operation takes times of a few octaves.
    octaves: [OnceLock<Box<Octave>>; OCTAVES],
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            octaves: std::array::from_fn(|_| OnceLock::new()),
            sum_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }

    /// Counts `times` operations that took `elapsed`.
    pub(super) fn record(&self, elapsed: Duration, times: u64) {
        let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let (octave, sub) = position(ns);
        if let Some(octave) = self.octaves.get(octave) {
            let octave =
                octave.get_or_init(|| Box::new(std::array::from_fn(|_| AtomicU64::new(0))));
            if let Some(bucket) = octave.get(sub) {
                bucket.fetch_add(times, Ordering::Relaxed);
            }
        }
        self.sum_ns
            .fetch_add(ns.saturating_mul(times), Ordering::Relaxed);
        if ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.fetch_max(ns, Ordering::Relaxed);
        }
    }

    pub(super) fn snapshot(&self) -> LatencySnapshot {
        let mut buckets = Vec::new();
        for (number, octave) in self.octaves.iter().enumerate() {
            for (sub, bucket) in octave.get().into_iter().flat_map(|o| o.iter().enumerate()) {
                let count = bucket.load(Ordering::Relaxed);
                if count > 0 {
                    buckets.push((middle(number, sub), count));
                }
            }
        }
        LatencySnapshot {
            buckets,
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
            max_ns: self.max_ns.load(Ordering::Relaxed),
        }
    }
}

/// Octave and bucket of a duration in nanoseconds.
fn position(ns: u64) -> (usize, usize) {
    let shift = (u64::BITS - SUB_BITS - 1).saturating_sub(ns.leading_zeros());
    let octave = usize::from(ns >> SUB_BITS != 0) + shift as usize;
    #[expect(clippy::cast_possible_truncation, reason = "masked to six bits")]
    let sub = (ns >> shift) as usize & (SUB_BUCKETS - 1);
    (octave, sub)
}

/// The nanoseconds in the middle of a bucket.
fn middle(octave: usize, sub: usize) -> u64 {
    match octave.checked_sub(1) {
        None => sub as u64,
        Some(shift) => ((((SUB_BUCKETS + sub) as u128) << shift) + ((1_u128 << shift) >> 1))
            .try_into()
            .unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::super::latency::Latency;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_is_within_one_percent_of_what_it_holds(ns in any::<u64>(), shift in 0_u32..64) {
            let ns = ns >> shift;
            let (octave, sub) = position(ns);
            prop_assert!(octave < OCTAVES && sub < SUB_BUCKETS);
            prop_assert!(middle(octave, sub).abs_diff(ns) <= ns / 100, "{ns}: {}", middle(octave, sub));
        }

        #[test]
        fn percentiles_are_those_of_the_sorted_durations(
            mut durations in proptest::collection::vec(0_u64..10_000_000_000, 1..300)
        ) {
            let histogram = Histogram::new();
            for ns in &durations {
                histogram.record(Duration::from_nanos(*ns), 1);
            }
            durations.sort_unstable();
            let latency = histogram.snapshot().latency();
            for (percent, found) in [(50, latency.p50), (90, latency.p90), (99, latency.p99)] {
                let exact = durations.get((durations.len() * percent).div_ceil(100) - 1);
                let exact = exact.copied().unwrap_or_default();
                let found = u64::try_from(found.as_nanos()).unwrap_or(u64::MAX);
                prop_assert!(found.abs_diff(exact) <= exact / 100, "{percent} %: {found}, not {exact}");
            }
            prop_assert_eq!(Some(latency.max), durations.last().copied().map(Duration::from_nanos));
            prop_assert_eq!(latency.count, durations.len() as u64);
            prop_assert_eq!(latency.sum, Duration::from_nanos(durations.iter().sum()));
        }
    }

    #[test]
    fn weights_count_and_nothing_is_zero() {
        let histogram = Histogram::new();
        assert_eq!(histogram.snapshot().latency(), Latency::default());
        histogram.record(Duration::from_nanos(10), 16);
        histogram.record(Duration::from_nanos(50), 1);
        let latency = histogram.snapshot().latency();
        assert_eq!(latency.p90, Duration::from_nanos(10));
        assert_eq!(latency.p99, Duration::from_nanos(50));
        assert_eq!(
            (latency.count, latency.sum),
            (17, Duration::from_nanos(210))
        );
    }
}
