//! The time-out of a request: the handler must answer in time, and a body must come steadily.

use crate::error::{Code, Problem};
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// A body that comes at least this fast has all the time it needs; one that trickles has not.
const LEAST_BYTES_PER_SECOND: u64 = 16 << 10;

/// Answers `request` within `timeout`, and one second more for every 16 KiB of its body that have come.
pub(crate) async fn answer_in_time<F: Future<Output = Response>>(
    request: Request,
    answer: impl FnOnce(Request) -> F,
    timeout: Duration,
) -> Response {
    use http_body::Body as _;
    let started = Instant::now();
    if request.body().is_end_stream() {
        return match tokio::time::timeout(timeout, answer(request)).await {
            Ok(response) => response,
            Err(_) => too_slow(true),
        };
    }
    let received = Arc::new(Received::default());
    let counted = Arc::clone(&received);
    let request = request.map(|body| {
        Body::new(CountedBody {
            body,
            received: counted,
        })
    });
    let mut answer = pin!(answer(request));
    loop {
        let bytes = received.bytes.load(Ordering::Relaxed);
        let deadline = started + timeout + Duration::from_secs(bytes / LEAST_BYTES_PER_SECOND);
        if Instant::now() >= deadline {
            return too_slow(received.all.load(Ordering::Relaxed));
        }
        if let Ok(response) = tokio::time::timeout_at(deadline, answer.as_mut()).await {
            return response;
        }
    }
}

/// Of a request that took too long, after its body had come or before.
fn too_slow(received: bool) -> Response {
    if received {
        return Problem::new(
            Code::TimedOut,
            "the request took longer than this server waits",
        )
        .into_response();
    }
    Problem::new(Code::TimedOut, "the body came too slowly")
        .with_status(StatusCode::REQUEST_TIMEOUT)
        .into_response()
}

/// What has come of a body.
#[derive(Default)]
struct Received {
    bytes: AtomicU64,
    all: AtomicBool,
}

struct CountedBody {
    body: Body,
    received: Arc<Received>,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let length = u64::try_from(length).unwrap_or(0);
                self.received.bytes.fetch_add(length, Ordering::Relaxed);
                if self.body.is_end_stream() {
                    self.received.all.store(true, Ordering::Relaxed);
                }
            }
            Poll::Ready(None) => self.received.all.store(true, Ordering::Relaxed),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
