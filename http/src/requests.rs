//! Every request in the metrics, the log and the traces: its method, route, status and duration; neither path nor query,
//! which hold keys.

use crate::metrics::{InFlight, Metrics};
use crate::state::Context;
use crate::telemetry::request_span;
use axum::extract::Request;
use axum::response::Response;
use std::sync::Arc;
use std::time::Instant;
use tracing::Span;

/// Unknown paths share one label, so that a scanner can fill neither memory nor log.
pub(crate) const UNMATCHED: &str = "unmatched";
/// Unknown methods share one as well.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// A request in progress.
pub(crate) struct Observed<'a> {
    started: Instant,
    method: &'static str,
    route: &'a str,
    span: Span,
    metrics: Arc<Metrics>,
    _in_flight: InFlight,
}

impl<'a> Observed<'a> {
    /// `route`: the template of its path, or [`UNMATCHED`].
    pub(crate) fn begin(context: &Context, route: &'a str, request: &Request) -> Self {
        let method = request.method().as_str();
        let method = METHODS.into_iter().find(|known| *known == method);
        let method = method.unwrap_or("other");
        Self {
            started: Instant::now(),
            method,
            span: request_span(method, route, request.headers()),
            route,
            metrics: Arc::clone(&context.metrics),
            _in_flight: context.metrics.begin_request(),
        }
    }

    /// What is done for it is part of.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Counts, logs and traces it: answered, if not sent yet.
    pub(crate) fn end(self, response: &Response) {
        let route = self.route;
        let status = response.status().as_u16();
        let elapsed = self.started.elapsed();
        self.span.record("http.response.status_code", status);
        if status >= 500 {
            self.span.record("otel.status_code", "ERROR");
        }
        self.metrics
            .count_request(self.method, route, status, elapsed);
        tracing::debug!(
            target: "prestige_http::requests",
            method = self.method,
            route,
            status,
            seconds = elapsed.as_secs_f64(),
            "request"
        );
    }
}
