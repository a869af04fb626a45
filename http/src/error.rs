//! Errors as problem documents (RFC 9457), and the one table from store errors to statuses.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prestige_core::Error;
use serde_json::json;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            Error::InvalidArgument(_) => StatusCode::BAD_REQUEST,
            Error::ReadOnly(_) => StatusCode::FORBIDDEN,
            Error::Busy(_) | Error::TimedOut(_) | Error::Closed(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // The messages of the store name paths of this machine, which are not for clients.
        let detail = match &error {
            Error::NotFound(_) | Error::InvalidArgument(_) => error.to_string(),
            Error::Busy(_) | Error::TimedOut(_) => "the store is busy; try again".to_owned(),
            Error::Closed(_) => "the store is closed".to_owned(),
            Error::ReadOnly(_) => "the store is open read-only".to_owned(),
            _ => {
                tracing::error!(%error, "a request failed");
                "the store could not answer; its log says why".to_owned()
            }
        };
        Self { status, detail }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        (
            self.status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            Json(body),
        )
            .into_response()
    }
}
