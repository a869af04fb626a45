//! What a put of a value would do, and why.

use crate::candidates::{Candidate, Scored};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::entered::Entered;
use crate::error::Result;
use crate::record::ObjectMeta;
use crate::schema::{OBJECT_META, numbered_key};
use crate::semantic::{Gate, Near, Semantic, Vectors, best};
use crate::stats::Timed;
use std::time::Instant;

/// What would become of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Its bytes are stored already.
    Identical,
    /// It is a text that would merge with a stored one.
    Merge,
    /// It is like no stored value.
    New,
    /// It is not UTF-8, or blank: only identical values merge with it.
    NotText,
    /// It is longer than `max_text_bytes`, or has more tokens than the model reads: likewise.
    TooLong,
    /// The index has `max_index_entries`: likewise.
    IndexFull,
}

impl Verdict {
    /// Its name, such as `not_text`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Merge => "merge",
            Self::New => "new",
            Self::NotText => "not_text",
            Self::TooLong => "too_long",
            Self::IndexFull => "index_full",
        }
    }
}

/// Why a put of a value would do what it would.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What would become of it.
    pub verdict: Verdict,
    /// The object it would share; `None`: it would be one of its own.
    pub object_id: Option<u64>,
    /// The digest of the value.
    pub digest: Digest,
    /// Least similarity of a merge; `None` in exact mode.
    pub threshold: Option<f64>,
    /// The stored texts it was compared with, most similar first, with their values.
    pub candidates: Vec<Candidate>,
    /// What was asked of the first of them; all must pass.
    pub gates: Vec<Gate>,
}

impl Engine {
    /// Goes through what a put decides, without locks and without changing anything.
    pub(crate) fn explain(&self, namespace: &Namespace, value: &[u8]) -> Result<Explanation> {
        loop {
            let stage = self.stage(namespace)?;
            let explanation = self.explain_by(namespace, stage.as_deref(), value);
            // Otherwise another model has taken its place, and its vectors are being removed.
            if namespace.has_stage(stage.as_ref()) {
                return explanation;
            }
        }
    }

    fn explain_by(
        &self,
        namespace: &Namespace,
        stage: Option<&Semantic>,
        value: &[u8],
    ) -> Result<Explanation> {
        let options = &self.options;
        let mode = options.normalization_mode;
        let value = mode.apply(value, options.normalization_max_bytes);
        let digest = Digest::of(&value);
        let mut explanation = Explanation {
            verdict: Verdict::New,
            object_id: self.object_of_digest(namespace, &digest)?,
            digest,
            threshold: stage.map(|_| options.semantic.threshold),
            candidates: Vec::new(),
            gates: Vec::new(),
        };
        if explanation.object_id.is_some() {
            explanation.verdict = Verdict::Identical;
            return Ok(explanation);
        }
        let Some(stage) = stage else {
            return Ok(explanation);
        };
        let text = match str::from_utf8(&value) {
            Ok(text) if !text.trim().is_empty() => text,
            _ => {
                explanation.verdict = Verdict::NotText;
                return Ok(explanation);
            }
        };
        if !stage.embeds(&value, &options.semantic) {
            explanation.verdict = Verdict::TooLong;
            return Ok(explanation);
        }
        if !stage.has_room(&options.semantic) {
            explanation.verdict = Verdict::IndexFull;
            return Ok(explanation);
        }
        let mut vectors = Vectors::default();
        stage.embed(
            self,
            namespace,
            [(digest, text)].into_iter().collect(),
            &mut vectors,
        )?;
        let vector = vectors.remove(&digest).unwrap_or_default();
        let start = Instant::now();
        let neighbours = stage.index.search(&vector, options.semantic.search_k)?;
        let near = stage.compare(self, namespace, &vector, &neighbours, &[])?;
        let stats = &namespace.stats;
        stats.add_time(Timed::Search, start.elapsed(), 1);
        if let Some(best) = best(&near) {
            let mut gates = vec![stage.threshold(self, &best)];
            gates.extend(stage.more_gates(self, namespace, &best, &near, &[])?);
            let passed = |gates: &[Gate]| gates.iter().all(|gate| gate.passed);
            if passed(&gates)
                && let Some(answer) = self.verify_merge(namespace, text, &best)?
            {
                gates.push(Gate {
                    name: "verifier",
                    needed: 1.0,
                    found: Some(f64::from(u8::from(answer))),
                    passed: answer,
                });
            }
            if passed(&gates) {
                explanation.verdict = Verdict::Merge;
                explanation.object_id = Some(best.object_id);
            }
            explanation.gates = gates;
        }
        explanation.candidates = self.described(namespace, &near)?;
        Ok(explanation)
    }

    /// The verifier's answer; `None` if there is no verifier, or the candidate is gone meanwhile. Called without locks.
    fn verify_merge(&self, namespace: &Namespace, text: &str, near: &Near) -> Result<Option<bool>> {
        let Some(verifier) = &self.options.verifier else {
            return Ok(None);
        };
        let stored = self.object_text(namespace, near.object_id)?;
        let _entered = Entered::new(self);
        stored
            .map(|stored| verifier(text, &stored, near.similarity))
            .transpose()
    }

    fn described(&self, namespace: &Namespace, near: &[Near]) -> Result<Vec<Candidate>> {
        let mut scored = Vec::with_capacity(near.len());
        for found in near {
            let name = numbered_key(namespace.id, found.object_id);
            if let Some(meta) = self.db.get(OBJECT_META, &name)? {
                scored.push(Scored {
                    id: found.object_id,
                    similarity: found.similarity,
                    identical: false,
                    meta: ObjectMeta::decode(&meta)?,
                });
            }
        }
        crate::candidates::sort(&mut scored, near.len());
        self.complete(namespace, scored, true)
    }
}

#[cfg(test)]
mod tests;
