//! The decision whether a new text merges with a stored one.

use super::Semantic;
use super::score::dot;
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::mutation::Mutation;

/// The stored text that a new one merges with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merge {
    pub object_id: u64,
    pub similarity: f32,
    /// Of the stored text.
    pub digest: Digest,
    /// The object was created by the change in progress, so no other thread knows it.
    pub created_here: bool,
}

impl Semantic {
    /// The most similar text at or above the threshold: of equally similar ones the oldest. The caller holds the
    /// semantic lock, so the answer stays true until it writes.
    ///
    /// The index proposes `search_k` candidates by its approximate similarity; the decision is made on the exact
    /// cosine similarity with the stored vectors.
    pub(crate) fn decide(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        vector: &[f32],
        mutation: &Mutation<'_>,
    ) -> Result<Option<Merge>> {
        let options = &engine.options.semantic;
        let neighbours = self.index.search(vector, options.search_k)?;
        let mut candidates: Vec<(u64, f32, bool)> = Vec::with_capacity(neighbours.len());
        if options.verify_exact {
            let ids: Vec<u64> = neighbours.iter().map(|found| found.id).collect();
            let similarities = self.similarities(engine, namespace, vector, &ids)?;
            for (found, similarity) in neighbours.iter().zip(similarities) {
                match similarity {
                    Some(similarity) => candidates.push((found.id, similarity, false)),
                    None => tracing::warn!(
                        object = found.id,
                        "the index knows an object that has no vector"
                    ),
                }
            }
        } else {
            candidates.extend(
                neighbours
                    .iter()
                    .map(|found| (found.id, found.similarity, false)),
            );
        }
        candidates.extend(
            mutation
                .created_vectors()
                .map(|(id, other)| (id, dot(vector, other), true)),
        );
        let best = candidates
            .into_iter()
            .filter(|(_, similarity, _)| f64::from(*similarity) >= options.threshold)
            .max_by(|(a_id, a, _), (b_id, b, _)| a.total_cmp(b).then(b_id.cmp(a_id)));
        let Some((object_id, similarity, created_here)) = best else {
            return Ok(None);
        };
        let digest = mutation.digest_of(object_id)?;
        Ok(Some(Merge {
            object_id,
            similarity,
            digest,
            created_here,
        }))
    }
}
