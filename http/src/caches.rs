//! The caches that clients share: handles on those of `core`, one for each namespace and model, made when they are first
//! asked for.
//!
//! Caches have namespaces of their own in the store. What a request calls its namespace becomes a part of the scope, or of
//! the name of the model, so that the caches of two namespaces share nothing, and one of the default namespace is the one
//! that an application sees that has the store open itself.
//!
//! ```text
//! namespace ""     scope: as given                                            model: as given
//! namespace "n"    scope: {"prestige.namespace": "n", "scope": as given}      model: ["n","as given"]
//! ```
//! The default namespace has neither scopes nor models of the second form.

use crate::error::{Answer, Code, Problem};
use axum::http::StatusCode;
use parking_lot::Mutex;
use prestige_core::embed::{Embedder, Embeddings, Fingerprint};
use prestige_core::{
    EmbeddingCache, EmbeddingCacheOptions, EmbeddingPrecision, Error, ModelSource, Prices,
    SemanticCache, SemanticCacheOptions, Store, VectorSource,
};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;

/// Beginning of the name of a model that names a namespace.
const MODEL: &str = "[\"";
/// Longest name of a model of a semantic cache; a handle has it.
const MAX_MODEL_BYTES: usize = 1_024;
/// Handles that are kept; they hold counts, and nothing that cannot be made anew.
const MOST_HANDLES: usize = 256;

/// The handles of a server.
pub(crate) struct Caches {
    semantic: Handles<(String, String), SemanticCache>,
    embeddings: Handles<Vectors, EmbeddingCache>,
    /// Least similarity of a hit where a lookup names none.
    threshold: f64,
}

/// Which cache of embeddings, and how it stores new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vectors {
    pub namespace: String,
    pub model: String,
    pub dimension: Option<usize>,
    pub precision: EmbeddingPrecision,
    pub ttl_seconds: Option<u64>,
}

/// A semantic cache, and what embeds queries for it.
#[derive(Clone)]
pub(crate) struct Semantic {
    pub cache: Arc<SemanticCache>,
    pub source: Arc<dyn VectorSource>,
    /// Whether the source computes embeddings; otherwise clients do.
    pub computes: bool,
}

/// The last used first.
struct Handles<K, T>(Mutex<VecDeque<(K, Arc<T>)>>);

impl<K, T> Default for Handles<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, T> Handles<K, T> {
    fn find(&self, key: &K) -> Option<Arc<T>> {
        let mut handles = self.0.lock();
        let position = handles.iter().position(|(known, _)| known == key)?;
        let found = handles.remove(position)?;
        let handle = Arc::clone(&found.1);
        handles.push_front(found);
        Some(handle)
    }

    /// Keeps a handle, unless another one was made for the same meanwhile, and returns the one that is kept.
    fn keep(&self, key: K, handle: T) -> Arc<T> {
        if let Some(known) = self.find(&key) {
            return known;
        }
        let mut handles = self.0.lock();
        let handle = Arc::new(handle);
        handles.push_front((key, Arc::clone(&handle)));
        handles.truncate(MOST_HANDLES);
        handle
    }

    fn forget(&self, which: impl Fn(&K) -> bool) {
        self.0.lock().retain(|(key, _)| !which(key));
    }

    fn all(&self, which: impl Fn(&K) -> bool) -> Vec<Arc<T>> {
        let handles = self.0.lock();
        let wanted = handles.iter().filter(|(key, _)| which(key));
        wanted.map(|(_, handle)| Arc::clone(handle)).collect()
    }
}

impl Caches {
    /// `threshold`: the least similarity of a hit, where a lookup names none.
    pub(crate) fn new(threshold: f64) -> Self {
        Self {
            semantic: Handles::default(),
            embeddings: Handles::default(),
            threshold,
        }
    }

    /// The semantic cache of a namespace. `model_id`: the model of embeddings that clients give; `None`: that of the
    /// server, or without one that of the entries there are. May block.
    ///
    /// # Errors
    /// `model` with status 409 if the namespace has entries with embeddings of another model, and none of this one.
    pub(crate) fn semantic(
        &self,
        store: &Store,
        namespace: &str,
        model_id: Option<&str>,
    ) -> Answer<Semantic> {
        let (model, embedder) = match (model_id, store.embedder()?) {
            (Some(id), _) if !(1..=MAX_MODEL_BYTES).contains(&id.len()) => {
                return Err(Problem::invalid(format!(
                    "model_id must have 1 to {MAX_MODEL_BYTES} bytes of UTF-8, not {}",
                    id.len()
                )));
            }
            (Some(id), embedder) => {
                let model = of_id(id);
                // The client may leave it to the server where both have the same model.
                let own = embedder.filter(|own| own.fingerprint().sha256 == model.sha256);
                (model, own)
            }
            (None, Some(embedder)) => (embedder.fingerprint().clone(), Some(embedder)),
            (None, None) => {
                let recorded = SemanticCache::recorded_model(store, namespace)?;
                (recorded.unwrap_or_else(|| of_id("none")), None)
            }
        };
        Ok(Semantic {
            cache: self.of_model(store, namespace, model)?,
            computes: embedder.is_some(),
            source: embedder.map_or_else(none, of_model),
        })
    }

    /// As [`Self::semantic`], for what embeds nothing: of the model of the entries there are, whichever that is.
    pub(crate) fn any_semantic(
        &self,
        store: &Store,
        namespace: &str,
    ) -> Answer<Arc<SemanticCache>> {
        let model = match SemanticCache::recorded_model(store, namespace)? {
            Some(recorded) => recorded,
            None => match store.embedder()? {
                Some(embedder) => embedder.fingerprint().clone(),
                None => of_id("none"),
            },
        };
        self.of_model(store, namespace, model)
    }

    fn of_model(
        &self,
        store: &Store,
        namespace: &str,
        model: Fingerprint,
    ) -> Answer<Arc<SemanticCache>> {
        let key = (namespace.to_owned(), model.sha256.clone());
        if let Some(known) = self.semantic.find(&key) {
            return Ok(known);
        }
        let options = SemanticCacheOptions {
            model,
            namespace: namespace.to_owned(),
            threshold: self.threshold,
            ttl_seconds: None,
            prices: Prices::default(),
        };
        let cache = SemanticCache::new(store, options).map_err(other_model)?;
        Ok(self.semantic.keep(key, cache))
    }

    /// The handles of a namespace: what has happened in it is what has happened with them.
    pub(crate) fn semantic_of(&self, namespace: &str) -> Vec<Arc<SemanticCache>> {
        self.semantic.all(|(known, _)| known == namespace)
    }

    /// A cache of embeddings. May block.
    pub(crate) fn vectors(&self, store: &Store, wanted: &Vectors) -> Answer<Arc<EmbeddingCache>> {
        if let Some(known) = self.embeddings.find(wanted) {
            known.find_dimension()?;
            return Ok(known);
        }
        let options = EmbeddingCacheOptions {
            model: model_in(&wanted.namespace, &wanted.model)?,
            dimension: wanted.dimension,
            precision: wanted.precision,
            ttl_seconds: wanted.ttl_seconds,
            batch_size: None,
        };
        let cache = EmbeddingCache::new(store, options)?;
        Ok(self.embeddings.keep(wanted.clone(), cache))
    }

    /// To be called when the vectors of a model were removed: those that come next may have another length.
    pub(crate) fn forget_vectors(&self, namespace: &str, model: &str) {
        let gone = |known: &Vectors| known.namespace == namespace && known.model == model;
        self.embeddings.forget(gone);
    }
}

/// The name of a model in a namespace.
fn model_in(namespace: &str, model: &str) -> Answer<String> {
    if !namespace.is_empty() {
        return Ok(json!([namespace, model]).to_string());
    }
    if model.starts_with(MODEL) {
        return Err(Problem::invalid(format!(
            "model_id cannot begin with {MODEL}: name the namespace in the query"
        )));
    }
    Ok(model.to_owned())
}

/// The fingerprint of a model that is known by its name alone, as in the Python package, or by its fingerprint.
fn of_id(model_id: &str) -> Fingerprint {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if model_id.len() == 64 && model_id.bytes().all(is_digit) {
        return Fingerprint {
            model: model_id.to_owned(),
            sha256: model_id.to_owned(),
        };
    }
    Fingerprint::from_parts(model_id, &[b"model_id", model_id.as_bytes()])
}

/// A model of other entries than those that the request is about is no failure of the server.
pub(crate) fn other_model(error: Error) -> Problem {
    match error {
        Error::Model(message) => {
            Problem::new(Code::Model, message).with_status(StatusCode::CONFLICT)
        }
        other => other.into(),
    }
}

fn of_model(embedder: Arc<dyn Embedder>) -> Arc<dyn VectorSource> {
    Arc::new(ModelSource(embedder))
}

fn none() -> Arc<dyn VectorSource> {
    Arc::new(NoSource)
}

/// Where embeddings are given, or queries found by their exact text alone.
struct NoSource;

impl VectorSource for NoSource {
    fn embed(&self, _: &[&str]) -> Result<Embeddings, Error> {
        Err(Error::InvalidArgument(
            "the server has no model for this: give the embedding with the query".to_owned(),
        ))
    }

    fn fits(&self, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn models_of_namespaces_share_nothing() {
        assert_eq!(model_in("", "m").unwrap(), "m");
        assert!(model_in("", "[\"a\",\"b\"]").is_err());
        assert_ne!(model_in("a", "b/c").unwrap(), model_in("a/b", "c").unwrap());
        assert_ne!(
            model_in("a\",\"b", "c").unwrap(),
            model_in("a", "b\",\"c").unwrap()
        );
    }

    #[test]
    fn handles_are_kept_by_use() {
        let handles: Handles<usize, usize> = Handles::default();
        for number in 0..MOST_HANDLES + 10 {
            assert_eq!(*handles.keep(number, number), number);
            assert_eq!(*handles.find(&0).unwrap(), 0);
        }
        assert_eq!(*handles.keep(0, 5), 0);
        assert!(handles.find(&1).is_none());
        assert_eq!(handles.all(|_| true).len(), MOST_HANDLES);
        handles.forget(|number| *number == 0);
        assert!(handles.find(&0).is_none());
    }
}
