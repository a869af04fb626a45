//! Every request in the metrics and in the log: its method, route, status and duration; neither path nor query, which
//! hold keys.

use crate::state::Context;
use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use std::time::Instant;

/// Unknown paths share one label, so that a scanner can fill neither memory nor log.
const UNMATCHED: &str = "unmatched";

/// A request in progress.
pub(crate) struct Observed {
    started: Instant,
    method: &'static str,
    route: Option<MatchedPath>,
}

impl Observed {
    pub(crate) fn begin(request: &Request) -> Self {
        const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
        let method = request.method().as_str();
        Self {
            started: Instant::now(),
            method: KNOWN
                .into_iter()
                .find(|known| *known == method)
                .unwrap_or("other"),
            route: request.extensions().get::<MatchedPath>().cloned(),
        }
    }

    /// Counts and logs it: answered, if not sent yet.
    pub(crate) fn end(self, context: &Context, response: &Response) {
        let route = self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        let status = response.status().as_u16();
        let elapsed = self.started.elapsed();
        context
            .metrics
            .count_request(self.method, route, status, elapsed);
        tracing::info!(
            target: "prestige_http::requests",
            method = self.method,
            route,
            status,
            seconds = elapsed.as_secs_f64(),
            "request"
        );
    }
}
