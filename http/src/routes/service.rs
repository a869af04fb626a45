//! The routes as one service, with a short way to the one that is asked most.
//!
//! A router costs each request the search for its route and a boxed clone of every layer, together about as much as
//! reading a value from the cache. So a `GET` of a key goes to its handler at once: through the same gate, with the same
//! label.

use super::{kv, panicked, router};
use crate::gate;
use crate::state::Context;
use axum::Router;
use axum::extract::Request;
use axum::handler::Handler as _;
use axum::http::Method;
use axum::response::Response;
use futures_util::FutureExt as _;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use tower::Service as _;

/// Answers the requests of a connection. A clone is another reference to the same.
#[derive(Clone)]
pub(crate) struct Service {
    router: Router,
    context: Context,
}

impl Service {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            router: router(context.clone()),
            context,
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(mut self, request: Request) -> Result<Response, Infallible> {
        if request.method() != Method::GET || !kv::is_key(request.uri().path()) {
            return self.router.call(request).await;
        }
        let context = &self.context;
        let read = |request| async {
            let answered = AssertUnwindSafe(kv::get.call(request, context.clone()));
            answered.catch_unwind().await.unwrap_or_else(|_| panicked())
        };
        Ok(gate::answer(context, kv::KEY, request, read).await)
    }
}
