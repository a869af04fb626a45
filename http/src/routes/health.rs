//! Health: a status for machines, figures for people.

use crate::auth::Access;
use crate::error::{Answer, Code, Problem};
use crate::extract::Parameters;
use crate::lifecycle::Check;
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use prestige_core::{Figure, Health, Store};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(health))
        .routes(routes!(health_ready))
}

/// Whether the process answers at all.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "health",
    params(("verbose" = Option<String>, Query, description = "Any value but `false`: list the checks.")),
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain"))
)]
async fn live(parameters: Parameters) -> &'static str {
    if is_verbose(&parameters) {
        "[+]process ok\nok\n"
    } else {
        "ok\n"
    }
}

/// Whether requests should be sent here: the store is open, its model has warmed up, and the server is not on its way
/// out.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    params(("verbose" = Option<String>, Query, description = "Any value but `false`: list the checks.")),
    responses((status = 200, description = "They should.", body = String, content_type = "text/plain"))
)]
async fn ready(State(context): State<Context>, parameters: Parameters) -> Answer<Response> {
    let checks = context.lifecycle.checks(&context.store);
    if is_verbose(&parameters) {
        return Ok(listed(&checks));
    }
    check_ready(&checks)?;
    Ok("ready\n".into_response())
}

/// Figures of the served namespace.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses((status = 200, description = "The figures.", body = HashMap<String, Value>))
)]
async fn health(State(context): State<Context>, access: Access) -> Answer<Json<Value>> {
    access.require_everywhere(Role::Read)?;
    let health = context.with_store(Store::health).await?;
    Ok(Json(document(&health)))
}

/// Figures of the served namespace, if the server is ready.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    responses((status = 200, description = "The figures.", body = HashMap<String, Value>))
)]
async fn health_ready(context: State<Context>, access: Access) -> Answer<Json<Value>> {
    check_ready(&context.lifecycle.checks(&context.store))?;
    health(context, access).await
}

fn is_verbose(parameters: &Parameters) -> bool {
    parameters
        .bytes("verbose")
        .is_some_and(|value| value != b"false" && value != b"0")
}

fn check_ready(checks: &[Check]) -> Answer<()> {
    for check in checks {
        if let Err(state) = check.state {
            let code = match check.name {
                "store" | "server" => Code::Closed,
                _ => Code::Busy,
            };
            return Err(Problem::new(
                code,
                format!("not ready: {} {state}", check.name),
            ));
        }
    }
    Ok(())
}

/// The checks as Kubernetes lists its own: a line each, `[+]name state` or `[-]name state`.
fn listed(checks: &[Check]) -> Response {
    let mut text = String::new();
    for check in checks {
        let (sign, state) = match check.state {
            Ok(state) => ('+', state),
            Err(state) => ('-', state),
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "[{sign}]{} {state}", check.name);
    }
    if checks.iter().all(|check| check.state.is_ok()) {
        text.push_str("ready\n");
        text.into_response()
    } else {
        text.push_str("not ready\n");
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

/// Figures of the whole store among those of a namespace: null for tokens of some namespaces, which would learn from them
/// what happens in others.
const OF_THE_STORE: [&str; 7] = [
    "bytes_on_disk",
    "embed_queue_texts",
    "embedding_cache_hits",
    "embedding_cache_misses",
    "semantic_cache_exact_hits",
    "semantic_cache_semantic_hits",
    "semantic_cache_misses",
];

/// Figures as a JSON object, as far as they are for the sender of the request.
pub(super) fn figures_for(
    access: &Access,
    figures: Vec<(&'static str, Figure)>,
) -> Map<String, Value> {
    let figures = figures.into_iter().map(|(name, value)| {
        let shown = access.spans_all() || !OF_THE_STORE.contains(&name);
        let value = if shown { figure(value) } else { Value::Null };
        (name.to_owned(), value)
    });
    figures.collect()
}

/// A figure as JSON.
pub(crate) fn figure(figure: Figure) -> Value {
    match figure {
        Figure::Integer(number) => json!(number),
        Figure::Float(number) => json!(number),
        Figure::Text(text) => json!(text),
        Figure::Boolean(truth) => json!(truth),
        Figure::Histogram(bins) => json!(bins.as_slice()),
        _ => Value::Null,
    }
}

fn document(health: &Health) -> Value {
    let mut document = Map::from_iter([
        ("status".to_owned(), json!("ok")),
        ("version".to_owned(), json!(env!("CARGO_PKG_VERSION"))),
    ]);
    let figures = health.figures().into_iter();
    document.extend(figures.map(|(name, value)| (name.to_owned(), figure(value))));
    Value::Object(document)
}
