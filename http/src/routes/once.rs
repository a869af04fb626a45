//! What writes many things at once, or changes a key, is answered once for an `Idempotency-Key`, too: for routes whose
//! handlers do not see to it themselves.

use crate::error::Answer;
use crate::extract::{KEYS, read_body};
use crate::idempotency::{Asked, IDEMPOTENCY_KEY};
use crate::state::Context;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

/// Paths of these routes. Those that only read are not among them: their answers are large and soon out of date.
const POSTED: [&str; 8] = [
    "/api/v1/kv:batchPut",
    "/api/v1/kv:batchDelete",
    "/api/v1/cache/put",
    "/api/v1/cache/invalidate",
    "/api/v1/cache/clear",
    "/api/v1/embeddings:put",
    "/api/v1/embeddings:delete",
    "/api/v1/embeddings:clear",
];

/// Answers a request that may come twice.
pub(super) async fn answer_once(
    State(context): State<Context>,
    request: Request,
    next: Next,
) -> Answer<Response> {
    if !request.headers().contains_key(&IDEMPOTENCY_KEY) || !is_one_of_these(&request) {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    // The same request is one with the same body, so all of it is read.
    let body = read_body(body, context.config.limits.body_bytes).await?;
    let asked = Asked {
        method: &parts.method,
        uri: &parts.uri,
        headers: &parts.headers,
        body: &body,
    };
    let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
    let work = async move { Ok(next.run(request).await) };
    context.answers.once(&asked, work).await
}

fn is_one_of_these(request: &Request) -> bool {
    let path = request.uri().path();
    match *request.method() {
        Method::POST => POSTED.contains(&path),
        Method::PATCH => path.starts_with(KEYS),
        _ => false,
    }
}
