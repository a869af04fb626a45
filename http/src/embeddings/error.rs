//! Errors as OpenAI's clients expect them: `{"error": {"message", "type", "param", "code"}}`.

use crate::error::{Code, PROBLEM_JSON, Problem};
use axum::Json;
use axum::body::to_bytes;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::fmt;

/// What the paths begin with whose errors have OpenAI's shape.
pub(crate) const OPENAI: &str = "/v1/";

/// Longest name of a kind or code of an error that is passed on, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Longest problem document that is rewritten, in bytes.
const MAX_PROBLEM_BYTES: usize = 64 << 10;

/// An answer that is not what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    message: String,
    kind: String,
    param: Option<String>,
    code: Option<String>,
    headers: HeaderMap,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            message: message.into(),
            kind: kind(status).to_owned(),
            param: None,
            code: Some(code.to_owned()),
            headers: HeaderMap::new(),
        }))
    }

    /// A bad parameter.
    pub(super) fn invalid(param: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message).about(param)
    }

    /// No model of that name.
    pub(super) fn no_such_model(model: &str) -> Self {
        let message =
            format!("the model {model:?} does not exist here; GET /v1/models lists those that do");
        Self::new(StatusCode::NOT_FOUND, "model_not_found", message).about("model")
    }

    /// The same about a parameter.
    #[must_use]
    pub(super) fn about(mut self, param: &str) -> Self {
        self.0.param = Some(param.to_owned());
        self
    }

    /// The same with what another server has said of it, word for word.
    #[must_use]
    pub(super) fn saying(mut self, error: &Value) -> Self {
        let text = |name: &str| Some(error.get(name)?.as_str()?.to_owned());
        if let Some(message) = text("message") {
            self.0.message = message;
        }
        if let Some(kind) = text("type") {
            self.0.kind = kind;
        }
        self.0.param = text("param").or(self.0.param);
        self.0.code = text("code").or(self.0.code);
        self
    }

    /// The same with the kind and the code that another server has given it, as far as they are names: whatever else it has
    /// said may be about its own customer, who is not the client of this server.
    #[must_use]
    pub(super) fn classified(mut self, error: &Value) -> Self {
        let name = |member: &str| {
            let text = error.get(member)?.as_str()?;
            let is_name = (1..=MAX_NAME_BYTES).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            is_name.then(|| text.to_owned())
        };
        if let Some(kind) = name("type") {
            self.0.kind = kind;
        }
        self.0.code = name("code").or(self.0.code);
        self
    }

    /// The same with headers.
    #[must_use]
    pub(super) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers.extend(headers);
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.0.message
    }

    #[cfg(test)]
    pub(super) fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    #[cfg(test)]
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    fn document(&self) -> Value {
        let Inner {
            message,
            kind,
            param,
            code,
            ..
        } = &*self.0;
        json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
    }
}

/// What OpenAI calls errors of a status.
fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let code = match problem.code() {
            // What clients know it by.
            Code::Unauthorized => Value::from("invalid_api_key"),
            code => serde_json::to_value(code).unwrap_or_default(),
        };
        let code = code.as_str().unwrap_or_default();
        let headers = problem.headers().clone();
        Self::new(problem.status(), code, problem.detail()).with_headers(headers)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.status, self.0.message)
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let document = Json(self.document());
        (self.0.status, self.0.headers, document).into_response()
    }
}

/// Gives the problem documents of whatever stands around the handlers, such as authentication, the shape that clients of
/// `/v1` expect.
pub(crate) async fn in_openai_shape(response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_none_or(|kind| kind.as_bytes() != PROBLEM_JSON.as_bytes()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_PROBLEM_BYTES).await.unwrap_or_default();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| {
        problem
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let code = match text("code") {
        "unauthorized" => "invalid_api_key",
        code => code,
    };
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    ApiError::new(parts.status, code, text("detail"))
        .with_headers(parts.headers)
        .into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn problems_keep_status_code_and_headers() {
        let problem = Problem::new(Code::Overloaded, "too many requests");
        let error = ApiError::from(problem);
        assert_eq!(error.document()["error"]["code"], "overloaded");
        assert_eq!(error.document()["error"]["type"], "server_error");
        assert_eq!(error.document()["error"]["param"], Value::Null);
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["content-type"], "application/json");
        let error = ApiError::from(Problem::new(Code::Unauthorized, "who?"));
        assert_eq!(error.document()["error"]["code"], "invalid_api_key");
    }

    #[test]
    fn what_another_server_says_is_kept() {
        let error = ApiError::new(StatusCode::BAD_REQUEST, "upstream", "it failed");
        let said = json!({"message": "too long", "type": "t", "param": null, "code": 5});
        let document = error.saying(&said).document();
        let expected =
            json!({"message": "too long", "type": "t", "param": null, "code": "upstream"});
        assert_eq!(document["error"], expected);
    }
}
