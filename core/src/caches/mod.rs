//! The two caches of LLM applications, on namespaces of an ordinary store.
//!
//! - [`EmbeddingCache`]: (model, text) → vector. One namespace for each model and length of vectors.
//! - [`SemanticCache`]: (scope, query) → response, matched on queries. One namespace for each scope.
//!
//! Their entries are keys and objects like all others, so TTL, eviction, the reaper, backups and `verify` hold for them
//! without more. Nobody else puts keys into their namespaces.
//!
//! - `record`: what is on record of such a namespace; `write`: the put of the caches; `verify`: what holds of their entries
//! - `single_flight`: of many callers who miss the same, one computes
//! - `embedding`, `vectors`: the cache of embeddings, and the bytes of its values
//! - `responses`: the cache of responses

mod embedding;
mod record;
mod responses;
mod single_flight;
mod vectors;
mod verify;
mod write;

pub use embedding::{EmbeddingCache, EmbeddingCacheOptions, EmbeddingStats, Rows};
pub(crate) use record::{CacheRecord, records};
pub use responses::{
    Answer, Computed, DEFAULT_CACHE_THRESHOLD, EntryMetadata, Following, Hit, Leading, Lookup,
    Prices, Put, Response, ResponseKind, Scope, Scopes, SemanticCache, SemanticCacheOptions,
    SemanticStats, Turn,
};
pub use vectors::EmbeddingPrecision;
pub(crate) use verify::fault;

use crate::digest::Digest;
use crate::error::Result;
use prestige_embed::{Embedder, Embeddings};
use single_flight::{SingleFlight, Waits};
use std::sync::Arc;

/// What the caches of a store compute now, whichever of the objects that stand for a cache was asked.
#[derive(Debug)]
pub(crate) struct Flights {
    responses: Arc<ResponseFlights>,
    vectors: Arc<VectorFlights>,
}

/// By the digests of scope, which is that of a namespace as well, and model, and of the query.
type ResponseFlights = SingleFlight<(Digest, Digest), Arc<Response>>;
/// By the digests of model and precision, and of the text.
type VectorFlights = SingleFlight<(Digest, Digest), Arc<[f32]>>;

impl Default for Flights {
    fn default() -> Self {
        let waits = Arc::new(Waits::default());
        Self {
            responses: SingleFlight::new(&waits),
            vectors: SingleFlight::new(&waits),
        }
    }
}

/// What computes the vectors that a cache does not have: a model, or a function of the caller.
pub trait VectorSource: Send + Sync {
    /// A row for each of `texts`, in their order.
    ///
    /// # Errors
    /// [`crate::Error::Callback`] and [`crate::Error::Model`].
    fn embed(&self, texts: &[&str]) -> Result<Embeddings>;

    /// As [`Self::embed`], as a part of the computation with this number: whatever it calls is not to wait for that, in no
    /// thread.
    ///
    /// # Errors
    /// As [`Self::embed`].
    fn embed_within(&self, texts: &[&str], _computation: u64) -> Result<Embeddings> {
        self.embed(texts)
    }

    /// Numbers of the computations that the caller is a part of, so that it does not wait for them.
    ///
    /// # Errors
    /// [`crate::Error::Callback`].
    fn computing(&self) -> Result<Vec<u64>> {
        Ok(Vec::new())
    }

    /// Whether all of `text` is read: otherwise its vector says nothing of what comes after.
    fn fits(&self, _text: &str) -> bool {
        true
    }

    /// Whether texts are computed faster with others of about their length.
    fn prefers_like_lengths(&self) -> bool {
        false
    }

    /// Called now and then while a call waits or works; an error ends the call.
    ///
    /// # Errors
    /// Whatever is a reason to end the call, for example an interrupt from the keyboard.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// A model as a source.
#[derive(Debug)]
pub struct ModelSource(pub Arc<dyn Embedder>);

impl VectorSource for ModelSource {
    fn embed(&self, texts: &[&str]) -> Result<Embeddings> {
        Ok(self.0.embed(texts)?)
    }

    fn fits(&self, text: &str) -> bool {
        self.0.fits(text)
    }

    fn prefers_like_lengths(&self) -> bool {
        true
    }
}
