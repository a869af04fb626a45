//! Looking up: the query itself, else the nearest stored one.

use super::{
    Entry, EntryMetadata, Response, Scope, SemanticCache, check_dimension, check_threshold, unit,
};
use crate::caches::VectorSource;
use crate::candidates::{INDEX_TOLERANCE, spare_neighbours};
use crate::clock::MICROS_PER_SECOND;
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::record::{KeyRecord, decode_vector};
use crate::schema::numbered_key;
use crate::semantic::{Semantic, dot};
use crate::stats::{Compared, Count, Timed};
use std::time::Instant;

/// Neighbours that are looked at first, besides the spare ones. More are asked for where these have expired.
const NEIGHBOURS: usize = 8;

/// What to look up with a query.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lookup<'a> {
    /// Least cosine similarity, over 0 and at most 1; `None`: that of the cache.
    pub threshold: Option<f64>,
    /// The embedding of the query, of any length but 0; `None`: it is computed if it is needed.
    pub embedding: Option<&'a [f32]>,
}

/// A response that was found, and all that is needed to judge it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The response.
    pub response: Response,
    /// The query it was put with.
    pub query: String,
    /// Cosine similarity of the two queries; 1 if they are the same text.
    pub similarity: f32,
    /// Whether they are the same text.
    pub exact: bool,
    /// Seconds since it was put.
    pub age_seconds: f64,
    /// What was put with it.
    pub metadata: EntryMetadata,
    /// What computing it took, in microseconds; 0: not known.
    pub computing_us: u64,
    /// Tokens that it cost; 0: not known.
    pub tokens: u64,
}

/// What a lookup has found, and the unit vector of the query if it was needed.
pub(super) struct Found {
    pub hit: Option<Hit>,
    pub vector: Option<Vec<f32>>,
}

impl SemanticCache {
    /// The response to `query` in `scope`: that of the same text, else of the most similar query at or above the
    /// threshold, of equals the one put last; `None` if there is none. Runs `source` only if the text is not there and the
    /// scope has other queries.
    ///
    /// # Errors
    /// What `source` fails with; [`Error::InvalidArgument`] for a threshold out of its range or an embedding that cannot
    /// be compared; [`Error::Model`] if the scope has embeddings of another model; as [`crate::Store::get`].
    pub fn get(
        &self,
        scope: &Scope,
        query: &str,
        lookup: Lookup<'_>,
        source: &dyn VectorSource,
    ) -> Result<Option<Hit>> {
        Ok(self.find(scope, query, lookup, source)?.hit)
    }

    pub(super) fn find(
        &self,
        scope: &Scope,
        query: &str,
        lookup: Lookup<'_>,
        source: &dyn VectorSource,
    ) -> Result<Found> {
        let threshold = lookup.threshold.unwrap_or(self.options.threshold);
        check_threshold(threshold)?;
        let mut vector = lookup.embedding.map(unit).transpose()?;
        let mut hit = self.exact(scope, query)?;
        if hit.is_none() && self.has_vectors(scope)? {
            if vector.is_none() {
                // Nothing of the store is held meanwhile.
                vector = self.embed(None, query, source)?;
            }
            if let Some(vector) = &vector {
                hit = self.nearest(scope, vector, threshold)?;
            }
        }
        let counter = match &hit {
            None => &self.stats.misses,
            Some(hit) if hit.exact => &self.stats.exact_hits,
            Some(_) => &self.stats.semantic_hits,
        };
        counter.add(1);
        let exact = hit.as_ref().map(|hit| hit.exact);
        // A store that was closed since has no figures any more.
        if let Ok(engine) = self.store.engine() {
            engine.cache_stats.response(exact);
        }
        if let Some(hit) = &hit {
            self.stats.saved_us.add(hit.computing_us);
            self.stats.saved_tokens.add(hit.tokens);
        }
        Ok(Found { hit, vector })
    }

    /// The entry of this very text.
    pub(super) fn exact(&self, scope: &Scope, query: &str) -> Result<Option<Hit>> {
        self.within(scope, |engine, namespace| exact(engine, namespace, query))
    }

    /// Whether the scope has queries with embeddings, so that one of a query is of use.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn has_vectors(&self, scope: &Scope) -> Result<bool> {
        let found = self.within(scope, |engine, namespace| {
            let stage = namespace.semantic(engine)?;
            Ok(stage.map(|stage| !stage.index.is_empty()))
        })?;
        Ok(found.unwrap_or(false))
    }

    /// The live entry whose query is most similar to `vector`.
    fn nearest(&self, scope: &Scope, vector: &[f32], threshold: f64) -> Result<Option<Hit>> {
        self.within(scope, |engine, namespace| {
            nearest(engine, namespace, vector, threshold)
        })
    }

    /// What `look` finds in the namespace of a scope; nothing if there is none, or none any more.
    fn within<T>(
        &self,
        scope: &Scope,
        look: impl FnOnce(&Engine, &Namespace) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let engine = self.store.engine()?;
        let Some(namespace) = self.comparable(&engine, scope)? else {
            return Ok(None);
        };
        match look(&engine, &namespace) {
            // Dropped since it was found.
            Err(_) if namespace.check_exists().is_err() => Ok(None),
            ended => ended,
        }
    }
}

/// The entry of this very text. One that is damaged is removed and a miss: the same bytes, put again, would find the
/// damaged object by their digest.
fn exact(engine: &Engine, namespace: &Namespace, query: &str) -> Result<Option<Hit>> {
    let key = Digest::of(query.as_bytes());
    let found = match read_exact(engine, namespace, query, &key) {
        Err(error @ Error::Corruption(_)) => {
            tracing::warn!(%error, "a damaged entry of a semantic cache is removed");
            if let Err(error) = engine.remove_live(namespace, &[&key.0], Count::Deletes) {
                tracing::warn!(%error, "the damaged entry stays");
            }
            None
        }
        ended => ended?,
    };
    if found.is_none() {
        namespace.stats.add(Count::Misses, 1);
    }
    Ok(found)
}

/// Damage is no reason to fail: a cache can do without an entry.
pub(super) fn unless_damaged<T>(found: Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(error @ Error::Corruption(_)) => {
            tracing::warn!(%error, "a damaged entry of a semantic cache is passed over");
            Ok(None)
        }
        ended => ended,
    }
}

fn read_exact(
    engine: &Engine,
    namespace: &Namespace,
    query: &str,
    key: &Digest,
) -> Result<Option<Hit>> {
    let Some((record, value)) = engine.load(namespace, &key.0)? else {
        return Ok(None);
    };
    let entry = Entry::decode(&value)?;
    if entry.query != query {
        return Err(Error::Corruption(
            "an entry of a semantic cache is not that of its key; run verify() for the extent of the damage"
                .to_owned(),
        ));
    }
    Ok(Some(hit(engine, &record, &entry, 1.0, true)))
}

fn nearest(
    engine: &Engine,
    namespace: &Namespace,
    vector: &[f32],
    threshold: f64,
) -> Result<Option<Hit>> {
    let (Some(model), Some(stage)) = (namespace.model(&engine.db)?, namespace.semantic(engine)?)
    else {
        return Ok(None);
    };
    check_dimension(model, vector)?;
    let precision = engine.options.semantic.vector_precision;
    let mut wanted = NEIGHBOURS + spare_neighbours(precision);
    let mut noted = false;
    loop {
        let start = Instant::now();
        let neighbours = stage.index.search(vector, wanted)?;
        let ids: Vec<_> = neighbours.iter().map(|found| found.id).collect();
        let scored = scored(engine, namespace, &stage, vector, &ids)?;
        let stats = &namespace.stats;
        stats.add_time(Timed::Search, start.elapsed(), 1);
        if let Some((similarity, _)) = scored.first().filter(|_| !noted) {
            stats.add_similarity(Compared::Lookup, *similarity);
            noted = true;
        }
        for (similarity, id) in scored {
            if f64::from(similarity) < threshold {
                break;
            }
            if let Some(hit) = unless_damaged(live(engine, namespace, id, similarity))? {
                return Ok(Some(hit));
            }
        }
        // All that are near enough have expired or gone; behind them there may be others.
        let last = neighbours.last();
        let least = threshold - INDEX_TOLERANCE;
        let beyond = last.is_some_and(|last| f64::from(last.similarity) >= least);
        if neighbours.len() < wanted || !beyond {
            return Ok(None);
        }
        wanted = wanted.saturating_mul(4);
    }
}

/// Similarities of `vector` with the stored vectors of `ids`, the best first, of equals the youngest.
fn scored(
    engine: &Engine,
    namespace: &Namespace,
    stage: &Semantic,
    vector: &[f32],
    ids: &[u64],
) -> Result<Vec<(f32, u64)>> {
    let names: Vec<_> = ids
        .iter()
        .map(|id| numbered_key(namespace.id, *id))
        .collect();
    let mut scored = Vec::with_capacity(ids.len());
    for (id, stored) in ids
        .iter()
        .zip(engine.db.multi_get(stage.slot().family(), &names)?)
    {
        // Otherwise removed since the index was asked.
        if let Some(stored) = stored {
            let stored = decode_vector(&stored, stage.dimension()).map(Some);
            if let Some(stored) = unless_damaged(stored)? {
                scored.push((dot(vector, &stored), *id));
            }
        }
    }
    scored.sort_unstable_by(|(a, a_id), (b, b_id)| b.total_cmp(a).then(b_id.cmp(a_id)));
    Ok(scored)
}

/// The entry of an object, if its key still points at it and has not expired.
fn live(engine: &Engine, namespace: &Namespace, id: u64, similarity: f32) -> Result<Option<Hit>> {
    let Some((value, cached)) = engine.uncounted_object(namespace, id)? else {
        return Ok(None);
    };
    let entry = Entry::decode(&value)?;
    let key = Digest::of(entry.query.as_bytes());
    match engine.live_record(namespace, &key.0)? {
        Some(record) if record.object_id == id => {
            engine.note_access(namespace, &key.0, &record);
            namespace.stats.add_hit(cached, value.len());
            Ok(Some(hit(engine, &record, &entry, similarity, false)))
        }
        _ => Ok(None),
    }
}

fn hit(
    engine: &Engine,
    record: &KeyRecord,
    entry: &Entry<'_>,
    similarity: f32,
    exact: bool,
) -> Hit {
    let age_us = engine.now_us().saturating_sub(record.created_us);
    #[expect(
        clippy::cast_precision_loss,
        reason = "an age for people, exact to the microsecond for 285 years"
    )]
    let age_seconds = age_us as f64 / MICROS_PER_SECOND as f64;
    Hit {
        response: Response {
            kind: entry.kind,
            bytes: entry.response.to_vec(),
        },
        query: entry.query.to_owned(),
        similarity,
        exact,
        age_seconds,
        metadata: entry.metadata.clone(),
        computing_us: entry.computing_us,
        tokens: entry.tokens,
    }
}
