//! Errors as problem documents (RFC 9457), and the one table from store errors to codes and statuses.

use crate::headers::etag_of;
use crate::redact::without_paths;
use axum::Json;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use prestige_core::Error;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What a handler returns.
pub(crate) type Answer<T> = Result<T, Problem>;

/// Media type of problem documents.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, for programs. The names are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    NotFound,
    NoSuchRoute,
    MethodNotAllowed,
    InvalidArgument,
    MalformedBody,
    UnsupportedMediaType,
    NotAcceptable,
    TooLarge,
    PreconditionFailed,
    Unauthorized,
    Forbidden,
    ReadOnly,
    Busy,
    Overloaded,
    TimedOut,
    Closed,
    Corruption,
    Io,
    Model,
    Internal,
}

impl Code {
    /// The status of a problem of this kind, unless it says otherwise.
    fn status(self) -> StatusCode {
        match self {
            Self::NotFound | Self::NoSuchRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidArgument | Self::MalformedBody => StatusCode::BAD_REQUEST,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::ReadOnly => StatusCode::FORBIDDEN,
            Self::Busy | Self::Overloaded | Self::TimedOut | Self::Closed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Corruption | Self::Io | Self::Model | Self::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

/// An answer that is not what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    status: StatusCode,
    detail: String,
    members: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let mut headers = HeaderMap::new();
        match code {
            Code::Busy | Code::Overloaded => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Code::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        Self(Box::new(Inner {
            code,
            status: code.status(),
            detail: detail.into(),
            members: Map::new(),
            headers,
        }))
    }

    /// A bad argument.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, detail)
    }

    /// What was named is not there.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// What nobody foresaw. The reason goes into the log alone.
    pub(crate) fn internal(reason: &dyn std::fmt::Display) -> Self {
        tracing::error!(
            error = without_paths(&reason.to_string()),
            "a request failed"
        );
        Self::new(
            Code::Internal,
            "the server failed; its log says why".to_owned(),
        )
    }

    /// The same with another status than that of its code.
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// The same with another member.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// The same with a header.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    pub(crate) fn document(&self) -> ProblemDocument {
        ProblemDocument {
            kind: "about:blank",
            title: self.0.status.canonical_reason().unwrap_or("Error"),
            status: self.0.status.as_u16(),
            detail: self.0.detail.clone(),
            code: self.0.code,
            members: self.0.members.clone(),
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// Always `about:blank`: `code` says more.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What was expected, what was found, what to do.
    detail: String,
    /// What went wrong, for programs.
    code: Code,
    /// What else is known, such as `line` and `column` of malformed JSON.
    #[serde(flatten)]
    members: Map<String, Value>,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        // Messages of the store name paths of this machine, which are neither for clients nor for logs.
        let shown = without_paths(&error.to_string());
        let logged = |code, detail: &str| {
            tracing::error!(error = shown, "a request failed");
            Self::new(code, detail)
        };
        match &error {
            // Names a key, a namespace or a family, as the request did.
            Error::NotFound(message) => Self::not_found(message),
            Error::InvalidArgument(_) => Self::invalid(shown),
            Error::Busy(_) => Self::new(Code::Busy, "the store is busy; try again"),
            Error::TimedOut(_) => Self::new(Code::TimedOut, "the store is busy; try again"),
            Error::Closed(_) => Self::new(Code::Closed, "the store is closed"),
            Error::ReadOnly(_) => Self::new(Code::ReadOnly, "the store is open read-only"),
            Error::ConditionFailed(current) => {
                let failed = Self::new(Code::PreconditionFailed, shown);
                match current {
                    Some(digest) => failed
                        .with("digest", digest.to_hex())
                        .with_header(ETAG, etag_of(digest)),
                    None => failed,
                }
            }
            Error::Corruption(_) => logged(
                Code::Corruption,
                "the files of the store are damaged; the log of the server says where",
            ),
            Error::Io(_) => logged(
                Code::Io,
                "the store cannot read or write its files; the log of the server says why",
            ),
            Error::Model(_) => logged(
                Code::Model,
                "the embedding model failed; the log of the server says why",
            ),
            _ => logged(Code::Internal, "the server failed; its log says why"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Json(self.document());
        let Inner {
            status, headers, ..
        } = *self.0;
        let content_type = [(CONTENT_TYPE, PROBLEM_JSON)];
        (status, headers, content_type, document).into_response()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn every_error_of_the_store_has_a_code() {
        let path = PathBuf::from("/srv/data/store");
        for (error, code, status) in [
            (Error::not_found(b"/a/b"), "not_found", 404),
            (
                Error::InvalidArgument("the path /srv/data is taken".to_owned()),
                "invalid_argument",
                400,
            ),
            (Error::Io("cannot write /srv/data/x".to_owned()), "io", 500),
            (
                Error::Corruption("/srv/data/x is torn".to_owned()),
                "corruption",
                500,
            ),
            (Error::Busy("/srv/data is open".to_owned()), "busy", 503),
            (Error::TimedOut("lock".to_owned()), "timed_out", 503),
            (Error::ReadOnly(path), "read_only", 403),
            (Error::Model("/srv/data/model".to_owned()), "model", 500),
            (Error::ForkedBeforeOpen("/srv/data".into()), "internal", 500),
        ] {
            let problem = Problem::from(error);
            let document = serde_json::to_value(problem.document()).unwrap();
            assert_eq!(document["code"], code);
            assert_eq!(document["status"], status);
            assert_eq!(document["type"], "about:blank");
            assert!(!document["detail"].as_str().unwrap().contains("srv"));
        }
    }

    #[test]
    fn a_key_that_looks_like_a_path_is_named() {
        assert!(
            Problem::from(Error::not_found(b"/a/b"))
                .detail()
                .contains("/a/b")
        );
    }

    #[test]
    fn members_and_headers_are_answered() {
        let problem = Problem::new(Code::Overloaded, "too many requests").with("stored", 5);
        assert_eq!(
            serde_json::to_value(problem.document()).unwrap()["stored"],
            5
        );
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
        let response = Problem::new(Code::Unauthorized, "who?").into_response();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
}
