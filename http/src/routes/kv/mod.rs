//! Keys: `/api/v1/kv/{key}`. The key is everything behind the third slash, percent-decoded, so any bytes are one.

mod count;
mod get;
mod list;
mod patch;
mod put;
mod remove;

pub(super) use get::get;
pub(super) use put::{Deduplicated, PutOutcome};

use crate::error::{Answer, Problem};
use crate::extract::KEYS;
use crate::headers::{OBJECT_ID, etag_of};
use crate::state::Context;
use axum::Json;
use axum::http::header::ETAG;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use prestige_core::Dedup;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The route of a key that is not empty.
pub(super) const KEY: &str = "/api/v1/kv/{*key}";

/// Whether a path is surely of [`KEY`]. Those that begin with an underscore, as the counts do, are left to the router.
pub(super) fn is_key(path: &str) -> bool {
    path.strip_prefix(KEYS)
        .is_some_and(|key| !key.is_empty() && !key.starts_with('_'))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter that `Key` reads")]
struct KeyPath {
    /// The key, percent-encoded. Any bytes are a key; slashes need not be encoded.
    key: String,
}

pub(super) fn routes() -> OpenApiRouter<Context> {
    // The path of the empty key; that of the others is the one in the document.
    let empty: MethodRouter<Context> = axum::routing::get(get::get)
        .head(get::head)
        .put(put::put)
        .patch(patch::patch)
        .delete(remove::delete);
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(count::count))
        .routes(routes!(count::approximate))
        .routes(routes!(count::unique))
        .routes(routes!(
            get::get,
            get::head,
            put::put,
            patch::patch,
            remove::delete
        ))
        .route(KEYS, empty)
}

/// What is answered to a put.
fn describe_put(outcome: &prestige_core::PutOutcome) -> Response {
    let status = match outcome.created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let headers = [
        (ETAG, etag_of(&outcome.digest)),
        (OBJECT_ID.clone(), HeaderValue::from(outcome.object_id)),
    ];
    (status, headers, Json(PutOutcome::from(outcome))).into_response()
}

impl From<&prestige_core::PutOutcome> for PutOutcome {
    fn from(outcome: &prestige_core::PutOutcome) -> Self {
        let (dedup, similarity) = match outcome.dedup {
            Dedup::Similar(similarity) => (Deduplicated::Similar, Some(similarity)),
            Dedup::New => (Deduplicated::New, None),
            _ => (Deduplicated::Identical, None),
        };
        Self {
            digest: outcome.digest.to_hex(),
            object_id: outcome.object_id,
            dedup,
            similarity,
        }
    }
}

/// `not_found` of a key.
fn not_found(key: &[u8]) -> Problem {
    Problem::from(prestige_core::Error::not_found(key))
}

/// Refuses conditions where they would be passed over.
fn refuse(preconditions: &crate::headers::Preconditions) -> Answer<()> {
    if preconditions.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid(
        "If-Match and If-None-Match are conditions of PUT, GET, HEAD and DELETE, not of this request",
    ))
}

#[cfg(test)]
mod tests {
    use super::is_key;

    #[test]
    fn the_short_way_is_for_keys_alone() {
        for path in [
            "/api/v1/kv/a",
            "/api/v1/kv/a/b",
            "/api/v1/kv//",
            "/api/v1/kv/%5Fcount",
        ] {
            assert!(is_key(path), "{path}");
        }
        for path in [
            "/api/v1/kv",
            "/api/v1/kv/",
            "/api/v1/kv/_count",
            "/api/v1/kv/_count/approx",
            "/api/v1/kv:batchGet",
            "/api/v1/cache/lookup",
        ] {
            assert!(!is_key(path), "{path}");
        }
    }
}
