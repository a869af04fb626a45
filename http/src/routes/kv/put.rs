//! Putting a key.

use super::{KeyPath, describe_put};
use crate::auth::Access;
use crate::bytes::Bytes;
use crate::error::{Answer, PROBLEM_JSON, Problem, ProblemDocument};
use crate::extract::{Key, Namespace, Query, RawBody, read_json};
use crate::headers::{self, Preconditions};
use crate::idempotency::Asked;
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::tokens::Role;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use prestige_core::{Entry, Metadata};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::routes) struct PutQuery {
    /// Seconds until the key expires; 0: never; left out: the default of the store.
    #[param(minimum = 0)]
    ttl_seconds: Option<String>,
    /// Metadata to add to that of the value: a JSON object of strings.
    metadata: Option<String>,
}

/// A value with what belongs to it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Put)]
pub(in crate::routes) struct PutBody {
    value: Bytes,
    /// Seconds until the key expires; 0: never; null: the default of the store.
    ttl_seconds: Option<u64>,
    /// Pairs to add to the metadata of the value, in place of those of the same names.
    metadata: Option<Metadata>,
}

/// What a put has done.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct PutOutcome {
    /// SHA-256 of the value as it is stored, 64 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub digest: String,
    /// The object that the key points at.
    pub object_id: u64,
    /// How the value found its object.
    pub dedup: Deduplicated,
    /// Cosine similarity of the text and the one it has merged with; only of `similar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f32>,
}

/// How a value found its object.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::routes) enum Deduplicated {
    /// No stored value was the same.
    New,
    /// The same bytes were stored already.
    Identical,
    /// A text of about the same meaning was stored already, and stays what the key points at.
    Similar,
}

/// Puts a value under a key.
///
/// The body is the value, whatever its media type, unless that is `application/json`: then it is a document with the value.
/// With `If-None-Match: *` only where the key is absent, with `If-Match` only where its value has one of the entity tags.
#[utoipa::path(
    put,
    path = "/api/v1/kv/{*key}",
    tag = "keys",
    operation_id = "put",
    params(
        KeyPath,
        NamespaceQuery,
        PutQuery,
        ("If-Match" = Option<String>, Header, description = "Entity tags, or `*`."),
        ("If-None-Match" = Option<String>, Header, description = "`*`, or entity tags."),
        ("Prestige-TTL-Seconds" = Option<String>, Header, description = "As `ttl_seconds`."),
        ("Prestige-Metadata" = Option<String>, Header, description = "As `metadata`, in ASCII."),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 128 visible ASCII characters; the same request with it is answered once in ten minutes."),
    ),
    request_body(content(
        (Vec<u8> = "application/octet-stream"),
        (PutBody = "application/json"),
    )),
    responses(
        (status = 200, description = "The key was there; it has this value now.", body = PutOutcome,
            headers(("ETag" = String), ("Prestige-Object-Id" = u64))),
        (status = 201, description = "The key is new.", body = PutOutcome,
            headers(("ETag" = String), ("Prestige-Object-Id" = u64))),
        (status = 412, description = "The key is not as the request asks.", body = ProblemDocument,
            content_type = PROBLEM_JSON),
    ),
)]
#[expect(clippy::too_many_arguments, reason = "extractors")]
pub(in crate::routes) async fn put(
    State(context): State<Context>,
    access: Access,
    Key(key): Key,
    namespace: Namespace,
    Query(query): Query<PutQuery>,
    uri: Uri,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Answer<Response> {
    access.require(Role::Write, &namespace)?;
    let preconditions = Preconditions::of(&headers)?;
    let told = Told::of(&query, &headers)?;
    let asked = Asked {
        method: &Method::PUT,
        uri: &uri,
        headers: &headers,
        body: &body,
    };
    let document = match is_document(&headers) {
        true => Some(read_json::<PutBody>(&context, body.clone()).await?),
        false => None,
    };
    let (in_body, ttl_seconds, metadata) = match document {
        Some(document) => {
            let ttl = one("ttl_seconds", told.ttl_seconds, document.ttl_seconds)?;
            let metadata = one("metadata", told.metadata, document.metadata)?;
            (Some(document.value.0), ttl, metadata)
        }
        None => (None, told.ttl_seconds, told.metadata),
    };
    let work = {
        let (context, body) = (context.clone(), body.clone());
        async move {
            let store = context.namespace(&namespace).await?;
            let outcome = context
                .with(&store, move |store| {
                    let entry = Entry {
                        key: &key,
                        value: in_body.as_deref().unwrap_or(&body),
                        ttl_seconds,
                        metadata: metadata.as_ref(),
                        lent: None,
                    };
                    store.put_entry_if(&entry, &preconditions.conditions())
                })
                .await?;
            Ok(describe_put(&outcome))
        }
    };
    context.answers.once(&asked, work).await
}

/// A document, unlike other kinds of JSON, such as `application/geo+json`, which are values.
fn is_document(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    kind.and_then(|kind| kind.split(|byte| *byte == b';').next())
        .is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"application/json"))
}

/// What query and headers say of a value.
struct Told {
    ttl_seconds: Option<u64>,
    metadata: Option<Metadata>,
}

impl Told {
    fn of(query: &PutQuery, headers: &HeaderMap) -> Answer<Self> {
        let ttl = |name: &str, text: Option<&str>| {
            text.map(|text| headers::ttl_of(name, text)).transpose()
        };
        let metadata = |name: &str, text: Option<&str>| {
            let json = text.map(str::as_bytes);
            json.map(|json| headers::metadata_of(name, json))
                .transpose()
        };
        let header = |name| headers::text_of(headers, name);
        Ok(Self {
            ttl_seconds: one(
                "ttl_seconds",
                ttl("ttl_seconds", query.ttl_seconds.as_deref())?,
                ttl("Prestige-TTL-Seconds", header(&headers::TTL_SECONDS)?)?,
            )?,
            metadata: one(
                "metadata",
                metadata("metadata", query.metadata.as_deref())?,
                metadata("Prestige-Metadata", header(&headers::METADATA)?)?,
            )?,
        })
    }
}

/// What is said in one of two places.
fn one<T>(name: &str, first: Option<T>, second: Option<T>) -> Answer<Option<T>> {
    match (first, second) {
        (Some(_), Some(_)) => Err(Problem::invalid(format!(
            "{name} is given twice: give it in the query, in a header or in the body"
        ))),
        (first, second) => Ok(first.or(second)),
    }
}
