//! `GET /metrics`.

use crate::auth::Access;
use crate::error::Answer;
use crate::state::Context;
use crate::tokens::Role;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prestige_core::Error;
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
    let shared = context.clone();
    let rendered = context.blocking(move || {
        let overview = shared.store.overview(&|_| true)?;
        let models = shared.embeddings.loads();
        let uptime = shared.started.elapsed();
        Ok::<_, Error>(shared.metrics.render(&overview, &models, uptime))
    });
    let body = rendered.await?;
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], body))
}
