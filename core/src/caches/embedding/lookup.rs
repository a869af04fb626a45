//! What the cache has: many texts at once, each vector copied once, from where the store holds it into its row.

use super::{EmbeddingCache, Rows};
use crate::caches::vectors::decode_into;
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::stats::Count;
use std::sync::Arc;

/// Texts that are looked up at once: their records and values are held meanwhile.
const PAGE: usize = 1024;

impl EmbeddingCache {
    /// The vectors of `texts` that are there, in their order.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be read; a damaged one counts as absent.
    pub fn get_many(&self, texts: &[&str]) -> Result<Vec<Option<Arc<[f32]>>>> {
        let keys = Digest::of_all(texts);
        let found = self.look_up_each(&keys)?;
        let hits = found.iter().flatten().count();
        self.count_lookups(hits, keys.len() - hits);
        Ok(found)
    }

    /// Counts texts that were asked for.
    pub(super) fn count_lookups(&self, hits: usize, misses: usize) {
        self.stats.looked_up(hits, misses);
        // A store that was closed since has no figures any more.
        if let Ok(engine) = self.store.engine() {
            engine.cache_stats.embeddings(hits, misses);
        }
    }

    /// As [`Self::get_many`], not counted.
    pub(super) fn look_up_each(&self, keys: &[Digest]) -> Result<Vec<Option<Arc<[f32]>>>> {
        let mut rows = Rows::default();
        let mut missing = vec![false; keys.len()];
        for position in self.look_up(keys, &mut rows)? {
            if let Some(slot) = missing.get_mut(position) {
                *slot = true;
            }
        }
        if rows.dimension == 0 {
            return Ok(vec![None; keys.len()]);
        }
        let rows = rows.data.chunks_exact(rows.dimension);
        let found = rows.zip(missing);
        Ok(found
            .map(|(row, missing)| (!missing).then(|| Arc::from(row)))
            .collect())
    }

    /// Fills `rows` with the vectors of `keys` and returns the positions of those that are not there. Without a known
    /// length of vectors there are none, and no rows either.
    pub(super) fn look_up(&self, keys: &[Digest], rows: &mut Rows) -> Result<Vec<usize>> {
        let engine = self.store.engine()?;
        let Some(dimension) = self.dimension() else {
            return Ok((0..keys.len()).collect());
        };
        rows.dimension = dimension;
        rows.data = vec![0.0; keys.len() * dimension];
        let Some(namespace) = self.namespace(&engine)? else {
            return Ok((0..keys.len()).collect());
        };
        let mut missing = Vec::new();
        let mut damaged: Vec<&[u8]> = Vec::new();
        let pages = rows.data.chunks_mut(PAGE * dimension);
        for (page, (keys, rows)) in keys.chunks(PAGE).zip(pages).enumerate() {
            let names: Vec<&[u8]> = keys.iter().map(|key| &key.0[..]).collect();
            let mut place = |position: usize, value: Option<&[u8]>, row: &mut [f32]| {
                match value {
                    Some(value) if decode_into(value, row) => return,
                    Some(_) => damaged.extend(names.get(position).copied()),
                    None => {}
                }
                missing.push(page * PAGE + position);
            };
            let rows = rows.chunks_exact_mut(dimension);
            match engine.get_many(&namespace, &names) {
                Ok(values) => {
                    for (position, (value, row)) in values.iter().zip(rows).enumerate() {
                        place(position, value.as_deref(), row);
                    }
                }
                // Something of the page is damaged; the rest is not to suffer for it.
                Err(Error::Corruption(_)) => {
                    for (position, (name, row)) in names.iter().zip(rows).enumerate() {
                        match engine.get(&namespace, name) {
                            Ok(value) => place(position, value.as_deref(), row),
                            Err(Error::Corruption(message)) => {
                                let model = self.model();
                                tracing::warn!(model, message, "a stored vector cannot be read");
                                // No bytes are no vector either.
                                place(position, Some(&[]), row);
                            }
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.forget(&engine, &namespace, &damaged);
        Ok(missing)
    }

    /// Removes values that are no vectors of this cache: the same bytes, put again, would find them by their digest.
    fn forget(&self, engine: &Engine, namespace: &Namespace, damaged: &[&[u8]]) {
        if damaged.is_empty() {
            return;
        }
        let model = self.model();
        tracing::warn!(
            model,
            vectors = damaged.len(),
            "damaged vectors are computed again"
        );
        self.stats.damaged(damaged.len());
        if let Err(error) = engine.remove_live(namespace, damaged, Count::Deletes) {
            tracing::warn!(model, %error, "damaged vectors stay");
        }
    }
}
