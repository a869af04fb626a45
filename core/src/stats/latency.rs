//! What is made of the counts of a histogram: percentiles for people, cumulative buckets for Prometheus.

use std::time::Duration;

/// Upper bounds of [`Latency::buckets`], in nanoseconds: 1, 2.5 and 5 of each power of ten from 1 µs to 10 s.
const BOUNDS_NS: [u64; LATENCY_BUCKETS] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Number of buckets of [`Latency::buckets`].
pub const LATENCY_BUCKETS: usize = 22;

/// How long an operation has taken; zeros before the first one. Percentiles are exact to two significant digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// The median.
    pub p50: Duration,
    /// 90 of 100 took at most so long.
    pub p90: Duration,
    /// 99 of 100 took at most so long.
    pub p99: Duration,
    /// The longest that was measured.
    pub max: Duration,
    /// Operations that were measured; of sampled ones, those that they stand for.
    pub count: u64,
    /// What all of them took.
    pub sum: Duration,
    /// How many took at most as long as [`Latency::bounds`] says, which is meant to within 0.8 %. Cumulative: each counts
    /// what those before it count.
    pub buckets: [u64; LATENCY_BUCKETS],
}

impl Latency {
    /// The upper bounds of [`Latency::buckets`], ascending.
    pub fn bounds() -> impl Iterator<Item = Duration> {
        BOUNDS_NS.into_iter().map(Duration::from_nanos)
    }
}

/// The counts of a histogram at one moment: what happened between two moments is the difference of two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencySnapshot {
    /// Middle of a bucket in nanoseconds, ascending, and its count, which is not 0.
    pub(super) buckets: Vec<(u64, u64)>,
    pub(super) sum_ns: u64,
    pub(super) max_ns: u64,
}

impl LatencySnapshot {
    /// Percentiles and buckets of all that was counted.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let count: u64 = self.buckets.iter().map(|(_, count)| count).sum();
        let percentile = |percent: u64| {
            let rank = (u128::from(count) * u128::from(percent)).div_ceil(100);
            let mut upto = 0;
            let found = self.buckets.iter().find(|(_, count)| {
                upto += u128::from(*count);
                upto >= rank
            });
            Duration::from_nanos(found.map_or(0, |(ns, _)| *ns).min(self.max_ns))
        };
        let within = |bound: u64| {
            let buckets = self.buckets.iter().take_while(|(ns, _)| *ns <= bound);
            buckets.map(|(_, count)| count).sum()
        };
        Latency {
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            max: Duration::from_nanos(self.max_ns),
            count,
            sum: Duration::from_nanos(self.sum_ns),
            buckets: BOUNDS_NS.map(within),
        }
    }

    /// What was counted since `earlier`; its maximum is to two significant digits. All of it if `earlier` is no earlier
    /// state of this, for example since the store was opened anew.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut before = earlier.buckets.iter().copied().peekable();
        let mut buckets = Vec::new();
        for (ns, count) in &self.buckets {
            let counted = match before.next_if(|(other, _)| other == ns) {
                Some((_, counted)) => counted,
                None => 0,
            };
            match count.checked_sub(counted) {
                Some(0) => {}
                Some(more) => buckets.push((*ns, more)),
                None => return self.clone(),
            }
        }
        if before.next().is_some() {
            return self.clone();
        }
        Self {
            max_ns: buckets.last().map_or(0, |(ns, _)| *ns),
            sum_ns: self.sum_ns.saturating_sub(earlier.sum_ns),
            buckets,
        }
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for (ns, count) in &other.buckets {
            match self.buckets.binary_search_by_key(ns, |(own, _)| *own) {
                Ok(place) => {
                    if let Some((_, own)) = self.buckets.get_mut(place) {
                        *own += count;
                    }
                }
                Err(place) => self.buckets.insert(place, (*ns, *count)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::histogram::Histogram;
    use super::*;
    use proptest::prelude::*;

    fn histogram(durations: &[u64]) -> Histogram {
        let histogram = Histogram::new();
        for ns in durations {
            histogram.record(Duration::from_nanos(*ns), 1);
        }
        histogram
    }

    fn durations() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(0_u64..20_000_000_000, 0..200)
    }

    #[test]
    fn bounds_ascend_and_have_their_number() {
        let bounds: Vec<_> = Latency::bounds().collect();
        assert_eq!(bounds.len(), LATENCY_BUCKETS);
        assert!(bounds.is_sorted());
        assert_eq!(bounds.last(), Some(&Duration::from_secs(10)));
    }

    proptest! {
        #[test]
        fn buckets_are_cumulative_and_near_their_bounds(durations in durations()) {
            let latency = histogram(&durations).snapshot().latency();
            prop_assert!(latency.buckets.is_sorted());
            for (bound, found) in BOUNDS_NS.iter().zip(latency.buckets) {
                // Within 0.8 % of the bound it may be counted on either side.
                let surely = durations.iter().filter(|ns| **ns < bound - bound / 100).count() as u64;
                let perhaps = durations.iter().filter(|ns| **ns <= bound + bound / 100).count() as u64;
                prop_assert!((surely..=perhaps).contains(&found), "{bound}: {found}");
            }
        }

        #[test]
        fn the_difference_of_two_moments_is_what_came_between(
            first in durations(), second in durations()
        ) {
            let both = histogram(&first);
            let earlier = both.snapshot();
            for ns in &second {
                both.record(Duration::from_nanos(*ns), 1);
            }
            let (found, wanted) = (both.snapshot().since(&earlier), histogram(&second).snapshot());
            prop_assert_eq!(&found.buckets, &wanted.buckets);
            prop_assert_eq!(found.sum_ns, wanted.sum_ns);
            prop_assert!(wanted.max_ns.abs_diff(found.max_ns) <= wanted.max_ns / 100);
            // Another store, or the same one opened anew.
            if !first.is_empty() {
                prop_assert_eq!(LatencySnapshot::default().since(&earlier), LatencySnapshot::default());
            }
        }

        #[test]
        fn sums_are_what_one_histogram_would_have_counted(first in durations(), second in durations()) {
            let mut sum = histogram(&first).snapshot();
            sum.add(&histogram(&second).snapshot());
            let all: Vec<_> = first.iter().chain(&second).copied().collect();
            prop_assert_eq!(sum, histogram(&all).snapshot());
        }
    }
}
