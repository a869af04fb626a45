//! Something that is held until an answer is sent: a place among the requests in progress, or a count of them.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Bodies up to so many bytes, all in memory, are as good as sent.
const SMALL_BYTES: u64 = 64 << 10;

/// Drops `held` when the body of `response` has been sent, or given up; at once if it is small.
pub(crate) fn until_sent<T: Send + Unpin + 'static>(response: Response, held: T) -> Response {
    use http_body::Body as _;
    let small = |body: &Body| {
        body.size_hint()
            .exact()
            .is_some_and(|length| length <= SMALL_BYTES)
    };
    if small(response.body()) {
        return response;
    }
    response.map(|body| Body::new(Held { body, _held: held }))
}

struct Held<T> {
    body: Body,
    _held: T,
}

impl<T: Unpin> http_body::Body for Held<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
