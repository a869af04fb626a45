//! A server over real sockets: what it refuses, how long it waits, how it ends.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod abandoned;
mod admin;
mod client;
mod limits;
mod listening;
mod senders;
mod stopping;
mod tokens;

use prestige_core::{Options, Store};
use prestige_http::{Config, Server};
use std::sync::Arc;
use tempfile::TempDir;

/// A store and a server over it.
struct Running {
    server: Server,
    store: Arc<Store>,
    _directory: TempDir,
}

impl Running {
    fn start(config: Config) -> Self {
        Self::with(Options::default(), config)
    }

    fn with(options: Options, config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path(), options).unwrap());
        let server = Server::start(Arc::clone(&store), config).unwrap();
        Self {
            server,
            store,
            _directory: directory,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.stop();
        if !std::thread::panicking() && !self.store.is_closed() {
            assert!(self.store.verify().unwrap().is_empty());
        }
    }
}
