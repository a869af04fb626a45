//! One result of a search, and the order of results.

use std::cmp::Ordering;

/// Neighbours gathered beyond those wanted, before the worst are dropped.
const SPARE: usize = 64;

/// A vector found by a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The id it was added under.
    pub id: u64,
    /// Cosine similarity to the query, -1 to 1, as exact as the index's precision.
    pub similarity: f32,
}

impl Neighbour {
    /// A neighbour whose similarity rounding may have pushed past -1 or 1.
    pub(crate) fn clamped(id: u64, similarity: f32) -> Self {
        Self {
            id,
            similarity: similarity.clamp(-1.0, 1.0),
        }
    }

    /// Best first; equal similarities by ascending id.
    fn order(&self, other: &Self) -> Ordering {
        other
            .similarity
            .total_cmp(&self.similarity)
            .then(self.id.cmp(&other.id))
    }
}

/// The best `k` of `candidates`, in order. Sorts only what it returns.
pub fn best(mut candidates: Vec<Neighbour>, k: usize) -> Vec<Neighbour> {
    if k == 0 {
        return Vec::new();
    }
    if k < candidates.len() {
        candidates.select_nth_unstable_by(k, Neighbour::order);
        candidates.truncate(k);
    }
    candidates.sort_unstable_by(Neighbour::order);
    candidates
}

/// The best so far of a scan.
#[derive(Clone)]
pub(crate) struct Nearest {
    k: usize,
    found: Vec<Neighbour>,
    /// What is less similar is none of them.
    least: f32,
}

impl Nearest {
    pub(crate) fn of(k: usize) -> Self {
        Self {
            k,
            found: Vec::new(),
            least: f32::NEG_INFINITY,
        }
    }

    pub(crate) fn wants(&self, similarity: f32) -> bool {
        self.k > 0 && similarity >= self.least
    }

    pub(crate) fn add(&mut self, neighbour: Neighbour) {
        self.found.push(neighbour);
        if self.found.len() >= self.k.saturating_add(SPARE) {
            self.found = best(std::mem::take(&mut self.found), self.k);
            self.least = self.found.last().map_or(self.least, |last| last.similarity);
        }
    }

    pub(crate) fn into_sorted(self) -> Vec<Neighbour> {
        best(self.found, self.k)
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )]
    use super::*;

    #[test]
    fn best_first_then_ascending_id() {
        let candidates: Vec<Neighbour> = [(5, 0.5), (1, 0.5), (9, 0.9), (2, -1.0), (3, 0.5)]
            .map(|(id, similarity)| Neighbour { id, similarity })
            .to_vec();
        let ids = |k| {
            best(candidates.clone(), k)
                .iter()
                .map(|found| found.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(0), [0; 0]);
        assert_eq!(ids(1), [9]);
        assert_eq!(ids(3), [9, 1, 3]);
        assert_eq!(ids(5), [9, 1, 3, 5, 2]);
        assert_eq!(ids(usize::MAX), [9, 1, 3, 5, 2]);
    }
}
