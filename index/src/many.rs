//! Many queries at once: an exact scan then costs a fraction of what as many single ones do, since
//! rows are compared with many queries while they are in the processor's caches.

use std::collections::HashSet;
use std::ops::Range;

use ndarray::ArrayView2;

use crate::error::IndexError;
use crate::exact::Rows;
use crate::form::Form;
use crate::index::VectorIndex;
use crate::neighbour::{Nearest, Neighbour, best};
use crate::vector::to_unit;

/// Queries that hold up a writer together: some twenty milliseconds. An eighth of them would take a quarter of the time,
/// since all rows are laid out anew for each multiplication.
const QUERIES_AT_ONCE: usize = 512;
/// Rows multiplied with them at once, so that the products stay in the second-level cache.
const ROWS_AT_ONCE: usize = 256;

/// What one of many queries has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// [`VectorIndex::version`] of the set that was searched.
    pub version: u64,
    /// As of [`VectorIndex::search`].
    pub neighbours: Vec<Neighbour>,
}

impl VectorIndex {
    /// As [`search`](Self::search), of each of `queries`, in their order. They need not all see the
    /// same set: writers come in between. In the exact form a similarity may differ in its last
    /// bits from that of a single search.
    ///
    /// # Errors
    ///
    /// As [`search`](Self::search).
    pub fn search_many(&self, queries: &[&[f32]], k: usize) -> Result<Vec<Found>, IndexError> {
        let dimension = self.parameters.dimension;
        let mut all = Vec::with_capacity(queries.len());
        for part in queries.chunks(QUERIES_AT_ONCE) {
            let mut units = Vec::with_capacity(part.len() * dimension);
            for query in part {
                units.extend(to_unit(query, dimension)?);
            }
            let state = self.state.read();
            let (hidden, added) = (&state.buffer.hidden, &state.buffer.added);
            let mut found = match &*state.main {
                Form::Exact(rows) => rows.search_many(&units, k, hidden),
                Form::Graph(graph) => units
                    .chunks_exact(dimension)
                    .map(|query| graph.search(query, k, hidden))
                    .collect::<Result<_, _>>()?,
            };
            if added.len() > 0 {
                let newcomers = added.search_many(&units, k, &HashSet::new());
                for (found, newcomers) in found.iter_mut().zip(newcomers) {
                    found.extend(newcomers);
                    *found = best(std::mem::take(found), k);
                }
            }
            let version = state.version;
            all.extend(found.into_iter().map(|neighbours| Found {
                version,
                neighbours,
            }));
        }
        Ok(all)
    }
}

/// For each of those of `vectors`, which have `dimension` values each and follow one another, that `own` names, the places of
/// the `k` most similar of those before it, best first. Vectors whose similarities differ in the last bits alone may be in
/// either order.
#[must_use]
pub fn nearest_before(
    vectors: &[f32],
    dimension: usize,
    own: Range<usize>,
    k: usize,
) -> Vec<Vec<usize>> {
    let rows = |range: Range<usize>| {
        let values = vectors.get(range.start * dimension..range.end * dimension);
        ArrayView2::from_shape((range.len(), dimension), values.unwrap_or_default()).ok()
    };
    let (Some(queries), Some(others)) = (rows(own.clone()), rows(0..own.end)) else {
        return Vec::new();
    };
    let products = queries.dot(&others.t());
    let nearest = own.zip(products.rows()).map(|(own, products)| {
        let mut found = Nearest::of(k);
        for (place, similarity) in (0_u64..).zip(products.iter().take(own)) {
            if found.wants(*similarity) {
                found.add(Neighbour::clamped(place, *similarity));
            }
        }
        let places = found.into_sorted().into_iter();
        places
            .filter_map(|found| usize::try_from(found.id).ok())
            .collect()
    });
    nearest.collect()
}

impl Rows {
    /// As [`search`](Self::search), of each of the `queries`, which follow one another.
    fn search_many(&self, queries: &[f32], k: usize, hidden: &HashSet<u64>) -> Vec<Vec<Neighbour>> {
        let (dimension, count) = (self.dimension(), queries.len() / self.dimension().max(1));
        let mut nearest = vec![Nearest::of(k); count];
        let Ok(queries) = ArrayView2::from_shape((count, dimension), queries) else {
            return Vec::new();
        };
        let blocks = self.values().chunks(ROWS_AT_ONCE * dimension);
        let scales = self.scales().chunks(ROWS_AT_ONCE);
        let ids = self.ids().chunks(ROWS_AT_ONCE);
        for ((block, scales), ids) in blocks.zip(scales).zip(ids) {
            let Ok(block) = ArrayView2::from_shape((ids.len(), dimension), block) else {
                continue;
            };
            let products = queries.dot(&block.t());
            for (nearest, products) in nearest.iter_mut().zip(products.rows()) {
                for ((id, scale), product) in ids.iter().zip(scales).zip(products) {
                    let similarity = product * scale;
                    if nearest.wants(similarity) && !hidden.contains(id) {
                        nearest.add(Neighbour::clamped(*id, similarity));
                    }
                }
            }
        }
        nearest.into_iter().map(Nearest::into_sorted).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::dot;

    #[test]
    fn rows_that_are_not_there_have_nothing_before_them() {
        assert!(
            nearest_before(&[1.0; 8], 2, 3..5, 2)
                .iter()
                .all(Vec::is_empty)
        );
    }

    #[test]
    fn the_nearest_before_are_those_of_a_scan() {
        for (count, own, k) in [
            (0, 0..0, 3),
            (1, 0..1, 3),
            (2, 0..2, 3),
            (700, 0..700, 5),
            (700, 500..600, 5),
            (300, 299..300, 1),
            (9, 0..9, 0),
        ] {
            let all: Vec<f32> = (0..count)
                .flat_map(|number| {
                    let angle = (number * number % 997) as f32;
                    [angle.sin(), angle.cos()]
                })
                .collect();
            let vectors: Vec<&[f32]> = all.chunks(2).collect();
            let nearest = nearest_before(&all, 2, own.clone(), k);
            assert_eq!(nearest.len(), own.len());
            for (own, found) in own.zip(nearest) {
                let mut before: Vec<f32> = vectors[..own]
                    .iter()
                    .map(|other| dot(vectors[own], other))
                    .collect();
                let found: Vec<f32> = found.iter().map(|place| before[*place]).collect();
                before.sort_unstable_by(|a, b| b.total_cmp(a));
                before.truncate(k);
                assert_eq!(found.len(), before.len(), "{own}");
                for (found, expected) in found.iter().zip(before) {
                    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                }
            }
        }
    }
}
