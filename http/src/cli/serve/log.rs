//! The log of a server, on the standard error output, and traces for a collector.

use super::arguments::{LogFormat, LogSettings};
use crate::telemetry::{self, Otlp, Telemetry, TelemetryConfig, start_telemetry};
use prestige_core::Error;

/// Starts logging for the whole process. What is returned sends the last traces when it is dropped.
pub(super) fn start(settings: &LogSettings) -> Result<Telemetry, Error> {
    start_telemetry(&TelemetryConfig {
        filter: settings.log_level.clone(),
        format: match settings.log_format {
            LogFormat::Text => telemetry::LogFormat::Text,
            LogFormat::Json => telemetry::LogFormat::Json,
        },
        otlp: settings.otlp_endpoint.as_ref().map(|endpoint| Otlp {
            sample_ratio: settings.otlp_sample_ratio,
            ..Otlp::new(endpoint)
        }),
    })
}
