//! Models of this machine.

use super::config::{EmbeddingsConfig, LocalModel};
use parking_lot::Mutex;
use prestige_core::embed::{Embedder, Embeddings};
use prestige_core::{EmbeddingCache, EmbeddingCacheOptions, Error, Store, VectorSource};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Texts of one call of the model: so many take about half a second, and what is computed is stored after each.
const BATCH: usize = 64;
/// Bytes of a token of English text, for models that do not count.
const BYTES_PER_TOKEN: usize = 4;

/// A model, loaded when it is first needed.
pub(super) struct Local {
    names: Vec<String>,
    model: LocalModel,
    ready: OnceLock<Ready>,
    /// Held while the model is loaded, so that it is loaded once.
    loading: Mutex<()>,
}

/// A loaded model and the cache of its vectors.
pub(super) struct Ready {
    embedder: Arc<dyn Embedder>,
    cache: EmbeddingCache,
}

impl Local {
    pub(super) fn new(model: &LocalModel) -> Self {
        Self {
            names: model.names.clone(),
            model: model.clone(),
            ready: OnceLock::new(),
            loading: Mutex::new(()),
        }
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// All that requests may call it.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The name that figures are given under.
    pub(super) fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The loaded model; loads it if that is still to be done, which takes a second or so.
    pub(super) fn ready(&self, store: &Store, config: &EmbeddingsConfig) -> Result<&Ready, Error> {
        if let Some(ready) = self.ready.get() {
            return Ok(ready);
        }
        let _one_at_a_time = self.loading.lock();
        if let Some(ready) = self.ready.get() {
            return Ok(ready);
        }
        let embedder = (self.model.provider)()?;
        // As the caches of Python have it, so that they share their vectors with this one.
        let options = EmbeddingCacheOptions {
            model: embedder.fingerprint().sha256.clone(),
            dimension: Some(embedder.dimension()),
            precision: config.precision,
            ttl_seconds: config.ttl_seconds,
            batch_size: Some(BATCH),
        };
        let cache = EmbeddingCache::new(store, options)?;
        Ok(self.ready.get_or_init(|| Ready { embedder, cache }))
    }

    /// The embedder, if it was loaded.
    pub(super) fn loaded(&self) -> Option<&Arc<dyn Embedder>> {
        self.ready.get().map(|ready| &ready.embedder)
    }
}

impl Ready {
    pub(super) fn dimension(&self) -> usize {
        self.embedder.dimension()
    }

    pub(super) fn cache(&self) -> &EmbeddingCache {
        &self.cache
    }

    pub(super) fn source(&self) -> LocalSource<'_> {
        LocalSource {
            embedder: &*self.embedder,
            tokens: AtomicU64::new(0),
        }
    }
}

/// Computes what a request misses, and counts its tokens.
pub(super) struct LocalSource<'a> {
    embedder: &'a dyn Embedder,
    tokens: AtomicU64,
}

impl LocalSource<'_> {
    /// Tokens of all that was computed.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }
}

impl VectorSource for LocalSource<'_> {
    fn embed(&self, texts: &[&str]) -> Result<Embeddings, Error> {
        let computed = self.embedder.embed(texts)?;
        let count = |text: &&str| {
            let estimate = || text.len().div_ceil(BYTES_PER_TOKEN) as u64;
            self.embedder.count_tokens(text).unwrap_or_else(estimate)
        };
        let tokens = texts.iter().map(count).sum();
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        Ok(computed)
    }

    fn fits(&self, text: &str) -> bool {
        self.embedder.fits(text)
    }

    fn prefers_like_lengths(&self) -> bool {
        true
    }
}
