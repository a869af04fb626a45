//! The settings of a server: one definition each, for arguments, environment, file, help and documentation.
//!
//! The heading of an argument is the table of the file that it stands in. What is not a number of bytes or seconds says
//! so in its name, as everywhere.

use crate::cli::values::{interval, milliseconds, seconds, share, size, timeout};
use crate::config::{CacheConfig, Limits, Timeouts};
use crate::embeddings::{EmbeddingsConfig, Upstream};
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use prestige_core::Options;
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// Port unless told otherwise.
const DEFAULT_PORT: u16 = 8080;

/// Everything that `prestige serve` can be told.
#[derive(Args, Debug, Serialize)]
#[command(
    about = "Serve a store over HTTP, until SIGTERM or Ctrl-C",
    after_help = "Each setting can also be given in the environment, as PRESTIGE_MAX_STORE_BYTES=10GiB, and in a TOML \
                  file, as max_store_bytes = \"10GiB\" in the table that its heading names, here [store]. Arguments go \
                  before the environment, and that before the file. Sizes and times may have units: 10GiB, 12h. \
                  What takes BOOL is --tcp=false or --tcp false; --tcp alone is --tcp=true.\n\n\
                  The first SIGTERM or Ctrl-C lets requests in progress end and closes the store; a second one ends at \
                  once, and loses nothing that was acknowledged."
)]
pub(crate) struct ServeArguments {
    /// Directory of the store; made if it does not exist
    #[arg(value_name = "DIR", conflicts_with = "path")]
    #[serde(skip)]
    pub directory: Option<PathBuf>,
    /// TOML file with settings [env: PRESTIGE_CONFIG]
    #[arg(short, long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Print every setting and where it comes from, and end
    #[arg(long)]
    #[serde(skip)]
    pub print_config: bool,
    /// Print JSON
    #[arg(long)]
    #[serde(skip)]
    pub json: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub server: ServerSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub access: AccessSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub limits: LimitSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub store: StoreSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub embeddings: EmbeddingSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogSettings,
}

#[derive(Args, Debug, Serialize)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerSettings {
    /// Name or address to listen on; other than a loopback address only with tokens
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port; 0: any free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub port: u16,
    /// Path of a Unix socket to listen on as well
    #[arg(long, value_name = "PATH")]
    #[serde(serialize_with = "path")]
    pub unix_socket: Option<PathBuf>,
    /// Permissions of the Unix socket, octal
    #[arg(long, value_name = "MODE", default_value = "600", value_parser = permissions)]
    #[serde(serialize_with = "octal")]
    pub unix_socket_mode: u32,
    /// Whether to listen on TCP; without it on the Unix socket alone
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub tcp: bool,
    /// TLS certificate, PEM: the server's, then those that lead to the root
    #[arg(long, value_name = "FILE")]
    #[serde(serialize_with = "path")]
    pub tls_certificate: Option<PathBuf>,
    /// TLS key, PEM
    #[arg(long, value_name = "FILE")]
    #[serde(serialize_with = "path")]
    pub tls_key: Option<PathBuf>,
    /// Directory in which backups are made on request, made if it does not exist; without it there are none
    #[arg(long, value_name = "DIR")]
    #[serde(serialize_with = "path")]
    pub backup_directory: Option<PathBuf>,
    /// Threads that answer requests; 0: one for each processor, at most four
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub worker_threads: usize,
    /// How long the server says that it is not ready before it stops listening
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::default().drain.as_secs(), value_parser = seconds)]
    pub drain_seconds: u64,
    /// How long requests in progress may take when it stops
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::default().grace.as_secs(), value_parser = seconds)]
    pub grace_seconds: u64,
}

#[derive(Args, Debug, Serialize)]
#[command(next_help_heading = "Access")]
pub(crate) struct AccessSettings {
    /// A token that may do everything; best given in the environment, since arguments are seen by others
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// File of tokens, one a line: ROLE TOKEN [NAMESPACE,NAMESPACE…], with the roles read, write and admin; or of one token
    /// alone, which may do everything
    #[arg(long, value_name = "FILE")]
    #[serde(serialize_with = "path")]
    pub token_file: Option<PathBuf>,
    /// Name under which browsers reach the server, as cache.example.com, behind a proxy for example; may be repeated
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub allowed_host: Vec<String>,
}

#[derive(Args, Debug, Serialize)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitSettings {
    /// Longest body of a request
    #[arg(long, value_name = "BYTES", default_value_t = bytes(Limits::default().body_bytes), value_parser = size)]
    pub max_body_bytes: u64,
    /// Most bytes of bodies held at a time, of all requests; the others are told to try again
    #[arg(long, value_name = "BYTES", default_value_t = bytes(Limits::default().total_body_bytes), value_parser = size)]
    pub max_total_body_bytes: u64,
    /// Longest key
    #[arg(long, value_name = "BYTES", default_value_t = bytes(Limits::default().key_bytes), value_parser = size)]
    pub max_key_bytes: u64,
    /// Most items of a batch that comes as one document
    #[arg(long, value_name = "N", default_value_t = Limits::default().batch_items)]
    pub max_batch_items: usize,
    /// Most requests in progress at a time; the others are told to try again
    #[arg(long, value_name = "N", default_value_t = Limits::default().requests)]
    pub max_requests: usize,
    /// Most open connections
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections)]
    pub max_connections: usize,
    /// Longest wait for the head of a request
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::default().header.as_secs_f64(), value_parser = timeout)]
    pub header_timeout_seconds: f64,
    /// Longest time that a request may take
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::default().request.as_secs_f64(), value_parser = timeout)]
    pub request_timeout_seconds: f64,
    /// Longest wait for a client to take a piece of the answer
    #[arg(long, value_name = "SECONDS", default_value_t = Timeouts::default().write.as_secs_f64(), value_parser = timeout)]
    pub write_timeout_seconds: f64,
}

/// Which values share one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    Exact,
    Semantic,
}

/// How texts are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Normalization {
    None,
    Lowercase,
    Whitespace,
    Full,
    Unicode,
}

/// Bits of each number of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Precision {
    F32,
    F16,
    I8,
}

#[derive(Args, Debug, Serialize)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreSettings {
    /// Directory of the store; the same as DIR
    #[arg(short, long, value_name = "DIR")]
    #[serde(serialize_with = "path")]
    pub path: Option<PathBuf>,
    /// Which values share one object (default: as the store was created, exact for a new one)
    #[arg(long, value_enum)]
    pub dedup_mode: Option<Mode>,
    /// Least cosine similarity at which two texts share a value, in a semantic store
    #[arg(long, value_name = "SIMILARITY", default_value_t = Options::default().semantic.threshold, value_parser = share)]
    pub semantic_threshold: f64,
    /// Model of a semantic store: a folder, or a name of `prestige models list` (default: the bundled one)
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Folder of a model that /api/v1/admin/reembed may make that of the store, besides those of `prestige models list`; may
    /// be repeated
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    pub reembed_model: Vec<String>,
    /// Processors that the model uses; 0: all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub model_threads: u64,
    /// Most bytes of keys and values, beyond which the least recently used keys go; 0: no bound
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().max_store_bytes, value_parser = size)]
    pub max_store_bytes: u64,
    /// Share of it that eviction leaves, over 0 and at most 1
    #[arg(long, value_name = "SHARE", default_value_t = Options::default().eviction_target_ratio, value_parser = share)]
    pub eviction_target_ratio: f64,
    /// How long keys live that are put without a time of their own; 0: for ever
    #[arg(long, value_name = "SECONDS", default_value_t = Options::default().default_ttl_seconds, value_parser = seconds)]
    pub default_ttl_seconds: u64,
    /// Time between rounds that remove expired keys; 0: none
    #[arg(long, value_name = "SECONDS", default_value_t = Options::default().reaper_interval_seconds, value_parser = interval)]
    pub reaper_interval_seconds: f64,
    /// Whether a value goes with its last key; else it stays until a sweep
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub enable_gc: bool,
    /// Whether reads count as use
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub track_access_time: bool,
    /// The time of last use of a key is noted at most this often
    #[arg(long, value_name = "SECONDS", default_value_t = Options::default().lru_update_interval_seconds,
          value_parser = seconds)]
    pub lru_update_interval_seconds: u64,
    /// Whether every write reaches the disk before it is acknowledged
    #[arg(long, value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub sync_writes: bool,
    /// Whether the store is opened for reading only, beside its owner
    #[arg(long, value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub read_only: bool,
    /// How texts are normalised before they are stored
    #[arg(long, value_enum, default_value_t = Normalization::None)]
    pub normalization_mode: Normalization,
    /// Longest value that is normalised
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().normalization_max_bytes, value_parser = size)]
    pub normalization_max_bytes: u64,
    /// Memory for hot keys and values; 0: none
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().value_cache_bytes, value_parser = size)]
    pub value_cache_bytes: u64,
    /// Memory for blocks of RocksDB
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().block_cache_bytes, value_parser = size)]
    pub block_cache_bytes: u64,
    /// Memory for writes of RocksDB, 64 KiB or more
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().write_buffer_bytes, value_parser = size)]
    pub write_buffer_bytes: u64,
    /// Bits of the Bloom filters for a key, 0 to 64; 0: none
    #[arg(long, value_name = "N", default_value_t = Options::default().bloom_bits_per_key)]
    pub bloom_bits_per_key: u32,
    /// Longest wait for another request that writes the same key or value, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = Options::default().lock_timeout_ms, value_parser = milliseconds)]
    pub lock_timeout_ms: u64,
    /// Longest text that is embedded
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().semantic.max_text_bytes, value_parser = size)]
    pub semantic_max_text_bytes: u64,
    /// Nearest neighbours compared with the threshold, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = Options::default().semantic.search_k)]
    pub semantic_search_k: usize,
    /// By how much more similar the best candidate must be than the second, 0 to 2; 0: no matter
    #[arg(long, value_name = "DIFFERENCE", default_value_t = Options::default().semantic.margin)]
    pub semantic_margin_threshold: f64,
    /// A text merges only if it is among so many nearest ones of its candidate; 0: no matter
    #[arg(long, value_name = "N", default_value_t = Options::default().semantic.reciprocal_k)]
    pub semantic_rnn_k: usize,
    /// Bits of each number of a vector
    #[arg(long, value_enum, default_value_t = Precision::F16)]
    pub semantic_vector_precision: Precision,
    /// Most vectors of the index; 0: no bound
    #[arg(long, value_name = "N", default_value_t = Options::default().semantic.max_index_entries)]
    pub semantic_max_index_entries: u64,
}

#[derive(Args, Debug, Serialize)]
#[command(next_help_heading = "Cache")]
pub(crate) struct CacheSettings {
    /// Least cosine similarity at which /api/v1/cache/lookup answers with the response to another query, where the caller
    /// names none
    #[arg(long, value_name = "SIMILARITY", default_value_t = CacheConfig::default().threshold, value_parser = share)]
    pub cache_threshold: f64,
}

#[derive(Args, Debug, Serialize)]
#[command(next_help_heading = "Embeddings")]
pub(crate) struct EmbeddingSettings {
    /// Model of this machine that answers /v1/embeddings, a folder or a name of `prestige models list`; may be repeated
    /// (default: that of the store)
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    pub embedding_model: Vec<String>,
    /// Most texts of a request
    #[arg(long, value_name = "N", default_value_t = EmbeddingsConfig::default().max_inputs)]
    pub max_inputs: usize,
    /// How long vectors live; 0: for ever (default: as default_ttl_seconds says)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub embedding_ttl_seconds: Option<u64>,
    /// OpenAI-compatible server for other models than those of this machine, as https://api.openai.com/v1
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// The key that it is asked with; best given in the environment, since arguments are seen by others
    #[arg(long, value_name = "KEY")]
    pub upstream_key: Option<String>,
    /// Whether clients bring their own key, in Prestige-Upstream-Authorization or, without tokens, Authorization
    #[arg(long, value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub upstream_pass_authorization: bool,
    /// Model that it is asked for; may be repeated (default: any)
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    pub upstream_model: Vec<String>,
    /// Longest wait for its answer to a batch, with all repetitions
    #[arg(long, value_name = "SECONDS", default_value_t = Upstream::new("").timeout.as_secs_f64(), value_parser = timeout)]
    pub upstream_timeout_seconds: f64,
    /// How often a batch is tried again after a failure that may pass
    #[arg(long, value_name = "N", default_value_t = Upstream::new("").retries)]
    pub upstream_retries: u32,
    /// Most texts of a batch
    #[arg(long, value_name = "N", default_value_t = Upstream::new("").batch_size)]
    pub upstream_batch_size: usize,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Args, Debug, Serialize)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogSettings {
    /// Form of the log, which goes to the standard error output
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace, or by part, as info,prestige_http=debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
    /// OTLP collector that traces are sent to, as http://127.0.0.1:4318
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Share of the traces that are sent, where a caller has not decided, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub otlp_sample_ratio: f64,
}

fn bytes(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn permissions(text: &str) -> Result<u32, String> {
    let digits = text.trim().trim_start_matches("0o");
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("expected octal permissions, 0 to 777".to_owned()),
    }
}

/// A path as text; what is not UTF-8 is replaced, since a path is only shown in this form.
fn path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.serialize_str(&path.to_string_lossy()),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn octal<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{mode:o}"))
}
