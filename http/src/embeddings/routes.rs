//! `POST /v1/embeddings`, `GET /v1/models`.

use super::error::ApiError;
use super::request::Request;
use super::service::Outcome;
use super::upstream::Credentials;
use crate::auth::Access;
use crate::error::Problem;
use crate::extract::{RawBody, percent_decode};
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const CACHE: HeaderName = HeaderName::from_static("prestige-cache");
const HITS: HeaderName = HeaderName::from_static("prestige-cache-hits");
const MISSES: HeaderName = HeaderName::from_static("prestige-cache-misses");
/// Where clients put their key of the upstream if `Authorization` holds their token of this server.
const UPSTREAM_AUTHORIZATION: &str = "prestige-upstream-authorization";
/// What says whose account a key of the upstream is used for; goes with it.
const ACCOUNT: [&str; 2] = ["openai-organization", "openai-project"];
/// The names of namespaces of embeddings begin with it.
pub(crate) const NAMESPACES: &str = "embeddings/";

pub(crate) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(models))
        .routes(routes!(find))
}

/// Vectors of texts, as OpenAI's `POST /v1/embeddings`, answered through the embedding cache of the store.
#[utoipa::path(
    post,
    path = "/v1/embeddings",
    tag = "embeddings",
    request_body(content = super::openapi::EmbeddingsRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "A vector for each text, in their order.", body = super::openapi::EmbeddingsAnswer,
         headers(
            ("Prestige-Cache" = String, description = "`hit`, `miss`, or `partial` if some of the texts were there."),
            ("Prestige-Cache-Hits" = u64, description = "Texts that were there."),
            ("Prestige-Cache-Misses" = u64, description = "Texts that were not."))),
        (status = "default", description = "What went wrong.", body = super::openapi::OpenAiError),
    )
)]
async fn create(
    State(context): State<Context>,
    access: Access,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, ApiError> {
    let allowed = access.require(Role::Write, NAMESPACES);
    allowed.map_err(ApiError::from)?;
    let credentials = credentials(&context, &headers);
    let runtime = Handle::current();
    let shared = context.clone();
    let answered = context.blocking(move || {
        let embeddings = &shared.embeddings;
        // Whatever fails here has its own shape, which a problem would not keep.
        let answered = Request::parse(&body, embeddings.max_inputs()).and_then(|request| {
            let outcome = embeddings.embed(&shared.store, runtime, &request, credentials)?;
            let body = serde_json::to_vec(&outcome.answer(&request))
                .map_err(|error| Problem::internal(&error))?;
            Ok((outcome, body))
        });
        Ok::<_, Problem>(answered)
    });
    let (outcome, body) = answered.await.map_err(ApiError::from)??;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((headers, cache_headers(&outcome), body).into_response())
}

/// The models that can be asked for, as OpenAI's `GET /v1/models`.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "embeddings",
    responses(
        (status = 200, description = "The models.", body = super::openapi::ModelList),
        (status = "default", description = "What went wrong.", body = super::openapi::OpenAiError),
    )
)]
async fn models(
    State(context): State<Context>,
    access: Access,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(
        json!({"object": "list", "data": list(&context, &access, &headers).await?}),
    ))
}

/// One of the models, as OpenAI's `GET /v1/models/{model}`.
#[utoipa::path(
    get,
    path = "/v1/models/{*model}",
    tag = "embeddings",
    params(("model" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The model.", body = super::openapi::Model),
        (status = "default", description = "What went wrong.", body = super::openapi::OpenAiError),
    )
)]
async fn find(
    State(context): State<Context>,
    access: Access,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    let name = uri.path().strip_prefix("/v1/models/").unwrap_or_default();
    let name = String::from_utf8_lossy(&percent_decode(name)?).into_owned();
    if context.embeddings.knows(&name) {
        access.require(Role::Read, NAMESPACES)?;
        return Ok(Json(model(&name)));
    }
    let all = list(&context, &access, &headers).await?;
    let found = all
        .into_iter()
        .find(|model| model.get("id") == Some(&json!(name)));
    found
        .map(Json)
        .ok_or_else(|| ApiError::no_such_model(&name))
}

async fn list(
    context: &Context,
    access: &Access,
    headers: &HeaderMap,
) -> Result<Vec<Value>, ApiError> {
    access.require(Role::Read, NAMESPACES)?;
    let mut models: Vec<_> = context.embeddings.local_names().map(model).collect();
    let credentials = credentials(context, headers);
    models.extend(context.embeddings.upstream_models(&credentials).await?);
    Ok(models)
}

/// A model as OpenAI lists it.
pub(super) fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": "prestige"})
}

/// With which key the upstream is asked for this request.
fn credentials(context: &Context, headers: &HeaderMap) -> Credentials {
    if !context.embeddings.passes_authorization() {
        return Credentials::Own;
    }
    // With tokens, `Authorization` is for this server and goes no further.
    let own = context
        .config
        .tokens
        .is_empty()
        .then(|| headers.get(AUTHORIZATION));
    let Some(brought) = headers.get(UPSTREAM_AUTHORIZATION).or(own.flatten()) else {
        return Credentials::Own;
    };
    let mut brought = brought.clone();
    brought.set_sensitive(true);
    let mut passed = HeaderMap::from_iter([(AUTHORIZATION, brought)]);
    for name in ACCOUNT {
        if let Some(value) = headers.get(name) {
            passed.insert(HeaderName::from_static(name), value.clone());
        }
    }
    Credentials::Passed(passed)
}

fn cache_headers(outcome: &Outcome) -> [(HeaderName, HeaderValue); 3] {
    let summary = match (outcome.hits, outcome.misses) {
        (_, 0) => "hit",
        (0, _) => "miss",
        _ => "partial",
    };
    [
        (CACHE, HeaderValue::from_static(summary)),
        (HITS, HeaderValue::from(outcome.hits)),
        (MISSES, HeaderValue::from(outcome.misses)),
    ]
}
