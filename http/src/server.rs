//! A server inside the process, on a runtime and threads of its own.

use crate::config::Config;
use crate::routes::router;
use crate::state::Context;
use parking_lot::Mutex;
use prestige_core::{Error, Store};
use std::fmt;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for requests in progress when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// A running server. Dropping it stops it.
pub struct Server {
    address: SocketAddr,
    process: u32,
    running: Mutex<Option<Running>>,
}

struct Running {
    runtime: Runtime,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Server {
    /// Serves `store` until stopped.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for settings out of range, a host that does not resolve, or one that is no loopback
    /// address where there are no tokens; [`Error::Io`] if the address cannot be listened on.
    pub fn start(store: Arc<Store>, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let host = config.listen.host.clone().unwrap_or_default();
        let (host, port) = (host.as_str(), config.listen.port);
        let addresses: Vec<SocketAddr> = (host, port)
            .to_socket_addrs()
            .map_err(|error| {
                Error::InvalidArgument(format!("the host {host:?} does not resolve: {error}"))
            })?
            .collect();
        let refused = |error: std::io::Error| {
            Error::Io(format!("cannot listen on {host} port {port}: {error}"))
        };
        // Bound here, so that a refusal reaches the caller and the port is known when we return.
        let listener = TcpListener::bind(addresses.as_slice()).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        if config.tokens.is_empty() && !address.ip().is_loopback() {
            return Err(Error::InvalidArgument(format!(
                "{host} can be reached from other machines, and there is no token: give one, or listen on 127.0.0.1"
            )));
        }
        let context = Context::new(store, config);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("prestige-http")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::Io(format!("cannot start the threads of the server: {error}"))
            })?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(refused)?
        };
        let (stop, mut stopped) = watch::channel(false);
        let serving = runtime.spawn(async move {
            let shutdown = async move {
                // An error means that the sender is gone, which is a stop too.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            if let Err(error) = axum::serve(listener, router(context))
                .with_graceful_shutdown(shutdown)
                .await
            {
                tracing::error!(%error, "the server ended");
            }
        });
        let running = Mutex::new(Some(Running {
            runtime,
            stop,
            serving,
        }));
        Ok(Self {
            address,
            process: std::process::id(),
            running,
        })
    }

    /// Address the server listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL of the server, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether the server was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.running.lock().is_none()
    }

    /// Refuses new requests, waits up to five seconds for those in progress and ends the threads. A second call does
    /// nothing; neither does a call in a forked child, which has no threads to end.
    pub fn stop(&self) {
        let Some(running) = self.running.lock().take() else {
            return;
        };
        let Running {
            runtime,
            stop,
            serving,
        } = running;
        if std::process::id() != self.process {
            // The threads stayed in the parent: waiting for them would never end.
            std::mem::forget(runtime);
            return;
        }
        // Without a receiver the server has ended already.
        let _ = stop.send(true);
        runtime.block_on(async {
            if tokio::time::timeout(GRACE, serving).await.is_err() {
                tracing::warn!("requests in progress were cut off when the server stopped");
            }
        });
        runtime.shutdown_timeout(GRACE);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("url", &self.url())
            .field("stopped", &self.is_stopped())
            .finish()
    }
}
