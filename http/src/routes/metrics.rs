//! Metrics in Prometheus text format: the figures of the store as gauges, what it has done as counters, the requests as
//! counter and histogram.

use super::Context;
use crate::error::Problem;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use prestige_core::{Figure, Health, Stats, Store};
use std::time::Instant;

/// Upper bounds of the request duration's buckets, in seconds.
const BUCKETS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5,
];

/// The metrics of one server. Not the process-wide recorder: a process may serve several stores, and the application
/// may have a recorder of its own.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let builder = PrometheusBuilder::new();
        // The only error is an empty list of buckets.
        let builder = builder
            .set_buckets(&BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe_gauge!(
                "prestige_keys_total",
                "Keys, the expired and not yet swept among them."
            );
            describe_gauge!("prestige_objects_total", "Distinct values.");
            describe_gauge!(
                "prestige_store_bytes",
                "Bytes of keys and distinct values, before compression."
            );
            describe_gauge!("prestige_dedup_ratio", "Keys per distinct value.");
            describe_counter!("prestige_http_requests_total", "Requests answered.");
            describe_histogram!(
                "prestige_http_request_duration_seconds",
                "Time to answer a request, in seconds."
            );
        });
        Self { recorder, handle }
    }

    fn set_figures(&self, health: &Health, stats: &Stats) {
        metrics::with_local_recorder(&self.recorder, || {
            for (name, figure) in health.figures() {
                let value = match figure {
                    Figure::Integer(number) => as_f64(number),
                    Figure::Float(number) => number,
                    Figure::Boolean(truth) => f64::from(u8::from(truth)),
                    _ => continue,
                };
                gauge!(metric_name(name)).set(value);
            }
            for (name, figure) in stats.figures() {
                match figure {
                    Figure::Integer(number) => {
                        counter!(format!("prestige_{name}_total")).absolute(number);
                    }
                    Figure::Float(number) => gauge!(metric_name(name)).set(number),
                    _ => {}
                }
            }
        });
    }
}

/// Names under which dashboards know the first figures; the others follow their own.
fn metric_name(figure: &str) -> String {
    match figure {
        "total_keys" => "prestige_keys_total".to_owned(),
        "total_objects" => "prestige_objects_total".to_owned(),
        "total_bytes" => "prestige_store_bytes".to_owned(),
        other => match other.strip_suffix("_s") {
            Some(stem) => format!("prestige_{stem}_seconds"),
            None => format!("prestige_{other}"),
        },
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows only floats; figures stay far below 2^53"
)]
fn as_f64(number: u64) -> f64 {
    number as f64
}

/// `GET /metrics`.
pub(super) async fn exposition(
    State(context): State<Context>,
) -> Result<impl IntoResponse, Problem> {
    let (health, stats) = context
        .with_store(|store: &Store| Ok((store.health()?, store.stats()?)))
        .await?;
    context.metrics.set_figures(&health, &stats);
    context.metrics.handle.run_upkeep();
    let body = context.metrics.handle.render();
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        body,
    ))
}

/// Counts a request and its duration. Unknown paths share one label, so that a scanner cannot fill the memory.
pub(super) async fn count(
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
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let response = next.run(request).await;
    let status = response.status().as_str().to_owned();
    metrics::with_local_recorder(&context.metrics.recorder, || {
        histogram!("prestige_http_request_duration_seconds", "method" => method.clone(), "path" => path.clone())
            .record(start.elapsed().as_secs_f64());
        counter!("prestige_http_requests_total", "method" => method, "path" => path, "status" => status).increment(1);
    });
    response
}
