//! HTTP service over an open store: its keys and values, health for people and orchestrators, metrics for Prometheus.
//!
//! ```no_run
//! use prestige_core::{Options, Store};
//! use prestige_http::{Config, Server};
//! use std::sync::Arc;
//!
//! let store = Arc::new(Store::open("./my_db", Options::default())?);
//! let server = Server::start(store, Config::default())?;
//! println!("{}/health", server.url());
//! server.stop();
//! # Ok::<(), prestige_core::Error>(())
//! ```
//!
//! # Layout
//!
//! - `config`: what a server is told; `tokens`: who may do what
//! - `server`: a server and its runtime; `listen/`: sockets and connections; `lifecycle`: whether it is ready
//! - `gate`: what every request goes through; `guard`: whether another site sends it; `deadline`: whether it is answered in
//!   time; `hold`: until when it is in progress
//! - `state`: what every handler can reach; `jobs`: work in the background
//! - `routes/`: the answers; `openapi`: their description
//! - `cli/`: the command line, and `prestige serve`
//! - `extract`: what handlers take out of a request; `bytes`: bytes in JSON; `auth`: what a token allows
//! - `accept`, `etag`, `cursor`, `ndjson`: what headers, listings and lines say; `headers`: those of keys and values
//! - `idempotency`: requests that are answered once; `stream`: long answers; `json`: answers that are written elsewhere
//! - `caches`: the caches that clients share; `backups`: where backups are made
//! - `error`: problem documents; `redact`: without paths of this machine
//! - `requests`: each of them in the metrics, the log and the traces; `metrics`: the figures in Prometheus format;
//!   `history`: those of the last hour; `telemetry`: log and traces of a process that is a server
//! - `embeddings/`: OpenAI's interface to embeddings

mod accept;
mod auth;
mod backups;
mod bytes;
mod caches;
pub mod cli;
mod config;
mod cursor;
mod deadline;
mod embeddings;
mod error;
mod etag;
mod extract;
mod gate;
mod guard;
mod headers;
mod history;
mod hold;
mod idempotency;
mod jobs;
mod json;
mod lifecycle;
mod listen;
mod metrics;
mod ndjson;
mod openapi;
mod percent;
mod place;
mod redact;
mod requests;
mod routes;
mod server;
mod state;
mod stream;
mod telemetry;
mod tokens;
mod vector;

pub use config::{CacheConfig, Config, Limits, Listen, Timeouts, Tls};
pub use embeddings::{EmbeddingsConfig, LocalModel, Secret, Upstream};
pub use routes::openapi_json;
pub use server::Server;
pub use telemetry::{LogFormat, Otlp, Telemetry, TelemetryConfig, start_telemetry};
pub use tokens::{Role, Tokens, client_token};
