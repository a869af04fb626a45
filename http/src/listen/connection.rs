//! One connection: HTTP/1.1 with keep-alive.

use super::Serving;
use crate::guard::Transport;
use crate::hold::until_sent;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio_io_timeout::TimeoutStream;

/// When the server stops, how long a connection without a request in progress is kept: for the last bytes of an answer to
/// leave. Otherwise one that has sent half a head would be waited for.
const LINGER: Duration = Duration::from_millis(250);

pub(super) struct Connection {
    pub serving: Serving,
    pub transport: Transport,
    /// Given back when the connection ends.
    pub place: OwnedSemaphorePermit,
}

/// Answers the requests of a connection until it is closed, fails, or the server ends.
pub(super) async fn serve<S>(stream: S, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let Connection {
        serving,
        transport,
        place: _place,
    } = connection;
    let timeouts = &serving.context.config.timeouts;
    let mut stream = TimeoutStream::new(stream);
    // A client that does not take its answer is given up.
    stream.set_write_timeout(Some(timeouts.write));
    let in_progress = Arc::new(());
    let service = {
        let in_progress = Arc::clone(&in_progress);
        let service = serving.service.clone();
        hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let held = Arc::clone(&in_progress);
            let service = service.clone();
            // The guard takes every other one for a request over TCP.
            if transport == Transport::Unix {
                request.extensions_mut().insert(transport);
            }
            async move {
                let response = service.answer(request.map(Body::new)).await?;
                Ok::<_, Infallible>(until_sent(response, held))
            }
        })
    };
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeouts.header)
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
    );
    tokio::select! {
        biased;
        () = serving.kill.cancelled() => return,
        // A client that hung up, or spoke something else than HTTP.
        _ = http.as_mut() => return,
        () = serving.stop.cancelled() => {}
    }
    http.as_mut().graceful_shutdown();
    loop {
        tokio::select! {
            biased;
            () = serving.kill.cancelled() => return,
            _ = http.as_mut() => return,
            () = tokio::time::sleep(LINGER) => {}
        }
        // One is ours, one the service's.
        if Arc::strong_count(&in_progress) <= 2 {
            return;
        }
    }
}
