//! Candidates: the stored values nearest to a query, for callers that decide themselves what counts as a hit.
//!
//! Nothing is locked and nothing changes. The index proposes, stored vectors score, and a filter that leaves too few
//! makes the search wider; a filter that is rarer than that is answered from `metadata`, where every value that can
//! satisfy one has a record. So a filter never hides a value for being far away.

use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::metadata::{self, Metadata};
use crate::options::{DedupMode, VectorPrecision};
use crate::record::ObjectMeta;
use crate::schema::{METADATA, OBJECT_META, OBJECTS, namespace_end, numbered_key, split_number};
use crate::semantic::{Semantic, Vectors};
use crate::stats::Timed;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// Most candidates of a query.
pub const MAX_CANDIDATES: usize = 10_000;
/// Neighbours asked for beyond those wanted, since exact scores change the order a little. Of an index of eight bits they
/// change it more.
const SPARE: usize = 2;
const SPARE_OF_8_BITS: usize = 16;
/// Each search that finds too few is followed by one this many times as wide.
const WIDEN: usize = 8;
/// Widest search under a filter, in neighbours; after it the values with metadata are gone through.
const WIDEST_FILTERED: usize = 4096;
/// Values with metadata scored at a time.
const CHUNK: usize = 1024;
/// How far the similarity of an index, of whatever precision, may be from the exact one.
pub(crate) const INDEX_TOLERANCE: f64 = 0.02;

/// Neighbours to ask an index of this precision for, beyond those wanted.
pub(crate) fn spare_neighbours(precision: VectorPrecision) -> usize {
    match precision {
        VectorPrecision::I8 => SPARE_OF_8_BITS,
        VectorPrecision::F16 | VectorPrecision::F32 => SPARE,
    }
}

/// What candidates are wanted for.
#[derive(Clone, Copy, Debug)]
pub enum Query<'a> {
    /// A value, normalised like those that are stored. If it is stored, its own vector serves.
    Value(&'a [u8]),
    /// A vector of the store's dimension, brought to unit length; only of semantic stores.
    Vector(&'a [f32]),
}

/// Which candidates are wanted.
#[derive(Clone, Debug)]
pub struct CandidateOptions {
    /// At most so many, 1 to [`MAX_CANDIDATES`].
    pub k: usize,
    /// For each name the texts that the metadata of a candidate may have under it; all names must fit.
    pub filter: BTreeMap<String, Vec<String>>,
    /// Least similarity, -1 to 1.
    pub min_similarity: Option<f64>,
    /// Whether values are read, too.
    pub include_values: bool,
}

impl Default for CandidateOptions {
    fn default() -> Self {
        Self {
            k: 5,
            filter: BTreeMap::new(),
            min_similarity: None,
            include_values: false,
        }
    }
}

/// A stored value near a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The object.
    pub object_id: u64,
    /// Cosine similarity to the query; 1 of the identical value.
    pub similarity: f32,
    /// Digest of the value.
    pub digest: Digest,
    /// Its metadata.
    pub metadata: Metadata,
    /// Its length in bytes.
    pub size: u64,
    /// When it was first stored, in microseconds since the Unix epoch.
    pub created_us: u64,
    /// The value, if it was asked for.
    pub value: Option<Vec<u8>>,
}

/// A query made ready.
struct Prepared {
    /// The object of the identical value.
    identical: Option<u64>,
    /// `None`: only the identical value counts.
    vector: Option<Vec<f32>>,
}

/// An object with its similarity, before its metadata and value are read.
pub(crate) struct Scored {
    pub id: u64,
    pub similarity: f32,
    /// Of the query's own bytes: no other value comes before it.
    pub identical: bool,
    pub meta: ObjectMeta,
}

impl Engine {
    /// The candidates of each of `queries`, most similar first, of equal ones the oldest.
    pub(crate) fn candidates(
        &self,
        namespace: &Namespace,
        queries: &[Query<'_>],
        options: &CandidateOptions,
    ) -> Result<Vec<Vec<Candidate>>> {
        options.check()?;
        loop {
            let stage = self.stage(namespace)?;
            let found = self.candidates_of(namespace, stage.as_deref(), queries, options);
            // Otherwise another model has taken its place, and its vectors are being removed.
            if namespace.has_stage(stage.as_ref()) {
                return found;
            }
        }
    }

    fn candidates_of(
        &self,
        namespace: &Namespace,
        stage: Option<&Semantic>,
        queries: &[Query<'_>],
        options: &CandidateOptions,
    ) -> Result<Vec<Vec<Candidate>>> {
        let prepared = self.prepare_queries(namespace, stage, queries)?;
        let mut found = Vec::with_capacity(queries.len());
        for query in &prepared {
            let mut scored = Vec::new();
            if let Some(id) = query.identical {
                self.score(namespace, None, &[id], options, &mut scored)?;
            }
            if let (Some(stage), Some(vector)) = (stage, &query.vector) {
                let search = Search {
                    engine: self,
                    namespace,
                    stage,
                    vector,
                    options,
                };
                let start = Instant::now();
                search.run(query.identical, &mut scored)?;
                let stats = &namespace.stats;
                stats.add_time(Timed::Search, start.elapsed(), 1);
            }
            sort(&mut scored, options.k);
            found.push(self.complete(namespace, scored, options.include_values)?);
        }
        Ok(found)
    }

    /// Finds identical values and vectors; texts that need the model are embedded together.
    fn prepare_queries(
        &self,
        namespace: &Namespace,
        stage: Option<&Semantic>,
        queries: &[Query<'_>],
    ) -> Result<Vec<Prepared>> {
        let options = &self.options;
        let mut prepared = Vec::with_capacity(queries.len());
        let mut texts: Vec<(usize, Digest, Cow<'_, [u8]>)> = Vec::new();
        for (place, query) in queries.iter().enumerate() {
            let value = match (query, stage) {
                (Query::Vector(vector), Some(stage)) => {
                    prepared.push(Prepared {
                        identical: None,
                        vector: Some(stage.unit(vector)?),
                    });
                    continue;
                }
                (Query::Vector(_), None) => {
                    return Err(Error::InvalidArgument(
                        "an exact store has no vectors to compare an embedding with; ask with the value".to_owned(),
                    ));
                }
                (Query::Value(value), _) => value,
            };
            let mode = options.normalization_mode;
            let value = mode.apply(value, options.normalization_max_bytes);
            let digest = Digest::of(&value);
            let identical = self.object_of_digest(namespace, &digest)?;
            let mut vector = None;
            if let Some(stage) = stage {
                if let Some(id) = identical {
                    vector = stage.stored_vector(self, namespace, id)?;
                }
                if vector.is_none() && stage.embeds(&value, &options.semantic) {
                    texts.push((place, digest, value));
                }
            }
            prepared.push(Prepared { identical, vector });
        }
        let Some(stage) = stage else {
            return Ok(prepared);
        };
        let mut vectors = Vectors::default();
        // In the order in which they come, so that an embedder of the caller's sees what it expects.
        let mut seen = HashSet::new();
        let distinct: Vec<(Digest, &str)> = texts
            .iter()
            .filter(|(_, digest, _)| seen.insert(*digest))
            .filter_map(|(_, digest, value)| Some((*digest, str::from_utf8(value).ok()?)))
            .collect();
        stage.embed(self, namespace, distinct, &mut vectors)?;
        for (place, digest, _) in &texts {
            if let Some(query) = prepared.get_mut(*place) {
                query.vector = vectors.get(digest).cloned();
            }
        }
        Ok(prepared)
    }

    /// The semantic stage; `None` in exact mode.
    pub(crate) fn stage(&self, namespace: &Namespace) -> Result<Option<Arc<Semantic>>> {
        match (namespace.semantic(self)?, self.mode) {
            (Some(stage), _) => Ok(Some(stage)),
            (None, DedupMode::Exact) => Ok(None),
            (None, DedupMode::Semantic) => match namespace.cache {
                None => self.reading_stage(namespace),
                // A cache is searched by itself.
                Some(_) => Ok(None),
            },
        }
    }

    /// Adds the best of the objects `ids` to `scored`, at least `k`, that satisfy `options` and have a key. `vector`: with
    /// its similarity to their stored vectors, those without one left out; otherwise with 1.
    fn score(
        &self,
        namespace: &Namespace,
        vector: Option<(&Semantic, &[f32])>,
        ids: &[u64],
        options: &CandidateOptions,
        scored: &mut Vec<Scored>,
    ) -> Result<()> {
        let mut ids = Cow::Borrowed(ids);
        if !options.filter.is_empty() {
            let mut kept = Vec::new();
            let found = self.db.multi_get(METADATA, &names(namespace, &ids))?;
            for (id, record) in ids.iter().zip(found) {
                if let Some(record) = record
                    && options.fits(&metadata::decode(&record)?)
                {
                    kept.push(*id);
                }
            }
            ids = Cow::Owned(kept);
        }
        let similarities = match vector {
            Some((stage, vector)) => stage.similarities(self, namespace, vector, &ids)?,
            None => vec![Some(1.0); ids.len()],
        };
        let least = options.min_similarity.unwrap_or(-1.0);
        let mut near: Vec<(u64, f32)> = ids
            .iter()
            .zip(similarities)
            .filter_map(|(id, similarity)| Some((*id, similarity?)))
            .filter(|(_, similarity)| f64::from(*similarity) >= least)
            .collect();
        near.sort_unstable_by(|one, other| {
            let by_similarity = other.1.total_cmp(&one.1);
            by_similarity.then(one.0.cmp(&other.0))
        });
        let mut added = 0;
        // More than `k` of them are of no use, but some may be gone meanwhile, or wait for a sweep.
        for part in near.chunks(options.k) {
            let ids: Vec<u64> = part.iter().map(|(id, _)| *id).collect();
            let metas = self.db.multi_get(OBJECT_META, &names(namespace, &ids))?;
            for ((id, similarity), meta) in part.iter().zip(metas) {
                let meta = meta.map(|meta| ObjectMeta::decode(&meta)).transpose()?;
                if let Some(meta) = meta.filter(|meta| meta.refcount > 0) {
                    added += 1;
                    scored.push(Scored {
                        id: *id,
                        similarity: *similarity,
                        identical: vector.is_none(),
                        meta,
                    });
                }
            }
            if added >= options.k {
                break;
            }
        }
        Ok(())
    }

    /// Reads what only those need that are returned.
    pub(crate) fn complete(
        &self,
        namespace: &Namespace,
        scored: Vec<Scored>,
        include_values: bool,
    ) -> Result<Vec<Candidate>> {
        let mut candidates = Vec::with_capacity(scored.len());
        for Scored {
            id,
            similarity,
            meta,
            identical: _,
        } in scored
        {
            let mut value = None;
            if include_values {
                // Deleted meanwhile: no candidate any more.
                let Some(found) = self.db.get(OBJECTS, &numbered_key(namespace.id, id))? else {
                    continue;
                };
                value = Some(found.to_vec());
            }
            let metadata = match meta.has_metadata {
                true => self.object_metadata(namespace, id)?.unwrap_or_default(),
                false => Metadata::new(),
            };
            candidates.push(Candidate {
                object_id: id,
                similarity,
                digest: meta.digest,
                metadata,
                size: meta.size,
                created_us: meta.created_us,
                value,
            });
        }
        Ok(candidates)
    }
}

/// The search for the candidates of one vector.
struct Search<'a> {
    engine: &'a Engine,
    namespace: &'a Namespace,
    stage: &'a Semantic,
    vector: &'a [f32],
    options: &'a CandidateOptions,
}

impl Search<'_> {
    /// Adds the nearest values to `scored`, at least `k` if there are so many. `identical` is there already.
    fn run(&self, identical: Option<u64>, scored: &mut Vec<Scored>) -> Result<()> {
        let filtered = !self.options.filter.is_empty();
        let precision = self.engine.options.semantic.vector_precision;
        let mut width = self.options.k + spare_neighbours(precision);
        let mut seen: HashSet<u64> = identical.into_iter().collect();
        loop {
            let neighbours = self.stage.index.search(self.vector, width)?;
            let ids: Vec<u64> = neighbours
                .iter()
                .map(|found| found.id)
                .filter(|id| seen.insert(*id))
                .collect();
            self.score(&ids, scored)?;
            let farthest = neighbours
                .last()
                .map_or(-1.0, |last| f64::from(last.similarity));
            let least = self.options.min_similarity.unwrap_or(-1.0);
            if scored.len() >= self.options.k
                || neighbours.len() < width
                || farthest + INDEX_TOLERANCE < least
            {
                return Ok(());
            }
            if filtered && width >= WIDEST_FILTERED {
                return self.all_that_fit(&mut seen, scored);
            }
            width = width.saturating_mul(WIDEN);
            if filtered {
                width = width.min(WIDEST_FILTERED.max(self.options.k));
            }
        }
    }

    fn score(&self, ids: &[u64], scored: &mut Vec<Scored>) -> Result<()> {
        let vector = Some((self.stage, self.vector));
        self.engine
            .score(self.namespace, vector, ids, self.options, scored)
    }

    /// Scores every value whose metadata fits the filter.
    fn all_that_fit(&self, seen: &mut HashSet<u64>, scored: &mut Vec<Scored>) -> Result<()> {
        let (start, end) = (self.namespace.id.prefix(), namespace_end(self.namespace.id));
        let mut chunk = Vec::with_capacity(CHUNK);
        self.engine
            .db
            .scan(METADATA, &start, &end, None, |key, record| {
                let (id, _) = split_number(METADATA, key)?;
                if self.options.fits(&metadata::decode(record)?) && seen.insert(id) {
                    chunk.push(id);
                }
                if chunk.len() == CHUNK {
                    self.score(&chunk, scored)?;
                    chunk.clear();
                    sort(scored, self.options.k);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        self.score(&chunk, scored)
    }
}

impl CandidateOptions {
    fn check(&self) -> Result<()> {
        if !(1..=MAX_CANDIDATES).contains(&self.k) {
            return Err(Error::InvalidArgument(format!(
                "k must be from 1 to {MAX_CANDIDATES}, not {}",
                self.k
            )));
        }
        match self.min_similarity {
            Some(least) if !(-1.0..=1.0).contains(&least) => Err(Error::InvalidArgument(format!(
                "min_similarity must be a number from -1 to 1, not {least}"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the filter lets this metadata pass.
    fn fits(&self, metadata: &Metadata) -> bool {
        self.filter.iter().all(|(name, texts)| {
            let text = metadata.get(name);
            text.is_some_and(|text| texts.contains(text))
        })
    }
}

/// The best `k`, best first, of equal ones the identical one, then the oldest.
pub(crate) fn sort(scored: &mut Vec<Scored>, k: usize) {
    scored.sort_unstable_by(|one, other| {
        let by_similarity = other.similarity.total_cmp(&one.similarity);
        by_similarity
            .then(other.identical.cmp(&one.identical))
            .then(one.id.cmp(&other.id))
    });
    scored.truncate(k);
}

fn names(namespace: &Namespace, ids: &[u64]) -> Vec<[u8; crate::schema::NUMBERED_BYTES]> {
    ids.iter()
        .map(|id| numbered_key(namespace.id, *id))
        .collect()
}

#[cfg(test)]
mod tests;
