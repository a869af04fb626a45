//! HTTP endpoint over an open store: health for people and orchestrators, metrics for Prometheus.
//!
//! ```no_run
//! use prestige_core::{Options, Store};
//! use std::sync::Arc;
//!
//! let store = Arc::new(Store::open("./my_db", Options::default())?);
//! let server = prestige_http::Server::start(store, "127.0.0.1", 0)?;
//! println!("{}/health", server.url());
//! server.stop();
//! # Ok::<(), prestige_core::Error>(())
//! ```
//!
//! # Layout
//!
//! - `server`: the listening server and its runtime
//! - `routes/health`, `routes/metrics`: the answers
//! - `error`: problem documents for everything else

mod error;
mod routes;
mod server;

pub use routes::router;
pub use server::Server;
