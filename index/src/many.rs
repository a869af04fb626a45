//! Many queries at once: an exact scan then costs a fraction of what as many single ones do, since
//! rows are compared with many queries while they are in the processor's caches.

use std::collections::HashSet;

use ndarray::ArrayView2;

use crate::error::IndexError;
use crate::exact::Rows;
use crate::form::Form;
use crate::index::VectorIndex;
use crate::neighbour::{Nearest, Neighbour, best};
use crate::vector::to_unit;

/// Queries that hold up a writer together: some ten milliseconds. A quarter of them would take half the time, since all
/// rows are laid out anew for each multiplication.
const QUERIES_AT_ONCE: usize = 256;
/// Rows multiplied with them at once, so that the products stay in the second-level cache.
const ROWS_AT_ONCE: usize = 512;

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
