//! The source of vectors of one request: asks the upstream for what the cache does not have.

use super::client::{Client, Credentials};
use super::wire::{Inputs, Question};
use crate::embeddings::error::ApiError;
use axum::http::StatusCode;
use prestige_core::embed::Embeddings;
use prestige_core::{CallbackError, Error, VectorSource};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;

/// Asks for the vectors of one request.
pub(crate) struct UpstreamSource {
    client: Arc<Client>,
    /// Where the connections are; the source is called on a thread that may block.
    runtime: Handle,
    model: String,
    dimensions: Option<usize>,
    user: Option<String>,
    credentials: Credentials,
    /// Whether the texts are lists of tokens, as [`token_key`] writes them.
    tokens: bool,
    prompt_tokens: AtomicU64,
}

impl UpstreamSource {
    pub(crate) fn new(
        client: Arc<Client>,
        runtime: Handle,
        model: String,
        dimensions: Option<usize>,
        user: Option<String>,
        credentials: Credentials,
        tokens: bool,
    ) -> Self {
        Self {
            client,
            runtime,
            model,
            dimensions,
            user,
            credentials,
            tokens,
            prompt_tokens: AtomicU64::new(0),
        }
    }

    /// Tokens of all that was computed, as the upstream has counted them.
    pub(crate) fn tokens(&self) -> u64 {
        self.prompt_tokens.load(Ordering::Relaxed)
    }

    /// The failure as the error of a call of the cache. What an upstream says to the key of one client is not for others who
    /// wait for the same text.
    fn failure(&self, error: ApiError) -> Error {
        let personal = matches!(self.credentials, Credentials::Passed(_))
            && (error.status().is_client_error()
                || error.status() == StatusCode::SERVICE_UNAVAILABLE);
        Error::Callback(match personal {
            true => CallbackError::interrupt(error),
            false => CallbackError::new(error),
        })
    }
}

impl VectorSource for UpstreamSource {
    fn embed(&self, texts: &[&str]) -> Result<Embeddings, Error> {
        let input = match self.tokens {
            false => Inputs::Texts(texts),
            true => Inputs::Tokens(texts.iter().map(|text| tokens_of(text)).collect()),
        };
        let question = Question {
            model: &self.model,
            input,
            encoding_format: "base64",
            dimensions: self.dimensions,
            user: self.user.as_deref(),
        };
        let asked = self.client.embed(&question, texts.len(), &self.credentials);
        let computed = self.runtime.block_on(asked);
        let computed = computed.map_err(|error| self.failure(error))?;
        self.prompt_tokens
            .fetch_add(computed.prompt_tokens, Ordering::Relaxed);
        Ok(computed.vectors)
    }
}

/// The text under which a list of tokens is cached: its decimal numbers with commas between.
pub(crate) fn token_key(tokens: &[u32]) -> String {
    let numbers: Vec<_> = tokens.iter().map(u32::to_string).collect();
    numbers.join(",")
}

fn tokens_of(key: &str) -> Vec<u32> {
    key.split(',')
        .filter_map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tokens_come_back() {
        for tokens in [vec![0], vec![1, 22, u32::MAX]] {
            assert_eq!(tokens_of(&token_key(&tokens)), tokens);
        }
        assert_ne!(token_key(&[1, 2]), token_key(&[12]));
    }
}
