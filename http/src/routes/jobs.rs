//! Background work: `GET /api/v1/jobs`.

use crate::auth::Access;
use crate::error::{Answer, Problem};
use crate::extract::Path;
use crate::jobs::{Job, JobDocument};
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(list_jobs))
        .routes(routes!(get_job))
}

#[derive(Serialize, ToSchema)]
struct JobList {
    /// The newest first.
    jobs: Vec<JobDocument>,
}

/// The last 100 jobs. A token for some namespaces sees theirs.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    tag = "admin",
    responses((status = 200, description = "The jobs.", body = JobList))
)]
async fn list_jobs(State(context): State<Context>, access: Access) -> Answer<Json<JobList>> {
    access.require_role(Role::Admin)?;
    let jobs = context.jobs.all();
    let jobs = jobs.iter().filter(|job| is_visible(job, &access));
    Ok(Json(JobList {
        jobs: jobs.map(|job| job.document()).collect(),
    }))
}

/// One job.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}",
    tag = "admin",
    params(("id" = String, Path, description = "Its `id`.")),
    responses((status = 200, description = "The job.", body = JobDocument))
)]
async fn get_job(
    State(context): State<Context>,
    access: Access,
    Path(id): Path<String>,
) -> Answer<Json<JobDocument>> {
    access.require_role(Role::Admin)?;
    context
        .jobs
        .find(&id)
        .filter(|job| is_visible(job, &access))
        .map(|job| Json(job.document()))
        .ok_or_else(|| {
            Problem::not_found("no job of this id is known; the last 100 are remembered")
        })
}

fn is_visible(job: &Job, access: &Access) -> bool {
    match job.namespace() {
        Some(namespace) => access.reaches(namespace),
        None => access.require_everywhere(Role::Admin).is_ok(),
    }
}
