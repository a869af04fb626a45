//! Namespaces: which there are, how each is, and how to be rid of one.

use super::admin;
use super::health::{figure, figures_for};
use super::parameters::NamespaceQuery;
use crate::auth::Access;
use crate::error::{Answer, Problem};
use crate::extract::{Namespace, percent_decode};
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use prestige_core::{DedupMode, Figure, Stats, Store};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the paths of namespaces begin with.
const NAMESPACES: &str = "/api/v1/namespaces/";

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(list_namespaces))
        .routes(routes!(make_namespace, drop_namespace))
        .routes(routes!(info))
        .routes(routes!(health))
        .routes(routes!(stats))
}

#[derive(Debug, Serialize, ToSchema)]
struct NamespaceList {
    /// Their names, sorted. The default one, which has no name, is not among them.
    namespaces: Vec<String>,
}

/// Lists the namespaces that the token reaches.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces",
    tag = "namespaces",
    operation_id = "listNamespaces",
    responses((status = 200, description = "Their names.", body = NamespaceList)),
)]
async fn list_namespaces(
    State(context): State<Context>,
    access: Access,
) -> Answer<Json<NamespaceList>> {
    access.require_role(Role::Read)?;
    let mut namespaces = match context.store.namespace_name() {
        "" => context.store.namespaces()?,
        own => vec![own.to_owned()],
    };
    namespaces.retain(|name| access.reaches(name));
    Ok(Json(NamespaceList { namespaces }))
}

/// Makes a namespace if it does not exist. A write in it does so too.
#[utoipa::path(
    put,
    path = "/api/v1/namespaces/{*name}",
    tag = "namespaces",
    operation_id = "makeNamespace",
    params(("name" = String, Path, description = "Its name, percent-encoded.")),
    responses((status = 204, description = "It exists.")),
)]
async fn make_namespace(
    State(context): State<Context>,
    access: Access,
    uri: Uri,
) -> Answer<StatusCode> {
    let name = name_in(&uri)?;
    access.require(Role::Write, &name)?;
    context.namespace(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a client may want to know before it begins.
#[derive(Debug, Serialize, ToSchema)]
struct Info {
    /// Version of the server.
    version: &'static str,
    /// Whether the store is open read-only.
    read_only: bool,
    /// `exact` or `semantic`.
    dedup_mode: &'static str,
    /// Role of the token; `admin` where there are none.
    role: &'static str,
}

/// Says what does not change while the server runs.
#[utoipa::path(
    get,
    path = "/api/v1/info",
    tag = "namespaces",
    operation_id = "info",
    responses((status = 200, description = "What it is.", body = Info)),
)]
async fn info(State(context): State<Context>, access: Access) -> Answer<Json<Info>> {
    access.require_role(Role::Read)?;
    Ok(Json(Info {
        version: env!("CARGO_PKG_VERSION"),
        read_only: context.store.is_read_only(),
        dedup_mode: match context.store.dedup_mode() {
            DedupMode::Exact => "exact",
            DedupMode::Semantic => "semantic",
        },
        role: access.role().name(),
    }))
}

/// The name of a namespace in a path.
fn name_in(uri: &Uri) -> Answer<String> {
    let encoded = uri.path().strip_prefix(NAMESPACES).unwrap_or_default();
    String::from_utf8(percent_decode(encoded)?)
        .map_err(|_| Problem::invalid("the name of a namespace must be UTF-8"))
}

/// Removes a namespace and all it holds.
///
/// One write, whose cost does not depend on how much that is. A job all the same, which is waited for.
#[utoipa::path(
    delete,
    path = "/api/v1/namespaces/{*name}",
    tag = "namespaces",
    operation_id = "dropNamespace",
    params(
        ("name" = String, Path, description = "Its name, percent-encoded."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result."),
    ),
    responses((status = 200, description = "It is removed.", body = HashMap<String, Value>), admin::Pending),
)]
async fn drop_namespace(
    State(context): State<Context>,
    access: Access,
    uri: Uri,
    headers: HeaderMap,
) -> Answer<Response> {
    let name = name_in(&uri)?;
    access.require(Role::Admin, &name)?;
    if !context.store.namespace_name().is_empty() {
        return Err(Problem::invalid(
            "the server serves one namespace only, which it does not remove",
        ));
    }
    if context.store.find_namespace(&name)?.is_none() {
        return Err(Problem::not_found(format!(
            "there is no namespace {name:?}"
        )));
    }
    let (store, doomed) = (Arc::clone(&context.store), name.clone());
    let job = context
        .jobs
        .start(&context, "drop_namespace", Some(name), move |_| {
            store.drop_namespace(&doomed)?;
            Ok(json!({}))
        })?;
    admin::answer(&context, &job, &headers, admin::SHORT_WAIT).await
}

/// Figures of a namespace, as `Store.get_health()` of the Python package returns them; those of the whole store are null
/// for tokens of some namespaces.
#[utoipa::path(
    get,
    path = "/api/v1/health",
    tag = "namespaces",
    operation_id = "getHealth",
    params(NamespaceQuery),
    responses((status = 200, description = "The figures by name.", body = HashMap<String, Value>)),
)]
async fn health(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
) -> Answer<Json<Value>> {
    access.require(Role::Read, &namespace)?;
    let health = match context.existing(&namespace)? {
        Some(store) => context.with(&store, Store::health).await?,
        None => context.with_store(Store::health_of_none).await?,
    };
    Ok(Json(figures_for(&access, health.figures()).into()))
}

/// What has happened in a namespace since the store was opened, as `Store.stats()` of the Python package returns it; counts
/// of the whole store are null for tokens of some namespaces.
#[utoipa::path(
    get,
    path = "/api/v1/stats",
    tag = "namespaces",
    operation_id = "getStats",
    params(NamespaceQuery),
    responses((status = 200, description = "Counts and latencies by name.", body = HashMap<String, Value>)),
)]
async fn stats(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
) -> Answer<Json<Value>> {
    access.require(Role::Read, &namespace)?;
    let stats = match context.existing(&namespace)? {
        Some(store) => context.with(&store, Store::stats).await?,
        None => Stats::default(),
    };
    Ok(Json(figures_for(&access, stats.figures()).into()))
}

/// Figures as a JSON object.
pub(super) fn named(figures: Vec<(&'static str, Figure)>) -> Value {
    let members = figures
        .into_iter()
        .map(|(name, value)| (name.to_owned(), figure(value)));
    Value::Object(members.collect::<Map<_, _>>())
}
