//! Which store a command works on: a directory, or a server.

use super::values::{Raw, option, raw, timeout};
use clap::Args;
use serde::Serialize;

const HEADING: &str = "Which store";

/// A directory or a server, by option or environment variable.
#[derive(Args, Debug, Serialize)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Target {
    /// Directory of the store [env: PRESTIGE_PATH]
    #[arg(short, long, value_name = "DIR", value_parser = raw(), conflicts_with = "url")]
    pub path: Option<Raw>,
    /// A server in place of a directory: http://…, https://… or unix:///path.sock [env: PRESTIGE_URL]
    #[arg(short, long, value_name = "URL")]
    pub url: Option<String>,
    /// Namespace of the store; the default one has no name [env: PRESTIGE_NAMESPACE]
    #[arg(
        short,
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub namespace: String,
    /// Token for the server; other users of the machine see arguments, but no environment [env: PRESTIGE_TOKEN]
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    pub token: Option<String>,
    /// File with the token for the server, alone or in a line ROLE TOKEN of a server's file [env: PRESTIGE_TOKEN_FILE]
    #[arg(long, value_name = "FILE", value_parser = raw())]
    pub token_file: Option<Raw>,
    /// PEM file of the authorities that may have signed the certificate of the server (default: those of the system)
    #[arg(long, value_name = "FILE", value_parser = raw())]
    pub ca_file: Option<Raw>,
    /// How long to wait for an answer of the server, in seconds or as 2min
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    pub timeout: Option<f64>,
    /// Option for opening the directory, an attribute of prestige.Options, as max_store_bytes=10GiB; may be repeated
    #[arg(short, long = "option", value_name = "NAME=VALUE", value_parser = option)]
    pub option: Vec<(String, String)>,
    /// Print JSON
    #[arg(long, help_heading = "Options")]
    pub json: bool,
}

/// The same, with the directory as first argument too.
#[derive(Args, Debug, Serialize)]
pub(crate) struct Place {
    /// Directory of the store
    #[arg(value_name = "DIR", value_parser = raw(), conflicts_with_all = ["path", "url"])]
    pub directory: Option<Raw>,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}
