//! How similar the nearest texts of the latest decisions were.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// Number of bins of [`Similarities`], of equal width from 0 to 1.
pub const SIMILARITY_BINS: usize = 40;
/// Decisions that are kept.
const KEPT: usize = 1024;
/// Mark of a place without a decision.
const NONE: u8 = u8::MAX;

/// Cosine similarities of the latest 1,024 decisions of a namespace, in bins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Similarities {
    /// Number of decisions whose similarity is at least `n / 40` and under `(n + 1) / 40`; those under 0 are in the first
    /// bin, 1 is in the last.
    pub bins: [u32; SIMILARITY_BINS],
}

impl Similarities {
    /// Decisions in all bins.
    #[must_use]
    pub fn decisions(&self) -> u64 {
        self.bins.iter().map(|count| u64::from(*count)).sum()
    }

    /// Adds the bins of another one.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.bins.iter_mut().zip(other.bins) {
            *own = own.saturating_add(more);
        }
    }
}

impl Default for Similarities {
    fn default() -> Self {
        Self {
            bins: [0; SIMILARITY_BINS],
        }
    }
}

impl fmt::Debug for Similarities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Similarities")
            .field(&self.bins.as_slice())
            .finish()
    }
}

/// A ring of the bins of the latest decisions. Atomics without a lock; a reader may see one that is about to go.
pub(super) struct Ring {
    /// Made with the first decision.
    bins: OnceLock<Box<[AtomicU8; KEPT]>>,
    next: AtomicUsize,
}

impl Ring {
    pub(super) fn new() -> Self {
        Self {
            bins: OnceLock::new(),
            next: AtomicUsize::new(0),
        }
    }

    pub(super) fn record(&self, similarity: f32) {
        let bins = self
            .bins
            .get_or_init(|| Box::new(std::array::from_fn(|_| AtomicU8::new(NONE))));
        let place = self.next.fetch_add(1, Ordering::Relaxed) % KEPT;
        if let Some(slot) = bins.get(place) {
            slot.store(bin(similarity), Ordering::Relaxed);
        }
    }

    pub(super) fn similarities(&self) -> Similarities {
        let mut found = Similarities::default();
        for slot in self.bins.get().into_iter().flat_map(|bins| bins.iter()) {
            let bin = usize::from(slot.load(Ordering::Relaxed));
            if let Some(count) = found.bins.get_mut(bin) {
                *count += 1;
            }
        }
        found
    }
}

/// The bin of a similarity. What rounding has put over 1 is in the last one.
fn bin(similarity: f32) -> u8 {
    let last = SIMILARITY_BINS as f32 - 1.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 to 39; NaN becomes 0"
    )]
    let bin = (similarity * SIMILARITY_BINS as f32).clamp(0.0, last) as u8;
    bin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarities_have_their_bins() {
        for (similarity, expected) in [
            (-1.0, 0),
            (0.0, 0),
            (0.0249, 0),
            (0.025, 1),
            (0.5, 20),
            (0.999, 39),
            (1.0, 39),
            (1.000_001, 39),
            (f32::NAN, 0),
        ] {
            assert_eq!(bin(similarity), expected, "{similarity}");
        }
    }

    #[test]
    fn the_latest_are_kept_and_no_more() {
        let ring = Ring::new();
        assert_eq!(ring.similarities(), Similarities::default());
        for _ in 0..KEPT {
            ring.record(0.1);
        }
        for _ in 0..24 {
            ring.record(1.0);
        }
        let found = ring.similarities();
        assert_eq!(found.decisions(), KEPT as u64);
        assert_eq!(found.bins.get(4), Some(&1000));
        assert_eq!(found.bins.last(), Some(&24));
        let mut sum = found;
        sum.add(&found);
        assert_eq!(sum.decisions(), 2 * KEPT as u64);
    }
}
