//! Many keys at once: `POST /api/v1/kv:batch…`.

mod get;
mod keys;
mod put;

use crate::bytes::Bytes;
use crate::error::{Answer, Code, Problem};
use crate::state::Context;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(get::batch_get))
        .routes(routes!(keys::batch_contains))
        .routes(routes!(keys::batch_delete))
        .routes(routes!(put::batch_put))
}

/// Keys of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<Bytes>,
}

/// Refuses a batch of too many items.
fn check_items(context: &Context, items: usize) -> Answer<()> {
    let limit = context.config.limits.batch_items;
    if items <= limit {
        return Ok(());
    }
    let detail = format!("a batch has at most {limit} items on this server, this one has {items}");
    Err(Problem::new(Code::TooLarge, detail).with("limit", limit))
}

/// Refuses what is no key.
fn check_key(context: &Context, key: &[u8]) -> Answer<()> {
    let limit = context.config.limits.key_bytes;
    if key.len() <= limit {
        return Ok(());
    }
    let detail = format!(
        "a key has at most {limit} bytes, this one has {}",
        key.len()
    );
    Err(Problem::new(Code::TooLarge, detail).with("limit", limit))
}

fn check_keys(context: &Context, keys: &[Bytes]) -> Answer<()> {
    check_items(context, keys.len())?;
    keys.iter().try_for_each(|key| check_key(context, &key.0))
}

fn references(keys: &[Bytes]) -> Vec<&[u8]> {
    keys.iter().map(AsRef::as_ref).collect()
}
