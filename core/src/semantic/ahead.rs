//! Searching for many new texts at once, before any lock is taken: what was found serves under the semantic lock if nothing
//! has changed meanwhile.

use super::pairs::Pairs;
use super::{Semantic, Vectors};
use crate::digest::Digest;
use crate::error::Result;
use prestige_embed::in_parts;
use prestige_index::{Found, Neighbour};
use std::collections::HashMap;

/// Fewer texts are searched for one by one, under the lock.
const LEAST: usize = 8;

/// Numbers that a thread of its own must have to compare to be worth its start: about a millisecond of an exact scan.
pub(super) const NUMBERS_PER_THREAD: usize = 50_000_000;

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// By the digest of the text.
    found: HashMap<Digest, Found>,
    /// How similar they are to each other.
    pub pairs: Pairs,
}

/// A text that is not stored yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewText<'a> {
    pub digest: &'a Digest,
    pub vector: &'a [f32],
    /// What was found before a lock was taken, of this text perhaps.
    pub ahead: &'a Ahead,
}

impl Ahead {
    /// Whether nothing was searched for.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

impl Semantic {
    /// Searches for `vectors`, if they are many.
    pub(crate) fn search_ahead(&self, vectors: &Vectors, k: usize) -> Result<Ahead> {
        if vectors.len() < LEAST {
            return Ok(Ahead::default());
        }
        let (digests, queries): (Vec<Digest>, Vec<&[f32]>) = vectors
            .iter()
            .map(|(digest, vector)| (*digest, &vector[..]))
            .unzip();
        let numbers = queries.len() * self.index.len() * self.dimension();
        let search = |part: &[&[f32]]| self.index.search_many(part, k);
        let parts = in_parts(
            &queries,
            numbers / NUMBERS_PER_THREAD,
            "prestige-search",
            search,
        );
        let mut found = Vec::with_capacity(queries.len());
        for part in parts {
            found.extend(part?);
        }
        Ok(Ahead {
            found: digests.into_iter().zip(found).collect(),
            pairs: Pairs::of(vectors),
        })
    }

    /// The neighbours that the index proposes for a text. The caller holds the semantic lock, so they stay the nearest.
    pub(super) fn proposed(&self, new: &NewText<'_>, k: usize) -> Result<Vec<Neighbour>> {
        match new.ahead.found.get(new.digest) {
            Some(found) if found.version == self.index.version() => Ok(found.neighbours.clone()),
            _ => Ok(self.index.search(new.vector, k)?),
        }
    }
}
