//! Every request in the metrics and in the log: its method, route, status and duration; neither path nor query, which
//! hold keys.

use crate::state::Context;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;

/// Unknown paths share one label, so that a scanner can fill neither memory nor log.
const UNMATCHED: &str = "unmatched";

/// Counts and logs a request.
pub(crate) async fn observe(
    State(context): State<Context>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH") => {
            known.to_owned()
        }
        _ => "other".to_owned(),
    };
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let status = response.status().as_u16();
    let elapsed = start.elapsed();
    context
        .metrics
        .count_request(&method, route, status, elapsed);
    tracing::info!(
        target: "prestige_http::requests",
        method,
        route,
        status,
        seconds = elapsed.as_secs_f64(),
        "request"
    );
    response
}
