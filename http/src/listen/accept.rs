//! Accepting connections until told to stop.

use super::Listener;
use super::connection::{Connection, serve};
use crate::guard::Transport;
use crate::routes::Service;
use crate::state::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After an error such as too many open files: time for some to be closed.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// What all connections of a server share.
#[derive(Clone)]
pub(crate) struct Serving {
    pub context: Context,
    pub service: Service,
    /// Requests in progress are answered, others not accepted any more.
    pub stop: CancellationToken,
    /// Everything ends at once.
    pub kill: CancellationToken,
    /// Accepting and connections.
    pub tasks: TaskTracker,
    /// One for each open connection. Without any left, others wait to be accepted.
    pub connections: Arc<Semaphore>,
}

/// Accepts connections of `listener`. Dropping the listener, and with it the file of a Unix socket, ends it.
pub(crate) async fn accept(listener: Listener, serving: Serving) {
    let ended = serving.stop.clone();
    tokio::select! {
        () = ended.cancelled() => {}
        () = accept_all(&listener, &serving) => {}
    }
}

async fn accept_all(listener: &Listener, serving: &Serving) {
    loop {
        let Ok(place) = Arc::clone(&serving.connections).acquire_owned().await else {
            return;
        };
        if let Err(error) = accept_one(listener, serving, place).await {
            // Of the connection that was to be accepted, or of the process: the next one may succeed.
            tracing::warn!(%error, "a connection was not accepted");
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
}

async fn accept_one(
    listener: &Listener,
    serving: &Serving,
    place: OwnedSemaphorePermit,
) -> std::io::Result<()> {
    let connection = |transport| Connection {
        serving: serving.clone(),
        transport,
        place,
    };
    match listener {
        Listener::Tcp(listener, tls) => {
            let (stream, _) = listener.accept().await?;
            // An answer goes out when it is complete, not when its predecessor was acknowledged. Best effort.
            let _ = stream.set_nodelay(true);
            let connection = connection(Transport::Tcp);
            match tls {
                None => serving.tasks.spawn(serve(stream, connection)),
                Some(tls) => {
                    let handshake = tls.accept(stream);
                    let longest = serving.context.config.timeouts.header;
                    serving.tasks.spawn(async move {
                        let kill = connection.serving.kill.clone();
                        let shaken = tokio::select! {
                            () = kill.cancelled() => return,
                            shaken = tokio::time::timeout(longest, handshake) => shaken,
                        };
                        // Scanners and clients that do not trust us; nothing of ours.
                        if let Ok(Ok(stream)) = shaken {
                            serve(stream, connection).await;
                        }
                    })
                }
            };
        }
        Listener::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            let connection = connection(Transport::Unix);
            serving.tasks.spawn(serve(stream, connection));
        }
    }
    Ok(())
}
