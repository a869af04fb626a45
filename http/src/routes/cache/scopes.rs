//! Scopes: which there are, and how entries are removed from them.

use crate::auth::Access;
use crate::error::{Answer, Code, Problem};
use crate::extract::{JsonBody, Namespace};
use crate::routes::namespaces::named;
use crate::routes::parameters::NamespaceQuery;
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use prestige_core::{EntryMetadata, Scope, Scopes, SemanticCache, SemanticStats};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Which entries are to be removed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CacheInvalidate)]
pub(super) struct InvalidateBody {
    /// Only those of this scope: any JSON, null among it. Left out: of all scopes of the namespace.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Value)]
    scope: Option<Value>,
    /// Only those that have all these pairs.
    metadata: Option<EntryMetadata>,
    /// Only those that were put longer ago, in seconds.
    #[schema(minimum = 0)]
    older_than: Option<f64>,
}

/// Tells null from what is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Removed)]
pub(super) struct Removed {
    /// Number of entries.
    removed: u64,
}

/// Removes entries: all that fit everything that is said. Without anything whole scopes are removed.
#[utoipa::path(
    post,
    path = "/api/v1/cache/invalidate",
    tag = "cache",
    operation_id = "cacheInvalidate",
    params(NamespaceQuery),
    request_body = InvalidateBody,
    responses((status = 200, description = "They are removed.", body = Removed)),
)]
pub(super) async fn invalidate(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<InvalidateBody>,
) -> Answer<Json<Removed>> {
    access.require(Role::Write, &namespace)?;
    if body.older_than.is_some_and(|seconds| seconds < 0.0) {
        return Err(Problem::invalid("older_than must be from 0 on"));
    }
    let scope = body.scope.map(|scope| Scope::within(&namespace, &scope));
    let (scope, metadata) = (scope.transpose()?, body.metadata.unwrap_or_default());
    remove(context, namespace.0, scope, metadata, body.older_than).await
}

/// Removes all entries of the namespace.
#[utoipa::path(
    post,
    path = "/api/v1/cache/clear",
    tag = "cache",
    operation_id = "cacheClear",
    params(NamespaceQuery),
    responses((status = 200, description = "They are removed.", body = Removed)),
)]
pub(super) async fn clear(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
) -> Answer<Json<Removed>> {
    access.require(Role::Write, &namespace)?;
    remove(context, namespace.0, None, EntryMetadata::new(), None).await
}

async fn remove(
    context: Context,
    namespace: String,
    scope: Option<Scope>,
    metadata: EntryMetadata,
    older_than: Option<f64>,
) -> Answer<Json<Removed>> {
    // Also where there is nothing to remove.
    if context.store.is_read_only() {
        return Err(Problem::new(Code::ReadOnly, "the store is open read-only"));
    }
    let removed = context
        .clone()
        .blocking(move || {
            let cache = context.caches.any_semantic(&context.store, &namespace)?;
            let scopes = match scope {
                Some(scope) => vec![scope],
                None => {
                    let own = scopes_of(&cache, &namespace)?.into_iter();
                    own.map(|(scope, _, _)| scope).collect()
                }
            };
            let mut removed = 0;
            for scope in &scopes {
                removed += cache.invalidate(Scopes::One(scope), &metadata, older_than)?;
            }
            Ok::<_, Problem>(removed)
        })
        .await?;
    Ok(Json(Removed { removed }))
}

/// The scopes of a namespace, as requests name them, and the number of their entries.
fn scopes_of(cache: &SemanticCache, namespace: &str) -> Answer<Vec<(Scope, Value, u64)>> {
    let all = cache.scopes()?.into_iter();
    Ok(all
        .filter_map(|(scope, entries)| {
            let shown = scope.given_within(namespace)?;
            Some((scope, shown, entries))
        })
        .collect())
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CacheScopes)]
pub(super) struct ScopeList {
    scopes: Vec<ScopeDocument>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CacheScope)]
struct ScopeDocument {
    /// As it was given.
    scope: Value,
    /// Number of its entries, without those that have expired.
    entries: u64,
}

/// Lists the scopes that have entries.
#[utoipa::path(
    get,
    path = "/api/v1/cache/scopes",
    tag = "cache",
    operation_id = "cacheScopes",
    params(NamespaceQuery),
    responses((status = 200, description = "The scopes.", body = ScopeList)),
)]
pub(super) async fn list_scopes(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
) -> Answer<Json<ScopeList>> {
    access.require(Role::Read, &namespace)?;
    let scopes = context
        .clone()
        .blocking(move || {
            let cache = context.caches.any_semantic(&context.store, &namespace)?;
            scopes_of(&cache, &namespace)
        })
        .await?;
    let scopes = scopes.into_iter();
    Ok(Json(ScopeList {
        scopes: scopes
            .map(|(_, scope, entries)| ScopeDocument { scope, entries })
            .collect(),
    }))
}

/// What has happened in the cache of the namespace since the server was started.
#[utoipa::path(
    get,
    path = "/api/v1/cache/stats",
    tag = "cache",
    operation_id = "cacheStats",
    params(NamespaceQuery),
    responses((status = 200, description = "Counts and times by name.", body = HashMap<String, Value>)),
)]
pub(super) async fn cache_stats(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
) -> Answer<Json<Value>> {
    access.require(Role::Read, &namespace)?;
    let mut sum = SemanticStats::default();
    for cache in context.caches.semantic_of(&namespace) {
        let stats = cache.stats();
        sum.exact_hits += stats.exact_hits;
        sum.semantic_hits += stats.semantic_hits;
        sum.misses += stats.misses;
        sum.puts += stats.puts;
        sum.computed += stats.computed;
        sum.shared += stats.shared;
        sum.not_stored += stats.not_stored;
        sum.seconds_computing += stats.seconds_computing;
        sum.seconds_saved += stats.seconds_saved;
        sum.money_saved += stats.money_saved;
    }
    Ok(Json(named(sum.figures())))
}
