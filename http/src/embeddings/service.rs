//! Which model answers a request, and the cache of its vectors.

use super::answer::{Answer, shortened};
use super::config::{EmbeddingsConfig, Upstream};
use super::error::ApiError;
use super::local::Local;
use super::request::{Input, Request};
use super::upstream::{Client, Credentials, UpstreamSource, token_key};
use crate::error::Problem;
use crate::metrics::Metrics;
use crate::telemetry::embeddings_span;
use parking_lot::Mutex;
use prestige_core::embed::EmbedderLoad;
use prestige_core::{EmbeddingCache, EmbeddingCacheOptions, Error, Rows, Store};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Longest name of a model of an upstream, in bytes: with what else names its cache it fits.
const MAX_MODEL_BYTES: usize = 150;
/// Longest list of tokens, in tokens: the most that a model of OpenAI reads.
const MAX_TOKENS: usize = 8192;
/// Caches of upstream models that are kept at hand. Their vectors are in the store, whether they are or not.
const MAX_CACHES: usize = 256;

/// The models of a server.
pub(crate) struct Embeddings {
    config: EmbeddingsConfig,
    local: Vec<Local>,
    upstream: Option<Remote>,
    metrics: Arc<Metrics>,
}

/// The upstream, and the caches of its models.
struct Remote {
    config: Upstream,
    client: Arc<Client>,
    /// By name; requests for the same model share one, so that a text is computed once for all who ask at once.
    caches: Mutex<HashMap<String, Arc<EmbeddingCache>>>,
}

/// Who answers a request.
enum Route<'a> {
    Local(&'a Local),
    Upstream(&'a Remote),
}

/// What is sent back, before it has its form.
pub(super) struct Outcome {
    /// Rows of `dimension` components.
    pub data: Vec<f32>,
    pub dimension: usize,
    pub hits: usize,
    pub misses: usize,
    pub prompt_tokens: u64,
}

impl Embeddings {
    /// # Errors
    /// [`Error::InvalidArgument`] for settings out of range, [`Error::Io`] if there can be no connections to an upstream.
    pub(crate) fn new(config: &EmbeddingsConfig, metrics: &Arc<Metrics>) -> Result<Self, Error> {
        config.validate()?;
        let remote = |config: &Upstream| {
            Ok::<_, Error>(Remote {
                client: Arc::new(Client::new(config, Arc::clone(metrics))?),
                config: config.clone(),
                caches: Mutex::default(),
            })
        };
        Ok(Self {
            local: config.models.iter().map(Local::new).collect(),
            upstream: config.upstream.as_ref().map(remote).transpose()?,
            config: config.clone(),
            metrics: Arc::clone(metrics),
        })
    }

    /// Most texts of a request.
    pub(super) fn max_inputs(&self) -> usize {
        self.config.max_inputs
    }

    /// Whether clients bring their own key of the upstream.
    pub(super) fn passes_authorization(&self) -> bool {
        let upstream = self.upstream.as_ref();
        upstream.is_some_and(|upstream| upstream.config.pass_authorization)
    }

    /// How busy the local models are that were loaded, by name.
    pub(crate) fn loads(&self) -> Vec<(&str, EmbedderLoad)> {
        let loaded = self.local.iter();
        loaded
            .filter_map(|local| Some((local.name(), local.loaded()?.load())))
            .collect()
    }

    fn route(&self, model: &str) -> Result<Route<'_>, ApiError> {
        if let Some(local) = self.local.iter().find(|local| local.is_called(model)) {
            return Ok(Route::Local(local));
        }
        let Some(upstream) = &self.upstream else {
            return Err(ApiError::no_such_model(model));
        };
        let known = &upstream.config.models;
        if !known.is_empty() && !known.iter().any(|known| known == model) {
            return Err(ApiError::no_such_model(model));
        }
        if model.len() > MAX_MODEL_BYTES || model.chars().any(char::is_control) {
            let message = format!(
                "the name of a model has at most {MAX_MODEL_BYTES} bytes and no control characters"
            );
            return Err(ApiError::invalid("model", message));
        }
        Ok(Route::Upstream(upstream))
    }

    /// Every name of the local models.
    pub(super) fn local_names(&self) -> impl Iterator<Item = &str> {
        self.local.iter().flat_map(Local::names)
    }

    /// Whether a local model or a listed one of the upstream has this name.
    pub(super) fn knows(&self, model: &str) -> bool {
        self.local.iter().any(|local| local.is_called(model))
    }

    /// The upstream's models, of those that it is asked for.
    ///
    /// # Errors
    /// What the upstream has answered.
    pub(super) async fn upstream_models(
        &self,
        credentials: &Credentials,
    ) -> Result<Vec<serde_json::Value>, ApiError> {
        let Some(upstream) = &self.upstream else {
            return Ok(Vec::new());
        };
        match upstream.config.models.as_slice() {
            [] => upstream.client.models(credentials).await,
            known => Ok(known
                .iter()
                .map(|name| super::routes::model(name))
                .collect()),
        }
    }

    /// The vectors of a request. Blocks: it is called on a thread that may.
    ///
    /// # Errors
    /// 400 for what the model cannot do, 404 for a model that is not there, 5xx and what the upstream has answered.
    pub(super) fn embed(
        &self,
        store: &Store,
        runtime: Handle,
        request: &Request,
        credentials: Credentials,
    ) -> Result<Outcome, ApiError> {
        let route = self.route(&request.model)?;
        let source = match route {
            Route::Local(_) => "local",
            Route::Upstream(_) => "upstream",
        };
        let span = embeddings_span(source, request.input.len());
        let outcome = span.in_scope(|| match route {
            Route::Local(local) => self.embed_here(local, store, request),
            Route::Upstream(remote) => {
                self.embed_there(remote, store, runtime, request, credentials)
            }
        })?;
        span.record("prestige.hits", outcome.hits);
        span.record("prestige.misses", outcome.misses);
        self.metrics.texts_embedded(outcome.hits, outcome.misses);
        Ok(outcome)
    }

    fn embed_here(
        &self,
        local: &Local,
        store: &Store,
        request: &Request,
    ) -> Result<Outcome, ApiError> {
        let Input::Texts(texts) = &request.input else {
            let message = format!(
                "the model {:?} runs on this server and has a tokenizer of its own, so it cannot read tokens of \
                 another; send the text itself (in LangChain: check_embedding_ctx_length=False)",
                request.model
            );
            return Err(ApiError::invalid("input", message));
        };
        let ready = local.ready(store, &self.config).map_err(Problem::from)?;
        let own = ready.dimension();
        let wanted = request.dimensions.unwrap_or(own);
        if wanted > own {
            let message =
                format!("the model has {own} dimensions, so dimensions cannot be {wanted}");
            return Err(ApiError::invalid("dimensions", message));
        }
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let source = ready.source();
        let rows = ready.cache().embed(&texts, &source);
        let mut outcome = outcome(rows.map_err(failure)?, texts.len(), source.tokens());
        if wanted < own {
            outcome.data = shortened(&outcome.data, own, wanted);
            outcome.dimension = wanted;
        }
        Ok(outcome)
    }

    fn embed_there(
        &self,
        remote: &Remote,
        store: &Store,
        runtime: Handle,
        request: &Request,
        credentials: Credentials,
    ) -> Result<Outcome, ApiError> {
        let keys: Vec<String>;
        let texts: Vec<&str> = match &request.input {
            Input::Texts(texts) => texts.iter().map(String::as_str).collect(),
            Input::Tokens(lists) => {
                if let Some(place) = lists.iter().position(|list| list.len() > MAX_TOKENS) {
                    let message = format!("input[{place}] has more than {MAX_TOKENS} tokens");
                    return Err(ApiError::invalid("input", message));
                }
                keys = lists.iter().map(|list| token_key(list)).collect();
                keys.iter().map(String::as_str).collect()
            }
        };
        let tokens = matches!(request.input, Input::Tokens(_));
        let cache = self.cache(remote, store, request, tokens)?;
        let source = UpstreamSource::new(
            Arc::clone(&remote.client),
            runtime,
            request.model.clone(),
            request.dimensions,
            request.user.clone(),
            credentials,
            tokens,
        );
        let rows = cache.embed(&texts, &source).map_err(failure)?;
        Ok(outcome(rows, texts.len(), source.tokens()))
    }

    /// The cache of an upstream model. Another host, other dimensions, and tokens in place of text, have another one.
    fn cache(
        &self,
        remote: &Remote,
        store: &Store,
        request: &Request,
        tokens: bool,
    ) -> Result<Arc<EmbeddingCache>, ApiError> {
        let mut id = format!("{}@{}", request.model, remote.client.place());
        if let Some(dimensions) = request.dimensions {
            id.push_str(&format!("#dimensions={dimensions}"));
        }
        if tokens {
            id.push_str("#tokens");
        }
        let mut caches = remote.caches.lock();
        if let Some(cache) = caches.get(&id) {
            return Ok(Arc::clone(cache));
        }
        let options = EmbeddingCacheOptions {
            model: id.clone(),
            dimension: request.dimensions,
            precision: self.config.precision,
            ttl_seconds: self.config.ttl_seconds,
            batch_size: Some(remote.config.batch_size),
        };
        let cache = Arc::new(EmbeddingCache::new(store, options).map_err(Problem::from)?);
        if caches.len() >= MAX_CACHES {
            // Names come from clients. Those that a request is using stay.
            caches.retain(|_, cache| Arc::strong_count(cache) > 1);
        }
        caches.insert(id, Arc::clone(&cache));
        Ok(cache)
    }
}

fn outcome(rows: Rows, texts: usize, prompt_tokens: u64) -> Outcome {
    Outcome {
        hits: texts - rows.misses.min(texts),
        misses: rows.misses,
        data: rows.data,
        dimension: rows.dimension,
        prompt_tokens,
    }
}

/// An error of the cache: that of the upstream if it is its own, and none of the client, whose texts were checked.
fn failure(error: Error) -> ApiError {
    match error {
        Error::Callback(failure) => match failure.inner().downcast_ref::<ApiError>() {
            Some(error) => error.clone(),
            None => Problem::internal(&failure).into(),
        },
        Error::InvalidArgument(message) => {
            let status = axum::http::StatusCode::BAD_GATEWAY;
            ApiError::new(
                status,
                "upstream",
                format!("the vectors cannot be used: {message}"),
            )
        }
        other => Problem::from(other).into(),
    }
}

impl Outcome {
    /// What the vectors are sent as.
    pub(super) fn answer<'a>(&'a self, request: &'a Request) -> Answer<'a> {
        Answer {
            model: &request.model,
            data: &self.data,
            dimension: self.dimension,
            format: request.encoding_format,
            prompt_tokens: self.prompt_tokens,
        }
    }
}
