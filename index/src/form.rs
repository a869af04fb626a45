//! Either form of an index, behind one face.

use std::collections::HashSet;

use crate::error::IndexError;
use crate::exact::Rows;
use crate::hnsw::Hnsw;
use crate::neighbour::Neighbour;

/// How the vectors are held.
pub enum Form {
    /// Scanned one by one.
    Exact(Rows),
    /// Linked into a graph.
    Graph(Hnsw),
}

impl Form {
    /// Vectors alive.
    pub fn len(&self) -> usize {
        match self {
            Self::Exact(rows) => rows.len(),
            Self::Graph(graph) => graph.len(),
        }
    }

    pub fn contains(&self, id: u64) -> bool {
        match self {
            Self::Exact(rows) => rows.contains(id),
            Self::Graph(graph) => graph.contains(id),
        }
    }

    /// Ids in no order.
    pub fn ids(&self) -> Vec<u64> {
        match self {
            Self::Exact(rows) => rows.ids().to_vec(),
            Self::Graph(graph) => graph.ids().collect(),
        }
    }

    /// The vector of `id` at unit length.
    pub fn get(&self, id: u64) -> Result<Option<Vec<f32>>, IndexError> {
        match self {
            Self::Exact(rows) => Ok(rows.get(id).map(<[f32]>::to_vec)),
            Self::Graph(graph) => graph.get(id),
        }
    }

    /// Adds a vector of unit length. Returns whether it did: not when the id is present already.
    pub fn add(&mut self, id: u64, vector: &[f32]) -> Result<bool, IndexError> {
        match self {
            Self::Exact(rows) => Ok(rows.add(id, vector)),
            Self::Graph(graph) => graph.add(id, vector),
        }
    }

    /// Removes a vector. Returns whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        match self {
            Self::Exact(rows) => rows.remove(id),
            Self::Graph(graph) => graph.remove(id),
        }
    }

    /// The best `k` that are not in `hidden`, best first. `hidden` holds only ids of this form.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        hidden: &HashSet<u64>,
    ) -> Result<Vec<Neighbour>, IndexError> {
        match self {
            Self::Exact(rows) => Ok(rows.search(query, k, hidden)),
            Self::Graph(graph) => graph.search(query, k, hidden),
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Exact(rows) => rows.memory_bytes(),
            Self::Graph(graph) => graph.memory_bytes(),
        }
    }
}
