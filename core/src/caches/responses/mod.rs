//! The cache of responses: (scope, query) → response, matched on queries and never on responses.
//!
//! - A **scope** is a namespace of its own, `responses/<SHA-256 of the scope>`, so no lookup can return an entry of
//!   another one. It is made with its first entry. Small scopes are cheap: their index is an exact scan of what is in
//!   `vectors`, loaded when it is first needed.
//! - An **entry** is one key and one object: the key is the SHA-256 of the query, the object has query, response and the
//!   rest (`entry.rs`), and its vector is that of the query. Putting never merges; the same query again replaces.
//! - A **lookup** asks for the query itself first, which runs no model. Otherwise the index proposes stored queries,
//!   which are scored again with their stored vectors, and the best at or above the threshold whose key still points at
//!   it, and has not expired, is the hit.

mod compute;
mod entry;
mod lookup;
mod remove;
mod scope;
mod stats;
#[cfg(test)]
mod tests;

pub use compute::{Answer, Computed, Following, Leading, Turn};
pub(crate) use entry::Entry;
pub use entry::{EntryMetadata, Response, ResponseKind};
pub use lookup::{Hit, Lookup};
pub use remove::Scopes;
pub use scope::Scope;
pub use stats::{Prices, SemanticStats};

use super::embedding::DROPS;
use super::record::CacheRecord;
use super::write::CacheEntry;
use super::{ResponseFlights, VectorSource};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::semantic::{ModelRecord, Slot};
use crate::store::Store;
use prestige_embed::{Embeddings, Fingerprint};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// How a semantic cache is opened.
#[derive(Clone, Debug)]
pub struct SemanticCacheOptions {
    /// Names the model of the embeddings of queries.
    pub model: Fingerprint,
    /// Whose cache it is: a namespace as [`Scope::within`] takes it. The entries of others may have other models, and are
    /// not looked at.
    pub namespace: String,
    /// Least cosine similarity of a hit, over 0 and at most 1, where a lookup names none.
    pub threshold: f64,
    /// Seconds until an entry expires, where a put names none; 0: never; `None`: as the store's `default_ttl_seconds`
    /// says.
    pub ttl_seconds: Option<u64>,
    /// What the stats count as saved.
    pub prices: Prices,
}

/// Default of [`SemanticCacheOptions::threshold`]; its precision and recall are in `docs/caches.md`.
pub const DEFAULT_CACHE_THRESHOLD: f64 = 0.97;

/// Responses by scope and query. Shared by threads through `&self`.
pub struct SemanticCache {
    store: Store,
    options: SemanticCacheOptions,
    /// Of all such caches of the store.
    flights: Arc<ResponseFlights>,
    stats: Arc<stats::Recorder>,
}

/// A response to put.
#[derive(Clone, Debug)]
pub struct Put<'a> {
    /// What it answers.
    pub query: &'a str,
    /// The response.
    pub response: &'a Response,
    /// Names and texts that belong to it: at most 64 pairs of at most 256 and 4,096 bytes.
    pub metadata: EntryMetadata,
    /// Seconds until it expires; 0: never; `None`: as the cache says.
    pub ttl_seconds: Option<u64>,
    /// The embedding of the query, of any length but 0; `None`: it is computed, if the source reads all of the query.
    pub embedding: Option<&'a [f32]>,
    /// What computing it took, in microseconds; 0: not known.
    pub computing_us: u64,
    /// Tokens that it cost; 0: not known.
    pub tokens: u64,
}

impl<'a> Put<'a> {
    /// A response without more.
    #[must_use]
    pub fn new(query: &'a str, response: &'a Response) -> Self {
        Self {
            query,
            response,
            metadata: EntryMetadata::new(),
            ttl_seconds: None,
            embedding: None,
            computing_us: 0,
            tokens: 0,
        }
    }
}

impl SemanticCache {
    /// The semantic cache of `store`, which is the store itself and no view of a namespace.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a view or a threshold out of its range; [`Error::Model`] if there are entries whose
    /// vectors are those of another model, and none of this one; [`Error::Closed`].
    pub fn new(store: &Store, options: SemanticCacheOptions) -> Result<Self> {
        let store = store.for_cache()?;
        check_threshold(options.threshold)?;
        let flights = Arc::clone(&store.engine()?.flights.responses);
        let cache = Self {
            store,
            options,
            flights,
            stats: Arc::default(),
        };
        cache.check_models()?;
        Ok(cache)
    }

    /// The model of the embeddings that semantic caches of `namespace` ([`SemanticCacheOptions::namespace`]) have put into
    /// `store`, one of them if there are several; `None`: there are no entries with one.
    ///
    /// # Errors
    /// As [`crate::Store::count_keys`].
    pub fn recorded_model(store: &Store, namespace: &str) -> Result<Option<Fingerprint>> {
        let mut found = None;
        visit_models(&*store.engine()?, namespace, |model| {
            found = Some(model.fingerprint.clone());
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Refuses to open a cache that has entries, but none of this model: at once, and not with the first lookup. Scopes
    /// of several models can come about, since each has its own with its first entry; then each scope refuses the others.
    fn check_models(&self) -> Result<()> {
        let mut refused = Ok(());
        let engine = self.store.engine()?;
        visit_models(&engine, &self.options.namespace, |model| {
            let checked = self.check_model(model);
            if checked.is_ok() || refused.is_ok() {
                refused = checked;
            }
            match refused {
                Ok(()) => ControlFlow::Break(()),
                Err(_) => ControlFlow::Continue(()),
            }
        })?;
        refused
    }

    fn check_model(&self, recorded: &ModelRecord) -> Result<()> {
        if recorded.fingerprint.sha256 == self.options.model.sha256 {
            return Ok(());
        }
        let own = &self.options.model;
        let digest = own.sha256.get(..12).unwrap_or(&own.sha256);
        let (whose, remedy) = match self.options.namespace.as_str() {
            "" => (
                "this semantic cache".to_owned(),
                format!(
                    "give the other one a store of its own, or drop the namespaces whose names begin with {:?}",
                    scope::NAMES
                ),
            ),
            namespace => (
                format!("the semantic cache in the namespace {namespace:?}"),
                "give the other one a namespace of its own, or clear the cache".to_owned(),
            ),
        };
        Err(Error::Model(format!(
            "the queries of {whose} were embedded by the model {} and the one given is {} (fingerprint {digest}…). Vectors of \
             different models cannot be compared: open it with its own model, {remedy}",
            recorded.describe(),
            own.model,
        )))
    }

    /// Refuses a scope that has entries with embeddings of another model.
    ///
    /// # Errors
    /// [`Error::Model`]; as [`crate::Store::count_keys`].
    pub fn check_scope(&self, scope: &Scope) -> Result<()> {
        self.comparable(&*self.store.engine()?, scope).map(drop)
    }

    /// The threshold of a lookup that names none.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.options.threshold
    }

    /// The model of the embeddings.
    #[must_use]
    pub fn model(&self) -> &Fingerprint {
        &self.options.model
    }

    /// What has happened since this object was made.
    #[must_use]
    pub fn stats(&self) -> SemanticStats {
        self.stats.stats(self.options.prices)
    }

    /// The namespace of `scope`, if it exists, whatever the model of its entries.
    fn namespace(&self, engine: &Engine, scope: &Scope) -> Result<Option<Arc<Namespace>>> {
        let namespace = engine.find_namespace(scope.namespace());
        namespace
            .map(|namespace| holding(namespace, scope))
            .transpose()
    }

    /// As [`Self::namespace`], for lookups. One of another model without entries is as good as none.
    fn comparable(&self, engine: &Engine, scope: &Scope) -> Result<Option<Arc<Namespace>>> {
        let Some(namespace) = self.namespace(engine, scope)? else {
            return Ok(None);
        };
        if let Some(model) = namespace.model(&engine.db)?
            && let Err(error) = self.check_model(model)
        {
            return match remove::count(engine, &namespace)? {
                None | Some(0) => Ok(None),
                Some(_) => Err(error),
            };
        }
        Ok(Some(namespace))
    }

    fn namespace_or_new(&self, engine: &Engine, scope: &Scope) -> Result<Arc<Namespace>> {
        let record = CacheRecord::Responses {
            scope: scope.as_json().to_owned(),
        };
        let namespace =
            engine.namespace_or_new(scope.namespace(), Some(record.clone()), |batch, id| {
                record.put(&engine.db, batch, id)
            })?;
        holding(namespace, scope)
    }

    /// Stores a response in place of what is there for the query. Computes the embedding of the query with `source` if
    /// none is given. A blank query, or one that the source does not read to its end, is found by its exact text alone.
    ///
    /// # Errors
    /// What `source` fails with; [`Error::InvalidArgument`] for metadata beyond the bounds, an embedding of another length
    /// than those of the scope, with a NaN or an infinity, or of zeros; [`Error::Model`] if the scope has embeddings of
    /// another model; otherwise as [`Store::put`].
    pub fn put(&self, scope: &Scope, put: &Put<'_>, source: &dyn VectorSource) -> Result<()> {
        self.put_within(None, scope, put, source)
    }

    /// As [`Self::put`], as a part of a computation.
    fn put_within(
        &self,
        computation: Option<u64>,
        scope: &Scope,
        put: &Put<'_>,
        source: &dyn VectorSource,
    ) -> Result<()> {
        let vector = match put.embedding {
            Some(given) => Some(unit(given)?),
            None => self.embed(computation, put.query, source)?,
        };
        self.store_entry(scope, put, vector.as_deref())
    }

    /// The unit vector of a query, computed as a part of a computation; `None` if it cannot have one.
    fn embed(
        &self,
        computation: Option<u64>,
        query: &str,
        source: &dyn VectorSource,
    ) -> Result<Option<Vec<f32>>> {
        if query.trim().is_empty() || !source.fits(query) {
            return Ok(None);
        }
        let computed = match computation {
            Some(computation) => source.embed_within(&[query], computation)?,
            None => source.embed(&[query])?,
        };
        match computed.row(0) {
            Some(row) if computed.len() == 1 => unit(row).map(Some),
            _ => Err(Error::InvalidArgument(format!(
                "the embedding function should return one vector, for one query, and returned {}",
                computed.len()
            ))),
        }
    }

    fn store_entry(&self, scope: &Scope, put: &Put<'_>, vector: Option<&[f32]>) -> Result<()> {
        let engine = self.store.writer()?;
        let key = Digest::of(put.query.as_bytes());
        let entry = Entry {
            query: put.query,
            kind: put.response.kind,
            response: &put.response.bytes,
            metadata: put.metadata.clone(),
            vector_crc32c: 0,
            computing_us: put.computing_us,
            tokens: put.tokens,
        };
        // Before the scope is made and has a length of vectors: what is refused leaves nothing behind.
        let mut value = entry.encode()?;
        engine.check_sizes(&key.0, &value)?;
        let mut left = DROPS;
        loop {
            let namespace = self.namespace_or_new(&engine, scope)?;
            if let Some(model) = namespace.model(&engine.db)?
                && let Err(error) = self.check_model(model)
            {
                // One of another model is nobody's if it has no entries, and is made anew.
                if left == 0 || !engine.drop_namespace_if_empty(&namespace)? {
                    return Err(error);
                }
                left -= 1;
                continue;
            }
            let stored = self.store_in(&engine, &namespace, key, put, &mut value, vector);
            match stored {
                // Dropped since it was found: in the next round it is made anew.
                Err(_) if namespace.check_exists().is_err() && left > 0 => left -= 1,
                ended => return ended,
            }
        }
    }

    fn store_in(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        key: Digest,
        put: &Put<'_>,
        value: &mut [u8],
        vector: Option<&[f32]>,
    ) -> Result<()> {
        let (mut kept, mut vector_crc32c) = (None, 0);
        if let Some(given) = vector {
            let model = ModelRecord {
                fingerprint: self.options.model.clone(),
                dimension: given.len(),
                slot: Slot::default(),
            };
            let recorded = namespace.model_or(engine, &model)?;
            self.check_model(recorded)?;
            check_dimension(recorded, given)?;
            let stage = namespace.semantic(engine)?;
            if let Some(stage) = stage.filter(|stage| stage.has_room(&engine.options.semantic)) {
                vector_crc32c = crc32c::crc32c(&stage.encoded(given));
                kept = Some(given);
            }
        }
        entry::set_vector_crc32c(value, vector_crc32c);
        engine.put_entries(
            namespace,
            &[CacheEntry {
                key: &key.0,
                value,
                ttl_seconds: put.ttl_seconds.or(self.options.ttl_seconds),
                vector: kept,
            }],
        )?;
        self.stats.puts.add(1);
        Ok(())
    }
}

/// Refuses a namespace that has the name of a scope's by chance.
fn holding(namespace: Arc<Namespace>, scope: &Scope) -> Result<Arc<Namespace>> {
    match &namespace.cache {
        Some(CacheRecord::Responses { scope: recorded }) if recorded == scope.as_json() => {
            Ok(namespace)
        }
        _ => Err(Error::InvalidArgument(format!(
            "the namespace {:?} holds something else than the responses of this scope; drop it",
            namespace.name
        ))),
    }
}

/// Shows `visit` the models of the scopes of `owner` that have entries, until it breaks.
fn visit_models(
    engine: &Engine,
    owner: &str,
    mut visit: impl FnMut(&ModelRecord) -> ControlFlow<()>,
) -> Result<()> {
    for namespace in engine.namespaces.all() {
        if let Some(CacheRecord::Responses { scope }) = &namespace.cache
            && scope::is_within(scope, owner)
            && let Some(model) = namespace.model(&engine.db)?
            && remove::count(engine, &namespace)?.is_some_and(|entries| entries > 0)
            && visit(model).is_break()
        {
            break;
        }
    }
    Ok(())
}

fn check_dimension(recorded: &ModelRecord, vector: &[f32]) -> Result<()> {
    if recorded.dimension == vector.len() {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "the embeddings of this scope have {} components and this one has {}: give another model another model_id",
        recorded.dimension,
        vector.len()
    )))
}

/// A given embedding at unit length.
fn unit(vector: &[f32]) -> Result<Vec<f32>> {
    Ok(Embeddings::new_checked(vector.to_vec(), 1, vector.len())?.into_vec())
}

fn check_threshold(threshold: f64) -> Result<()> {
    if threshold > 0.0 && threshold <= 1.0 {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "threshold must be over 0 and at most 1, not {threshold}"
    )))
}

impl fmt::Debug for SemanticCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SemanticCache")
            .field("store", &self.store)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
