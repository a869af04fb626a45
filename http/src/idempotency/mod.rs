//! Requests that a client may send again without being answered twice.
//!
//! A request with an `Idempotency-Key` is answered once; for ten minutes the same request with the same key gets the same
//! answer, also while the first is still in progress. What was begun goes on if its client goes away, so that a retry after
//! a broken connection finds the answer. Answers with a status of 500 or more are not kept: what failed may be tried anew.
//! In memory alone, within bounds of number and bytes ([`table`]), the oldest forgotten first. What is in progress is never
//! forgotten: where there is nothing else to forget, further keys are refused.

mod table;

use crate::error::{Answer, Code, Problem};
use crate::headers::{METADATA, TTL_SECONDS};
use crate::place::carried;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use parking_lot::Mutex;
use prestige_core::Digest;
use std::sync::Arc;
use std::time::Duration;
use table::{Bounds, Table, Use};
use tokio::sync::OwnedMutexGuard;

pub(crate) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that was given before.
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key, in bytes.
const MAX_KEY_BYTES: usize = 128;
const BOUNDS: Bounds = Bounds {
    kept: Duration::from_secs(600),
    slots: 65_536,
    bytes: 64 << 20,
    // Answers to writes are far shorter.
    answer_bytes: 64 << 10,
};

/// The answers that are kept. A clone is another reference to the same.
#[derive(Clone, Debug)]
pub(crate) struct Answers(Arc<Mutex<Table<Kept>>>);

impl Default for Answers {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table::new(BOUNDS))))
    }
}

#[derive(Clone, Debug)]
struct Kept {
    /// Of the request that it answers.
    request: Digest,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A request as far as it makes it the same or another one.
pub(crate) struct Asked<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

impl Asked<'_> {
    fn digest(&self) -> Digest {
        let mut parts: Vec<&[u8]> = vec![self.method.as_str().as_bytes()];
        parts.push(self.uri.path().as_bytes());
        parts.push(self.uri.query().unwrap_or_default().as_bytes());
        let told = [
            CONTENT_TYPE.as_str(),
            IF_MATCH.as_str(),
            IF_NONE_MATCH.as_str(),
            TTL_SECONDS.as_str(),
            METADATA.as_str(),
        ];
        for name in told {
            parts.push(name.as_bytes());
            parts.extend(self.headers.get_all(name).iter().map(HeaderValue::as_bytes));
        }
        parts.push(self.body);
        // Each as its digest, so that no two lists of parts run together and a long body is not copied.
        let digests: Vec<u8> = parts.iter().flat_map(|part| Digest::of(part).0).collect();
        Digest::of(&digests)
    }
}

impl Answers {
    /// What `work` answers, or what it has answered to the same request before. Without an `Idempotency-Key` it is always
    /// the former.
    ///
    /// # Errors
    /// `invalid_argument` for a bad key, and with status 422 for one that came with another request before; `overloaded` if
    /// as many requests with keys are in progress as can be kept apart.
    pub(crate) async fn once<W>(&self, asked: &Asked<'_>, work: W) -> Answer<Response>
    where
        W: Future<Output = Answer<Response>> + Send + 'static,
    {
        let Some(key) = key_of(asked.headers)? else {
            return work.await;
        };
        // Keys of one client are not those of another.
        let client = asked.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let client = Digest::of(client.unwrap_or_default());
        let key = Digest::of(&[&client.0[..], key].concat());
        let slot = Table::enter(&self.0, key).ok_or_else(|| {
            Problem::new(
                Code::Overloaded,
                "as many requests with an Idempotency-Key are in progress as this server can keep apart; try again",
            )
        })?;
        let request = asked.digest();
        let held = slot.lock().await;
        if let Some(kept) = &*held {
            if kept.request == request {
                return Ok(kept.replayed());
            }
            return Err(Problem::invalid(
                "the Idempotency-Key came with another request before; give each request a key of its own",
            )
            .with_status(StatusCode::UNPROCESSABLE_ENTITY));
        }
        // A task of its own goes on when the connection breaks, in the place of the request.
        let ended = tokio::spawn(carried(finish(slot, held, request, work))).await;
        ended.map_err(|error| match error.is_panic() {
            true => Problem::internal(&"a panic"),
            false => Problem::new(Code::Closed, "the server is shutting down"),
        })
    }
}

async fn finish(
    slot: Use<Kept>,
    mut held: OwnedMutexGuard<Option<Kept>>,
    request: Digest,
    work: impl Future<Output = Answer<Response>>,
) -> Response {
    let response = work.await.into_response();
    if response.status().is_server_error() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = match to_bytes(body, BOUNDS.answer_bytes).await {
        Ok(body) if head_bytes(&parts.headers) + body.len() <= BOUNDS.answer_bytes => body,
        _ => return Problem::internal(&"an answer was too long to be kept").into_response(),
    };
    let kept = Kept {
        request,
        status: parts.status,
        headers: parts.headers.clone(),
        body: body.clone(),
    };
    slot.answered(kept.bytes());
    *held = Some(kept);
    Response::from_parts(parts, Body::from(body))
}

/// Bytes of headers, about.
fn head_bytes(headers: &HeaderMap) -> usize {
    let lengths = headers.iter();
    lengths
        .map(|(name, value)| name.as_str().len() + value.len() + 64)
        .sum()
}

impl Kept {
    fn bytes(&self) -> usize {
        head_bytes(&self.headers) + self.body.len()
    }

    fn replayed(&self) -> Response {
        let mut response = (self.status, self.body.clone()).into_response();
        *response.headers_mut() = self.headers.clone();
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert(&REPLAYED, replayed);
        response
    }
}

fn key_of(headers: &HeaderMap) -> Answer<Option<&[u8]>> {
    let Some(value) = headers.get(&IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.as_bytes();
    if (1..=MAX_KEY_BYTES).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic) {
        return Ok(Some(key));
    }
    Err(Problem::invalid(format!(
        "an Idempotency-Key is 1 to {MAX_KEY_BYTES} visible ASCII characters without spaces"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    async fn ask(
        answers: &Answers,
        (key, token): (&'static str, &'static str),
        body: &[u8],
        work: impl Future<Output = Answer<Response>> + Send + 'static,
    ) -> (u16, String, bool) {
        let mut headers = HeaderMap::new();
        headers.insert(&IDEMPOTENCY_KEY, HeaderValue::from_static(key));
        headers.insert(AUTHORIZATION, HeaderValue::from_static(token));
        let asked = Asked {
            method: &Method::PUT,
            uri: &Uri::from_static("/api/v1/kv/a"),
            headers: &headers,
            body,
        };
        let response = answers.once(&asked, work).await;
        let response = response.unwrap_or_else(axum::response::IntoResponse::into_response);
        let status = response.status().as_u16();
        let replayed = response.headers().contains_key(&REPLAYED);
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), replayed)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn the_same_request_is_answered_once_and_another_refused() {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let work = || async {
            let run = RUNS.fetch_add(1, Ordering::SeqCst);
            Ok((StatusCode::CREATED, format!("run {run}")).into_response())
        };
        runtime().block_on(async {
            let answers = Answers::default();
            let first = ask(&answers, ("k", "t"), b"x", work()).await;
            assert_eq!(first, (201, "run 0".to_owned(), false));
            let again = ask(&answers, ("k", "t"), b"x", work()).await;
            assert_eq!(again, (201, "run 0".to_owned(), true));
            assert_eq!(ask(&answers, ("k", "t"), b"y", work()).await.0, 422);
            // Another key, and another client with the same.
            assert_eq!(ask(&answers, ("l", "t"), b"x", work()).await.1, "run 1");
            assert_eq!(ask(&answers, ("k", "u"), b"x", work()).await.1, "run 2");
            for bad in ["", "two words", "\u{e9}"] {
                let mut headers = HeaderMap::new();
                let value = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
                headers.insert(&IDEMPOTENCY_KEY, value);
                assert!(key_of(&headers).is_err(), "{bad:?}");
            }
        });
    }

    #[test]
    fn what_failed_is_tried_anew_and_what_is_in_progress_waited_for() {
        runtime().block_on(async {
            let answers = Answers::default();
            let failing = async { Err(Problem::new(Code::Busy, "busy")) };
            assert_eq!(ask(&answers, ("k", "t"), b"x", failing).await.0, 503);
            let (go, wait) = tokio::sync::oneshot::channel::<()>();
            let slow = async {
                wait.await.unwrap();
                Ok("slow".into_response())
            };
            let never = async { Err(Problem::internal(&"ran twice")) };
            // The client of the first goes away; what it has begun goes on.
            let first = tokio::time::timeout(
                Duration::from_millis(1),
                ask(&answers, ("k", "t"), b"x", slow),
            );
            assert!(first.await.is_err());
            let second = ask(&answers, ("k", "t"), b"x", never);
            let release = async {
                tokio::task::yield_now().await;
                go.send(()).unwrap();
            };
            let (second, ()) = tokio::join!(second, release);
            assert_eq!(second, (200, "slow".to_owned(), true));
        });
    }

    #[test]
    fn what_is_in_progress_is_not_carried_out_twice_when_the_table_is_full() {
        runtime().block_on(async {
            let bounds = Bounds { slots: 1, ..BOUNDS };
            let answers = Answers(Arc::new(Mutex::new(Table::new(bounds))));
            let (go, wait) = tokio::sync::oneshot::channel::<()>();
            let slow = async {
                wait.await.unwrap();
                Ok("slow".into_response())
            };
            let (begun, answer) = (answers.clone(), "slow".to_owned());
            let first = tokio::spawn(async move { ask(&begun, ("k", "t"), b"x", slow).await });
            while answers.0.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            let other = async { Ok("other".into_response()) };
            assert_eq!(ask(&answers, ("l", "t"), b"x", other).await.0, 503);
            go.send(()).unwrap();
            assert_eq!(first.await.unwrap(), (200, answer.clone(), false));
            let never = async { Err(Problem::internal(&"ran twice")) };
            let again = ask(&answers, ("k", "t"), b"x", never).await;
            assert_eq!(again, (200, answer, true));
            let other = async { Ok("other".into_response()) };
            assert_eq!(ask(&answers, ("l", "t"), b"x", other).await.0, 200);
        });
    }
}
