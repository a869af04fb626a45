//! Changing when a key expires.

use super::{KeyPath, not_found, refuse};
use crate::auth::Access;
use crate::error::{Answer, PROBLEM_JSON, Problem, ProblemDocument};
use crate::extract::{JsonBody, Key, Namespace};
use crate::headers::Preconditions;
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::tokens::Role;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use prestige_core::Store;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// When a key expires; one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Expiry, min_properties = 1, max_properties = 1)]
pub(in crate::routes) struct Patch {
    /// So many seconds from now; 0: never; null: the default of the store. Counts as a use of the key.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    ttl_seconds: Option<Option<u64>>,
    /// Seconds since the Unix epoch; a moment that is not in the future removes the key at once.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = f64)]
    expires_at: Option<f64>,
}

/// Tells null from what is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(deserializer).map(Some)
}

/// Changes when a key expires. Value and put time stay.
#[utoipa::path(
    patch,
    path = "/api/v1/kv/{*key}",
    tag = "keys",
    operation_id = "expire",
    params(
        KeyPath,
        NamespaceQuery,
    ),
    request_body = Patch,
    responses(
        (status = 204, description = "Done."),
        (status = 404, description = "The key is absent or has expired.", body = ProblemDocument,
            content_type = PROBLEM_JSON),
    ),
)]
pub(in crate::routes) async fn patch(
    State(context): State<Context>,
    access: Access,
    Key(key): Key,
    namespace: Namespace,
    headers: HeaderMap,
    JsonBody(body): JsonBody<Patch>,
) -> Answer<StatusCode> {
    access.require(Role::Write, &namespace)?;
    refuse(&Preconditions::of(&headers)?)?;
    let change = Change::of(&body)?;
    let Some(store) = context.existing(&namespace)? else {
        return Err(not_found(&key));
    };
    context
        .with(&store, move |store| change.apply(store, &key))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

enum Change {
    Touch(Option<u64>),
    ExpireAt(u64),
}

impl Change {
    fn of(body: &Patch) -> Answer<Self> {
        match (body.ttl_seconds, body.expires_at) {
            (Some(seconds), None) => Ok(Self::Touch(seconds)),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the conversion saturates: what is before the epoch is past, what is far is far"
            )]
            (None, Some(seconds)) => Ok(Self::ExpireAt((seconds * 1e6) as u64)),
            _ => Err(Problem::invalid(
                "the body must have one of ttl_seconds and expires_at",
            )),
        }
    }

    fn apply(&self, store: &Store, key: &[u8]) -> prestige_core::Result<()> {
        match self {
            Self::Touch(seconds) => store.touch(key, *seconds),
            Self::ExpireAt(moment_us) => store.expire_at(key, *moment_us),
        }
    }
}
