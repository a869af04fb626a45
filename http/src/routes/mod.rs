//! The routes and what they share.

mod health;
mod metrics;

use crate::error::Problem;
use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::routing::get;
use metrics::Metrics;
use prestige_core::{Error, Store};
use std::sync::Arc;

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct Context {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
}

/// The routes over an open store:
///
/// | path | answer |
/// |---|---|
/// | `GET /livez` | 200 `ok` while the process answers at all |
/// | `GET /readyz` | 200 `ready` while the store is open, else 503 |
/// | `GET /health`, `GET /health/ready` | the figures as JSON; 503 when the store is closed, 500 when it cannot be read |
/// | `GET /metrics` | the figures and the requests in Prometheus text format |
pub fn router(store: Arc<Store>) -> Router {
    let context = Context {
        store,
        metrics: Arc::new(Metrics::new()),
    };
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/health", get(health::figures))
        .route("/health/ready", get(health::figures))
        .route("/metrics", get(metrics::exposition))
        .fallback(async |uri: Uri| {
            Problem::new(
                StatusCode::NOT_FOUND,
                format!("nothing is served at {}", uri.path()),
            )
        })
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            let detail = format!("{method} is not possible at {}", uri.path());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(middleware::from_fn_with_state(
            context.clone(),
            metrics::count,
        ))
        .with_state(context)
}

impl Context {
    /// Runs a call of the store where it may block.
    async fn with_store<T, F>(&self, call: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || call(&store)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is shutting down",
            )),
        }
    }
}
