//! The cache of embeddings: (model, text) → vector.
//!
//! The key of a text is its SHA-256: keys are repeated in the time-ordered families, and texts may be longer than a key.
//! The value is the vector alone (`vectors.rs`). One namespace for each model and length of vectors,
//! `embeddings/<model>/<length>`, so that vectors that cannot be compared cannot meet.

mod compute;
mod lookup;
mod stats;
#[cfg(test)]
mod tests;

pub use stats::EmbeddingStats;

use super::VectorFlights;
use super::record::CacheRecord;
use super::vectors::EmbeddingPrecision;
use super::write::CacheEntry;
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::namespace::MAX_NAMESPACE_BYTES;
use crate::stats::Count;
use crate::store::Store;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Texts that one call of a function gets, where nothing else is said.
pub(crate) const DEFAULT_BATCH: usize = 256;
/// Vectors of one write of [`EmbeddingCache::put_many`].
const PUT_BATCH: usize = 1000;
/// Times that a write is tried anew in a namespace that was dropped meanwhile.
pub(super) const DROPS: usize = 64;
/// Longest name of a model, in bytes: with the rest of the name of its namespace it fits.
const MAX_MODEL_BYTES: usize = MAX_NAMESPACE_BYTES - "embeddings//65536".len();

/// How a cache of embeddings is opened.
#[derive(Clone, Debug)]
pub struct EmbeddingCacheOptions {
    /// Names the model; another one for whatever makes other vectors. At most 238 bytes.
    pub model: String,
    /// Length of the vectors; `None`: as the cache has them, or as the first that is computed.
    pub dimension: Option<usize>,
    /// How new vectors are stored; those that are there are read in either form.
    pub precision: EmbeddingPrecision,
    /// Seconds until a vector expires; 0: never; `None`: as the store's `default_ttl_seconds` says.
    pub ttl_seconds: Option<u64>,
    /// Most texts of one call of the source; `None`: 256.
    pub batch_size: Option<usize>,
}

/// Vectors by model and text. Shared by threads through `&self`.
pub struct EmbeddingCache {
    store: Store,
    options: EmbeddingCacheOptions,
    batch_size: usize,
    /// Length of the vectors and the name of their namespace, once they are known.
    known: OnceLock<(usize, String)>,
    /// Of all such caches of the store.
    flights: Arc<VectorFlights>,
    stats: stats::Recorder,
}

/// Vectors, row after row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// `dimension` components each.
    pub data: Vec<f32>,
    /// Length of a row; 0 if there are no texts and it is not known yet.
    pub dimension: usize,
    /// Texts that were not there when they were asked for, repetitions included: this call or a concurrent one has
    /// computed them.
    pub misses: usize,
}

impl EmbeddingCache {
    /// The cache of a model in `store`, which is the store itself and no view of a namespace.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a view, an empty or too long name of a model, a batch size or dimension of 0, or if
    /// the store has vectors of several lengths for the model and none is named; [`Error::Closed`].
    pub fn new(store: &Store, options: EmbeddingCacheOptions) -> Result<Self> {
        let store = store.for_cache()?;
        if options.model.is_empty() || options.model.len() > MAX_MODEL_BYTES {
            return Err(Error::InvalidArgument(format!(
                "model_id must have 1 to {MAX_MODEL_BYTES} bytes of UTF-8, not {}",
                options.model.len()
            )));
        }
        for (name, number) in [
            ("batch_size", options.batch_size),
            ("dimension", options.dimension),
        ] {
            if number == Some(0) {
                return Err(Error::InvalidArgument(format!(
                    "{name} must be at least 1, not 0"
                )));
            }
        }
        let flights = Arc::clone(&store.engine()?.flights.vectors);
        let cache = Self {
            batch_size: options.batch_size.unwrap_or(DEFAULT_BATCH),
            known: OnceLock::new(),
            flights,
            stats: stats::Recorder::default(),
            options,
            store,
        };
        if let Some(dimension) = cache
            .options
            .dimension
            .map_or_else(|| cache.stored(), |given| Ok(Some(given)))?
        {
            cache.fix_dimension(dimension)?;
        }
        Ok(cache)
    }

    /// Length of the vectors that the store has of the model.
    fn stored(&self) -> Result<Option<usize>> {
        let mut found: Vec<usize> = Vec::new();
        for namespace in self.store.engine()?.namespaces.all() {
            if let Some(CacheRecord::Embeddings { model, dimension }) = &namespace.cache
                && *model == self.options.model
            {
                found.push(*dimension);
            }
        }
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            several => Err(Error::InvalidArgument(format!(
                "the store has vectors of the lengths {several:?} for the model {:?}: say which with dimension",
                self.options.model
            ))),
        }
    }

    /// Length of the vectors, if it is known by now.
    #[must_use]
    pub fn dimension(&self) -> Option<usize> {
        self.known.get().map(|(dimension, _)| *dimension)
    }

    /// Name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.options.model
    }

    /// What names the vectors of this cache among those that are computed for all caches of the store. Those that must fit
    /// into 16 bits are another matter; their length may not be known yet.
    fn flown(&self) -> Digest {
        let name = format!("{:?} {}", self.options.precision, self.options.model);
        Digest::of(name.as_bytes())
    }

    /// As [`Self::find_dimension`]; where the store has vectors of several lengths by now, it stays unknown.
    fn learn_dimension(&self) -> Result<()> {
        match self.find_dimension() {
            Ok(_) | Err(Error::InvalidArgument(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes `dimension` the length of the vectors, if none was known.
    fn fix_dimension(&self, dimension: usize) -> Result<&str> {
        let (fixed, name) = self.known.get_or_init(|| {
            let name = format!("embeddings/{}/{dimension}", self.options.model);
            (dimension, name)
        });
        if *fixed == dimension {
            return Ok(name);
        }
        Err(Error::InvalidArgument(format!(
            "the vectors of the model {:?} should have {fixed} components and have {dimension}: give another model \
             another model_id",
            self.options.model
        )))
    }

    /// The namespace, if it exists.
    fn namespace(&self, engine: &Engine) -> Result<Option<Arc<Namespace>>> {
        let Some((dimension, name)) = self.known.get() else {
            return Ok(None);
        };
        match engine.find_namespace(name) {
            None => Ok(None),
            Some(namespace) => self.checked(namespace, *dimension).map(Some),
        }
    }

    fn namespace_or_new(&self, engine: &Engine, dimension: usize) -> Result<Arc<Namespace>> {
        let name = self.fix_dimension(dimension)?;
        let record = self.record(dimension);
        let namespace = engine.namespace_or_new(name, Some(record.clone()), |batch, id| {
            record.put(&engine.db, batch, id)
        })?;
        self.checked(namespace, dimension)
    }

    fn record(&self, dimension: usize) -> CacheRecord {
        CacheRecord::Embeddings {
            model: self.options.model.clone(),
            dimension,
        }
    }

    /// Refuses a namespace that has the name by chance.
    fn checked(&self, namespace: Arc<Namespace>, dimension: usize) -> Result<Arc<Namespace>> {
        if namespace.cache.as_ref() == Some(&self.record(dimension)) {
            return Ok(namespace);
        }
        Err(Error::InvalidArgument(format!(
            "the namespace {:?} holds something else than the embeddings of this model; drop it, or give another model_id",
            namespace.name
        )))
    }

    /// Stores the vector of `text` in place of what is there.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a vector of another length or with a component that is not finite; otherwise as
    /// [`Store::put`].
    pub fn put(&self, text: &str, vector: &[f32]) -> Result<()> {
        if vector.is_empty() {
            return Err(Error::InvalidArgument(
                "a vector must have at least one component".to_owned(),
            ));
        }
        let value = self.encode(vector)?;
        self.store_values(vector.len(), &[(Digest::of(text.as_bytes()), value)])
    }

    /// Stores the vectors of `texts` in place of what is there, up to 1,000 of them in one write; of several of the same text
    /// the last one.
    ///
    /// # Errors
    /// As [`Self::put`], and [`Error::InvalidArgument`] for vectors of different lengths or not one for each text; nothing is
    /// stored then. Of what is refused later, writes finished before stay.
    pub fn put_many(&self, texts: &[&str], vectors: &[&[f32]]) -> Result<()> {
        let dimension = vectors.first().map_or(0, |first| first.len());
        if texts.len() != vectors.len()
            || vectors.iter().any(|vector| vector.len() != dimension)
            || dimension == 0 && !texts.is_empty()
        {
            return Err(Error::InvalidArgument(format!(
                "each of the {} texts needs a vector, all of one length over 0",
                texts.len()
            )));
        }
        let keys = Digest::of_all(texts);
        let mut values: Vec<(Digest, Vec<u8>)> = Vec::with_capacity(texts.len());
        let mut places = HashMap::new();
        for (key, vector) in keys.iter().zip(vectors) {
            let value = self.encode(vector)?;
            match places.insert(*key, values.len()) {
                Some(earlier) => {
                    places.insert(*key, earlier);
                    if let Some(slot) = values.get_mut(earlier) {
                        slot.1 = value;
                    }
                }
                None => values.push((*key, value)),
            }
        }
        values
            .chunks(PUT_BATCH)
            .try_for_each(|values| self.store_values(dimension, values))
    }

    /// Looks anew for the length of the vectors, if it is not known: another handle may have stored the first of them.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn find_dimension(&self) -> Result<Option<usize>> {
        if self.known.get().is_none()
            && let Some(dimension) = self.stored()?
        {
            self.fix_dimension(dimension)?;
        }
        Ok(self.dimension())
    }

    fn encode(&self, vector: &[f32]) -> Result<Vec<u8>> {
        self.options.precision.encode(vector).ok_or_else(|| {
            let bound = match self.options.precision {
                EmbeddingPrecision::F32 => "",
                EmbeddingPrecision::F16 => " and, for float16, at most 65504",
            };
            Error::InvalidArgument(format!(
                "the components of a vector must be finite{bound}, and one is not"
            ))
        })
    }

    /// Puts values of different keys, in one write.
    fn store_values(&self, dimension: usize, values: &[(Digest, Vec<u8>)]) -> Result<()> {
        let engine = self.store.writer()?;
        let entries: Vec<_> = values
            .iter()
            .map(|(key, value)| CacheEntry {
                key: &key.0,
                value,
                ttl_seconds: self.options.ttl_seconds,
                vector: None,
            })
            .collect();
        let mut left = DROPS;
        loop {
            let namespace = self.namespace_or_new(&engine, dimension)?;
            match engine.put_entries(&namespace, &entries) {
                // Dropped since it was found: in the next round it is made anew.
                Err(_) if namespace.check_exists().is_err() && left > 0 => left -= 1,
                ended => return ended,
            }
        }
    }

    /// Removes the vectors of `texts`. Returns the number of those that were there.
    ///
    /// # Errors
    /// As [`Store::delete_many`].
    pub fn delete(&self, texts: &[&str]) -> Result<u64> {
        let engine = self.store.writer()?;
        let Some(namespace) = self.namespace(&engine)? else {
            return Ok(0);
        };
        let keys = Digest::of_all(texts);
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key.0[..]).collect();
        engine.remove_live(&namespace, &keys, Count::Deletes)
    }

    /// Whether the vector of `text` is there. Not counted.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn contains(&self, text: &str) -> Result<bool> {
        let engine = self.store.engine()?;
        match self.namespace(&engine)? {
            Some(namespace) => {
                let key = Digest::of(text.as_bytes());
                Ok(engine.live_record(&namespace, &key.0)?.is_some())
            }
            None => Ok(false),
        }
    }

    /// Number of vectors, without those that have expired.
    ///
    /// # Errors
    /// As [`Store::count_keys`].
    pub fn len(&self) -> Result<u64> {
        let engine = self.store.engine()?;
        match self.namespace(&engine)? {
            Some(namespace) => match engine.count_keys(&namespace, false) {
                // Dropped since it was found.
                Err(_) if namespace.check_exists().is_err() => Ok(0),
                ended => ended,
            },
            None => Ok(0),
        }
    }

    /// Whether there are none. As [`Self::len`].
    ///
    /// # Errors
    /// As [`Self::len`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes every vector of this model and length, in one write. Returns their number.
    ///
    /// # Errors
    /// As [`Store::drop_namespace`].
    pub fn clear(&self) -> Result<u64> {
        let engine = self.store.writer()?;
        let Some(namespace) = self.namespace(&engine)? else {
            return Ok(0);
        };
        let vectors = self.len()?;
        match engine.drop_namespace(&namespace.name) {
            // Somebody else was first.
            Err(Error::NotFound(_)) => Ok(0),
            ended => ended.map(|()| vectors),
        }
    }

    /// What has happened since this object was made.
    #[must_use]
    pub fn stats(&self) -> EmbeddingStats {
        self.stats.stats()
    }
}

impl fmt::Debug for EmbeddingCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddingCache")
            .field("store", &self.store)
            .field("model", &self.options.model)
            .field("dimension", &self.dimension())
            .finish_non_exhaustive()
    }
}
