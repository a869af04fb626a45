//! Answers that are written where it may take long, and sent as they are.

use crate::error::{Answer, Problem};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Serialize;

/// A value as JSON.
///
/// # Errors
/// `internal`, of what has no form in JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Answer<Bytes> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Problem::internal(&error))
}

/// Answers with JSON.
pub(crate) fn json_answer(body: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
