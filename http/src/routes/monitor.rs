//! `GET /api/v1/monitor`: what the page shows, in one answer.

use super::health::figures_for;
use crate::auth::Access;
use crate::error::Answer;
use crate::extract::Query;
use crate::history::{Part, Sample};
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use prestige_core::{DedupMode, Similarities};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(monitor))
}

/// Which figures.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this namespace alone; of all that the token reaches if it is left out.
    namespace: Option<String>,
    /// Only samples after this moment, in seconds since the Unix epoch.
    since: Option<f64>,
}

/// What the monitoring page shows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Monitor {
    version: &'static str,
    /// Since the server was started.
    uptime_seconds: f64,
    /// Whether the store was opened read-only.
    read_only: bool,
    /// `exact` or `semantic`.
    dedup_mode: &'static str,
    /// Least similarity at which texts merge; null in exact mode.
    threshold: Option<f64>,
    /// As of `GET /api/v1/health`, added up; what is of the whole store is null for tokens of some namespaces.
    #[schema(value_type = Object)]
    health: Map<String, Value>,
    /// As of `GET /api/v1/stats`, added up; what is of the whole store is null for tokens of some namespaces.
    #[schema(value_type = Object)]
    stats: Map<String, Value>,
    /// Those that the token reaches.
    namespaces: Vec<MonitoredNamespace>,
    /// Of the last hour, every 5 s, the oldest first.
    history: Vec<Sample>,
    similarities: MonitoredSimilarities,
    /// Role of the token: `read`, `write` or `admin`.
    role: &'static str,
    /// Whether the token reaches some namespaces only.
    restricted: bool,
}

/// A namespace and what it holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonitoredNamespace {
    /// Empty for the store's own.
    name: String,
    keys: u64,
    unique_values: u64,
    /// Bytes of keys and distinct values, before compression.
    bytes: u64,
}

/// How similar the nearest texts were at the latest decisions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonitoredSimilarities {
    #[serde(flatten)]
    all: Bins,
    /// Of puts alone.
    puts: Bins,
    /// Of look-ups in semantic caches alone.
    lookups: Bins,
}

/// Counts by similarity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Bins {
    /// 40 of equal width from 0 to 1.
    bins: Vec<u32>,
    /// Their sum.
    decisions: u64,
}

impl Bins {
    fn of(similarities: &Similarities) -> Self {
        Self {
            bins: similarities.bins.to_vec(),
            decisions: similarities.decisions(),
        }
    }
}

/// Everything that the monitoring page shows.
#[utoipa::path(
    get,
    path = "/api/v1/monitor",
    tag = "health",
    params(Wanted),
    responses((status = 200, description = "Figures, the last hour and the namespaces.", body = Monitor))
)]
async fn monitor(
    State(context): State<Context>,
    access: Access,
    Query(wanted): Query<Wanted>,
) -> Answer<Json<Monitor>> {
    match &wanted.namespace {
        Some(namespace) => access.require(Role::Read, namespace)?,
        None => access.require_role(Role::Read)?,
    }
    let part = Part {
        reach: access.reach().clone(),
        namespace: wanted.namespace,
    };
    let history = context.history.of(&part, wanted.since.unwrap_or(0.0));
    let overview = context
        .with_store(move |store| store.overview(&|name| part.includes(name)))
        .await?;
    let (puts, lookups) = (
        overview.stats.put_similarities,
        overview.stats.lookup_similarities,
    );
    let mut all = puts;
    all.add(&lookups);
    let namespaces = overview
        .namespaces
        .into_iter()
        .map(|own| MonitoredNamespace {
            name: own.name,
            keys: own.keys,
            unique_values: own.unique_values,
            bytes: own.bytes,
        });
    Ok(Json(Monitor {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: context.started.elapsed().as_secs_f64(),
        read_only: context.store.is_read_only(),
        dedup_mode: match overview.health.dedup_mode {
            DedupMode::Exact => "exact",
            DedupMode::Semantic => "semantic",
        },
        threshold: overview.threshold,
        health: figures_for(&access, overview.health.figures()),
        stats: figures_for(&access, overview.stats.figures()),
        namespaces: namespaces.collect(),
        history,
        similarities: MonitoredSimilarities {
            all: Bins::of(&all),
            puts: Bins::of(&puts),
            lookups: Bins::of(&lookups),
        },
        role: access.role().name(),
        restricted: !access.spans_all(),
    }))
}
