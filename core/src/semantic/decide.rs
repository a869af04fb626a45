//! The decision whether a new text merges with a stored one.
//!
//! The best candidate is taken if it passes every gate, in this order: the threshold; the margin over the second best;
//! reciprocal neighbours, which keeps texts that are near to everything from swallowing it; the caller's verifier.
//! The first is always there, the others on request. No other candidate is tried in its place.

use super::Semantic;
use super::ahead::NewText;
use super::score::dot;
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::mutation::Mutation;
use crate::stats::Timed;
use prestige_index::Neighbour;
use std::collections::HashMap;
use std::time::Instant;

/// A text whose object the change in progress creates: the index does not know it yet.
#[derive(Debug)]
pub(crate) struct CreatedText {
    pub object_id: u64,
    pub vector: Vec<f32>,
    /// Its row among the pairs of the put.
    pub row: Option<usize>,
}

/// All of them.
pub(crate) type Created = [CreatedText];

/// What the verifier has said of pairs of texts, by the digests of the new and the stored one.
pub(crate) type Verdicts = HashMap<(Digest, Digest), bool>;

/// A stored text, and how near it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near {
    pub object_id: u64,
    pub similarity: f32,
    /// The object was created by the change in progress, so no other thread knows it.
    pub created_here: bool,
}

/// The stored text that a new one merges with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merge {
    pub near: Near,
    /// Of the stored text.
    pub digest: Digest,
}

/// What becomes of a text, and the similarity of the nearest one, if there is any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub decision: Decision,
    pub similarity: Option<f32>,
}

/// What becomes of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision {
    New,
    Merge(Merge),
    /// It would merge if the verifier agreed, who has not been asked.
    Ask(Merge),
}

/// A condition of a merge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    /// `threshold`, `margin`, `reciprocal` or `verifier`.
    pub name: &'static str,
    /// Least similarity; least margin; texts of which less must be nearer to the candidate; 1 for a verifier.
    pub needed: f64,
    /// The similarity; the margin over the second best, `None` if there is none; the texts that are nearer to the
    /// candidate than the new one is; 1 or 0 for the verifier's answer.
    pub found: Option<f64>,
    /// Whether it lets the candidate pass.
    pub passed: bool,
}

impl Semantic {
    /// What becomes of a new text. The caller holds the semantic lock, so the answer stays true until it writes.
    pub(crate) fn decide(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        new: &NewText<'_>,
        mutation: &Mutation<'_>,
        verdicts: &Verdicts,
    ) -> Result<Decided> {
        let created = mutation.created_vectors();
        let start = Instant::now();
        let nearest = new.ahead.pairs.nearest_of(new.digest, created);
        let compared = nearest.unwrap_or_else(|| created.iter().collect());
        let neighbours = self.proposed(new, engine.options.semantic.search_k)?;
        let candidates = self.compare(engine, namespace, new.vector, &neighbours, &compared)?;
        let stats = &namespace.stats;
        stats.add_time(Timed::Search, start.elapsed(), 1);
        let best = best(&candidates);
        let decision = match best {
            None => Decision::New,
            Some(best) => {
                let near = (&best, &candidates[..], created);
                self.decide_for(engine, namespace, new.digest, near, mutation, verdicts)?
            }
        };
        Ok(Decided {
            decision,
            similarity: best.map(|best| best.similarity),
        })
    }

    /// What becomes of the text whose nearest one is `best`, given the other candidates and what the change in progress
    /// creates.
    fn decide_for(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        digest: &Digest,
        (best, candidates, created): (&Near, &[Near], &Created),
        mutation: &Mutation<'_>,
        verdicts: &Verdicts,
    ) -> Result<Decision> {
        let threshold = self.threshold(engine, best);
        // The cheap gate first: most texts are like no other.
        if !threshold.passed
            || !self
                .more_gates(engine, namespace, best, candidates, created)?
                .iter()
                .all(|gate| gate.passed)
        {
            return Ok(Decision::New);
        }
        let merge = Merge {
            near: *best,
            digest: mutation.digest_of(best.object_id)?,
        };
        if engine.options.verifier.is_none() {
            return Ok(Decision::Merge(merge));
        }
        Ok(match verdicts.get(&(*digest, merge.digest)) {
            Some(true) => Decision::Merge(merge),
            Some(false) => Decision::New,
            None => Decision::Ask(merge),
        })
    }

    /// The nearest stored texts, in no order. What the index proposes by its approximate similarity is scored exactly with
    /// the stored vectors, and so is all that is in `created`.
    pub(crate) fn compare(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        vector: &[f32],
        neighbours: &[Neighbour],
        created: &[&CreatedText],
    ) -> Result<Vec<Near>> {
        let options = &engine.options.semantic;
        let mut candidates: Vec<Near> = Vec::with_capacity(neighbours.len() + created.len());
        let near = |object_id, similarity, created_here| Near {
            object_id,
            similarity,
            created_here,
        };
        if options.verify_exact {
            let ids: Vec<u64> = neighbours.iter().map(|found| found.id).collect();
            let similarities = self.similarities(engine, namespace, vector, &ids)?;
            for (found, similarity) in neighbours.iter().zip(similarities) {
                match similarity {
                    Some(similarity) => candidates.push(near(found.id, similarity, false)),
                    None => tracing::warn!(
                        object = found.id,
                        "the index knows an object that has no vector"
                    ),
                }
            }
        } else {
            let approximate = neighbours.iter();
            candidates.extend(approximate.map(|found| near(found.id, found.similarity, false)));
        }
        candidates.extend(
            created
                .iter()
                .map(|other| near(other.object_id, dot(vector, &other.vector), true)),
        );
        Ok(candidates)
    }

    pub(crate) fn threshold(&self, engine: &Engine, best: &Near) -> Gate {
        let (needed, found) = (
            engine.options.semantic.threshold,
            f64::from(best.similarity),
        );
        Gate {
            name: "threshold",
            needed,
            found: Some(found),
            passed: found >= needed,
        }
    }

    /// The gates after the threshold and before the verifier, those that are asked for.
    pub(crate) fn more_gates(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        best: &Near,
        candidates: &[Near],
        created: &Created,
    ) -> Result<Vec<Gate>> {
        let options = &engine.options.semantic;
        let mut gates = Vec::new();
        if options.margin > 0.0 {
            let others = candidates
                .iter()
                .filter(|other| other.object_id != best.object_id);
            let second = others.map(|other| f64::from(other.similarity));
            let second = second.max_by(f64::total_cmp);
            let found = second.map(|second| f64::from(best.similarity) - second);
            gates.push(Gate {
                name: "margin",
                needed: options.margin,
                found,
                passed: found.is_none_or(|found| found >= options.margin),
            });
        }
        if options.reciprocal_k > 0 {
            let nearer = self.nearer(engine, namespace, best, created)?;
            #[expect(
                clippy::cast_precision_loss,
                reason = "counts and k are far below 2^53"
            )]
            gates.push(Gate {
                name: "reciprocal",
                needed: options.reciprocal_k as f64,
                found: Some(nearer as f64),
                passed: nearer < options.reciprocal_k,
            });
        }
        Ok(gates)
    }

    /// How many texts are nearer to the candidate than the new one is; counted up to `reciprocal_k`.
    fn nearer(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        candidate: &Near,
        created: &Created,
    ) -> Result<usize> {
        let own = created.iter();
        let mut own = own.filter(|created| created.object_id == candidate.object_id);
        let vector = match own.next() {
            Some(created) => created.vector.clone(),
            // Without a vector it would not have come so far.
            None => self
                .stored_vector(engine, namespace, candidate.object_id)?
                .unwrap_or_default(),
        };
        let k = engine.options.semantic.reciprocal_k;
        // The candidate is its own nearest.
        let mut ids: Vec<u64> = self
            .index
            .search(&vector, k + 1)?
            .iter()
            .map(|n| n.id)
            .collect();
        ids.retain(|id| *id != candidate.object_id);
        let stored = self.similarities(engine, namespace, &vector, &ids)?;
        let created = created
            .iter()
            .filter(|created| created.object_id != candidate.object_id)
            .map(|created| dot(&vector, &created.vector));
        let nearer = stored
            .into_iter()
            .flatten()
            .chain(created)
            .filter(|similarity| *similarity > candidate.similarity);
        Ok(nearer.take(k).count())
    }
}

/// The most similar of them, of equals the oldest.
pub(crate) fn best(candidates: &[Near]) -> Option<Near> {
    candidates.iter().copied().max_by(|one, other| {
        let by_similarity = one.similarity.total_cmp(&other.similarity);
        by_similarity.then(other.object_id.cmp(&one.object_id))
    })
}
