//! Rows that are scanned one by one: perfect recall, nothing to build, nothing to tune.
//!
//! This is the small form of an index, and where newcomers wait while a larger form is frozen.

use std::collections::{HashMap, HashSet};
use std::mem::size_of;

use crate::dot::dot;
use crate::neighbour::{Nearest, Neighbour};
use crate::vector::inverse_norm;

/// Vectors by id, in one block of memory.
///
/// Invariant: `ids`, the rows of `values`, `scales` and `positions` name each other.
///
/// Rows are kept as f32 whatever the precision (they were rounded to it on the way in): a scan of
/// f32 takes half the time of one that converts from f16 on the way.
pub struct Rows {
    dimension: usize,
    ids: Vec<u64>,
    /// Row after row, `dimension` values each.
    values: Vec<f32>,
    /// What each row must be multiplied with to have unit length: rounding made it a little longer
    /// or shorter.
    scales: Vec<f32>,
    /// Row number of each id.
    positions: HashMap<u64, usize>,
}

impl Rows {
    /// No rows, for vectors of `dimension` values.
    pub fn new(dimension: usize) -> Self {
        Self {
            dimension,
            ids: Vec::new(),
            values: Vec::new(),
            scales: Vec::new(),
            positions: HashMap::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn contains(&self, id: u64) -> bool {
        self.positions.contains_key(&id)
    }

    /// Ids in row order.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// Length of a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// What each row must be multiplied with to have unit length.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// All rows in the order of [`ids`](Self::ids).
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The vector of `id`.
    pub fn get(&self, id: u64) -> Option<&[f32]> {
        let start = self.positions.get(&id)? * self.dimension;
        self.values.get(start..start + self.dimension)
    }

    /// The last row: the one that [`remove`](Self::remove) takes out without moving another.
    pub fn last(&self) -> Option<(u64, &[f32])> {
        let id = *self.ids.last()?;
        Some((id, self.get(id)?))
    }

    /// Appends a row. Returns whether it did: not when the id is present already.
    pub fn add(&mut self, id: u64, vector: &[f32]) -> bool {
        debug_assert_eq!(vector.len(), self.dimension);
        if self.contains(id) {
            return false;
        }
        self.positions.insert(id, self.ids.len());
        self.ids.push(id);
        self.values.extend_from_slice(vector);
        self.scales.push(inverse_norm(vector));
        true
    }

    /// Takes a row out; the last one moves into its place. Returns whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(position) = self.positions.remove(&id) else {
            return false;
        };
        self.ids.swap_remove(position);
        self.scales.swap_remove(position);
        if let Some(moved) = self.ids.get(position) {
            self.positions.insert(*moved, position);
        }
        let last = self.ids.len() * self.dimension;
        self.values.copy_within(last.., position * self.dimension);
        self.values.truncate(last);
        true
    }

    /// The best `k` rows that are not in `hidden`. `query` has unit length.
    pub fn search(&self, query: &[f32], k: usize, hidden: &HashSet<u64>) -> Vec<Neighbour> {
        let mut nearest = Nearest::of(k);
        let rows = self.values.chunks_exact(self.dimension);
        for ((id, scale), row) in self.ids.iter().zip(&self.scales).zip(rows) {
            let similarity = dot(query, row) * scale;
            if nearest.wants(similarity) && !hidden.contains(id) {
                nearest.add(Neighbour::clamped(*id, similarity));
            }
        }
        nearest.into_sorted()
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        (self.values.capacity() + self.scales.capacity()) * size_of::<f32>()
            + self.ids.capacity() * size_of::<u64>()
            + self.positions.capacity() * size_of::<(u64, usize)>()
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

    fn rows(ids: impl IntoIterator<Item = u64>) -> Rows {
        let mut rows = Rows::new(2);
        for id in ids {
            assert!(rows.add(id, &[id as f32, 1.0]));
        }
        rows
    }

    #[test]
    fn removal_at_each_position_keeps_the_others() {
        for removed in 0..4 {
            let mut rows = rows(0..4);
            assert!(rows.remove(removed));
            assert!(!rows.remove(removed));
            assert_eq!(rows.len(), 3);
            assert_eq!(rows.values().len(), 6);
            for id in 0..4 {
                let expected = [id as f32, 1.0];
                assert_eq!(rows.get(id), (id != removed).then_some(expected.as_slice()));
            }
            assert!(rows.add(removed, &[9.0, 9.0]));
            assert_eq!(rows.last(), Some((removed, [9.0, 9.0].as_slice())));
        }
    }

    #[test]
    fn an_id_is_added_once() {
        let mut rows = rows([5]);
        assert!(!rows.add(5, &[0.0, 0.0]));
        assert_eq!(rows.get(5), Some([5.0, 1.0].as_slice()));
    }

    #[test]
    fn hidden_rows_are_not_found() {
        let rows = rows(0..4);
        let found = rows.search(&[1.0, 0.0], 2, &HashSet::from([3]));
        assert_eq!(
            found.iter().map(|found| found.id).collect::<Vec<_>>(),
            [2, 1]
        );
        assert!(rows.search(&[1.0, 0.0], 0, &HashSet::new()).is_empty());
        assert!(
            Rows::new(2)
                .search(&[1.0, 0.0], 9, &HashSet::new())
                .is_empty()
        );
    }
}
