//! What every handler can reach.

use crate::caches::Caches;
use crate::config::Config;
use crate::embeddings::Embeddings;
use crate::error::{Answer, Code, Problem};
use crate::history::History;
use crate::idempotency::Answers;
use crate::jobs::Jobs;
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::place::{Place, Places};
use prestige_core::{Error, Store};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

/// What every handler can reach. A clone is another reference to the same.
#[derive(Clone)]
pub(crate) struct Context(Arc<Shared>);

pub(crate) struct Shared {
    /// The handle that is served: the store, or a view of one of its namespaces.
    pub store: Arc<Store>,
    pub config: Config,
    pub metrics: Arc<Metrics>,
    pub embeddings: Embeddings,
    pub history: History,
    pub jobs: Jobs,
    pub answers: Answers,
    pub caches: Caches,
    pub lifecycle: Arc<Lifecycle>,
    pub places: Places,
    pub started: Instant,
}

impl Deref for Context {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Context {
    /// # Errors
    /// [`Error::InvalidArgument`] for settings of embeddings out of range, [`Error::Io`] if there can be no connections to
    /// an upstream.
    pub(crate) fn new(store: Arc<Store>, config: Config) -> Result<Self, Error> {
        let metrics = Arc::new(Metrics::new());
        Ok(Self(Arc::new(Shared {
            lifecycle: Arc::new(Lifecycle::new(&store)),
            places: Places::new(&config.limits),
            store,
            embeddings: Embeddings::new(&config.embeddings, &metrics)?,
            caches: Caches::new(config.cache.threshold),
            config,
            metrics,
            history: History::new(),
            jobs: Jobs::new(),
            answers: Answers::default(),
            started: Instant::now(),
        })))
    }

    /// The namespace `name`, which is made if it does not exist. Empty: that of the served handle.
    ///
    /// Ask [`Access`](crate::auth::Access) first.
    ///
    /// # Errors
    /// Those of [`Store::namespace`]; `not_found` for another one than its own if a view is served.
    pub(crate) async fn namespace(&self, name: &str) -> Answer<Arc<Store>> {
        if let Some(found) = self.existing(name)? {
            return Ok(found);
        }
        if self.store.is_read_only() {
            return Err(Problem::new(Code::ReadOnly, "the store is open read-only"));
        }
        if !self.store.namespace_name().is_empty() {
            return Err(Problem::not_found(
                "the server serves one namespace only; leave out `namespace`",
            ));
        }
        let (store, name) = (Arc::clone(&self.store), name.to_owned());
        self.blocking(move || store.namespace(&name))
            .await
            .map(Arc::new)
    }

    /// The namespace `name` if it exists. Nothing blocks: for reads, which do not make a namespace of every name that
    /// somebody asks for.
    ///
    /// # Errors
    /// `closed`.
    pub(crate) fn existing(&self, name: &str) -> Answer<Option<Arc<Store>>> {
        let own = self.store.namespace_name();
        if name.is_empty() || name == own {
            return Ok(Some(Arc::clone(&self.store)));
        }
        if !own.is_empty() {
            return Ok(None);
        }
        Ok(self.store.find_namespace(name)?.map(Arc::new))
    }

    /// Runs a call of the served handle where it may block.
    ///
    /// # Errors
    /// The call's own; `closed` if the server ends meanwhile.
    pub(crate) async fn with_store<T, F>(&self, call: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    {
        self.with(&self.store, call).await
    }

    /// Runs a call of `store` where it may block.
    ///
    /// # Errors
    /// The call's own; `closed` if the server ends meanwhile.
    pub(crate) async fn with<T, F>(&self, store: &Arc<Store>, call: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    {
        let store = Arc::clone(store);
        self.blocking(move || call(&store)).await
    }

    /// Runs `call` where it may block. It goes on if whoever waits for it is gone, and has the place of the request as long
    /// as that.
    ///
    /// # Errors
    /// The call's own; `closed` if the server ends meanwhile, `internal` if the call panics.
    pub(crate) async fn blocking<T, E, F>(&self, call: F) -> Answer<T>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        // What is traced inside belongs to the request.
        let (span, place) = (tracing::Span::current(), Place::current());
        let work = move || {
            let _until_it_has_ended = place;
            span.in_scope(call)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(Into::into),
            Err(error) if error.is_panic() => Err(Problem::internal(&"a panic")),
            Err(_) => Err(Problem::new(Code::Closed, "the server is shutting down")),
        }
    }
}
