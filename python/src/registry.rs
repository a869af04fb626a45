//! Every open store of the process, so that interpreter exit closes them in order: servers first.

use crate::aio::begin_exit;
use crate::server::Server;
use parking_lot::Mutex;
use prestige_core::{ClosedHandle, Error, Store};
use prestige_http::Config;
use pyo3::prelude::*;
use std::sync::{Arc, Weak};

/// A store and the servers that were started over it.
pub(crate) struct OpenStore {
    pub store: Arc<Store>,
    /// Kept running even when the application drops its handle.
    servers: Mutex<Vec<Arc<prestige_http::Server>>>,
}

/// Guards the list only; nobody holds it while a store is opened or closed.
static OPEN: Mutex<Vec<Weak<OpenStore>>> = Mutex::new(Vec::new());

impl OpenStore {
    /// Registers a store that was just opened.
    pub(crate) fn new(store: Store) -> Arc<Self> {
        let open = Arc::new(Self {
            store: Arc::new(store),
            servers: Mutex::new(Vec::new()),
        });
        let mut registered = OPEN.lock();
        registered.retain(|other| other.strong_count() > 0);
        registered.push(Arc::downgrade(&open));
        open
    }

    /// Starts a server over a handle of the store; it ends with the store.
    pub(crate) fn serve(&self, served: &Arc<Store>, config: Config) -> Result<Server, Error> {
        // A closed store has nothing to serve.
        served.total_bytes()?;
        let server = Arc::new(prestige_http::Server::start(Arc::clone(served), config)?);
        let mut servers = self.servers.lock();
        servers.retain(|other| !other.is_stopped());
        servers.push(Arc::clone(&server));
        drop(servers);
        if self.store.is_closed() {
            // Closed while the server started, by a thread that did not see it yet.
            server.stop();
            let path = self.store.path().to_path_buf();
            return Err(Error::Closed(ClosedHandle::Store(path)));
        }
        Ok(Server::new(server))
    }

    /// Stops the servers, then closes the store.
    pub(crate) fn close(&self) -> Result<(), Error> {
        self.store.check_closable()?;
        let servers = std::mem::take(&mut *self.servers.lock());
        for server in servers {
            server.stop();
        }
        self.store.close()
    }
}

impl Drop for OpenStore {
    fn drop(&mut self) {
        // An error here has no caller; the store logs what it could not write.
        let _ = self.close();
    }
}

/// Close every store of the process that is still open, servers first.
///
/// Runs at interpreter exit.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>) {
    begin_exit();
    py.detach(|| {
        let stores = std::mem::take(&mut *OPEN.lock());
        for store in stores.iter().filter_map(Weak::upgrade) {
            let _ = store.close();
        }
    });
}
