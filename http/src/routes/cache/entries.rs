//! Looking up responses, and putting them.

use super::answer::{self, Kind};
use crate::auth::Access;
use crate::caches::{Semantic, other_model};
use crate::error::{Answer, Problem};
use crate::extract::{JsonBody, Namespace};
use crate::json::{json_answer, to_json};
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::tokens::Role;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use prestige_core::{EntryMetadata, Error, Lookup, Put, Scope, SemanticCache};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A query to look up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CacheLookup)]
pub(super) struct LookupBody {
    query: String,
    /// Whom and what the response is for: any JSON. Left out: null.
    #[serde(default)]
    scope: Value,
    /// Least cosine similarity, over 0 and at most 1; null: that of the server, its setting `cache_threshold`, 0.97 unless
    /// it says otherwise.
    threshold: Option<f64>,
    /// The embedding of the query; null: the server computes it if it is needed.
    embedding: Option<Vec<f32>>,
    /// The model of embeddings that clients give: its name, or the 64 digits of its fingerprint; null: that of the server.
    model_id: Option<String>,
}

/// What a lookup has found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CacheAnswer)]
pub(super) struct Found {
    /// Null: nothing.
    #[schema(required)]
    hit: Option<HitDocument>,
    /// Whether the same lookup with an embedding could find something: nothing was found, none was given, and the server
    /// does not compute it.
    wants_embedding: bool,
}

/// A response, and what is needed to judge it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CacheHit)]
struct HitDocument {
    #[schema(value_type = Value)]
    response: Box<RawValue>,
    kind: Kind,
    /// The query it was put with.
    query: String,
    /// Cosine similarity of the two queries; 1 if they are the same text.
    similarity: f32,
    /// Whether they are the same text.
    exact: bool,
    /// Seconds since it was put.
    age_seconds: f64,
    metadata: EntryMetadata,
    /// The scope of the lookup.
    scope: Value,
    /// Tokens that it cost; 0: not known.
    tokens: u64,
    /// Seconds that computing it took; 0: not known.
    seconds: f64,
}

/// Looks up the response to a query: that of the same text, else of the most similar query of the scope, if it is similar
/// enough.
#[utoipa::path(
    post,
    path = "/api/v1/cache/lookup",
    tag = "cache",
    operation_id = "cacheLookup",
    params(NamespaceQuery),
    request_body = LookupBody,
    responses((status = 200, description = "The response, if there is one.", body = Found)),
)]
pub(super) async fn lookup(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<LookupBody>,
) -> Answer<Response> {
    access.require(Role::Read, &namespace)?;
    let scope = Scope::within(&namespace, &body.scope)?;
    let found = context
        .clone()
        .blocking(move || {
            let model = model_of(&context, body.embedding.is_some(), body.model_id.as_deref())?;
            let semantic = context.caches.semantic(&context.store, &namespace, model)?;
            let lookup = Lookup {
                threshold: body.threshold,
                embedding: body.embedding.as_deref(),
            };
            let Semantic { cache, source, .. } = &semantic;
            let hit = cache
                .get(&scope, &body.query, lookup, source.as_ref())
                .map_err(|error| failed(error, cache, &scope))?;
            let without = hit.is_none() && body.embedding.is_none() && !semantic.computes;
            let wants_embedding = without && cache.has_vectors(&scope)?;
            let hit = hit.map(|hit| {
                Ok::<_, Problem>(HitDocument {
                    kind: hit.response.kind.into(),
                    response: answer::write(hit.response)?,
                    query: hit.query,
                    similarity: hit.similarity,
                    exact: hit.exact,
                    age_seconds: hit.age_seconds,
                    metadata: hit.metadata,
                    scope: body.scope,
                    tokens: hit.tokens,
                    seconds: seconds(hit.computing_us),
                })
            });
            to_json(&Found {
                hit: hit.transpose()?,
                wants_embedding,
            })
        })
        .await?;
    Ok(json_answer(found))
}

/// A response to put.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CachePut)]
pub(super) struct PutBody {
    /// What it answers.
    query: String,
    /// A string for text, an object with Base64 for bytes, anything for JSON.
    #[schema(value_type = Value)]
    response: Box<RawValue>,
    /// What it is; null: text if it is a string, JSON otherwise.
    kind: Option<Kind>,
    /// Whom and what it is for: any JSON. Left out: null.
    #[serde(default)]
    scope: Value,
    /// Seconds until it expires; 0: never; null: the default of the store.
    ttl_seconds: Option<u64>,
    /// Names and texts that belong to it.
    metadata: Option<EntryMetadata>,
    /// The embedding of the query; null: the server computes it.
    embedding: Option<Vec<f32>>,
    /// The model of embeddings that clients give: its name, or the 64 digits of its fingerprint; null: that of the server.
    model_id: Option<String>,
    /// Tokens that it cost; 0: not known.
    #[serde(default)]
    tokens: u64,
    /// Seconds that computing it took; 0: not known.
    #[serde(default)]
    #[schema(minimum = 0)]
    seconds: f64,
}

/// Puts a response in place of what is there for the query and scope. Nothing is merged.
#[utoipa::path(
    post,
    path = "/api/v1/cache/put",
    tag = "cache",
    operation_id = "cachePut",
    params(NamespaceQuery),
    request_body = PutBody,
    responses((status = 204, description = "It is stored.")),
)]
pub(super) async fn put(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<PutBody>,
) -> Answer<StatusCode> {
    access.require(Role::Write, &namespace)?;
    let scope = Scope::within(&namespace, &body.scope)?;
    let response = answer::read(&body.response, body.kind)?;
    let computing_us = micros("seconds", body.seconds)?;
    context
        .clone()
        .blocking(move || {
            let model = model_of(&context, body.embedding.is_some(), body.model_id.as_deref())?;
            let semantic = context.caches.semantic(&context.store, &namespace, model)?;
            let put = Put {
                metadata: body.metadata.unwrap_or_default(),
                ttl_seconds: body.ttl_seconds,
                embedding: body.embedding.as_deref(),
                computing_us,
                tokens: body.tokens,
                ..Put::new(&body.query, &response)
            };
            let Semantic { cache, source, .. } = &semantic;
            cache
                .put(&scope, &put, source.as_ref())
                .map_err(|error| failed(error, cache, &scope))
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The model of a request. Whoever gives embeddings says which they are of, unless it is the server's own.
fn model_of<'a>(
    context: &Context,
    given: bool,
    model_id: Option<&'a str>,
) -> Answer<Option<&'a str>> {
    if given && model_id.is_none() && context.store.embedder()?.is_none() {
        return Err(Problem::invalid(
            "the server has no model that an embedding could be of: name its model with model_id",
        ));
    }
    Ok(model_id)
}

/// What is said of models is that the entries have another one, or that the server's own has failed.
fn failed(error: Error, cache: &SemanticCache, scope: &Scope) -> Problem {
    match cache.check_scope(scope) {
        Err(other @ Error::Model(_)) => other_model(other),
        _ => error.into(),
    }
}

fn micros(name: &str, seconds: f64) -> Answer<u64> {
    if seconds < 0.0 {
        return Err(Problem::invalid(format!(
            "{name} must be from 0 on, not {seconds}"
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and the conversion saturates, which is what is wanted"
    )]
    let micros = (seconds * 1e6).round() as u64;
    Ok(micros)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a time for people; it is far below 2^53 µs"
)]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
