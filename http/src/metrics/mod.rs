//! Metrics in Prometheus text format.
//!
//! Figures of the store are read from it whenever they are asked for, from the same source as `Store::stats` and
//! `Store::health` (`store.rs`). What happens in the server is counted here as it happens.
//!
//! - `text`: the format; `store`: the figures of the store; `requests`: the counts of requests

mod requests;
mod store;
mod text;

use axum::http::StatusCode;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use prestige_core::Overview;
use prestige_core::embed::EmbedderLoad;
use requests::Requests;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use text::Text;

/// Upper bounds of the buckets of durations, in seconds.
const BUCKETS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 2.5, 10.0,
];

const REQUESTS: &str = "prestige_http_requests_total";
const DURATION: &str = "prestige_http_request_duration_seconds";
const IN_FLIGHT: &str = "prestige_http_requests_in_flight";
const TEXTS: &str = "prestige_embeddings_texts_total";
const UPSTREAM_REQUESTS: &str = "prestige_upstream_requests_total";
const UPSTREAM_DURATION: &str = "prestige_upstream_request_duration_seconds";

/// What is counted in the server, and what it is.
const COUNTED: [(&str, &str); 6] = [
    (REQUESTS, "Requests answered."),
    (
        DURATION,
        "Time until a request was answered, without its body where that is streamed.",
    ),
    (IN_FLIGHT, "Requests that are being answered."),
    (
        TEXTS,
        "Texts that /v1/embeddings was asked for, by whether their vectors were there.",
    ),
    (
        UPSTREAM_REQUESTS,
        "Requests to the upstream of /v1/embeddings, by status; `none`: no answer came.",
    ),
    (
        UPSTREAM_DURATION,
        "Time until the upstream of /v1/embeddings had answered.",
    ),
];

/// The metrics of one server. Not the process-wide recorder: a process may serve several stores, and the application
/// may have a recorder of its own.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    requests: Requests,
    answered: AtomicU64,
    in_flight: metrics::Gauge,
}

/// A request that is being answered, until it is dropped.
pub(crate) struct InFlight(metrics::Gauge);

impl Metrics {
    pub(crate) fn new() -> Self {
        let builder = PrometheusBuilder::new();
        // The only error is an empty list of buckets.
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let in_flight = metrics::with_local_recorder(&recorder, || {
            for (name, help) in COUNTED {
                if name.ends_with("_seconds") {
                    describe_histogram!(name, Unit::Seconds, help);
                } else if name.ends_with("_total") {
                    describe_counter!(name, help);
                } else {
                    describe_gauge!(name, help);
                }
            }
            gauge!(IN_FLIGHT)
        });
        Self {
            recorder,
            handle,
            requests: Requests::default(),
            answered: AtomicU64::new(0),
            in_flight,
        }
    }

    /// Counts a request as long as what is returned lives.
    pub(crate) fn begin_request(&self) -> InFlight {
        self.in_flight.increment(1);
        InFlight(self.in_flight.clone())
    }

    /// Counts a request and its duration. `path` is that of the route, so that a scanner cannot fill the memory.
    pub(crate) fn count_request(
        &self,
        method: &'static str,
        path: &str,
        status: u16,
        elapsed: Duration,
    ) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let counters = self.requests.of(method, path, status, || {
            let labels = [
                ("method", method.to_owned()),
                ("path", path.to_owned()),
                ("status", status.to_string()),
            ];
            let [method, path, _] = &labels;
            let durations = [method.clone(), path.clone()];
            metrics::with_local_recorder(&self.recorder, || {
                (
                    counter!(REQUESTS, &labels),
                    histogram!(DURATION, &durations),
                )
            })
        });
        let (answered, durations) = counters;
        answered.increment(1);
        durations.record(elapsed.as_secs_f64());
    }

    /// Requests answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Counts texts of `/v1/embeddings`.
    pub(crate) fn texts_embedded(&self, hits: usize, misses: usize) {
        metrics::with_local_recorder(&self.recorder, || {
            counter!(TEXTS, "result" => "hit").increment(hits as u64);
            counter!(TEXTS, "result" => "miss").increment(misses as u64);
        });
    }

    /// Counts a request to the upstream. `status`: `None` if no answer came.
    pub(crate) fn upstream_answered(&self, status: Option<StatusCode>, elapsed: Duration) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.as_str().to_owned());
        metrics::with_local_recorder(&self.recorder, || {
            counter!(UPSTREAM_REQUESTS, "status" => status).increment(1);
            histogram!(UPSTREAM_DURATION).record(elapsed.as_secs_f64());
        });
    }

    /// Folds what was recorded into the histograms; until then it is held one by one.
    pub(crate) fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// All of it, in Prometheus text format.
    pub(crate) fn render(
        &self,
        overview: &Overview,
        models: &[(&str, EmbedderLoad)],
        uptime: Duration,
    ) -> String {
        let mut text = Text::default();
        store::write(&mut text, overview, models);
        store::write_process(&mut text, uptime);
        self.handle.run_upkeep();
        let mut text = text.into_string();
        text.push_str(&self.handle.render());
        text
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[cfg(test)]
mod tests;
