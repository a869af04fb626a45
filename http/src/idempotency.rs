//! Requests that a client may send again without being answered twice.
//!
//! A request with an `Idempotency-Key` is answered once; for ten minutes the same request with the same key gets the same
//! answer, also while the first is still in progress. What was begun goes on if its client goes away, so that a retry after
//! a broken connection finds the answer. Answers with a status of 500 or more are not kept: what failed may be tried anew.
//! In memory alone, [`MOST`] answers at most, the oldest forgotten first.

use crate::error::{Answer, Code, Problem};
use crate::headers::{METADATA, TTL_SECONDS};
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use parking_lot::Mutex;
use prestige_core::Digest;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

pub(crate) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that was given before.
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key, in bytes.
const MAX_KEY_BYTES: usize = 128;
/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(600);
/// Most answers that are kept.
const MOST: usize = 65_536;
/// Longest body of an answer that is kept; those of writes are far shorter.
const MOST_BYTES: usize = 64 << 10;

/// The answers that are kept. A clone is another reference to the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    by_key: HashMap<Digest, Slot>,
    /// Keys by the time at which they came.
    order: VecDeque<(Instant, Digest)>,
}

/// Held while a request is in progress; `None` until it has an answer.
type Slot = Arc<tokio::sync::Mutex<Option<(Digest, Kept)>>>;

#[derive(Clone, Debug)]
struct Kept {
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
        // Each with its length before it, so that no two lists of parts run together.
        let joined: Vec<u8> = parts
            .iter()
            .flat_map(|part| [&(part.len() as u64).to_le_bytes()[..], part].concat())
            .collect();
        Digest::of(&joined)
    }
}

impl Answers {
    /// What `work` answers, or what it has answered to the same request before. Without an `Idempotency-Key` it is always
    /// the former.
    ///
    /// # Errors
    /// `invalid_argument` for a bad key, and with status 422 for one that came with another request before.
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
        let slot = self.slot(Digest::of(&[&client.0[..], key].concat()));
        let request = asked.digest();
        let held = slot.lock_owned().await;
        if let Some((first, kept)) = &*held {
            if *first == request {
                return Ok(kept.replayed());
            }
            return Err(Problem::invalid(
                "the Idempotency-Key came with another request before; give each request a key of its own",
            )
            .with_status(StatusCode::UNPROCESSABLE_ENTITY));
        }
        // A task of its own goes on when the connection breaks.
        let ended = tokio::spawn(finish(held, request, work)).await;
        ended.map_err(|error| match error.is_panic() {
            true => Problem::internal(&"a panic"),
            false => Problem::new(Code::Closed, "the server is shutting down"),
        })
    }

    fn slot(&self, key: Digest) -> Slot {
        let now = Instant::now();
        let mut table = self.0.lock();
        while let Some((came, oldest)) = table.order.front().copied() {
            if now.duration_since(came) < KEPT && table.order.len() < MOST {
                break;
            }
            table.order.pop_front();
            table.by_key.remove(&oldest);
        }
        if let Some(slot) = table.by_key.get(&key) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        table.by_key.insert(key, Arc::clone(&slot));
        table.order.push_back((now, key));
        slot
    }
}

async fn finish(
    mut slot: OwnedMutexGuard<Option<(Digest, Kept)>>,
    request: Digest,
    work: impl Future<Output = Answer<Response>>,
) -> Response {
    let response = work.await.into_response();
    if response.status().is_server_error() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        return Problem::internal(&"an answer was too long to be kept").into_response();
    };
    let kept = Kept {
        status: parts.status,
        headers: parts.headers.clone(),
        body: body.clone(),
    };
    *slot = Some((request, kept));
    Response::from_parts(parts, Body::from(body))
}

impl Kept {
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
    fn the_oldest_answers_are_forgotten() {
        let answers = Answers::default();
        for number in 0..MOST + 10 {
            answers.slot(Digest::of(&number.to_le_bytes()));
        }
        let table = answers.0.lock();
        assert_eq!(table.by_key.len(), table.order.len());
        assert!(table.by_key.len() <= MOST);
    }
}
