//! A server inside the process, on a runtime and threads of its own.

use crate::backups;
use crate::config::{Config, Timeouts};
use crate::history;
use crate::lifecycle::Lifecycle;
use crate::listen::{Bound, Serving, accept};
use crate::percent;
use crate::routes::Service;
use crate::state::Context;
use parking_lot::Mutex;
use prestige_core::{Error, Store};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most threads that answer requests unless told otherwise: the store and the model have threads, too.
const MOST_WORKERS: usize = 4;
/// After everything else has ended, for calls of the store to return.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// A running server. Dropping it stops it.
pub struct Server {
    address: Option<SocketAddr>,
    unix_socket: Option<PathBuf>,
    tls: bool,
    process: u32,
    timeouts: Timeouts,
    lifecycle: Arc<Lifecycle>,
    stop: CancellationToken,
    kill: CancellationToken,
    /// Taken by whoever stops it.
    running: Mutex<Option<Running>>,
}

struct Running {
    runtime: Runtime,
    tasks: TaskTracker,
}

impl Server {
    /// Serves `store` until stopped. Everything is bound when this returns; the first requests may wait for it.
    ///
    /// A view of a namespace is served alone: nothing of the others can be reached.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for settings out of range, a host that does not resolve, one that other machines reach
    /// where there are no tokens, certificates that cannot be used, and a directory for backups that cannot be made;
    /// [`Error::Busy`] if another server listens on the
    /// Unix socket; [`Error::Io`] if the system refuses.
    pub fn start(store: Arc<Store>, config: Config) -> Result<Self, Error> {
        config.validate()?;
        if let Some(directory) = &config.backup_directory {
            backups::check(directory)?;
        }
        let bound = Bound::new(&config)?;
        let (address, unix_socket, tls) = (bound.address(), bound.unix_socket(), bound.is_tls());
        let runtime = start_runtime(&config)?;
        let timeouts = config.timeouts.clone();
        let context = Context::new(store, config)?;
        if let Some(directory) = &context.config.backup_directory {
            backups::prepare(directory)?;
        }
        // The context keeps the store open, and is not kept longer than the threads.
        let lifecycle = Arc::clone(&context.lifecycle);
        let serving = Serving {
            service: Service::new(context.clone()),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
            connections: Arc::new(Semaphore::new(context.config.limits.connections)),
            context,
        };
        runtime.spawn(history::record(serving.context.clone()));
        let listeners = {
            let _inside = runtime.enter();
            bound.into_listeners()?
        };
        for listener in listeners {
            let accepting = accept(listener, serving.clone());
            serving.tasks.spawn_on(accepting, runtime.handle());
        }
        let Serving {
            stop, kill, tasks, ..
        } = serving;
        Ok(Self {
            address,
            unix_socket,
            tls,
            process: std::process::id(),
            timeouts,
            lifecycle,
            stop,
            kill,
            running: Mutex::new(Some(Running { runtime, tasks })),
        })
    }

    /// Address the server listens on; `None` of one that listens on a Unix socket alone.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Path of the Unix socket it listens on, if there is one.
    #[must_use]
    pub fn unix_socket(&self) -> Option<&Path> {
        self.unix_socket.as_deref()
    }

    /// URL of the Unix socket it listens on, if there is one: `unix://` and its absolute path, percent-encoded.
    #[must_use]
    pub fn unix_url(&self) -> Option<String> {
        let path = self.unix_socket.as_ref()?;
        Some(format!("unix://{}", percent::encode_path(path)))
    }

    /// Base URL of the server, without a slash at its end: `http://…`, `https://…`, or `unix://` and the path of the socket
    /// if it listens on nothing else.
    #[must_use]
    pub fn url(&self) -> String {
        match self.address {
            Some(address) if self.tls => format!("https://{address}"),
            Some(address) => format!("http://{address}"),
            None => self.unix_url().unwrap_or_default(),
        }
    }

    /// Whether the server was stopped, or is being.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.running.lock().is_none()
    }

    /// Stops: it is not ready any more, after [`Timeouts::drain`](crate::Timeouts::drain) refuses connections, waits up to
    /// [`Timeouts::grace`](crate::Timeouts::grace) for requests in progress, and ends its threads. A second call does
    /// nothing; neither does a call in a forked child, which has no threads to end.
    pub fn stop(&self) {
        let Some(Running { runtime, tasks }) = self.running.lock().take() else {
            return;
        };
        if std::process::id() != self.process {
            // The threads stayed in the parent: waiting for them would never end.
            std::mem::forget(runtime);
            return;
        }
        self.lifecycle.drain();
        let timeouts = &self.timeouts;
        tasks.close();
        runtime.block_on(async {
            tokio::select! {
                () = self.kill.cancelled() => {}
                () = tokio::time::sleep(timeouts.drain) => {}
            }
            self.stop.cancel();
            tokio::select! {
                () = self.kill.cancelled() => {}
                () = tasks.wait() => {}
                () = tokio::time::sleep(timeouts.grace) => {
                    tracing::warn!("requests in progress were cut off when the server stopped");
                }
            }
            self.kill.cancel();
            tasks.wait().await;
        });
        runtime.shutdown_timeout(LAST_CALLS);
    }

    /// Stops without waiting for requests in progress: they are cut off. Also ends a [`Self::stop`] that waits in another
    /// thread. What was acknowledged stays.
    pub fn stop_now(&self) {
        self.lifecycle.drain();
        self.kill.cancel();
        self.stop.cancel();
        self.stop();
    }
}

fn start_runtime(config: &Config) -> Result<Runtime, Error> {
    let workers = match config.worker_threads {
        0 => std::thread::available_parallelism()
            .map_or(1, usize::from)
            .clamp(2, MOST_WORKERS),
        threads => threads,
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("prestige-http")
        .enable_all()
        .build()
        .map_err(|error| Error::Io(format!("cannot start the threads of the server: {error}")))
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
