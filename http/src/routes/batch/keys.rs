//! Looking for many keys, and deleting them.

use super::{Keys, check_keys, references};
use crate::auth::Access;
use crate::error::Answer;
use crate::extract::{JsonBody, Namespace};
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// Which of the keys are there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Found {
    /// For each of the keys, in their order.
    found: Vec<bool>,
}

/// Asks which of many keys are there.
#[utoipa::path(
    post,
    path = "/api/v1/kv:batchContains",
    tag = "batches",
    operation_id = "batchContains",
    params(NamespaceQuery),
    request_body = Keys,
    responses((status = 200, description = "Which of them are.", body = Found)),
)]
pub(super) async fn batch_contains(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(Keys { keys }): JsonBody<Keys>,
) -> Answer<Json<Found>> {
    access.require(Role::Read, &namespace)?;
    check_keys(&context, &keys)?;
    let found = match context.existing(&namespace)? {
        None => vec![false; keys.len()],
        Some(store) => {
            context
                .with(&store, move |store| store.contains_many(&references(&keys)))
                .await?
        }
    };
    Ok(Json(Found { found }))
}

/// What a batch has deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeletedKeys {
    /// Number of keys that were there.
    deleted: u64,
}

/// Deletes many keys. Those that are absent are passed over.
#[utoipa::path(
    post,
    path = "/api/v1/kv:batchDelete",
    tag = "batches",
    operation_id = "batchDelete",
    params(NamespaceQuery),
    request_body = Keys,
    responses((status = 200, description = "They are deleted.", body = DeletedKeys)),
)]
pub(super) async fn batch_delete(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(Keys { keys }): JsonBody<Keys>,
) -> Answer<Json<DeletedKeys>> {
    access.require(Role::Write, &namespace)?;
    check_keys(&context, &keys)?;
    let deleted = match context.existing(&namespace)? {
        None => 0,
        Some(store) => {
            context
                .with(&store, move |store| store.delete_many(&references(&keys)))
                .await?
        }
    };
    Ok(Json(DeletedKeys { deleted }))
}
