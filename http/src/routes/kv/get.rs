//! Reading a key.

use super::{KeyPath, not_found};
use crate::accept;
use crate::auth::Access;
use crate::bytes::{Bytes, EncodedBytes, Encoding};
use crate::error::{Answer, Code, PROBLEM_JSON, Problem, ProblemDocument};
use crate::extract::{Key, Namespace, Query};
use crate::headers::{self, Matching, Preconditions, etag_of};
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::tokens::Role;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use prestige_core::{CachedBytes, Details, Error, Metadata, Store};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

const RAW: &str = "application/octet-stream";
const JSON: &str = "application/json";
/// What is on offer, the preferred one first.
const OFFERED: [&str; 2] = [RAW, JSON];

/// Documents of longer values are written on a thread that may be busy for long.
const LONG_VALUE_BYTES: u64 = 256 << 10;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::routes) struct GetQuery {
    /// How bytes of a JSON answer are written.
    #[serde(default)]
    #[param(inline)]
    encoding: Encoding,
}

/// A key, its value, and what is known of both.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
struct Document<'a> {
    #[schema(value_type = Bytes)]
    key: EncodedBytes<'a>,
    #[schema(value_type = Bytes)]
    value: EncodedBytes<'a>,
    /// SHA-256 of the value, 64 hexadecimal digits.
    digest: String,
    /// The object that the key points at.
    object_id: u64,
    /// Seconds until the key expires; null: it does not.
    ttl_seconds: Option<f64>,
    /// Metadata of the value.
    metadata: &'a Metadata,
}

/// Reads the value of a key.
///
/// The answer is the value itself, or, with `Accept: application/json`, a document. Headers say the same of it: the entity
/// tag is its digest.
#[utoipa::path(
    get,
    path = "/api/v1/kv/{*key}",
    tag = "keys",
    operation_id = "get",
    params(
        KeyPath,
        NamespaceQuery,
        GetQuery,
        ("If-None-Match" = Option<String>, Header, description = "Entity tags that the client has, or `*`."),
        ("If-Match" = Option<String>, Header, description = "Entity tags, or `*`."),
    ),
    responses(
        (status = 200, description = "The value.", content(
            (Vec<u8> = "application/octet-stream"),
            (Document<'_> = "application/json"),
        ), headers(
            ("ETag" = String, description = "The digest of the value between quotes."),
            ("Prestige-Object-Id" = u64, description = "The object that the key points at."),
            ("Prestige-TTL-Seconds" = f64, description = "Seconds until the key expires, if it does."),
            ("Prestige-Metadata" = String, description = "Metadata of the value, if it has some."),
        )),
        (status = 304, description = "The client has the value."),
        (status = 404, description = "The key is absent or has expired.", body = ProblemDocument,
            content_type = PROBLEM_JSON),
    ),
)]
pub(in crate::routes) async fn get(
    State(context): State<Context>,
    access: Access,
    Key(key): Key,
    namespace: Namespace,
    Query(query): Query<GetQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    access.require(Role::Read, &namespace)?;
    let form = form(&headers)?;
    let preconditions = Preconditions::of(&headers)?;
    let Some(store) = context.existing(&namespace)? else {
        return Err(absent(&key, &preconditions));
    };
    if preconditions.if_none_match.is_some() {
        // Without the value, which the client may have.
        let described = describe(&context, &store, &key, &preconditions).await?;
        if is_known(&described, &preconditions) {
            return Ok(not_modified(&described));
        }
    }
    let Some((value, details)) = value_of(&context, &store, &key).await? else {
        return Err(absent(&key, &preconditions));
    };
    check(&details, &preconditions)?;
    if is_known(&details, &preconditions) {
        return Ok(not_modified(&details));
    }
    let mut answered = HeaderMap::with_capacity(8);
    headers::describe(&mut answered, &details);
    answered.insert(VARY, HeaderValue::from_static("accept"));
    answered.insert(CONTENT_TYPE, HeaderValue::from_static(form));
    if form == RAW {
        let mut response = Response::new(Body::from(bytes::Bytes::from_owner(value)));
        *response.headers_mut() = answered;
        return Ok(response);
    }
    let (long, encoding) = (details.size() > LONG_VALUE_BYTES, query.encoding);
    let write = move || document(&key, &value, &details, encoding);
    let body = match long {
        true => context.blocking(write).await?,
        false => write()?,
    };
    Ok((answered, body).into_response())
}

/// Describes a key: the headers of its value without the value.
#[utoipa::path(
    head,
    path = "/api/v1/kv/{*key}",
    tag = "keys",
    operation_id = "head",
    params(
        KeyPath,
        NamespaceQuery,
        ("If-None-Match" = Option<String>, Header, description = "Entity tags that the client has, or `*`."),
        ("If-Match" = Option<String>, Header, description = "Entity tags, or `*`."),
    ),
    responses(
        (status = 200, description = "As those of GET; `Content-Length` is the length of the value."),
        (status = 304, description = "The client has the value."),
    ),
)]
pub(in crate::routes) async fn head(
    State(context): State<Context>,
    access: Access,
    Key(key): Key,
    namespace: Namespace,
    headers: HeaderMap,
) -> Answer<Response> {
    access.require(Role::Read, &namespace)?;
    let preconditions = Preconditions::of(&headers)?;
    let Some(store) = context.existing(&namespace)? else {
        return Err(absent(&key, &preconditions));
    };
    let details = describe(&context, &store, &key, &preconditions).await?;
    if is_known(&details, &preconditions) {
        return Ok(not_modified(&details));
    }
    let mut answered = HeaderMap::with_capacity(8);
    headers::describe(&mut answered, &details);
    answered.insert(VARY, HeaderValue::from_static("accept"));
    answered.insert(CONTENT_TYPE, HeaderValue::from_static(RAW));
    answered.insert(CONTENT_LENGTH, HeaderValue::from(details.size()));
    Ok((answered, Body::empty()).into_response())
}

/// The value and what is known of it: from memory at once, from RocksDB on a thread that may block.
async fn value_of(
    context: &Context,
    store: &Arc<Store>,
    key: &[u8],
) -> Answer<Option<(CachedBytes, Details)>> {
    if let Some((value, details)) = store.reader()?.get_cached_with_details(key) {
        return Ok(Some((value.into_shared(), details)));
    }
    let key = key.to_vec();
    context
        .with(store, move |store| {
            let reader = store.reader()?;
            let found = reader.get_with_details(&key)?;
            Ok(found.map(|(value, details)| (value.into_shared(), details)))
        })
        .await
}

async fn describe(
    context: &Context,
    store: &Arc<Store>,
    key: &[u8],
    preconditions: &Preconditions,
) -> Answer<Details> {
    let wanted = key.to_vec();
    let found = context
        .with(store, move |store| store.details(&wanted))
        .await?;
    let details = found.ok_or_else(|| absent(key, preconditions))?;
    check(&details, preconditions)?;
    Ok(details)
}

/// `If-Match` of a key that is there.
fn check(details: &Details, preconditions: &Preconditions) -> Answer<()> {
    match &preconditions.if_match {
        Some(Matching::Digests(digests)) if !digests.contains(&details.digest()) => {
            Err(Error::ConditionFailed(Some(details.digest())).into())
        }
        _ => Ok(()),
    }
}

/// Of a key that is not there.
fn absent(key: &[u8], preconditions: &Preconditions) -> Problem {
    match &preconditions.if_match {
        Some(_) => Error::ConditionFailed(None).into(),
        None => not_found(key),
    }
}

/// `If-None-Match` of a key that is there.
fn is_known(details: &Details, preconditions: &Preconditions) -> bool {
    match &preconditions.if_none_match {
        Some(Matching::Any) => true,
        Some(Matching::Digests(digests)) => digests.contains(&details.digest()),
        None => false,
    }
}

fn not_modified(details: &Details) -> Response {
    let mut answered = HeaderMap::new();
    headers::describe(&mut answered, details);
    answered.insert(VARY, HeaderValue::from_static("accept"));
    answered.insert(ETAG, etag_of(&details.digest()));
    (StatusCode::NOT_MODIFIED, answered).into_response()
}

fn form(headers: &HeaderMap) -> Answer<&'static str> {
    let lines = headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
    accept::choose(lines, &OFFERED)
        .and_then(|position| OFFERED.get(position).copied())
        .ok_or_else(|| {
            Problem::new(
                Code::NotAcceptable,
                "values are answered as application/octet-stream or application/json; Accept names neither",
            )
        })
}

fn document(
    key: &[u8],
    value: &[u8],
    details: &Details,
    encoding: Encoding,
) -> Answer<bytes::Bytes> {
    let document = Document {
        key: EncodedBytes {
            bytes: key,
            encoding: Encoding::Auto,
        },
        value: EncodedBytes {
            bytes: value,
            encoding,
        },
        digest: details.digest().to_hex(),
        object_id: details.object_id(),
        ttl_seconds: details.ttl().map(headers::seconds),
        metadata: details.metadata(),
    };
    let written = serde_json::to_vec(&document).map_err(|error| Problem::internal(&error))?;
    Ok(written.into())
}
