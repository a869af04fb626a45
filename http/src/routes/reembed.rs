//! `POST /api/v1/admin/reembed`: another model for the store.

use super::admin::{Pending, answer};
use crate::auth::Access;
use crate::embeddings::LocalModel;
use crate::error::{Answer, Problem};
use crate::extract::JsonBody;
use crate::jobs::Progress;
use crate::state::Context;
use crate::tokens::Role;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(reembed))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReembedRequest {
    /// The new model, by one of the names that the server allows. Case matters not.
    model: String,
}

/// What was embedded.
#[derive(Serialize, ToSchema)]
struct Reembedded {
    /// Texts embedded anew; 0: it is the model of the store already.
    embedded: u64,
}

/// Embed every text of the store by another model, and make it the model of the store.
///
/// Requests are answered by the old model meanwhile. Afterwards the server is started with the new one.
#[utoipa::path(
    post,
    path = "/api/v1/admin/reembed",
    tag = "admin",
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds, at most 60, for the result.")),
    request_body = ReembedRequest,
    responses((status = 200, description = "The texts that were embedded.", body = Reembedded), Pending)
)]
async fn reembed(
    State(context): State<Context>,
    access: Access,
    headers: HeaderMap,
    JsonBody(request): JsonBody<ReembedRequest>,
) -> Answer<Response> {
    access.require_everywhere(Role::Admin)?;
    let model = allowed(&context.config.reembed_models, &request.model)?;
    // At once, and before the model is loaded, which may take long.
    context.store.check_reembed()?;
    let (provider, store) = (Arc::clone(&model.provider), Arc::clone(&context.store));
    let work = move |progress: &Progress| {
        let mut set = |done, total| {
            progress.set(done, total);
            Ok(())
        };
        let embedded = store.reembed_by(|| provider(), &mut set)?;
        Ok(json!(Reembedded { embedded }))
    };
    let job = context.jobs.start(&context, "reembed", None, work)?;
    answer(&context, &job, &headers, Duration::ZERO).await
}

/// The model of this name, if the operator allows it: what is loaded is never a path that a client chooses.
fn allowed<'a>(models: &'a [LocalModel], name: &str) -> Answer<&'a LocalModel> {
    let found = models.iter().find(|model| {
        let mut names = model.names.iter();
        names.any(|own| own.eq_ignore_ascii_case(name))
    });
    found.ok_or_else(|| {
        // The last name of a folder is not its path.
        let names = models.iter().filter_map(|model| model.names.last());
        let names: Vec<&str> = names.map(String::as_str).collect();
        let names = match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        };
        Problem::invalid(format!(
            "no texts are embedded anew by {name:?}: the models that this server allows are {names}; the operator adds \
             folders with --reembed-model"
        ))
    })
}
