//! What every request goes through, in this order: is it for us, is there room, who sends it, is it answered in time.
//! One step, since each middleware costs an allocation or two.

use crate::auth::{authenticate, is_open};
use crate::deadline::answer_in_time;
use crate::embeddings::{OPENAI, in_openai_shape};
use crate::error::Problem;
use crate::guard::check_sender;
use crate::hold::working_until_sent;
use crate::requests::{Observed, UNMATCHED};
use crate::state::Context;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

/// Answers a request as the routes do, or refuses it.
pub(crate) async fn pass(State(context): State<Context>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    answer(&context, route, request, |request| next.run(request)).await
}

/// Answers a request of `route` by `handle`, or refuses it; counts and logs it in any case.
pub(crate) async fn answer<F: Future<Output = Response>>(
    context: &Context,
    route: &str,
    request: Request,
    handle: impl FnOnce(Request) -> F,
) -> Response {
    let observed = Observed::begin(context, route, &request);
    let openai = request.uri().path().starts_with(OPENAI);
    let admitted = admit(context, request, handle).instrument(observed.span());
    let mut response = admitted.await.unwrap_or_else(Problem::into_response);
    if openai {
        response = in_openai_shape(response).await;
    }
    protect(response.headers_mut());
    observed.end(&response);
    response
}

async fn admit<F: Future<Output = Response>>(
    context: &Context,
    mut request: Request,
    handle: impl FnOnce(Request) -> F,
) -> Result<Response, Problem> {
    check_sender(&context.config, &request)?;
    let probe = is_open(request.method(), request.uri().path());
    // Probes are answered when nothing else is: an orchestrator must not restart a server because it is busy.
    let place = match probe {
        true => None,
        false => Some(context.places.take()?),
    };
    authenticate(context, &mut request)?;
    let answered = answer_in_time(request, handle, context.config.timeouts.request);
    Ok(match place {
        Some(place) => {
            let response = place.clone().scope(answered).await;
            working_until_sent(response, place)
        }
        None => answered.await,
    })
}

/// Headers of every answer. Values that applications store may be anything: no browser is to take one for a page.
fn protect(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}
