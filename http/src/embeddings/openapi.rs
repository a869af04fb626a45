//! The bodies of `/v1` in the OpenAPI document.

use serde::Serialize;
use utoipa::ToSchema;

/// What `POST /v1/embeddings` is asked.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbeddingsRequest {
    /// What is to be embedded.
    input: EmbeddingsInput,
    /// The model. `GET /v1/models` lists them.
    model: String,
    /// How vectors are written: `float` (default) or `base64`, of little-endian float32.
    #[schema(nullable = false, required = false)]
    encoding_format: Option<Encoding>,
    /// Length of the vectors; that of the model if it is left out.
    #[schema(minimum = 1, nullable = true, required = false)]
    dimensions: Option<u32>,
    /// Passed on to an upstream.
    #[schema(nullable = true, required = false)]
    user: Option<String>,
}

/// A text, texts, a list of tokens, or lists of tokens.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes a body, and no value is made of it")]
pub(super) enum EmbeddingsInput {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    Lists(Vec<Vec<u32>>),
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes a body, and no value is made of it")]
pub(super) enum Encoding {
    Float,
    Base64,
}

/// What `POST /v1/embeddings` answers.
#[derive(Serialize, ToSchema)]
pub(super) struct EmbeddingsAnswer {
    /// Always `list`.
    object: &'static str,
    /// In the order of the texts.
    data: Vec<Embedding>,
    /// As it was asked for.
    model: String,
    usage: Usage,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Embedding {
    /// Always `embedding`.
    object: &'static str,
    /// The place of its text.
    index: u32,
    embedding: Vector,
}

/// Numbers, or base64 of little-endian float32.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes a body, and no value is made of it")]
pub(super) enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

/// Tokens that this request has had computed; what was in the cache has cost none.
#[derive(Serialize, ToSchema)]
pub(super) struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// What `GET /v1/models` answers.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelList {
    /// Always `list`.
    object: &'static str,
    data: Vec<Model>,
}

/// A model.
#[derive(Serialize, ToSchema)]
pub(super) struct Model {
    /// Its name.
    id: String,
    /// Always `model`.
    object: &'static str,
    /// 0 for models of this server.
    created: u64,
    owned_by: String,
}

/// An error in the shape of OpenAI.
#[derive(Serialize, ToSchema)]
pub(super) struct OpenAiError {
    error: OpenAiErrorBody,
}

#[derive(Serialize, ToSchema)]
pub(super) struct OpenAiErrorBody {
    message: String,
    #[serde(rename = "type")]
    kind: String,
    /// The parameter that is wrong, if it is one.
    param: Option<String>,
    code: Option<String>,
}
