//! Another server with OpenAI's interface: asked for what the cache does not have.
//!
//! - `client`: one request, with its repetitions
//! - `wire`: what is sent and what comes back
//! - `source`: the source of vectors of one request

mod client;
mod source;
mod wire;

pub(super) use client::{Client, Credentials};
pub(super) use source::{UpstreamSource, token_key};
