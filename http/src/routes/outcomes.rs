//! Outcomes of candidates, a family of tasks at a time: `/api/v1/families`.

use super::parameters::NamespaceQuery;
use crate::auth::Access;
use crate::error::{Answer, Problem};
use crate::extract::{Namespace, Query, RawBody, is_json, not_json, parse_object, percent_decode};
use crate::idempotency::Asked;
use crate::json::{json_answer, to_json};
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use prestige_core::{Digest, Error, FamilyReport, Outcome, RecordedOutcome};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the paths of families begin with.
const FAMILIES: &str = "/api/v1/families/";
/// Most outcomes of an answer, and how many where nothing is said.
const MAX_LIMIT: u64 = 10_000;
const DEFAULT_LIMIT: u64 = 1_000;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(list_families))
        .routes(routes!(list_outcomes, record_outcome))
        .routes(routes!(family_report))
}

/// The family that a path names, in front of `end`. A single segment: slashes in it are encoded.
fn family_of(uri: &Uri, end: &str) -> Answer<String> {
    let path = uri.path().strip_prefix(FAMILIES).unwrap_or_default();
    let encoded = path.strip_suffix(end).unwrap_or(path);
    String::from_utf8(percent_decode(encoded)?)
        .map_err(|_| Problem::invalid("the name of a family must be UTF-8"))
}

#[derive(Debug, Serialize, ToSchema)]
struct Families {
    /// Their names, sorted.
    families: Vec<String>,
}

/// Lists the families that have outcomes.
#[utoipa::path(
    get,
    path = "/api/v1/families",
    tag = "outcomes",
    operation_id = "listFamilies",
    params(NamespaceQuery),
    responses((status = 200, description = "Their names.", body = Families)),
)]
async fn list_families(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
) -> Answer<Json<Families>> {
    access.require(Role::Read, &namespace)?;
    let families = match context.existing(&namespace)? {
        Some(store) => context.with(&store, |store| store.list_families()).await?,
        None => Vec::new(),
    };
    Ok(Json(Families { families }))
}

/// What was decided about a candidate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Outcome)]
struct OutcomeBody {
    verdict: Verdict,
    /// The candidate that was judged, as `/api/v1/candidates` answers it. Gives what the next three leave out.
    candidate: Option<Judged>,
    /// Its place among the candidates, from 0.
    rank: Option<u32>,
    /// Its cosine similarity.
    #[schema(minimum = -1, maximum = 1)]
    similarity: Option<f64>,
    /// Its score by a reranker of the client.
    reranker_score: Option<f64>,
    /// Least similarity that was looked at.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
    /// Version of what decided, at most 4,096 bytes, as the next two.
    #[serde(default)]
    tool_version: String,
    /// Version of the rules in force.
    #[serde(default)]
    schema_version: String,
    /// Why.
    #[serde(default)]
    reason: String,
}

/// What is recorded of a candidate. Its other members are passed over.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = JudgedCandidate)]
struct Judged {
    object_id: Option<u64>,
    /// 64 hexadecimal digits.
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    digest: Option<String>,
    rank: Option<u32>,
    #[schema(minimum = -1, maximum = 1)]
    similarity: Option<f64>,
    reranker_score: Option<f64>,
}

/// A decision.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Verdict)]
enum Verdict {
    /// The candidate was used.
    Accepted,
    /// It was similar enough and failed another check.
    Rejected,
    /// Nothing was similar enough.
    NoCandidate,
}

impl OutcomeBody {
    fn outcome(self) -> Answer<Outcome> {
        let verdict = match self.verdict {
            Verdict::Accepted => prestige_core::Verdict::Accepted,
            Verdict::Rejected => prestige_core::Verdict::Rejected,
            Verdict::NoCandidate => prestige_core::Verdict::NoCandidate,
        };
        let candidate = self.candidate.unwrap_or_default();
        let digest = candidate.digest.map(|text| {
            Digest::from_hex(&text).ok_or_else(|| {
                Problem::invalid("the digest of a candidate is 64 hexadecimal digits")
            })
        });
        Ok(Outcome {
            object_id: candidate.object_id,
            digest: digest.transpose()?,
            rank: self.rank.or(candidate.rank),
            similarity: self.similarity.or(candidate.similarity),
            reranker_score: self.reranker_score.or(candidate.reranker_score),
            threshold: self.threshold,
            tool_version: self.tool_version,
            schema_version: self.schema_version,
            reason: self.reason,
            ..Outcome::new(verdict)
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Sequence {
    /// The place of the outcome among those of all families, from 1.
    sequence: u64,
}

/// Records what was decided about a candidate.
#[utoipa::path(
    post,
    path = "/api/v1/families/{family}/outcomes",
    tag = "outcomes",
    operation_id = "recordOutcome",
    params(
        ("family" = String, Path, description = "Name of the tasks, 1 to 255 bytes of UTF-8 without NUL, percent-encoded."),
        NamespaceQuery,
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 128 visible ASCII characters; the same request with it is answered once in ten minutes."),
    ),
    request_body = OutcomeBody,
    responses((status = 200, description = "It is recorded.", body = Sequence)),
)]
async fn record_outcome(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    uri: Uri,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Answer<Response> {
    access.require(Role::Write, &namespace)?;
    let family = family_of(&uri, "/outcomes")?;
    if !is_json(&headers) {
        return Err(not_json());
    }
    let outcome = parse_object::<OutcomeBody>(&body)?.outcome()?;
    let asked = Asked {
        method: &Method::POST,
        uri: &uri,
        headers: &headers,
        body: &body,
    };
    let work = {
        let context = context.clone();
        async move {
            let store = context.namespace(&namespace).await?;
            let sequence = context
                .with(&store, move |store| store.record_outcome(&family, &outcome))
                .await?;
            Ok(Json(Sequence { sequence }).into_response())
        }
    };
    context.answers.once(&asked, work).await
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OutcomesQuery {
    /// At most so many. Default 1,000.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u64>,
    /// Only those that come after this one.
    after_sequence: Option<u64>,
}

/// Outcomes in the order in which they were recorded.
#[derive(Debug, Serialize, ToSchema)]
struct Outcomes<'a> {
    outcomes: Vec<OutcomeDocument<'a>>,
}

/// An outcome as it was recorded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordedOutcome)]
struct OutcomeDocument<'a> {
    /// Its place among the outcomes of all families, from 1.
    sequence: u64,
    /// When it was recorded, in microseconds since the Unix epoch.
    recorded_at_us: u64,
    /// Name of the family.
    family_id: &'a str,
    /// `accepted`, `rejected` or `no_candidate`.
    verdict: &'static str,
    candidate_object_id: Option<u64>,
    candidate_digest: Option<String>,
    rank: Option<u32>,
    similarity: Option<f64>,
    reranker_score: Option<f64>,
    threshold: Option<f64>,
    tool_version: &'a str,
    schema_version: &'a str,
    reason: &'a str,
}

impl<'a> OutcomeDocument<'a> {
    fn of(family: &'a str, recorded: &'a RecordedOutcome) -> Self {
        let outcome = &recorded.outcome;
        Self {
            sequence: recorded.sequence,
            recorded_at_us: recorded.recorded_us,
            family_id: family,
            verdict: outcome.verdict.name(),
            candidate_object_id: outcome.object_id,
            candidate_digest: outcome.digest.map(|digest| digest.to_hex()),
            rank: outcome.rank,
            similarity: outcome.similarity,
            reranker_score: outcome.reranker_score,
            threshold: outcome.threshold,
            tool_version: &outcome.tool_version,
            schema_version: &outcome.schema_version,
            reason: &outcome.reason,
        }
    }
}

/// Lists the outcomes of a family, in the order in which they were recorded.
#[utoipa::path(
    get,
    path = "/api/v1/families/{family}/outcomes",
    tag = "outcomes",
    operation_id = "listOutcomes",
    params(
        ("family" = String, Path, description = "Name of the tasks, percent-encoded."),
        NamespaceQuery,
        OutcomesQuery,
    ),
    responses((status = 200, description = "The outcomes.", body = Outcomes<'_>)),
)]
async fn list_outcomes(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    uri: Uri,
    Query(query): Query<OutcomesQuery>,
) -> Answer<Response> {
    access.require(Role::Read, &namespace)?;
    let family = family_of(&uri, "/outcomes")?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid(format!(
            "limit is 1 to {MAX_LIMIT}, not {limit}"
        )));
    }
    let after = query.after_sequence.unwrap_or(0);
    let store = context.existing(&namespace)?;
    let body = context
        .blocking(move || {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let recorded = match &store {
                Some(store) => store.list_outcomes(&family, limit, after)?,
                None => Vec::new(),
            };
            to_json(&Outcomes {
                outcomes: recorded
                    .iter()
                    .map(|recorded| OutcomeDocument::of(&family, recorded))
                    .collect(),
            })
        })
        .await?;
    Ok(json_answer(body))
}

/// Figures of the outcomes of a family.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FamilyReport)]
struct Report {
    /// Name of the family.
    family_id: String,
    accepted: u64,
    rejected: u64,
    no_candidate: u64,
    /// `rejected / (accepted + rejected)`; null without any.
    false_accept_rate: Option<f64>,
    /// Accepted candidates by similarity: 20 buckets of 0.05 from 0 to 1, the last with 1.
    accepted_similarity_hist: Vec<u64>,
    /// Rejected candidates by similarity.
    rejected_similarity_hist: Vec<u64>,
    /// Rejected candidates by rank: 16 buckets, the last with 15 and above.
    rejected_rank_hist: Vec<u64>,
    /// Lowest edge of a bucket with at least 20 judged candidates at or above it, of which at most 5 % were rejected; null
    /// if there is none, or nothing was rejected yet.
    suggested_threshold: Option<f64>,
    first_sequence: u64,
    last_sequence: u64,
    /// When the last one was recorded, in microseconds since the Unix epoch.
    last_recorded_at_us: u64,
}

impl Report {
    fn of(family_id: String, report: &FamilyReport) -> Self {
        Self {
            family_id,
            accepted: report.accepted,
            rejected: report.rejected,
            no_candidate: report.no_candidate,
            false_accept_rate: report.false_accept_rate(),
            accepted_similarity_hist: report.accepted_similarity.to_vec(),
            rejected_similarity_hist: report.rejected_similarity.to_vec(),
            rejected_rank_hist: report.rejected_rank.to_vec(),
            suggested_threshold: report.suggested_threshold(),
            first_sequence: report.first_sequence,
            last_sequence: report.last_sequence,
            last_recorded_at_us: report.last_recorded_us,
        }
    }
}

/// Figures of the outcomes of a family. Reads all of them.
#[utoipa::path(
    get,
    path = "/api/v1/families/{family}/report",
    tag = "outcomes",
    operation_id = "familyReport",
    params(
        ("family" = String, Path, description = "Name of the tasks, percent-encoded."),
        NamespaceQuery,
    ),
    responses((status = 200, description = "The figures.", body = Report)),
)]
async fn family_report(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    uri: Uri,
) -> Answer<Json<Report>> {
    access.require(Role::Read, &namespace)?;
    let family = family_of(&uri, "/report")?;
    let Some(store) = context.existing(&namespace)? else {
        let message = format!("family not found: {family:?} has no outcomes");
        return Err(Error::NotFound(message).into());
    };
    let name = family.clone();
    let report = context
        .with(&store, move |store| store.family_report(&name))
        .await?;
    Ok(Json(Report::of(family, &report)))
}
