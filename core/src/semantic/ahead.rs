//! Searching for many new texts at once, before any lock is taken: what was found serves under the semantic lock if nothing
//! has changed meanwhile.

use super::pairs::Pairs;
use super::{Semantic, Vectors};
use crate::digest::Digest;
use crate::error::Result;
use prestige_embed::in_parts;
use prestige_index::{Found, Neighbour};
use std::collections::{HashMap, HashSet};

/// Fewer texts are searched for one by one, under the lock.
const LEAST: usize = 8;

/// Numbers that a thread of its own must have to compare to be worth its start: about a millisecond of an exact scan.
pub(super) const NUMBERS_PER_THREAD: usize = 50_000_000;

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// By the digest of the text.
    found: HashMap<Digest, Found>,
    /// Which are nearest to each other.
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
    /// Searches for those of `texts` that have one of `vectors`, if they are many. They come in the order in which they are
    /// put.
    pub(crate) fn search_ahead(
        &self,
        texts: impl Iterator<Item = Digest>,
        vectors: &Vectors,
        k: usize,
    ) -> Result<Ahead> {
        let mut seen = HashSet::new();
        let texts: Vec<(Digest, &[f32])> = texts
            .filter(|digest| seen.insert(*digest))
            .filter_map(|digest| Some((digest, &vectors.get(&digest)?[..])))
            .collect();
        if texts.len() < LEAST {
            return Ok(Ahead::default());
        }
        let queries: Vec<&[f32]> = texts.iter().map(|(_, vector)| *vector).collect();
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
            pairs: Pairs::of(&texts),
            found: texts
                .into_iter()
                .map(|(digest, _)| digest)
                .zip(found)
                .collect(),
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
