//! The routes. Each module has some, with their part of the OpenAPI document.

mod admin;
mod batch;
mod cache;
mod candidates;
mod health;
mod jobs;
mod kv;
mod metrics;
mod monitor;
mod namespaces;
mod once;
mod outcomes;
mod page;
mod parameters;
mod reembed;
mod service;
mod unknown;
mod vectors;

pub(crate) use service::Service;

use crate::embeddings;
use crate::error::Problem;
use crate::gate;
use crate::openapi;
use crate::state::Context;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

/// Every route that is part of the OpenAPI document.
fn api() -> OpenApiRouter<Context> {
    OpenApiRouter::with_openapi(openapi::beginning())
        .merge(admin::routes())
        .merge(reembed::routes())
        .merge(kv::routes())
        .merge(batch::routes())
        .merge(namespaces::routes())
        .merge(candidates::routes())
        .merge(outcomes::routes())
        .merge(cache::routes())
        .merge(vectors::routes())
        .merge(health::routes())
        .merge(jobs::routes())
        .merge(metrics::routes())
        .merge(embeddings::routes())
        .merge(monitor::routes())
}

/// The OpenAPI document of the interface, as JSON.
#[must_use]
pub fn openapi_json() -> String {
    openapi::complete(&api().into_openapi()).to_string()
}

/// All routes, and what every request goes through.
fn router(context: Context) -> Router {
    let (router, collected) = api().split_for_parts();
    let document = openapi::complete(&collected).to_string();
    let router = router.route(
        "/openapi.json",
        get(async move || ([(CONTENT_TYPE, "application/json")], document.clone())),
    );
    router
        // The page is no part of the interface that the document describes.
        .merge(page::routes())
        .fallback(unknown::route)
        .method_not_allowed_fallback(unknown::method)
        // The last one is the first that a request meets.
        .layer(from_fn_with_state(context.clone(), once::answer_once))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn_with_state(context.clone(), gate::pass))
        .with_state(context)
}

/// Answered where a handler panics.
fn panicked() -> Response {
    Problem::internal(&"a panic").into_response()
}
