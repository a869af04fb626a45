//! Searching the graph: along its links, or where that does not pay or does not arrive, by
//! scanning.

use std::collections::HashSet;

use super::{Hnsw, refused};
use crate::dot::dot;
use crate::error::IndexError;
use crate::neighbour::{Neighbour, best};
use crate::precision::Precision;
use crate::vector::{inverse_norm, to_i8};

/// From this share of all slots on (one in sixteen), asking the graph for neighbours costs more
/// than scanning it.
const SCAN_SHARE: usize = 16;

impl Hnsw {
    /// The best `k` ids that are not in `hidden`, which holds only ids that are present. Finds as
    /// many as there are.
    ///
    /// # Errors
    ///
    /// [`IndexError::Graph`] when memory is short.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        hidden: &HashSet<u64>,
    ) -> Result<Vec<Neighbour>, IndexError> {
        let wanted = k.min(self.len().saturating_sub(hidden.len()));
        if wanted == 0 {
            return Ok(Vec::new());
        }
        if wanted.saturating_mul(SCAN_SHARE) < self.slots.len() {
            let found = self.walk(query, wanted, hidden)?;
            if found.len() == wanted {
                return Ok(found);
            }
            // Some vector has no path to it from where the walk began.
        }
        self.scan(query, wanted, hidden)
    }

    /// Follows the graph's links.
    fn walk(
        &self,
        query: &[f32],
        wanted: usize,
        hidden: &HashSet<u64>,
    ) -> Result<Vec<Neighbour>, IndexError> {
        let all_shown = hidden.is_empty() && self.slots.dead_count() == 0;
        let shown = |slot| self.slots.shown(slot, hidden).next().is_some();
        let permit = self.gate.enter();
        let matches = match (self.precision, all_shown) {
            (Precision::I8, true) => self.graph.search(&to_i8(query), wanted),
            (Precision::I8, false) => self.graph.filtered_search(&to_i8(query), wanted, shown),
            (_, true) => self.graph.search(query, wanted),
            (_, false) => self.graph.filtered_search(query, wanted, shown),
        };
        drop(permit);
        let matches = matches.map_err(|error| refused("be searched", &error))?;
        let mut found = Vec::with_capacity(wanted);
        for (slot, distance) in matches.keys.iter().zip(&matches.distances) {
            // Of ids that share a slot, the owner and as many twins as could matter.
            let ids = self.slots.shown(*slot, hidden).take(wanted + 1);
            found.extend(ids.map(|id| Neighbour::clamped(id, 1.0 - distance)));
        }
        Ok(best(found, wanted))
    }

    /// Compares with every vector.
    fn scan(
        &self,
        query: &[f32],
        wanted: usize,
        hidden: &HashSet<u64>,
    ) -> Result<Vec<Neighbour>, IndexError> {
        let mut candidates = Vec::with_capacity(self.len());
        for slot in 0..self.slots.len() as u64 {
            let mut ids = self.slots.shown(slot, hidden).peekable();
            if ids.peek().is_some() {
                let vector = self.raw_vector(slot as usize)?;
                let similarity = dot(query, &vector) * inverse_norm(&vector);
                candidates.extend(ids.map(|id| Neighbour::clamped(id, similarity)));
            }
        }
        Ok(best(candidates, wanted))
    }
}
