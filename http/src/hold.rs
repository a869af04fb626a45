//! Something that is held until an answer is sent: a place among the requests in progress, or a count of them.

use crate::place::Place;
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
    if is_small(response.body()) {
        return response;
    }
    response.map(|body| {
        let place = None;
        Body::new(Held {
            body,
            place,
            _held: held,
        })
    })
}

/// As [`until_sent`], for the place of the request: what is done while the body is written is done in it, too.
pub(crate) fn working_until_sent(response: Response, place: Place) -> Response {
    if is_small(response.body()) {
        return response;
    }
    response.map(|body| {
        let place = Some(place);
        Body::new(Held {
            body,
            place,
            _held: (),
        })
    })
}

fn is_small(body: &Body) -> bool {
    use http_body::Body as _;
    let length = body.size_hint().exact();
    length.is_some_and(|length| length <= SMALL_BYTES)
}

struct Held<T> {
    body: Body,
    place: Option<Place>,
    _held: T,
}

impl<T: Unpin> http_body::Body for Held<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, place, .. } = &mut *self;
        let mut poll = || Pin::new(&mut *body).poll_frame(context);
        match place {
            Some(place) => place.sync_scope(poll),
            None => poll(),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Limits;
    use crate::place::Places;
    use axum::body::to_bytes;
    use std::convert::Infallible;

    #[tokio::test]
    async fn what_is_written_piece_by_piece_is_done_in_the_place_of_its_request() {
        let places = Places::new(&Limits {
            requests: 1,
            ..Limits::default()
        });
        let body = Body::from_stream(async_stream::stream! {
            let placed = Place::current().is_some();
            yield Ok::<_, Infallible>(placed.to_string());
        });
        let response = working_until_sent(Response::new(body), places.take().unwrap());
        assert!(places.take().is_err());
        let sent = to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(sent, "true");
        places.take().unwrap();
        // A short answer holds nothing.
        let short = working_until_sent(Response::new("short".into()), places.take().unwrap());
        places.take().unwrap();
        drop(short);
    }
}
