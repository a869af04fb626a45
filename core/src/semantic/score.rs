//! Exact similarities: what the index proposes is scored again with the stored vectors.

use super::Semantic;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::record::decode_vector;
use crate::schema::numbered_key;

impl Semantic {
    /// The vector of an object; `None` if it has none.
    pub(crate) fn stored_vector(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        id: u64,
    ) -> Result<Option<Vec<f32>>> {
        let stored = engine
            .db
            .get(self.slot().family(), &numbered_key(namespace.id, id))?;
        stored
            .map(|stored| decode_vector(&stored, self.dimension()))
            .transpose()
    }

    /// The cosine similarity of `vector` to the stored vector of each of `ids`; `None` where there is none.
    pub(crate) fn similarities(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        vector: &[f32],
        ids: &[u64],
    ) -> Result<Vec<Option<f32>>> {
        let keys: Vec<_> = ids
            .iter()
            .map(|id| numbered_key(namespace.id, *id))
            .collect();
        let stored = engine
            .db
            .multi_get(self.slot().family(), &keys)?
            .into_iter();
        stored
            .map(|stored| {
                let stored = stored.map(|stored| decode_vector(&stored, self.dimension()));
                Ok(stored.transpose()?.map(|stored| dot(vector, &stored)))
            })
            .collect()
    }

    /// A vector that a caller brings, at unit length.
    pub(crate) fn unit(&self, vector: &[f32]) -> Result<Vec<f32>> {
        let refuse = |what: String| Err(Error::InvalidArgument(what));
        if vector.len() != self.dimension() {
            return refuse(format!(
                "the embedding should have {} numbers, as those of this store's model, and has {}",
                self.dimension(),
                vector.len()
            ));
        }
        let square: f64 = vector.iter().map(|number| f64::from(*number).powi(2)).sum();
        if !square.is_finite() || square == 0.0 {
            return refuse(
                "the numbers of the embedding should be finite and not all zero".to_owned(),
            );
        }
        let length = square.sqrt();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most 1, and kept as f32 everywhere"
        )]
        let scaled = |number: &f32| (f64::from(*number) / length) as f32;
        Ok(vector.iter().map(scaled).collect())
    }
}

/// Cosine similarity of two unit vectors, kept within [-1, 1] against rounding.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    prestige_index::dot(a, b).clamp(-1.0, 1.0)
}
