//! `GET /metrics`.

use crate::auth::Access;
use crate::error::Answer;
use crate::state::Context;
use crate::tokens::Role;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prestige_core::Store;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Figures of the store and the requests, in Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"))
)]
async fn metrics(State(context): State<Context>, access: Access) -> Answer<impl IntoResponse> {
    access.require_everywhere(Role::Read)?;
    let (health, stats) = context
        .with_store(|store: &Store| Ok((store.health()?, store.stats()?)))
        .await?;
    let body = context.metrics.render(&health, &stats);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], body))
}
