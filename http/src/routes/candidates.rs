//! Values by what they are: their digests, what a put of one would do, and those nearest to a query.

use super::parameters::NamespaceQuery;
use crate::auth::Access;
use crate::bytes::{Bytes, EncodedBytes, Encoding};
use crate::error::{Answer, Code, Problem};
use crate::extract::{JsonBody, Namespace};
use crate::json::{json_answer, to_json};
use crate::state::Context;
use crate::tokens::Role;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use prestige_core::{Candidate, CandidateOptions, Gate, MAX_CANDIDATES, Metadata, Query};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(digest))
        .routes(routes!(explain))
        .routes(routes!(candidates))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Value)]
struct ValueBody {
    value: Bytes,
    /// How values of the answer are written.
    #[serde(default)]
    encoding: Encoding,
}

#[derive(Debug, Serialize, ToSchema)]
struct DigestAnswer {
    /// 64 hexadecimal digits.
    digest: String,
}

/// The digest by which a value would be found: SHA-256 of its normalised form.
#[utoipa::path(
    post,
    path = "/api/v1/digest",
    tag = "values",
    operation_id = "digest",
    params(NamespaceQuery),
    request_body = ValueBody,
    responses((status = 200, description = "The digest.", body = DigestAnswer)),
)]
async fn digest(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<ValueBody>,
) -> Answer<Json<DigestAnswer>> {
    access.require(Role::Read, &namespace)?;
    let digest = context
        .with_store(move |store| store.digest(&body.value.0))
        .await?;
    Ok(Json(DigestAnswer {
        digest: digest.to_hex(),
    }))
}

/// What a put would do, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
struct ExplanationDocument<'a> {
    /// `identical`, `merge`, `new`, `not_text`, `too_long` or `index_full`.
    verdict: &'static str,
    /// The object it would share; null: it would be one of its own.
    object_id: Option<u64>,
    /// The digest of the value.
    digest: String,
    /// Least similarity of a merge; null in an exact store.
    threshold: Option<f64>,
    /// The stored texts it was compared with, most similar first, with their values.
    candidates: Vec<CandidateDocument<'a>>,
    /// What was asked of the first candidate; all must pass.
    gates: Vec<GateDocument>,
}

/// A condition of a merge.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gate)]
struct GateDocument {
    /// `threshold`, `margin`, `reciprocal` or `verifier`.
    name: &'static str,
    needed: f64,
    found: Option<f64>,
    passed: bool,
}

impl From<&Gate> for GateDocument {
    fn from(gate: &Gate) -> Self {
        Self {
            name: gate.name,
            needed: gate.needed,
            found: gate.found.filter(|found| found.is_finite()),
            passed: gate.passed,
        }
    }
}

/// A stored value near a query.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Candidate)]
struct CandidateDocument<'a> {
    /// Place among the candidates, from 0.
    rank: usize,
    /// Cosine similarity to the query, -1 to 1; 1 of the identical value.
    similarity: f32,
    /// Null: a place for the score of a reranker of the client.
    reranker_score: Option<f64>,
    /// The object.
    object_id: u64,
    /// Its digest.
    digest: String,
    /// Its metadata.
    metadata: &'a Metadata,
    /// Its length.
    size_bytes: u64,
    /// When it was first stored, in microseconds since the Unix epoch.
    created_at_us: u64,
    /// The value, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Bytes, nullable = false)]
    value: Option<EncodedBytes<'a>>,
}

fn documents(candidates: &[Candidate], encoding: Encoding) -> Vec<CandidateDocument<'_>> {
    let candidates = candidates.iter().enumerate();
    candidates
        .map(|(rank, candidate)| CandidateDocument {
            rank,
            similarity: candidate.similarity,
            reranker_score: None,
            object_id: candidate.object_id,
            digest: candidate.digest.to_hex(),
            metadata: &candidate.metadata,
            size_bytes: candidate.size,
            created_at_us: candidate.created_us,
            value: candidate
                .value
                .as_deref()
                .map(|bytes| EncodedBytes { bytes, encoding }),
        })
        .collect()
}

/// Says what a put of a value would do now, and why.
///
/// Goes through all that the put would, the model included, and changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/explain",
    tag = "values",
    operation_id = "explain",
    params(NamespaceQuery),
    request_body = ValueBody,
    responses((status = 200, description = "What it would do.", body = ExplanationDocument<'_>)),
)]
async fn explain(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(body): JsonBody<ValueBody>,
) -> Answer<Response> {
    access.require(Role::Read, &namespace)?;
    let store = context
        .existing(&namespace)?
        .ok_or_else(|| no_namespace(&namespace))?;
    let body = context
        .blocking(move || {
            let explanation = store.explain(&body.value.0)?;
            to_json(&ExplanationDocument {
                verdict: explanation.verdict.name(),
                object_id: explanation.object_id,
                digest: explanation.digest.to_hex(),
                threshold: explanation.threshold,
                candidates: documents(&explanation.candidates, body.encoding),
                gates: explanation.gates.iter().map(GateDocument::from).collect(),
            })
        })
        .await?;
    Ok(json_answer(body))
}

fn no_namespace(name: &str) -> Problem {
    Problem::not_found(format!(
        "there is no namespace {name:?}; the first put into it makes it"
    ))
}

/// What to look for: one of the first four.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CandidatesRequest)]
struct Request {
    /// A value to compare with.
    #[schema(nullable = false)]
    query: Option<Bytes>,
    /// Several of them.
    #[schema(nullable = false)]
    queries: Option<Vec<Bytes>>,
    /// The embedding of a value, brought to unit length.
    #[schema(nullable = false)]
    embedding: Option<Vec<f32>>,
    /// Several of them.
    #[schema(nullable = false)]
    embeddings: Option<Vec<Vec<f32>>>,
    /// At most so many for each query. Default 5.
    #[schema(minimum = 1, maximum = 10000, nullable = false)]
    k: Option<u64>,
    /// For each name the text that the metadata of a candidate has under it, or several of which one must be it.
    #[serde(default)]
    #[schema(nullable = false)]
    filter: BTreeMap<String, Texts>,
    /// Least cosine similarity.
    #[schema(minimum = -1, maximum = 1)]
    min_similarity: Option<f64>,
    /// Whether the values are answered, too.
    #[serde(default)]
    include_values: bool,
    /// How values are written.
    #[serde(default)]
    encoding: Encoding,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

impl From<Texts> for Vec<String> {
    fn from(texts: Texts) -> Self {
        match texts {
            Texts::One(text) => vec![text],
            Texts::Several(texts) => texts,
        }
    }
}

/// Candidates of one query, or of each of several, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Candidates)]
enum Found<'a> {
    Candidates(Vec<CandidateDocument<'a>>),
    Results(Vec<Vec<CandidateDocument<'a>>>),
}

/// What is compared with.
enum Wanted {
    Values(Vec<Bytes>),
    Vectors(Vec<Vec<f32>>),
}

impl Wanted {
    fn queries(&self) -> Vec<Query<'_>> {
        match self {
            Self::Values(values) => values.iter().map(|value| Query::Value(&value.0)).collect(),
            Self::Vectors(vectors) => vectors.iter().map(|row| Query::Vector(row)).collect(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Vectors(vectors) => vectors.len(),
        }
    }
}

impl Request {
    /// What is compared with, and whether it is several.
    fn wanted(&mut self) -> Answer<(Wanted, bool)> {
        let given = (
            self.query.take(),
            self.queries.take(),
            self.embedding.take(),
            self.embeddings.take(),
        );
        match given {
            (Some(query), None, None, None) => Ok((Wanted::Values(vec![query]), false)),
            (None, Some(queries), None, None) => Ok((Wanted::Values(queries), true)),
            (None, None, Some(vector), None) => Ok((Wanted::Vectors(vec![vector]), false)),
            (None, None, None, Some(vectors)) => Ok((Wanted::Vectors(vectors), true)),
            _ => Err(Problem::invalid(
                "give one of query, queries, embedding and embeddings",
            )),
        }
    }

    fn options(&mut self) -> CandidateOptions {
        let default = CandidateOptions::default();
        let filter = std::mem::take(&mut self.filter).into_iter();
        CandidateOptions {
            k: self
                .k
                .map_or(default.k, |k| usize::try_from(k).unwrap_or(usize::MAX)),
            filter: filter.map(|(name, texts)| (name, texts.into())).collect(),
            min_similarity: self.min_similarity,
            include_values: self.include_values,
        }
    }
}

/// Finds the stored values nearest to a query, the most similar first, for a client that decides what is a hit.
///
/// In an exact store the identical value, or nothing. Nothing changes, and no key counts as used.
#[utoipa::path(
    post,
    path = "/api/v1/candidates",
    tag = "values",
    operation_id = "candidates",
    params(NamespaceQuery),
    request_body = Request,
    responses((status = 200, description = "`candidates` of one query, `results` of several.", body = Found<'_>)),
)]
async fn candidates(
    State(context): State<Context>,
    access: Access,
    namespace: Namespace,
    JsonBody(mut body): JsonBody<Request>,
) -> Answer<Response> {
    access.require(Role::Read, &namespace)?;
    let (wanted, several) = body.wanted()?;
    let options = body.options();
    check_size(&context, &wanted, &options)?;
    let encoding = body.encoding;
    let store = context.existing(&namespace)?;
    let body = context
        .blocking(move || {
            let found = match &store {
                Some(store) => store.candidates_many(&wanted.queries(), &options)?,
                None => vec![Vec::new(); wanted.len()],
            };
            let mut found = found
                .iter()
                .map(|candidates| documents(candidates, encoding));
            match several {
                true => to_json(&Found::Results(found.collect())),
                false => to_json(&Found::Candidates(found.next().unwrap_or_default())),
            }
        })
        .await?;
    Ok(json_answer(body))
}

/// Refuses what would answer with more than fits into memory.
fn check_size(context: &Context, wanted: &Wanted, options: &CandidateOptions) -> Answer<()> {
    let limit = context.config.limits.batch_items;
    if wanted.len() > limit {
        let detail = format!(
            "a request has at most {limit} queries on this server, this one has {}",
            wanted.len()
        );
        return Err(Problem::new(Code::TooLarge, detail).with("limit", limit));
    }
    let most = match options.include_values {
        true => MAX_CANDIDATES,
        false => 10 * MAX_CANDIDATES,
    };
    // A `k` out of its range is for the store to refuse.
    if options.k <= MAX_CANDIDATES && wanted.len().saturating_mul(options.k) > most {
        let detail = format!(
            "a request asks for at most {most} candidates in all, {MAX_CANDIDATES} with values; ask for fewer queries at a \
             time, or a smaller k"
        );
        return Err(Problem::new(Code::TooLarge, detail).with("limit", most));
    }
    Ok(())
}
