//! Requests to the upstream: what fails and may pass is tried again, a few times and within the time there is.

use super::super::config::Upstream;
use super::super::error::ApiError;
use super::wire::{self, Computed, Question};
use crate::metrics::Metrics;
use crate::telemetry::upstream_span;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use prestige_core::Error;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::{Method, Url, redirect};
use serde_json::Value;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;

/// First wait before a repetition; each next one is twice as long, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Longest answer: 2,048 vectors of 4,096 numbers as decimal text.
const MAX_ANSWER_BYTES: usize = 256 << 20;
/// Headers of an answer that say when to ask again; passed on to the client.
const PASSED_ON: [HeaderName; 2] = [
    HeaderName::from_static("retry-after"),
    HeaderName::from_static("retry-after-ms"),
];

/// Asks one upstream. Connections are kept open and shared.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<HeaderValue>,
    timeout: Duration,
    retries: u32,
    metrics: Arc<Metrics>,
}

/// With which key the upstream is asked.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// That of the operator, if there is one.
    Own,
    /// What the client has brought: the value of `Authorization`, and what says whose account it is.
    Passed(HeaderMap),
}

/// What one try has come to.
enum Tried {
    Done(Vec<u8>),
    /// Trying again will not help.
    Failed(ApiError),
    /// It may pass; after how long, if the upstream has said so.
    Passing(ApiError, Option<Duration>),
}

impl Client {
    pub(crate) fn new(config: &Upstream, metrics: Arc<Metrics>) -> Result<Self, Error> {
        // Installed already: by another server of this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            // The key is for the operator's upstream alone.
            .redirect(redirect::Policy::none())
            .connect_timeout(config.timeout.min(Duration::from_secs(10)))
            .build()
            .map_err(|error| {
                Error::Io(format!(
                    "no connections to the upstream can be made: {error}"
                ))
            })?;
        let key = config.key.as_ref().map(|key| {
            let value = HeaderValue::try_from(format!("Bearer {}", key.expose()));
            value.map_err(|_| {
                Error::InvalidArgument("the key of the upstream cannot be sent".to_owned())
            })
        });
        Ok(Self {
            http,
            base: config.base()?,
            key: key.transpose()?.map(sensitive),
            timeout: config.timeout,
            retries: config.retries,
            metrics,
        })
    }

    /// What tells the vectors of this upstream from those of others: its host, and its path if that is unusual.
    pub(crate) fn place(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port().map(|port| format!(":{port}"));
        let path = self.base.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path);
        format!("{host}{}{path}", port.unwrap_or_default())
    }

    /// The vectors of a batch.
    ///
    /// # Errors
    /// What the upstream has answered, or 502 or 504.
    pub(super) async fn embed(
        &self,
        question: &Question<'_>,
        texts: usize,
        credentials: &Credentials,
    ) -> Result<Computed, ApiError> {
        let body = serde_json::to_vec(question).map_err(|error| broken(&error.to_string()))?;
        let answer = self
            .ask(Method::POST, "embeddings", Some(body), credentials)
            .await?;
        wire::read(&answer, texts, question.dimensions)
            .map_err(|reason| broken(&format!("its answer {reason}")))
    }

    /// The models that the upstream lists.
    ///
    /// # Errors
    /// As [`Self::embed`].
    pub(crate) async fn models(&self, credentials: &Credentials) -> Result<Vec<Value>, ApiError> {
        let answer = self.ask(Method::GET, "models", None, credentials).await?;
        let mut answer: Value =
            serde_json::from_slice(&answer).map_err(|_| broken("its list of models is no JSON"))?;
        match answer.get_mut("data").map(Value::take) {
            Some(Value::Array(models)) => Ok(models),
            _ => Err(broken("its list of models has no data")),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        credentials: &Credentials,
    ) -> Result<Vec<u8>, ApiError> {
        let url = self
            .base
            .join(path)
            .map_err(|_| broken("its URL cannot be asked"))?;
        let end = Instant::now() + self.timeout;
        let mut wait = FIRST_WAIT;
        for left in (0..=self.retries).rev() {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .header(ACCEPT, "application/json")
                .header(USER_AGENT, concat!("prestige/", env!("CARGO_PKG_VERSION")));
            request = match credentials {
                Credentials::Own => self
                    .key
                    .iter()
                    .fold(request, |request, key| request.header(AUTHORIZATION, key)),
                Credentials::Passed(headers) => request.headers(headers.clone()),
            };
            if let Some(body) = &body {
                request = request
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone());
            }
            let start = Instant::now();
            let span = upstream_span(method.as_str());
            let tried = timeout_at(end, self.once(request, credentials));
            let tried = tried.instrument(span.clone()).await;
            if let Ok((Some(status), _)) = &tried {
                span.record("http.response.status_code", status.as_u16());
            }
            drop(span);
            let tried = match tried {
                Ok((status, tried)) => {
                    self.metrics.upstream_answered(status, start.elapsed());
                    tried
                }
                Err(_) => {
                    self.metrics.upstream_answered(None, start.elapsed());
                    return Err(late());
                }
            };
            let (error, told) = match tried {
                Tried::Done(answer) => return Ok(answer),
                Tried::Failed(error) => return Err(error),
                Tried::Passing(error, told) => (error, told),
            };
            let pause = told.unwrap_or_else(|| jittered(wait));
            wait = (wait * 2).min(LONGEST_WAIT);
            if left == 0 || Instant::now() + pause >= end {
                return Err(error);
            }
            tracing::info!(
                status = error.status().as_u16(),
                "the upstream is asked again"
            );
            sleep(pause).await;
        }
        Err(late())
    }

    async fn once(
        &self,
        request: reqwest::RequestBuilder,
        credentials: &Credentials,
    ) -> (Option<StatusCode>, Tried) {
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                // Without the URL, which may hold what is not for logs.
                tracing::warn!(error = %error.without_url(), "the upstream cannot be reached");
                let error = broken("it cannot be reached");
                return (None, Tried::Passing(error, None));
            }
        };
        let status = response.status();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER_BYTES => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let error = broken("its answer is too long");
                    return (Some(status), Tried::Failed(error));
                }
                Ok(None) => break,
                Err(_) => {
                    let error = broken("its answer was cut off");
                    return (Some(status), Tried::Passing(error, None));
                }
            }
        }
        let tried = match status {
            status if status.is_success() => Tried::Done(body),
            status => refused(status, &headers, &body, credentials),
        };
        (Some(status), tried)
    }
}

/// What a refusal means for the client.
fn refused(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    credentials: &Credentials,
) -> Tried {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = said.get("error").cloned().unwrap_or_default();
    let mut passed_on = HeaderMap::new();
    for name in PASSED_ON {
        if let Some(value) = headers.get(&name) {
            passed_on.insert(name, value.clone());
        }
    }
    let as_it_is = || {
        let message = format!("the upstream has answered {status}");
        let error = ApiError::new(status, "upstream", message).with_headers(passed_on.clone());
        match credentials {
            Credentials::Passed(_) => error.saying(&said),
            // What it says may name the account of the operator, or parts of the key.
            Credentials::Own => {
                let message = said.get("message").and_then(Value::as_str);
                tracing::debug!(status = status.as_u16(), message, "the upstream refuses");
                error.classified(&said)
            }
        }
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => match credentials {
            Credentials::Passed(_) => Tried::Failed(as_it_is()),
            // Not the fault of the client, who is not to read of a key that is none of its own either.
            Credentials::Own => {
                tracing::error!(
                    status = status.as_u16(),
                    "the upstream refuses the key of this server"
                );
                Tried::Failed(broken("it refuses the key of this server"))
            }
        },
        StatusCode::SERVICE_UNAVAILABLE => {
            let told = told(headers);
            Tried::Passing(as_it_is(), told)
        }
        status if status.is_server_error() => {
            let error = ApiError::new(
                StatusCode::BAD_GATEWAY,
                "upstream",
                format!("the upstream has failed with {status}"),
            );
            Tried::Passing(error, told(headers))
        }
        status if status.is_client_error() => Tried::Failed(as_it_is()),
        _ => Tried::Failed(broken("it answers with something else than embeddings")),
    }
}

/// When the upstream wants to be asked again, if it says so in seconds.
fn told(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Between half of `wait` and all of it, so that those who failed together do not come again together.
fn jittered(wait: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(()) >> 33).unwrap_or(0);
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX >> 1))
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn broken(reason: &str) -> ApiError {
    let message = format!("the upstream could not answer: {reason}");
    ApiError::new(StatusCode::BAD_GATEWAY, "upstream", message)
}

fn late() -> ApiError {
    let message = "the upstream has not answered in time";
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timed_out", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn waits_vary_between_their_half_and_themselves() {
        let wait = Duration::from_secs(1);
        let waits: Vec<_> = (0..50).map(|_| jittered(wait)).collect();
        assert!(waits.iter().all(|found| (wait / 2..=wait).contains(found)));
        assert!(waits.iter().any(|found| found != &jittered(wait)));
    }

    #[test]
    fn places_tell_upstreams_apart() {
        for (url, place) in [
            ("https://api.openai.com/v1", "api.openai.com"),
            ("https://api.openai.com", "api.openai.com"),
            ("http://10.0.0.1:8080/v1/", "10.0.0.1:8080"),
            ("https://h/openai/v1", "h/openai"),
            ("https://h/other", "h/other"),
        ] {
            let client = Client::new(&Upstream::new(url), Arc::new(Metrics::new())).unwrap();
            assert_eq!(client.place(), place);
        }
    }

    #[test]
    fn refusals_are_passed_on_as_they_concern_the_client() {
        let body = br#"{"error":{"message":"no","type":"t","param":"input","code":"c"}}"#;
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("7"));
        headers.insert("set-cookie", HeaderValue::from_static("a=b"));
        let passed = Credentials::Passed(HeaderMap::new());
        for (status, credentials, expected, again) in [
            (400, &Credentials::Own, 400, false),
            (404, &Credentials::Own, 404, false),
            (429, &Credentials::Own, 429, false),
            (401, &passed, 401, false),
            (401, &Credentials::Own, 502, false),
            (403, &Credentials::Own, 502, false),
            (302, &Credentials::Own, 502, false),
            (500, &Credentials::Own, 502, true),
            (529, &Credentials::Own, 502, true),
            (503, &Credentials::Own, 503, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let (error, passes) = match refused(status, &headers, body, credentials) {
                Tried::Failed(error) => (error, false),
                Tried::Passing(error, told) => {
                    assert_eq!(told, Some(Duration::from_secs(7)));
                    (error, true)
                }
                Tried::Done(_) => unreachable!(),
            };
            assert_eq!((error.status().as_u16(), passes), (expected, again));
            assert!(error.headers().get("set-cookie").is_none());
            if expected == status.as_u16() {
                let own = format!("the upstream has answered {status}");
                let verbatim = matches!(credentials, Credentials::Passed(_));
                assert_eq!(error.message(), if verbatim { "no" } else { &own });
                assert_eq!(error.headers().get("retry-after").unwrap(), "7");
            }
        }
    }
}
