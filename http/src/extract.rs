//! What handlers take out of a request. Every refusal is a problem document.

use crate::error::{Answer, Code, Problem};
use crate::percent;
use crate::place::{check_body, hold_body};
use crate::state::Context;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use prestige_core::MAX_NAMESPACE_BYTES;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use std::error::Error as _;
use std::ops::Deref;

/// What the paths of keys begin with.
pub(crate) const KEYS: &str = "/api/v1/kv/";

/// JSON of more bytes than this is read on a thread that may be busy for long.
const LONG_JSON_BYTES: usize = 256 << 10;

/// A body of JSON: `Content-Type: application/json`, at most [`Limits::body_bytes`](crate::config::Limits::body_bytes).
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Context> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, context: &Context) -> Answer<Self> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        let body = read_body(request.into_body(), context.config.limits.body_bytes).await?;
        read_json(context, body).await.map(Self)
    }
}

/// As [`JsonBody`]; a request without a body, or with `null`, counts as an empty object.
#[derive(Debug)]
pub(crate) struct OptionalJsonBody<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Context> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, context: &Context) -> Answer<Self> {
        let named = is_json(request.headers());
        let body = read_body(request.into_body(), context.config.limits.body_bytes).await?;
        if body.is_empty() || (named && body.trim_ascii() == b"null") {
            return parse_json(b"{}").map(Self);
        }
        if !named {
            return Err(not_json());
        }
        read_json(context, body).await.map(Self)
    }
}

/// The body as it is, of at most [`Limits::body_bytes`](crate::config::Limits::body_bytes).
#[derive(Debug)]
pub(crate) struct RawBody(pub Bytes);

impl FromRequest<Context> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, context: &Context) -> Answer<Self> {
        read_body(request.into_body(), context.config.limits.body_bytes)
            .await
            .map(Self)
    }
}

/// Reads a body to its end. Its bytes count as held until the request has given up its place.
///
/// # Errors
/// `too_large` for more than `limit` bytes, `overloaded` for more than fit beside the bodies of other requests; before any of
/// them is read if the length was announced.
pub(crate) async fn read_body(mut body: Body, limit: usize) -> Answer<Bytes> {
    use http_body::Body as _;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large(limit));
    }
    check_body(announced)?;
    // A short body comes in one piece, which is not copied.
    let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| broken_body())?.into_data() else {
            continue;
        };
        length += piece.len();
        if length > limit {
            return Err(too_large(limit));
        }
        hold_body(length)?;
        if first.is_empty() {
            first = piece;
            continue;
        }
        if joined.is_empty() {
            // What has come bounds what is reserved for what is to come.
            joined.reserve(announced.clamp(length, 2 * length));
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&piece);
    }
    Ok(match joined.is_empty() {
        true => first,
        false => joined.freeze(),
    })
}

/// Of a body, or a piece of one, of more than `limit` bytes.
pub(crate) fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than the {limit} bytes that this server accepts");
    Problem::new(Code::TooLarge, detail).with("limit", limit)
}

/// Of a body that ends before its announced end, or is badly chunked.
pub(crate) fn broken_body() -> Problem {
    Problem::new(Code::MalformedBody, "the body could not be read to its end")
}

/// Whether the body is said to be JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || kind
            .get(kind.len().saturating_sub(5)..)
            .is_some_and(|end| end.eq_ignore_ascii_case("+json"))
}

pub(crate) fn not_json() -> Problem {
    Problem::new(
        Code::UnsupportedMediaType,
        "the body must be JSON: send `Content-Type: application/json`",
    )
}

pub(crate) async fn read_json<T: DeserializeOwned + Send + 'static>(
    context: &Context,
    body: Bytes,
) -> Answer<T> {
    if body.len() <= LONG_JSON_BYTES {
        return parse_object(&body);
    }
    context.blocking(move || parse_object(&body)).await
}

/// Reads a JSON object: what is a struct here would be read from a list of its members, too.
///
/// # Errors
/// As [`parse_json`].
pub(crate) fn parse_object<T: DeserializeOwned>(text: &[u8]) -> Answer<T> {
    let parsed = parse_json(text)?;
    if text.trim_ascii_start().first() == Some(&b'{') {
        return Ok(parsed);
    }
    Err(Problem::new(
        Code::MalformedBody,
        "the body is not the expected JSON: expected an object",
    )
    .with("line", 1)
    .with("column", 1))
}

/// Reads JSON.
///
/// # Errors
/// `malformed_body` naming the member, the line and the column (both from 1).
pub(crate) fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Answer<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        (Some(path), error.into_inner())
    });
    parsed
        .and_then(|value| match deserializer.end() {
            Ok(()) => Ok(value),
            Err(error) => Err((None, error)),
        })
        .map_err(|(path, error)| {
            let place = match path.as_deref() {
                None | Some("." | "?") => String::new(),
                Some(path) => format!("`{path}`: "),
            };
            Problem::new(
                Code::MalformedBody,
                format!("the body is not the expected JSON: {place}{error}"),
            )
            .with("line", error.line())
            .with("column", error.column())
        })
}

/// Reads a count, size or time: 0 to 2^63 - 1, as the format `int64` of the document says; `5.0` is an integer of JSON
/// Schema, too. For `deserialize_with`.
///
/// # Errors
/// Those of the deserializer.
pub(crate) fn natural<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    natural_of(&number).ok_or_else(|| {
        D::Error::custom(format_args!(
            "expected an integer from 0 to 2^63 - 1, not {number}"
        ))
    })
}

fn natural_of(number: &Number) -> Option<u64> {
    /// From here on not every integer has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let integer = match (number.as_u64(), number.as_f64()) {
        (Some(integer), _) => integer,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 0 to 2^53"
        )]
        (None, Some(float)) if float.fract() == 0.0 && (0.0..EXACT).contains(&float) => {
            float as u64
        }
        _ => return None,
    };
    i64::try_from(integer).is_ok().then_some(integer)
}

/// The query as a struct; each field that is text is UTF-8. Parameters that nobody knows are skipped.
#[derive(Debug)]
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Context> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Answer<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let deserializer = serde_html_form::Deserializer::from_bytes(query.as_bytes());
        serde_path_to_error::deserialize(deserializer)
            .map(Self)
            .map_err(|error| {
                let path = error.path().to_string();
                Problem::invalid(format!(
                    "the query parameter {path}: {}",
                    error.into_inner()
                ))
            })
    }
}

/// The query as names and percent-decoded bytes: for parameters that are keys.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(Vec<u8>, Vec<u8>)>);

impl Parameters {
    pub(crate) fn of(uri: &Uri) -> Answer<Self> {
        let query = uri.query().unwrap_or_default();
        let decoded = |text: &str| percent_decode(&text.replace('+', " "));
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decoded(name)?, decoded(value)?))
            })
            .collect::<Answer<_>>()
            .map(Self)
    }

    /// The first value of this name.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(known, _)| known == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    /// The first value of this name.
    ///
    /// # Errors
    /// `invalid_argument` if it is not UTF-8.
    pub(crate) fn text(&self, name: &str) -> Answer<Option<&str>> {
        self.bytes(name)
            .map(std::str::from_utf8)
            .transpose()
            .map_err(|_| Problem::invalid(format!("the query parameter {name} must be UTF-8")))
    }
}

impl FromRequestParts<Context> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Answer<Self> {
        Self::of(&parts.uri)
    }
}

/// The namespace of a request: `?namespace=`, the empty one if it is left out. Ask [`Access`](crate::auth::Access) before
/// it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespace(pub String);

impl Deref for Namespace {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromRequestParts<Context> for Namespace {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Answer<Self> {
        // Most requests name none.
        if !parts
            .uri
            .query()
            .is_some_and(|query| query.contains("namespace") || query.contains('%'))
        {
            return Ok(Self::default());
        }
        let parameters = Parameters::of(&parts.uri)?;
        let name = parameters.text("namespace")?.unwrap_or_default();
        if name.len() > MAX_NAMESPACE_BYTES {
            return Err(Problem::invalid(format!(
                "the name of a namespace has at most {MAX_NAMESPACE_BYTES} bytes, this one has {}",
                name.len()
            )));
        }
        Ok(Self(name.to_owned()))
    }
}

/// The key of `/api/v1/kv/{key}`: everything behind the third slash, percent-decoded. Any bytes, slashes and empty
/// segments among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub Vec<u8>);

impl FromRequestParts<Context> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Answer<Self> {
        let encoded = parts.uri.path().strip_prefix(KEYS).unwrap_or_default();
        let key = percent_decode(encoded)?;
        let limit = context.config.limits.key_bytes;
        if key.len() > limit {
            return Err(Problem::new(
                Code::TooLarge,
                format!(
                    "a key has at most {limit} bytes, this one has {}",
                    key.len()
                ),
            )
            .with("limit", limit));
        }
        Ok(Self(key))
    }
}

/// Parameters of the path by type, as axum's.
#[derive(Debug)]
pub(crate) struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Context> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Answer<Self> {
        axum::extract::Path::from_request_parts(parts, context)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection| {
                let reason = rejection
                    .source()
                    .map_or_else(|| rejection.to_string(), ToString::to_string);
                Problem::invalid(format!("the path: {reason}"))
            })
    }
}

/// Decodes percent-encoding.
///
/// # Errors
/// `invalid_argument` for a `%` without two hexadecimal digits.
pub(crate) fn percent_decode(text: &str) -> Answer<Vec<u8>> {
    percent::decode(text).ok_or_else(|| {
        Problem::invalid(
            "a `%` in a path or query must have two hexadecimal digits after it; `%25` is a `%`",
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]
    use super::*;
    use axum::http::HeaderValue;
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::prelude::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Item {
        key: String,
        count: u32,
    }

    #[test]
    fn errors_of_json_name_the_place() {
        for (text, line, column, words) in [
            ("", 1, 0, "EOF"),
            ("[\n  {\"key\": \"a\",\n", 3, 0, "EOF"),
            ("[{\"key\": \"a\", \"count\": -1}]", 1, 25, "[0].count"),
            ("[\n{\"key\": 5}]", 2, 9, "[0].key"),
            (
                "[{\"key\": \"a\", \"count\": 1, \"x\": 1}]",
                1,
                29,
                "unknown field",
            ),
            ("[] []", 1, 4, "trailing"),
            ("[{\"key\": \"a\"}]", 1, 13, "missing field `count`"),
        ] {
            let problem = parse_json::<Vec<Item>>(text.as_bytes()).unwrap_err();
            let document = serde_json::to_value(problem.document()).unwrap();
            assert_eq!(document["code"], "malformed_body");
            assert_eq!(document["line"], line, "{text}: {document}");
            assert_eq!(document["column"], column, "{text}: {document}");
            let detail = document["detail"].as_str().unwrap();
            assert!(detail.contains(words), "{text}: {detail}");
        }
        assert!(parse_json::<String>(b"\"\xff\"").is_err());
        let deep = "[".repeat(100_000);
        assert!(parse_json::<serde_json::Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn integers_may_be_written_as_floats() {
        let read = |text: &str| natural_of(&serde_json::from_str(text).unwrap());
        for (text, number) in [
            ("0", Some(0)),
            ("5.0", Some(5)),
            ("1e3", Some(1000)),
            ("9223372036854775807", Some(u64::MAX >> 1)),
            ("9223372036854775808", None),
            ("-1", None),
            ("-1.0", None),
            ("0.5", None),
            ("1e300", None),
        ] {
            assert_eq!(read(text), number, "{text}");
        }
    }

    #[test]
    fn the_kind_of_a_body_is_read_loosely() {
        let json = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_json(&headers)
        };
        for value in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
        ] {
            assert!(json(value), "{value}");
        }
        for value in ["text/plain", "application/x-ndjson", "json", ""] {
            assert!(!json(value), "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn a_query_gives_bytes() {
        let uri = "/x?prefix=a%2Fb+c%FF&namespace=t%C3%A9&empty=&bare&prefix=second"
            .parse()
            .unwrap();
        let parameters = Parameters::of(&uri).unwrap();
        assert_eq!(parameters.bytes("prefix").unwrap(), b"a/b c\xff");
        assert_eq!(parameters.text("namespace").unwrap(), Some("té"));
        assert_eq!(parameters.bytes("empty").unwrap(), b"");
        assert_eq!(parameters.bytes("bare").unwrap(), b"");
        assert_eq!(parameters.bytes("absent"), None);
        assert!(parameters.text("prefix").is_err());
        for bad in ["/x?a=%", "/x?a=%4", "/x?a=%zz", "/x?%=a"] {
            assert!(Parameters::of(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_from_a_path(bytes: Vec<u8>) {
            let encoded = percent_encode(&bytes, NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(percent_decode(&encoded).unwrap(), bytes);
        }

        #[test]
        fn no_text_makes_decoding_fail_otherwise(text: String) {
            let _ = percent_decode(&text);
            let _ = parse_json::<crate::bytes::Bytes>(text.as_bytes());
        }
    }
}
