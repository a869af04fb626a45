//! Responses as JSON.
//!
//! ```text
//! kind "text"     a string
//! kind "json"     any JSON, as it was put
//! kind "bytes"    {"base64": "…"}
//! ```

use crate::bytes::{Bytes, EncodedBytes, Encoding};
use crate::error::{Answer, Problem};
use crate::extract::parse_json;
use prestige_core::{Response, ResponseKind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// What a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ResponseKind)]
pub(super) enum Kind {
    /// Text: a JSON string.
    Text,
    /// Bytes: an object with their Base64.
    Bytes,
    /// Any JSON.
    Json,
}

impl From<ResponseKind> for Kind {
    fn from(kind: ResponseKind) -> Self {
        match kind {
            ResponseKind::Text => Self::Text,
            ResponseKind::Bytes => Self::Bytes,
            ResponseKind::Json => Self::Json,
        }
    }
}

/// Reads a response. `kind`: `None` for text where it is a string, and JSON otherwise.
pub(super) fn read(response: &RawValue, kind: Option<Kind>) -> Answer<Response> {
    let json = response.get();
    let kind = kind.unwrap_or(match json.starts_with('"') {
        true => Kind::Text,
        false => Kind::Json,
    });
    let (kind, bytes) = match kind {
        Kind::Text => {
            let text = parse_json::<String>(json.as_bytes())?;
            (ResponseKind::Text, text.into_bytes())
        }
        Kind::Json => (ResponseKind::Json, json.as_bytes().to_vec()),
        Kind::Bytes => {
            let bytes = parse_json::<Bytes>(json.as_bytes())?;
            (ResponseKind::Bytes, bytes.0)
        }
    };
    Ok(Response { kind, bytes })
}

/// Writes a response.
pub(super) fn write(response: Response) -> Answer<Box<RawValue>> {
    let internal = |error: serde_json::Error| Problem::internal(&error);
    let text = |bytes| String::from_utf8(bytes).map_err(|error| Problem::internal(&error));
    match response.kind {
        ResponseKind::Text => {
            serde_json::value::to_raw_value(&text(response.bytes)?).map_err(internal)
        }
        ResponseKind::Json => RawValue::from_string(text(response.bytes)?).map_err(internal),
        ResponseKind::Bytes => serde_json::value::to_raw_value(&EncodedBytes {
            bytes: &response.bytes,
            encoding: Encoding::Base64,
        })
        .map_err(internal),
    }
}
