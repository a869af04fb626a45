//! Vectors of the embedding cache: what a cache of embeddings needs that lives on a server and computes elsewhere.

mod body;
mod finding;

use super::namespaces::named;
use super::parameters::NamespaceQuery;
use crate::auth::Access;
use crate::caches::Vectors;
use crate::error::{Answer, Code, Problem};
use crate::extract::{JsonBody, Namespace};
use crate::state::Context;
use crate::stream;
use crate::tokens::Role;
use crate::vector::Vector;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use body::{Dtype, check_model};
use finding::Finding;
use prestige_core::EmbeddingPrecision;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(lookup))
        .routes(routes!(put))
        .routes(routes!(delete))
        .routes(routes!(clear))
        .routes(routes!(stats))
}

/// Requires `role` in `namespace`. The caches of the default namespace are those of `/v1/embeddings` too, which all its
/// callers share, and need what that needs.
fn require(access: &Access, role: Role, namespace: &Namespace) -> Answer<()> {
    access.require(role, namespace)?;
    if namespace.is_empty() {
        access.require(role, crate::embeddings::NAMESPACES)?;
    }
    Ok(())
}

/// Which vectors.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EmbeddingTexts)]
struct Texts {
    /// Names the model; another one for whatever makes other vectors.
    #[schema(min_length = 1)]
    model_id: String,
    texts: Vec<String>,
    /// Length of the vectors; null: as the store has them for the model.
    #[schema(minimum = 1)]
    dimension: Option<usize>,
}

/// Which model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EmbeddingModel)]
struct Model {
    /// Names the model.
    #[schema(min_length = 1)]
    model_id: String,
    /// Length of the vectors; null: as the store has them for the model.
    #[schema(minimum = 1)]
    dimension: Option<usize>,
}

/// The vectors that are there.
#[derive(Debug, ToSchema)]
#[schema(as = EmbeddingVectors)]
#[expect(dead_code, reason = "describes an answer")]
struct Found {
    /// Length of the vectors; null: there is none of the model yet.
    #[schema(required)]
    dimension: Option<usize>,
    /// For each text, in their order, Base64 of little-endian float32; null: it is not there.
    #[schema(value_type = Vec<Option<String>>)]
    vectors: Vec<Option<Vector>>,
}

fn texts_in(context: &Context, texts: &[String]) -> Answer<()> {
    let limit = context.config.limits.batch_items;
    if texts.len() <= limit {
        return Ok(());
    }
    let detail = format!(
        "a request has at most {limit} texts on this server, this one has {}",
        texts.len()
    );
    Err(Problem::new(Code::TooLarge, detail).with("limit", limit))
}

fn wanted(namespace: String, model: String, dimension: Option<usize>) -> Answer<Vectors> {
    check_model(&model, dimension)?;
    Ok(Vectors {
        namespace,
        model,
        dimension,
        precision: EmbeddingPrecision::F32,
        ttl_seconds: None,
    })
}

fn references(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Looks up the vectors of texts. Computes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/embeddings:lookup",
    tag = "embeddings",
    operation_id = "embeddingsLookup",
    params(NamespaceQuery),
    request_body = Texts,
    responses((status = 200, description = "Those that are there.", body = Found)),
)]
async fn lookup(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<Texts>,
) -> Answer<Response> {
    require(&access, Role::Read, &namespace)?;
    texts_in(&context, &body.texts)?;
    let which = wanted(namespace.0, body.model_id, body.dimension)?;
    let shared = context.clone();
    stream::begin(&context, "application/json", move || {
        let cache = shared.caches.vectors(&shared.store, &which)?;
        Ok(Finding::new(cache, body.texts))
    })
    .await
}

/// Vectors to put.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EmbeddingsPut)]
struct PutBody {
    /// Names the model.
    #[schema(min_length = 1)]
    model_id: String,
    texts: Vec<String>,
    /// For each text Base64 of little-endian float32, all of one length.
    #[schema(value_type = Vec<String>)]
    vectors: Vec<Vector>,
    /// How they are stored.
    #[serde(default)]
    dtype: Dtype,
    /// Seconds until they expire; 0: never; null: the default of the store.
    ttl_seconds: Option<u64>,
}

/// Puts the vectors of texts in place of what is there.
#[utoipa::path(
    post,
    path = "/api/v1/embeddings:put",
    tag = "embeddings",
    operation_id = "embeddingsPut",
    params(NamespaceQuery),
    request_body = PutBody,
    responses((status = 204, description = "They are stored.")),
)]
async fn put(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<PutBody>,
) -> Answer<StatusCode> {
    require(&access, Role::Write, &namespace)?;
    texts_in(&context, &body.texts)?;
    let dimension = body.vectors.first().map(|vector| vector.0.len());
    let which = Vectors {
        precision: body.dtype.into(),
        ttl_seconds: body.ttl_seconds,
        ..wanted(namespace.0, body.model_id, dimension)?
    };
    context
        .clone()
        .blocking(move || {
            let cache = context.caches.vectors(&context.store, &which)?;
            let vectors: Vec<&[f32]> = body.vectors.iter().map(|vector| &vector.0[..]).collect();
            Ok::<_, Problem>(cache.put_many(&references(&body.texts), &vectors)?)
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmbeddingsDeleted)]
struct Deleted {
    /// Number of vectors.
    deleted: u64,
}

/// Deletes the vectors of texts.
#[utoipa::path(
    post,
    path = "/api/v1/embeddings:delete",
    tag = "embeddings",
    operation_id = "embeddingsDelete",
    params(NamespaceQuery),
    request_body = Texts,
    responses((status = 200, description = "They are deleted.", body = Deleted)),
)]
async fn delete(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<Texts>,
) -> Answer<Json<Deleted>> {
    require(&access, Role::Write, &namespace)?;
    texts_in(&context, &body.texts)?;
    let which = wanted(namespace.0, body.model_id, body.dimension)?;
    let deleted = context
        .clone()
        .blocking(move || {
            let cache = context.caches.vectors(&context.store, &which)?;
            Ok::<_, Problem>(cache.delete(&references(&body.texts))?)
        })
        .await?;
    Ok(Json(Deleted { deleted }))
}

/// Deletes every vector of a model, in one write.
#[utoipa::path(
    post,
    path = "/api/v1/embeddings:clear",
    tag = "embeddings",
    operation_id = "embeddingsClear",
    params(NamespaceQuery),
    request_body = Model,
    responses((status = 200, description = "They are deleted.", body = Deleted)),
)]
async fn clear(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<Model>,
) -> Answer<Json<Deleted>> {
    require(&access, Role::Write, &namespace)?;
    let which = wanted(namespace.0, body.model_id, body.dimension)?;
    let deleted = context
        .clone()
        .blocking(move || {
            let cache = context.caches.vectors(&context.store, &which)?;
            let deleted = cache.clear()?;
            context
                .caches
                .forget_vectors(&which.namespace, &which.model);
            Ok::<_, Problem>(deleted)
        })
        .await?;
    Ok(Json(Deleted { deleted }))
}

/// Number and length of the vectors of a model, and what has happened with them since the server was started.
#[utoipa::path(
    post,
    path = "/api/v1/embeddings:stats",
    tag = "embeddings",
    operation_id = "embeddingsStats",
    params(NamespaceQuery),
    request_body = Model,
    responses((status = 200, description = "`vectors`, `dimension`, and counts and times by name.",
        body = HashMap<String, Value>)),
)]
async fn stats(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<Model>,
) -> Answer<Json<Value>> {
    require(&access, Role::Read, &namespace)?;
    let which = wanted(namespace.0, body.model_id, body.dimension)?;
    let stats = context
        .clone()
        .blocking(move || {
            let cache = context.caches.vectors(&context.store, &which)?;
            let mut stats = named(cache.stats().figures());
            if let Some(figures) = stats.as_object_mut() {
                figures.insert("vectors".to_owned(), json!(cache.len()?));
                figures.insert("dimension".to_owned(), json!(cache.dimension()));
            }
            Ok::<_, Problem>(stats)
        })
        .await?;
    Ok(Json(stats))
}
