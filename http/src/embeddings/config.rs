//! What the operator says of `/v1/embeddings`.

use prestige_core::{EmbedderProvider, EmbeddingPrecision, Error};
use reqwest::Url;
use std::fmt;
use std::time::Duration;

/// Most texts of a request, where nothing else is said: OpenAI's own limit.
const MAX_INPUTS: usize = 2048;

/// Which models answer `/v1/embeddings`, and how. The default has none.
#[derive(Clone, Debug)]
pub struct EmbeddingsConfig {
    /// Models of this machine.
    pub models: Vec<LocalModel>,
    /// A server with the same interface, for every model that is not one of [`Self::models`].
    pub upstream: Option<Upstream>,
    /// Most texts of a request. Default 2,048.
    pub max_inputs: usize,
    /// Seconds until a vector expires; 0: never; `None` (default): as the store's `default_ttl_seconds` says.
    pub ttl_seconds: Option<u64>,
    /// How vectors are stored. Default float32.
    pub precision: EmbeddingPrecision,
}

impl Default for EmbeddingsConfig {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            upstream: None,
            max_inputs: MAX_INPUTS,
            ttl_seconds: None,
            precision: EmbeddingPrecision::default(),
        }
    }
}

/// A model of this machine.
#[derive(Clone)]
pub struct LocalModel {
    /// What requests call it, and `GET /v1/models` lists; figures go by the first. Case matters not.
    pub names: Vec<String>,
    /// Loads it, at the first request for it.
    pub provider: EmbedderProvider,
}

impl fmt::Debug for LocalModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LocalModel")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// A server that computes embeddings, with OpenAI's interface.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// What stands before `/embeddings`, for example `https://api.openai.com/v1`.
    pub url: String,
    /// The key that it is asked with; `None`: without one.
    pub key: Option<Secret>,
    /// Whether clients bring their own key: `Prestige-Upstream-Authorization`, or `Authorization` where the server has no
    /// tokens. A client without one is served with [`Self::key`].
    pub pass_authorization: bool,
    /// The models that it is asked for; empty: any.
    pub models: Vec<String>,
    /// For the answer to a batch, with its repetitions. Default 50 s, within the server's own time-out of a request.
    pub timeout: Duration,
    /// How often a batch is tried again after a failure that may pass. Default 2.
    pub retries: u32,
    /// Most texts of a batch. Default 256.
    pub batch_size: usize,
}

impl Upstream {
    /// The server at `url`, without a key.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key: None,
            pass_authorization: false,
            models: Vec::new(),
            timeout: Duration::from_secs(50),
            retries: 2,
            batch_size: 256,
        }
    }

    /// The URL, with a slash at its end so that names can be joined to it.
    pub(super) fn base(&self) -> Result<Url, Error> {
        // Never the URL itself: it may hold a password, and then stands in a log.
        let refused = |reason: &str| {
            Error::InvalidArgument(format!(
                "the URL of the upstream {reason}; expected one such as https://api.openai.com/v1"
            ))
        };
        let mut url =
            Url::parse(&self.url).map_err(|error| refused(&format!("is none: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(refused("is not one of HTTP"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("holds a password; give the key by itself"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("must end with its path"));
        }
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(url)
    }
}

/// Text that no log and no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}

impl EmbeddingsConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the setting and what it must be.
    pub fn validate(&self) -> Result<(), Error> {
        let at_least_one = |name: &str, number: usize| match number {
            0 => Err(Error::InvalidArgument(format!(
                "{name} must be at least 1, not 0"
            ))),
            _ => Ok(()),
        };
        at_least_one("max_inputs of embeddings", self.max_inputs)?;
        for model in &self.models {
            at_least_one("the number of names of a model", model.names.len())?;
        }
        let Some(upstream) = &self.upstream else {
            return Ok(());
        };
        at_least_one("batch_size of the upstream", upstream.batch_size)?;
        if upstream.timeout.is_zero() {
            return Err(Error::InvalidArgument(
                "timeout of the upstream must be over 0".to_owned(),
            ));
        }
        if let Some(key) = &upstream.key {
            let visible = |byte: u8| byte.is_ascii_graphic();
            if key.expose().is_empty() || !key.expose().bytes().all(visible) {
                return Err(Error::InvalidArgument(
                    "the key of the upstream must be visible ASCII without spaces".to_owned(),
                ));
            }
        }
        upstream.base().map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(url: &str) -> EmbeddingsConfig {
        EmbeddingsConfig {
            upstream: Some(Upstream::new(url)),
            ..EmbeddingsConfig::default()
        }
    }

    #[test]
    fn urls_are_checked_and_never_shown() {
        EmbeddingsConfig::default().validate().unwrap();
        for (url, base) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("http://h/a/b//", "http://h/a/b/"),
        ] {
            with(url).validate().unwrap();
            assert_eq!(Upstream::new(url).base().unwrap().as_str(), base);
        }
        for url in [
            "",
            "api.openai.com",
            "ftp://h/v1",
            "https://user:hunter2@h/v1",
            "https://h/v1?key=hunter2",
            "https://h/v1#hunter2",
            "data:hunter2",
        ] {
            let error = with(url).validate().unwrap_err().to_string();
            assert!(error.contains("URL of the upstream"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn ranges_are_checked_and_keys_hidden() {
        let refused = |change: &dyn Fn(&mut EmbeddingsConfig, &mut Upstream), name: &str| {
            let mut config = EmbeddingsConfig::default();
            let mut upstream = Upstream::new("http://h/v1");
            change(&mut config, &mut upstream);
            config.upstream = Some(upstream);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("hunter"), "{error}");
        };
        refused(&|config, _| config.max_inputs = 0, "max_inputs");
        refused(&|_, upstream| upstream.batch_size = 0, "batch_size");
        refused(&|_, upstream| upstream.timeout = Duration::ZERO, "timeout");
        for key in ["", "hunter 2", "hunter\n2", "hünter"] {
            refused(&|_, upstream| upstream.key = Some(Secret::new(key)), "key");
        }
        let upstream = Upstream {
            key: Some(Secret::new("hunter2")),
            ..Upstream::new("http://h/v1")
        };
        assert!(!format!("{upstream:?}").contains("hunter2"));
    }
}
