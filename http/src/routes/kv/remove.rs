//! Deleting a key.

use super::{KeyPath, not_found};
use crate::auth::Access;
use crate::error::{Answer, PROBLEM_JSON, ProblemDocument};
use crate::extract::{Key, Namespace};
use crate::headers::Preconditions;
use crate::idempotency::Asked;
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::tokens::Role;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use prestige_core::Error;

/// Deletes a key.
#[utoipa::path(
    delete,
    path = "/api/v1/kv/{*key}",
    tag = "keys",
    operation_id = "delete",
    params(
        KeyPath,
        NamespaceQuery,
        ("If-Match" = Option<String>, Header, description = "Only if its value has one of these entity tags."),
        ("If-None-Match" = Option<String>, Header, description = "Only if its value has none of these entity tags."),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 128 visible ASCII characters; the same request with it is answered once in ten minutes."),
    ),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 404, description = "The key is absent or has expired.", body = ProblemDocument,
            content_type = PROBLEM_JSON),
        (status = 412, description = "The key is not as the request asks.", body = ProblemDocument,
            content_type = PROBLEM_JSON),
    ),
)]
pub(in crate::routes) async fn delete(
    State(context): State<Context>,
    access: Access,
    Key(key): Key,
    namespace: Namespace,
    uri: Uri,
    headers: HeaderMap,
) -> Answer<Response> {
    access.require(Role::Write, &namespace)?;
    let preconditions = Preconditions::of(&headers)?;
    let asked = Asked {
        method: &Method::DELETE,
        uri: &uri,
        headers: &headers,
        body: b"",
    };
    let work = {
        let context = context.clone();
        async move {
            let Some(store) = context.existing(&namespace)? else {
                return Err(match preconditions.if_match {
                    Some(_) => Error::ConditionFailed(None).into(),
                    None => not_found(&key),
                });
            };
            context
                .with(&store, move |store| {
                    store.delete_if(&key, &preconditions.conditions())
                })
                .await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
    };
    context.answers.once(&asked, work).await
}
