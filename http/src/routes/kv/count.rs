//! Numbers of keys and of unique values.

use crate::auth::Access;
use crate::error::Answer;
use crate::extract::Namespace;
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use prestige_core::{Result, Store};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct Count {
    count: u64,
}

/// Counts keys, without those that have expired.
#[utoipa::path(
    get,
    path = "/api/v1/kv/_count",
    tag = "keys",
    operation_id = "count",
    params(NamespaceQuery),
    responses((status = 200, description = "Their number.", body = Count)),
)]
pub(in crate::routes) async fn count(
    context: State<Context>,
    access: Access,
    namespace: Namespace,
) -> Answer<Json<Count>> {
    let keys = |store: &Store| store.count_keys(false);
    counted(&context, &access, &namespace, keys).await
}

/// Counts keys, with those that have expired and are not removed yet.
#[utoipa::path(
    get,
    path = "/api/v1/kv/_count/approx",
    tag = "keys",
    operation_id = "countApproximately",
    params(NamespaceQuery),
    responses((status = 200, description = "Their number.", body = Count)),
)]
pub(in crate::routes) async fn approximate(
    context: State<Context>,
    access: Access,
    namespace: Namespace,
) -> Answer<Json<Count>> {
    let keys = |store: &Store| store.count_keys(true);
    counted(&context, &access, &namespace, keys).await
}

/// Counts distinct values.
#[utoipa::path(
    get,
    path = "/api/v1/unique",
    tag = "keys",
    operation_id = "countUnique",
    params(NamespaceQuery),
    responses((status = 200, description = "Their number.", body = Count)),
)]
pub(in crate::routes) async fn unique(
    context: State<Context>,
    access: Access,
    namespace: Namespace,
) -> Answer<Json<Count>> {
    counted(&context, &access, &namespace, Store::count_unique_values).await
}

async fn counted(
    context: &Context,
    access: &Access,
    namespace: &str,
    count: impl FnOnce(&Store) -> Result<u64> + Send + 'static,
) -> Answer<Json<Count>> {
    access.require(Role::Read, namespace)?;
    let count = match context.existing(namespace)? {
        Some(store) => context.with(&store, count).await?,
        None => 0,
    };
    Ok(Json(Count { count }))
}
