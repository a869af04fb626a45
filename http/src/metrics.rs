//! Metrics in Prometheus text format: the figures of the store as gauges, what it has done as counters, the requests as
//! counter and histogram.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use prestige_core::{Figure, Health, Stats};
use std::time::Duration;

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
    pub(crate) fn new() -> Self {
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

    /// Counts a request and its duration. `path` is that of the route, so that a scanner cannot fill the memory.
    pub(crate) fn count_request(&self, method: &str, path: &str, status: u16, elapsed: Duration) {
        let (method, path) = (method.to_owned(), path.to_owned());
        metrics::with_local_recorder(&self.recorder, || {
            histogram!("prestige_http_request_duration_seconds", "method" => method.clone(), "path" => path.clone())
                .record(elapsed.as_secs_f64());
            counter!(
                "prestige_http_requests_total",
                "method" => method,
                "path" => path,
                "status" => status.to_string()
            )
            .increment(1);
        });
    }

    /// All of it, in Prometheus text format.
    pub(crate) fn render(&self, health: &Health, stats: &Stats) -> String {
        self.set_figures(health, stats);
        self.handle.run_upkeep();
        self.handle.render()
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
