//! The semantic cache: `/api/v1/cache`. Queries are compared with queries, never with responses.

mod answer;
mod entries;
mod scopes;

use crate::state::Context;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(entries::lookup))
        .routes(routes!(entries::put))
        .routes(routes!(scopes::invalidate))
        .routes(routes!(scopes::clear))
        .routes(routes!(scopes::list_scopes))
        .routes(routes!(scopes::cache_stats))
}
