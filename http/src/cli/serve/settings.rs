//! From settings to what the store and the server are opened with.

use super::Models;
use super::arguments::{
    AccessSettings, LimitSettings, Mode, Normalization, Precision, ServeArguments, ServerSettings,
    StoreSettings,
};
use super::print::MASK;
use crate::config::{CacheConfig, Config, Limits, Listen, Timeouts, Tls};
use crate::embeddings::{EmbeddingsConfig, LocalModel, Secret, Upstream};
use crate::tokens::Tokens;
use prestige_core::embed::PRESETS;
use prestige_core::{
    DedupMode, EmbedderProvider, Error, NormalizationMode, Options, SemanticOptions,
    VectorPrecision,
};
use std::path::PathBuf;
use std::time::Duration;

/// Which model computes vectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelChoice {
    /// A folder or file, or the name of a model that is on this machine; `None`: the bundled one.
    pub model: Option<String>,
    /// Processors that it uses; 0: all.
    pub threads: u64,
}

/// The directory of the store.
pub(super) fn directory(arguments: &ServeArguments) -> Result<PathBuf, Error> {
    let named = arguments
        .directory
        .as_ref()
        .or(arguments.store.path.as_ref());
    named.cloned().ok_or_else(|| {
        Error::InvalidArgument(
            "which store? Name its directory: prestige serve DIR, PRESTIGE_PATH, or path in the table [store] of the \
             configuration"
                .to_owned(),
        )
    })
}

/// Which model the store uses.
pub(super) fn model(store: &StoreSettings) -> ModelChoice {
    ModelChoice {
        model: store.model.clone(),
        threads: store.model_threads,
    }
}

/// How the store is opened.
pub(super) fn options(store: &StoreSettings, embedder: EmbedderProvider) -> Result<Options, Error> {
    let options = Options {
        dedup_mode: store.dedup_mode.map(|mode| match mode {
            Mode::Exact => DedupMode::Exact,
            Mode::Semantic => DedupMode::Semantic,
        }),
        normalization_mode: match store.normalization_mode {
            Normalization::None => NormalizationMode::None,
            Normalization::Lowercase => NormalizationMode::Lowercase,
            Normalization::Whitespace => NormalizationMode::Whitespace,
            Normalization::Full => NormalizationMode::Full,
            Normalization::Unicode => NormalizationMode::Unicode,
        },
        normalization_max_bytes: store.normalization_max_bytes,
        default_ttl_seconds: store.default_ttl_seconds,
        max_store_bytes: store.max_store_bytes,
        eviction_target_ratio: store.eviction_target_ratio,
        track_access_time: store.track_access_time,
        lru_update_interval_seconds: store.lru_update_interval_seconds,
        enable_gc: store.enable_gc,
        reaper_interval_seconds: store.reaper_interval_seconds,
        block_cache_bytes: store.block_cache_bytes,
        value_cache_bytes: store.value_cache_bytes,
        write_buffer_bytes: store.write_buffer_bytes,
        bloom_bits_per_key: store.bloom_bits_per_key,
        read_only: store.read_only,
        sync_writes: store.sync_writes,
        lock_timeout_ms: store.lock_timeout_ms,
        semantic: SemanticOptions {
            threshold: store.semantic_threshold,
            max_text_bytes: store.semantic_max_text_bytes,
            search_k: store.semantic_search_k,
            margin: store.semantic_margin_threshold,
            reciprocal_k: store.semantic_rnn_k,
            vector_precision: match store.semantic_vector_precision {
                Precision::F32 => VectorPrecision::F32,
                Precision::F16 => VectorPrecision::F16,
                Precision::I8 => VectorPrecision::I8,
            },
            max_index_entries: store.semantic_max_index_entries,
            ..SemanticOptions::default()
        },
        embedder: Some(embedder),
        ..Options::default()
    };
    options.validate()?;
    Ok(options)
}

/// How the server is started.
pub(super) fn config(arguments: &ServeArguments, models: Models<'_>) -> Result<Config, Error> {
    let server = &arguments.server;
    let config = Config {
        listen: listen(server)?,
        tokens: tokens(&arguments.access)?,
        limits: limits(&arguments.limits)?,
        timeouts: timeouts(server, &arguments.limits),
        allowed_hosts: arguments.access.allowed_host.clone(),
        backup_directory: server.backup_directory.clone(),
        cache: CacheConfig {
            threshold: arguments.cache.cache_threshold,
        },
        embeddings: embeddings(arguments, models)?,
        reembed_models: reembed_models(arguments, models)?,
        worker_threads: server.worker_threads,
    };
    config.validate()?;
    Ok(config)
}

/// The models by which the texts of the store may be embedded anew: what the operator adds, the bundled one, and those known
/// by name. A name means the first that has it, so a folder called like a model known by name stands before that.
fn reembed_models(
    arguments: &ServeArguments,
    models: Models<'_>,
) -> Result<Vec<LocalModel>, Error> {
    let mut allowed: Vec<LocalModel> = Vec::new();
    for model in &arguments.store.reembed_model {
        let names = names_of(model);
        let taken = |name: &String| {
            let mut others = allowed.iter().flat_map(|other| &other.names);
            others.any(|other| other.eq_ignore_ascii_case(name))
        };
        if let Some(name) = names.iter().find(|name| taken(name)) {
            return Err(Error::InvalidArgument(format!(
                "--reembed-model {model}: another one is called {name} as well; rename one of the folders"
            )));
        }
        allowed.push(local_model(names, Some(model.clone()), arguments, models)?);
    }
    let bundled = BUNDLED_NAMES.map(str::to_owned).to_vec();
    allowed.push(local_model(bundled, None, arguments, models)?);
    for preset in PRESETS {
        // The bundled one goes by the same names.
        if !BUNDLED_NAMES.contains(&preset.name) {
            let names = vec![preset.repository.to_owned(), preset.name.to_owned()];
            let name = Some(preset.name.to_owned());
            allowed.push(local_model(names, name, arguments, models)?);
        }
    }
    Ok(allowed)
}

/// What a model is called that is given by a folder or a name: a folder by its own name as well.
fn names_of(model: &str) -> Vec<String> {
    let short = model.trim_end_matches('/').rsplit('/').next();
    let short = short.filter(|short| *short != model).map(str::to_owned);
    std::iter::once(model.to_owned()).chain(short).collect()
}

fn local_model(
    names: Vec<String>,
    model: Option<String>,
    arguments: &ServeArguments,
    models: Models<'_>,
) -> Result<LocalModel, Error> {
    let choice = ModelChoice {
        model,
        threads: arguments.store.model_threads,
    };
    Ok(LocalModel {
        names,
        provider: models(&choice)?,
    })
}

/// Names of the bundled model in requests.
const BUNDLED_NAMES: [&str; 3] = [
    "all-MiniLM-L6-v2",
    "sentence-transformers/all-MiniLM-L6-v2",
    "minilm",
];

fn embeddings(arguments: &ServeArguments, models: Models<'_>) -> Result<EmbeddingsConfig, Error> {
    let settings = &arguments.embeddings;
    not_masked("upstream_key", settings.upstream_key.as_deref())?;
    let named = &settings.embedding_model;
    let mut choices: Vec<Option<&String>> = named.iter().map(Some).collect();
    if choices.is_empty() {
        choices.push(arguments.store.model.as_ref());
    }
    let local = choices.into_iter().map(|model| {
        let names = match model {
            None => BUNDLED_NAMES.map(str::to_owned).to_vec(),
            Some(model) => names_of(model),
        };
        local_model(names, model.cloned(), arguments, models)
    });
    Ok(EmbeddingsConfig {
        models: local.collect::<Result<_, Error>>()?,
        upstream: settings.upstream.as_ref().map(|url| Upstream {
            key: settings.upstream_key.clone().map(Secret::new),
            pass_authorization: settings.upstream_pass_authorization,
            models: settings.upstream_model.clone(),
            timeout: Duration::from_secs_f64(settings.upstream_timeout_seconds),
            retries: settings.upstream_retries,
            batch_size: settings.upstream_batch_size,
            ..Upstream::new(url)
        }),
        max_inputs: settings.max_inputs,
        ttl_seconds: settings.embedding_ttl_seconds,
        ..EmbeddingsConfig::default()
    })
}

fn listen(server: &ServerSettings) -> Result<Listen, Error> {
    let tls = match (&server.tls_certificate, &server.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        (None, None) => None,
        _ => {
            return Err(Error::InvalidArgument(
                "TLS needs both tls_certificate and tls_key".to_owned(),
            ));
        }
    };
    Ok(Listen {
        host: server.tcp.then(|| server.host.clone()),
        port: server.port,
        unix_socket: server.unix_socket.clone(),
        unix_socket_mode: server.unix_socket_mode,
        tls,
    })
}

/// A configuration that was printed has masks in place of secrets, which everyone knows.
fn not_masked(name: &str, secret: Option<&str>) -> Result<(), Error> {
    if secret.map(str::trim) == Some(MASK) {
        return Err(Error::InvalidArgument(format!(
            "{name} is {MASK}, with which --print-config masks it; put the secret in its place, or leave it out and name \
             it in the environment"
        )));
    }
    Ok(())
}

fn tokens(access: &AccessSettings) -> Result<Tokens, Error> {
    not_masked("token", access.token.as_deref())?;
    let mut tokens = match &access.token {
        Some(token) => Tokens::admin(token.trim())?,
        None => Tokens::none(),
    };
    if let Some(path) = &access.token_file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::InvalidArgument(format!(
                "token_file: cannot read {}: {error}; name a file of lines ROLE TOKEN [NAMESPACE,NAMESPACE…]",
                path.display()
            ))
        })?;
        tokens.add_lines(&text)?;
        if tokens.is_empty() {
            // Who names a file wants a server that is closed.
            return Err(Error::InvalidArgument(format!(
                "the token file {} has no tokens; expected lines ROLE TOKEN [NAMESPACE,NAMESPACE…]",
                path.display()
            )));
        }
    }
    Ok(tokens)
}

fn limits(limits: &LimitSettings) -> Result<Limits, Error> {
    let size = |name: &str, bytes: u64| {
        usize::try_from(bytes)
            .map_err(|_| Error::InvalidArgument(format!("{name} is too large for this machine")))
    };
    Ok(Limits {
        body_bytes: size("max_body_bytes", limits.max_body_bytes)?,
        total_body_bytes: size("max_total_body_bytes", limits.max_total_body_bytes)?,
        key_bytes: size("max_key_bytes", limits.max_key_bytes)?,
        batch_items: limits.max_batch_items,
        requests: limits.max_requests,
        connections: limits.max_connections,
    })
}

fn timeouts(server: &ServerSettings, limits: &LimitSettings) -> Timeouts {
    Timeouts {
        header: Duration::from_secs_f64(limits.header_timeout_seconds),
        request: Duration::from_secs_f64(limits.request_timeout_seconds),
        write: Duration::from_secs_f64(limits.write_timeout_seconds),
        drain: Duration::from_secs(server.drain_seconds),
        grace: Duration::from_secs(server.grace_seconds),
    }
}
