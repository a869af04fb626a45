//! What a server is told before it starts: plain data, which a command line or a file can fill.

pub use crate::tokens::Tokens;

use crate::embeddings::{EmbeddingsConfig, LocalModel};
use prestige_core::{DEFAULT_CACHE_THRESHOLD, Error};
use std::path::PathBuf;
use std::time::Duration;

/// Everything a server is told. The default listens on a free port of 127.0.0.1, without tokens.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// Who may do what. Without tokens it listens on loopback addresses and Unix sockets only.
    pub tokens: Tokens,
    /// How much of everything it accepts.
    pub limits: Limits,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// Names under which browsers reach it, such as `cache.example.com` or `cache.example.com:8443`, where a proxy puts
    /// another one into `Host`, or where a server without tokens is reached by another name than `localhost`.
    pub allowed_hosts: Vec<String>,
    /// The directory in which `POST /api/v1/admin/backup` makes backups; made, for its owner alone, if it does not exist.
    /// `None`: there are no backups.
    pub backup_directory: Option<PathBuf>,
    /// The semantic caches of `/api/v1/cache`.
    pub cache: CacheConfig,
    /// The models of `/v1/embeddings`.
    pub embeddings: EmbeddingsConfig,
    /// The models that `POST /api/v1/admin/reembed` may make that of the store, by the names that requests call them; the
    /// last name of each is shown in errors. None by default.
    pub reembed_models: Vec<LocalModel>,
    /// Threads that answer requests; 0: one for each processor, at most four.
    pub worker_threads: usize,
}

/// The semantic caches of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheConfig {
    /// Least cosine similarity of two queries at which one is answered with the response to the other, where a lookup
    /// names none; over 0 and at most 1. Default [`DEFAULT_CACHE_THRESHOLD`], 0.97.
    pub threshold: f64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            threshold: DEFAULT_CACHE_THRESHOLD,
        }
    }
}

/// Where a server listens: on an address, on a Unix socket, or on both.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Name or address; `None`: no TCP. Default 127.0.0.1.
    pub host: Option<String>,
    /// Port, 0: any free one. Default 0.
    pub port: u16,
    /// Path of a Unix socket. A socket that nobody listens on any more is replaced.
    pub unix_socket: Option<PathBuf>,
    /// Permissions of the Unix socket. Default `0o600`: its owner alone.
    pub unix_socket_mode: u32,
    /// Certificate and key; `None`: plain HTTP. Unix sockets are always plain.
    pub tls: Option<Tls>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            host: Some("127.0.0.1".to_owned()),
            port: 0,
            unix_socket: None,
            unix_socket_mode: 0o600,
            tls: None,
        }
    }
}

impl Listen {
    /// TCP on `host` and `port` (0: any free one).
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: Some(host.into()),
            port,
            ..Self::default()
        }
    }

    /// The Unix socket `path` alone.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self {
            host: None,
            unix_socket: Some(path.into()),
            ..Self::default()
        }
    }
}

/// PEM files of a TLS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, then those that lead to the root.
    pub certificate: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// How much of everything a server accepts. Beyond it: 413 for what is too large, 503 with `Retry-After` for too many
/// requests, or bodies, at once. A request is in progress until all that was begun for it has ended, also if its client has
/// hung up before or the time-out has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest body, and longest line of a streamed one, in bytes. Default 64 MiB.
    pub body_bytes: usize,
    /// Most bytes of bodies that are held at a time, of all requests in progress; less than `body_bytes` counts as
    /// `body_bytes`, so that the longest body can be read. What is made of a body takes memory besides. Default 256 MiB.
    pub total_body_bytes: usize,
    /// Longest key, in bytes. Default 65,536, the store's own bound. In a path a key has at most some 65,000 bytes
    /// percent-encoded, the longest path of HTTP here.
    pub key_bytes: usize,
    /// Most items of a batch that comes as one document. Default 10,000.
    pub batch_items: usize,
    /// Most requests in progress at a time. Default 256.
    pub requests: usize,
    /// Most open connections; further ones wait. Default 1,024.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            total_body_bytes: 256 << 20,
            key_bytes: prestige_core::MAX_KEY_BYTES,
            batch_items: 10_000,
            requests: 256,
            connections: 1024,
        }
    }
}

/// How long a server waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the head of a request, the first or the next one of a connection, and for a TLS handshake. Default 30 s.
    pub header: Duration,
    /// For a request to be answered; a body that comes steadily has 1 s more for every 16 KiB. Default 60 s.
    pub request: Duration,
    /// For a client to take a piece of the answer. Default 60 s.
    pub write: Duration,
    /// Between the end of readiness and the end of listening when it stops, so that load balancers notice. Default 0.
    pub drain: Duration,
    /// For requests in progress when it stops. Default 5 s.
    pub grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(30),
            request: Duration::from_secs(60),
            write: Duration::from_secs(60),
            drain: Duration::ZERO,
            grace: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the setting and what it must be.
    pub fn validate(&self) -> Result<(), Error> {
        if self.listen.host.is_none() && self.listen.unix_socket.is_none() {
            return Err(Error::InvalidArgument(
                "there is nowhere to listen: name a host or a Unix socket".to_owned(),
            ));
        }
        if self.listen.tls.is_some() && self.listen.host.is_none() {
            return Err(Error::InvalidArgument(
                "TLS is for TCP, and there is no host to listen on".to_owned(),
            ));
        }
        if self.listen.unix_socket_mode > 0o777 {
            return Err(Error::InvalidArgument(format!(
                "the permissions of the Unix socket are 0 to 0777, not {:o}",
                self.listen.unix_socket_mode
            )));
        }
        for (name, value) in [
            ("body_bytes", self.limits.body_bytes),
            ("key_bytes", self.limits.key_bytes),
            ("batch_items", self.limits.batch_items),
            ("requests", self.limits.requests),
            ("connections", self.limits.connections),
        ] {
            // What a semaphore of tokio can count.
            if value == 0 || value > usize::MAX >> 3 {
                return Err(Error::InvalidArgument(format!(
                    "the limit {name} must be at least 1, not {value}"
                )));
            }
        }
        for (name, value) in [
            ("header", self.timeouts.header),
            ("request", self.timeouts.request),
            ("write", self.timeouts.write),
        ] {
            if value.is_zero() {
                return Err(Error::InvalidArgument(format!(
                    "the time-out {name} must be over 0"
                )));
            }
        }
        let threshold = self.cache.threshold;
        // Not a number is refused, too.
        if !(threshold > 0.0 && threshold <= 1.0) {
            return Err(Error::InvalidArgument(format!(
                "the threshold of the cache must be over 0 and at most 1, not {threshold}"
            )));
        }
        self.embeddings.validate()?;
        self.allowed_hosts.iter().try_for_each(|host| {
            if host.is_empty() || host.contains(['/', '?', '#', '@', ' ', '*']) {
                return Err(Error::InvalidArgument(format!(
                    "{host:?} is no host: expected a name or address, perhaps with a port, such as cache.example.com"
                )));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_default_is_valid_and_listens_on_loopback() {
        let config = Config::default();
        config.validate().unwrap();
        assert_eq!(config.listen.host.as_deref(), Some("127.0.0.1"));
        assert!(config.tokens.is_empty());
    }

    #[test]
    fn bad_settings_are_named() {
        let refused = |change: fn(&mut Config), name: &str| {
            let mut config = Config::default();
            change(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        };
        refused(|config| config.listen.host = None, "nowhere");
        refused(
            |config| config.listen.unix_socket_mode = 0o1000,
            "permissions",
        );
        refused(|config| config.limits.body_bytes = 0, "body_bytes");
        refused(|config| config.limits.requests = usize::MAX, "requests");
        refused(|config| config.timeouts.header = Duration::ZERO, "header");
        refused(|config| config.cache.threshold = 0.0, "threshold");
        refused(|config| config.cache.threshold = f64::NAN, "threshold");
        for host in ["", "https://example.com", "example.com/", "*"] {
            let mut config = Config::default();
            config.allowed_hosts.push(host.to_owned());
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains("no host"), "{error}");
        }
        refused(
            |config| {
                config.listen = Listen::unix("/tmp/socket");
                config.listen.tls = Some(Tls {
                    certificate: "a".into(),
                    key: "b".into(),
                });
            },
            "TLS",
        );
    }
}
