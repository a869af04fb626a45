//! `POST /v1/embeddings` as OpenAI's clients know it, answered through the embedding cache of the served store.
//!
//! - `config`: what the operator says; `request`, `answer`, `error`: the wire, in OpenAI's shapes
//! - `service`: which model answers, and the caches
//! - `local`: models of this machine; `upstream`: those of another server
//! - `routes`: the handlers

mod answer;
mod config;
mod error;
mod local;
mod openapi;
mod request;
mod routes;
mod service;
mod upstream;

pub(crate) use routes::NAMESPACES;

pub use config::{EmbeddingsConfig, LocalModel, Secret, Upstream};
pub(crate) use error::{OPENAI, in_openai_shape};
pub(crate) use routes::routes;
pub(crate) use service::Embeddings;
