//! Logs of the process, and traces for a collector if one is named.
//!
//! For programs that are nothing else than a server: an application that embeds a store has a subscriber of its own.
//! Traces hold methods, routes, statuses, counts and durations; no keys, values, queries, tokens or paths of files.

mod otlp;
mod wire;

use crate::embeddings::Secret;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use otlp::Exporter;
use prestige_core::Error;
use reqwest::Url;
use std::io::IsTerminal as _;
use std::time::Duration;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::{EnvFilter, FilterFn, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Target of the spans that are exported.
pub(crate) const SPANS: &str = "prestige_http::spans";
/// Longest time for a collector to take a batch of spans.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryConfig {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`), or directives of `tracing_subscriber`'s `EnvFilter`, such as
    /// `info,prestige_http::requests=debug`, with which each request is logged. Default `info`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Where traces go; `None` (default): nowhere.
    pub otlp: Option<Otlp>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::default(),
            otlp: None,
        }
    }
}

/// How lines of the log look. They go to standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; with colours on a terminal.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// A collector of traces: OTLP, protobuf over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// Its URL, to which `/v1/traces` is added; for example `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// Headers of each request, such as the key of a hosted collector.
    pub headers: Vec<(String, Secret)>,
    /// Name of this service there. Default `prestige`.
    pub service_name: String,
    /// Share of the traces that are exported, 0 to 1, where a caller has not decided. Default 1.
    pub sample_ratio: f64,
}

impl Otlp {
    /// The collector at `endpoint`.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            service_name: "prestige".to_owned(),
            sample_ratio: 1.0,
        }
    }
}

/// Logging and tracing of the process. Dropping it sends what is still to be sent.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Starts logging, and tracing if a collector is named, for the whole process. Not from within a runtime.
///
/// # Errors
/// [`Error::InvalidArgument`] for a filter or an endpoint that cannot be read, or if the process has a subscriber already.
pub fn start_telemetry(config: &TelemetryConfig) -> Result<Telemetry, Error> {
    let invalid = |message: String| Error::InvalidArgument(message);
    let filter = EnvFilter::builder()
        .parse(&config.filter)
        .map_err(|error| {
            invalid(format!(
                "{:?} is no filter of logs: {error}; expected a level such as `info`, or directives such as \
                 `info,prestige_core=debug`",
                config.filter
            ))
        })?;
    let provider = config.otlp.as_ref().map(provider).transpose()?;
    let registry = tracing_subscriber::registry().with(log(config.format, filter));
    let started = match &provider {
        None => registry.try_init(),
        Some(provider) => {
            let tracer = provider.tracer("prestige");
            let traces = tracing_opentelemetry::layer()
                .with_tracer(tracer)
                // Names and lines of source files are nobody's business.
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(only_spans());
            registry.with(traces).try_init()
        }
    };
    started.map_err(|_| invalid("the process has a subscriber of logs already".to_owned()))?;
    Ok(Telemetry { provider })
}

/// The span of a request: a child of what its caller has named in `traceparent`. Costs next to nothing if nobody collects
/// spans.
pub(crate) fn request_span(method: &str, route: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: SPANS,
        "request",
        otel.name = tracing::field::Empty,
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() {
        span.record("otel.name", format!("{method} {route}"));
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        // The only error is that of a process without a collector.
        let _ = span.set_parent(parent);
    }
    span
}

/// The span of the vectors of a request. `source`: `local` or `upstream`.
pub(crate) fn embeddings_span(source: &'static str, texts: usize) -> Span {
    tracing::info_span!(
        target: SPANS,
        "embeddings",
        prestige.source = source,
        prestige.texts = texts,
        prestige.hits = tracing::field::Empty,
        prestige.misses = tracing::field::Empty,
    )
}

/// The span of a request to the upstream.
pub(crate) fn upstream_span(method: &str) -> Span {
    tracing::info_span!(
        target: SPANS,
        "upstream",
        otel.kind = "client",
        http.request.method = method,
        http.response.status_code = tracing::field::Empty,
    )
}

/// Headers as a propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// The lines of the log.
fn log<S>(format: LogFormat, filter: EnvFilter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // Spans are for the collector: without one they are not even made.
    let not_spans = filter_fn(|metadata| metadata.target() != SPANS);
    match format {
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(not_spans)
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_filter(not_spans)
            .with_filter(filter)
            .boxed(),
    }
}

/// Our spans, and no events: those are for the log.
fn only_spans() -> FilterFn {
    filter_fn(|metadata| metadata.is_span() && metadata.target() == SPANS)
}

fn provider(config: &Otlp) -> Result<SdkTracerProvider, Error> {
    if !(0.0..=1.0).contains(&config.sample_ratio) {
        return Err(Error::InvalidArgument(format!(
            "the share of traces must be 0 to 1, not {}",
            config.sample_ratio
        )));
    }
    let refused = |reason: String| {
        Error::InvalidArgument(format!(
            "the collector of traces cannot be used: {reason}; expected a URL such as http://127.0.0.1:4318"
        ))
    };
    let url = Url::parse(&config.endpoint)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .and_then(|url| {
            Url::parse(&format!("{}/v1/traces", url.as_str().trim_end_matches('/'))).ok()
        })
        .ok_or_else(|| refused("its URL is not one of HTTP".to_owned()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let pair = HeaderName::try_from(name).ok();
        let pair = pair.zip(HeaderValue::try_from(value.expose()).ok());
        let (name, mut value) =
            pair.ok_or_else(|| refused(format!("the header {name:?} cannot be sent")))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    // Installed already: by a server of this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::blocking::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| refused(error.without_url().to_string()))?;
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", config.service_name.clone()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build();
    let exporter = Exporter {
        http,
        url,
        headers,
        resource: resource.clone(),
    };
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource)
        .build())
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}
