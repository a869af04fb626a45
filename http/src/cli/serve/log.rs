//! The log of a server, on the standard error output.

use super::arguments::{LogFormat, LogSettings};
use prestige_core::Error;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Starts logging for the whole process.
pub(super) fn start(settings: &LogSettings) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&settings.log_level).map_err(|error| {
        Error::InvalidArgument(format!(
            "log_level: expected a level, as info, or directives, as info,prestige_http=debug: {error}"
        ))
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match settings.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    }
    .map_err(|error| Error::InvalidArgument(format!("the log cannot be started: {error}")))
}
