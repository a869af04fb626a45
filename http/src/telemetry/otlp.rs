//! Spans for a collector: OTLP, protobuf over HTTP.
//!
//! Written out here, and not taken from `opentelemetry-otlp`: its macros share dependencies with the generator of
//! RocksDB's bindings and change their features, so that RocksDB would be compiled anew. The messages, of
//! `opentelemetry-proto` 1.x, by the numbers of their fields:
//!
//! ```text
//! ExportTraceServiceRequest   1 resource_spans*
//! ResourceSpans               1 resource   2 scope_spans*
//! Resource                    1 attributes*
//! ScopeSpans                  1 scope   2 spans*
//! InstrumentationScope        1 name   2 version
//! Span                        1 trace_id:16 bytes   2 span_id:8 bytes   3 trace_state   4 parent_span_id   5 name   6 kind
//!                             7 start, ns:fixed64   8 end, ns:fixed64   9 attributes*   10 dropped_attributes_count
//!                             15 status   16 flags:fixed32
//! Status                      2 message   3 code
//! KeyValue                    1 key   2 value
//! AnyValue                    1 string   2 bool   3 int   4 double:fixed64
//! ```

use super::wire::Message;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bit of `flags` that says whether the next one means something, and the next one: the parent is of another process.
const FLAG_HAS_IS_REMOTE: u32 = 0x100;
const FLAG_IS_REMOTE: u32 = 0x200;

/// Sends spans to a collector.
pub(super) struct Exporter {
    /// Of blocking calls: a thread of the batch processor makes them.
    pub(super) http: reqwest::blocking::Client,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) resource: Resource,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Exporter")
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let failed = |reason: String| {
            tracing::warn!(spans = batch.len(), reason, "traces could not be sent");
            Err(OTelSdkError::InternalFailure(reason))
        };
        let request = self
            .http
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(encode(&self.resource, &batch));
        match request.send() {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => failed(format!("the collector has answered {}", response.status())),
            // Without the URL, which may hold what is not for logs.
            Err(error) => failed(error.without_url().to_string()),
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.clone();
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The body of a request. All spans are of one library: this one.
fn encode(resource: &Resource, spans: &[SpanData]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |resource_spans| {
        resource_spans.message(1, |message| {
            for (key, value) in resource.iter() {
                message.message(1, |pair| write_pair(pair, key.as_str(), value));
            }
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.text(1, "prestige");
                scope.text(2, env!("CARGO_PKG_VERSION"));
            });
            for span in spans {
                scope_spans.message(2, |message| write_span(message, span));
            }
        });
    });
    request.into_bytes()
}

fn write_span(message: &mut Message, span: &SpanData) {
    let context = &span.span_context;
    message.bytes(1, &context.trace_id().to_bytes());
    message.bytes(2, &context.span_id().to_bytes());
    message.text(3, &context.trace_state().header());
    if span.parent_span_id != SpanId::INVALID {
        message.bytes(4, &span.parent_span_id.to_bytes());
    }
    message.text(5, &span.name);
    message.number(
        6,
        match span.span_kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
            SpanKind::Producer => 4,
            SpanKind::Consumer => 5,
        },
    );
    message.fixed64(7, nanoseconds(span.start_time));
    message.fixed64(8, nanoseconds(span.end_time));
    for KeyValue { key, value, .. } in &span.attributes {
        message.message(9, |pair| write_pair(pair, key.as_str(), value));
    }
    message.number(10, u64::from(span.dropped_attributes_count));
    let (code, description) = match &span.status {
        Status::Unset => (0, ""),
        Status::Ok => (1, ""),
        Status::Error { description } => (2, &**description),
    };
    if code != 0 {
        message.message(15, |status| {
            status.text(2, description);
            status.number(3, code);
        });
    }
    let mut flags = u32::from(context.trace_flags().to_u8()) | FLAG_HAS_IS_REMOTE;
    if span.parent_span_is_remote {
        flags |= FLAG_IS_REMOTE;
    }
    message.fixed32(16, flags);
}

fn write_pair(message: &mut Message, key: &str, value: &Value) {
    message.text(1, key);
    message.message(2, |any| match value {
        Value::Bool(truth) => any.always_number(2, u64::from(*truth)),
        Value::I64(number) => any.always_number(3, number.cast_unsigned()),
        Value::F64(number) => any.fixed64(4, number.to_bits()),
        other => any.always_text(1, &other.as_str()),
    });
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    /// The bytes are those that the Python package `opentelemetry-proto` makes of the same span.
    #[test]
    fn spans_have_the_bytes_of_the_protocol() {
        let context = SpanContext::new(
            TraceId::from_bytes([0xab; 16]),
            SpanId::from_bytes([0xcd; 8]),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        let span = SpanData {
            span_context: context,
            parent_span_id: SpanId::from_bytes([0xef; 8]),
            parent_span_is_remote: true,
            span_kind: SpanKind::Server,
            name: "GET /a".into(),
            start_time: UNIX_EPOCH + Duration::new(1, 5),
            end_time: UNIX_EPOCH + Duration::new(2, 0),
            attributes: vec![
                KeyValue::new("s", "text"),
                KeyValue::new("i", 200_i64),
                KeyValue::new("b", false),
                KeyValue::new("f", 0.5),
            ],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::error("no"),
            instrumentation_scope: InstrumentationScope::default(),
        };
        let resource = Resource::builder_empty()
            .with_attributes([KeyValue::new("service.name", "p")])
            .build();
        let encoded = encode(&resource, &[span]);
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("otlp_span.hex").trim());
    }
}
