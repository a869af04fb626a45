//! Maintenance: `POST /api/v1/admin/…`. All of it runs as jobs; short work is waited for.

use crate::auth::Access;
use crate::error::{Answer, Code, Problem};
use crate::extract::{JsonBody, Namespace, OptionalJsonBody, natural};
use crate::jobs::{Job, JobDocument, Progress};
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use prestige_core::{Error, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long short work is waited for unless the request says otherwise.
pub(super) const SHORT_WAIT: Duration = Duration::from_secs(30);
/// The longest wait that a request can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Longest name of a backup, in bytes.
const MAX_BACKUP_NAME: usize = 200;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(flush))
        .routes(routes!(sweep))
        .routes(routes!(prune))
        .routes(routes!(evict))
        .routes(routes!(compact))
        .routes(routes!(verify))
        .routes(routes!(rebuild_index))
        .routes(routes!(backup))
}

/// What was removed.
#[derive(Serialize, ToSchema)]
struct Deleted {
    /// Objects (sweep) or keys (prune, evict).
    deleted: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PruneRequest {
    /// Remove keys put longer ago than this, in seconds; 0: no such bound.
    #[serde(default, deserialize_with = "natural")]
    max_age_s: u64,
    /// Remove keys neither put nor read for so long, in seconds; 0: no such bound.
    #[serde(default, deserialize_with = "natural")]
    max_idle_s: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EvictRequest {
    /// Evict until keys and values take at most so many bytes.
    #[serde(deserialize_with = "natural")]
    target_bytes: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    /// Name of the directory to make: 1 to 200 ASCII letters, digits, `.`, `_` and `-`, a letter or digit first.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
    )]
    name: String,
}

/// What every job can answer instead of its result.
#[derive(IntoResponses)]
pub(super) enum Pending {
    /// The work goes on in the background: `Location` names the job.
    #[response(status = 202)]
    #[expect(dead_code, reason = "describes an answer")]
    Accepted(#[to_schema] JobDocument),
}

/// Make everything put so far durable.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flush",
    tag = "admin",
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result.")),
    responses((status = 200, description = "It is.", body = HashMap<String, Value>), Pending)
)]
async fn flush(
    State(context): State<Context>,
    access: Access,
    headers: HeaderMap,
) -> Answer<Response> {
    access.require_everywhere(Role::Admin)?;
    let work = |store: &Store| store.flush().map(|()| json!({}));
    of_the_store(&context, &headers, "flush", SHORT_WAIT, work).await
}

/// Remove expired keys and unreferenced objects.
#[utoipa::path(
    post,
    path = "/api/v1/admin/sweep",
    tag = "admin",
    params(
        ("namespace" = Option<String>, Query, description = "The namespace; left out: the default one."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result."),
    ),
    responses((status = 200, description = "The objects that were removed.", body = Deleted), Pending)
)]
async fn sweep(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    headers: HeaderMap,
) -> Answer<Response> {
    remove(
        &context,
        &access,
        namespace,
        &headers,
        "sweep",
        Store::sweep,
    )
    .await
}

/// Remove expired keys, and those that are old or idle.
#[utoipa::path(
    post,
    path = "/api/v1/admin/prune",
    tag = "admin",
    params(
        ("namespace" = Option<String>, Query, description = "The namespace; left out: the default one."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result."),
    ),
    request_body = Option<PruneRequest>,
    responses((status = 200, description = "The keys that were removed.", body = Deleted), Pending)
)]
async fn prune(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    headers: HeaderMap,
    OptionalJsonBody(request): OptionalJsonBody<PruneRequest>,
) -> Answer<Response> {
    let work = move |store: &Store| store.prune(request.max_age_s, request.max_idle_s);
    remove(&context, &access, namespace, &headers, "prune", work).await
}

/// Evict least recently used keys.
#[utoipa::path(
    post,
    path = "/api/v1/admin/evict",
    tag = "admin",
    params(
        ("namespace" = Option<String>, Query, description = "The namespace; left out: the default one."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result."),
    ),
    request_body = EvictRequest,
    responses((status = 200, description = "The keys that were evicted.", body = Deleted), Pending)
)]
async fn evict(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    headers: HeaderMap,
    JsonBody(request): JsonBody<EvictRequest>,
) -> Answer<Response> {
    let work = move |store: &Store| store.evict_lru(request.target_bytes);
    remove(&context, &access, namespace, &headers, "evict", work).await
}

/// Rewrite the files of the store so that removed data takes no space.
#[utoipa::path(
    post,
    path = "/api/v1/admin/compact",
    tag = "admin",
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result.")),
    responses((status = 200, description = "They are.", body = HashMap<String, Value>), Pending)
)]
async fn compact(
    State(context): State<Context>,
    access: Access,
    headers: HeaderMap,
) -> Answer<Response> {
    access.require_everywhere(Role::Admin)?;
    let work = |store: &Store| store.compact().map(|()| json!({}));
    of_the_store(&context, &headers, "compact", Duration::ZERO, work).await
}

/// What `verify` has found.
#[derive(Serialize, ToSchema)]
struct Violations {
    /// A sentence for each invariant that does not hold; empty when all is well.
    violations: Vec<String>,
}

/// Check every invariant against a full scan.
#[utoipa::path(
    post,
    path = "/api/v1/admin/verify",
    tag = "admin",
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result.")),
    responses((status = 200, description = "What was found.", body = Violations), Pending)
)]
async fn verify(
    State(context): State<Context>,
    access: Access,
    headers: HeaderMap,
) -> Answer<Response> {
    access.require_everywhere(Role::Admin)?;
    let work = |store: &Store| {
        let found = store.verify()?;
        let violations = found.iter().map(ToString::to_string).collect();
        Ok(json!(Violations { violations }))
    };
    of_the_store(&context, &headers, "verify", Duration::ZERO, work).await
}

/// What an index was built of.
#[derive(Serialize, ToSchema)]
struct Rebuilt {
    /// Vectors in the new index.
    vectors: u64,
}

/// Build the vector index of a namespace anew from its vectors.
#[utoipa::path(
    post,
    path = "/api/v1/admin/rebuild_index",
    tag = "admin",
    params(
        ("namespace" = Option<String>, Query, description = "The namespace; left out: the default one."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result."),
    ),
    responses((status = 200, description = "The vectors in the new index; 0 in exact mode.", body = Rebuilt), Pending)
)]
async fn rebuild_index(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    headers: HeaderMap,
) -> Answer<Response> {
    access.require(Role::Admin, &namespace)?;
    // One that does not exist has no index.
    let store = context.existing(&namespace)?;
    let work = move |progress: &Progress| {
        let mut set = |done, total| {
            progress.set(done, total);
            Ok(())
        };
        let vectors = store.map_or(Ok(0), |store| store.rebuild_index(&mut set))?;
        Ok(json!(Rebuilt { vectors }))
    };
    let operation = "rebuild_index";
    let job = context
        .jobs
        .start(&context, operation, Some(namespace.0), work)?;
    answer(&context, &job, &headers, Duration::ZERO).await
}

/// What a backup was made of.
#[derive(Serialize, ToSchema)]
struct Backup {
    /// The directory in the server's backup directory.
    name: String,
}

/// Make a copy of the store in the backup directory of the server.
#[utoipa::path(
    post,
    path = "/api/v1/admin/backup",
    tag = "admin",
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result.")),
    request_body = BackupRequest,
    responses((status = 200, description = "It is complete and durable.", body = Backup), Pending)
)]
async fn backup(
    State(context): State<Context>,
    access: Access,
    headers: HeaderMap,
    JsonBody(request): JsonBody<BackupRequest>,
) -> Answer<Response> {
    access.require_everywhere(Role::Admin)?;
    let path = backup_path(&context, &request.name)?;
    let work = move |store: &Store| {
        store.backup(&path)?;
        Ok(json!(Backup { name: request.name }))
    };
    of_the_store(&context, &headers, "backup", Duration::ZERO, work).await
}

/// Where a backup of this name is made.
fn backup_path(context: &Context, name: &str) -> Answer<PathBuf> {
    let Some(directory) = &context.config.backup_directory else {
        return Err(Problem::new(
            Code::Forbidden,
            "this server makes no backups: it was started without a backup directory",
        ));
    };
    let harmless = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let begins = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !harmless || !begins || name.len() > MAX_BACKUP_NAME {
        return Err(Problem::invalid(format!(
            "the name of a backup is 1 to {MAX_BACKUP_NAME} ASCII letters, digits, `.`, `_` and `-`, and begins with a \
             letter or digit"
        )));
    }
    let path = directory.join(name);
    if path.symlink_metadata().is_ok() {
        let taken = Problem::invalid("there is a backup of this name; choose another one");
        return Err(taken.with_status(StatusCode::CONFLICT));
    }
    Ok(path)
}

/// Runs what is of the whole store. The caller has asked for the right to do so.
async fn of_the_store(
    context: &Context,
    headers: &HeaderMap,
    operation: &'static str,
    usual_wait: Duration,
    work: impl FnOnce(&Store) -> Result<Value, Error> + Send + 'static,
) -> Answer<Response> {
    let store = Arc::clone(&context.store);
    let work = move |_: &Progress| Ok(work(&store)?);
    let job = context.jobs.start(context, operation, None, work)?;
    answer(context, &job, headers, usual_wait).await
}

/// Runs what removes keys of one namespace.
async fn remove(
    context: &Context,
    access: &Access,
    namespace: Namespace,
    headers: &HeaderMap,
    operation: &'static str,
    work: impl FnOnce(&Store) -> Result<u64, Error> + Send + 'static,
) -> Answer<Response> {
    access.require(Role::Admin, &namespace)?;
    // Of one that does not exist there is nothing to remove.
    let store = context.existing(&namespace)?;
    let work = move |_: &Progress| {
        let deleted = store.map_or(Ok(0), |store| work(&store))?;
        Ok(json!(Deleted { deleted }))
    };
    let job = context
        .jobs
        .start(context, operation, Some(namespace.0), work)?;
    answer(context, &job, headers, SHORT_WAIT).await
}

/// The result of a job if it comes in time, else 202 and where to ask for it.
pub(super) async fn answer(
    context: &Context,
    job: &Job,
    headers: &HeaderMap,
    usual_wait: Duration,
) -> Answer<Response> {
    // Within the time-out of requests, so that a slow job is answered and not cut off.
    let longest = LONGEST_WAIT.min(context.config.timeouts.request.mul_f64(0.9));
    let wait = preferred_wait(headers).unwrap_or(usual_wait).min(longest);
    if let Some(result) = job.wait(wait).await {
        let result: Value = result?;
        return Ok(Json(result).into_response());
    }
    let location = format!("/api/v1/jobs/{}", job.id());
    let document = Json(job.document());
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], document).into_response())
}

/// The seconds of `Prefer: wait=N` (RFC 7240). What cannot be read is no preference.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| preference.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok())
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_preference_is_read() {
        for (value, seconds) in [
            ("wait=5", Some(5)),
            ("respond-async, wait=10", Some(10)),
            ("Wait = \"7\"; x=y", Some(7)),
            ("wait=-1", None),
            ("wait=many", None),
            ("return=minimal", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", value.parse().unwrap());
            let found = preferred_wait(&headers);
            assert_eq!(found, seconds.map(Duration::from_secs), "{value}");
        }
    }
}
