//! The figures of the store.

use super::text::{Kind, Text};
use prestige_core::embed::{EmbedderLoad, ROUND_SIZES};
use prestige_core::{Figure, Latency, NamespaceFigures, Overview, Stats};
use std::time::Duration;

/// Most namespaces with figures of their own: names come from clients, and each is a time series.
const MAX_NAMESPACES: usize = 100;

/// What the figures of `Store::health` and `Store::stats` are, by name.
const FIGURES: &[(&str, &str)] = &[
    (
        "total_keys",
        "Keys, the expired and not yet swept among them.",
    ),
    ("total_objects", "Distinct values."),
    (
        "total_bytes",
        "Bytes of keys and distinct values, before compression.",
    ),
    ("dedup_ratio", "Keys per distinct value."),
    (
        "bytes_saved",
        "Bytes of values that deduplication did not store again.",
    ),
    ("bytes_on_disk", "Bytes of the table files."),
    (
        "expired_objects",
        "Keys that have expired and are not swept yet.",
    ),
    ("orphaned_objects", "Distinct values that no key points at."),
    (
        "oldest_object_age_s",
        "Time since the oldest put of a key that is still there.",
    ),
    (
        "newest_access_age_s",
        "Time since the latest put or noted access.",
    ),
    (
        "last_sweep_age_s",
        "Time since the last sweep; absent before the first one.",
    ),
    ("index_vectors", "Vectors in the loaded indexes."),
    (
        "index_log_entries",
        "Changes of the loaded indexes since their last checkpoints.",
    ),
    (
        "index_checkpoint_age_s",
        "Time since the oldest of the last checkpoints; absent before the first one.",
    ),
    ("index_ok", "Whether the vector index follows every write."),
    (
        "embed_queue_texts",
        "Texts that wait for the model of the store.",
    ),
    ("gets", "Keys asked for."),
    ("hits", "Keys asked for that had a value."),
    ("misses", "Keys asked for that were absent or had expired."),
    ("puts", "Keys put."),
    ("deletes", "Keys deleted."),
    (
        "dedup_hits",
        "Puts whose value was stored already, byte for byte.",
    ),
    (
        "semantic_hits",
        "Puts of a text that took the place of a similar one.",
    ),
    ("evictions", "Keys evicted."),
    ("expirations", "Expired keys removed."),
    ("pruned", "Keys removed for their age or idleness."),
    ("value_cache_hits", "Hits whose value was in memory."),
    (
        "value_cache_misses",
        "Hits whose value was read from the disk.",
    ),
    ("bytes_read", "Bytes of the values returned."),
    (
        "bytes_written",
        "Bytes of the values put, before normalisation and deduplication.",
    ),
    ("texts_embedded", "Texts that the store had embedded."),
    (
        "embedding_cache_hits",
        "Texts asked for in caches of embeddings that were there.",
    ),
    (
        "embedding_cache_misses",
        "Texts asked for in caches of embeddings that were not there.",
    ),
    (
        "semantic_cache_exact_hits",
        "Look-ups in semantic caches that found the query itself.",
    ),
    (
        "semantic_cache_semantic_hits",
        "Look-ups in semantic caches that found a query of the same meaning.",
    ),
    (
        "semantic_cache_misses",
        "Look-ups in semantic caches that found nothing.",
    ),
];

pub(super) const OPERATIONS: &str = "prestige_operation_duration_seconds";
pub(super) const RATIOS: &str = "prestige_hit_ratio";
pub(super) const SIMILARITY: &str = "prestige_similarity_decisions";
pub(super) const NAMESPACES: &str = "prestige_namespaces";
pub(super) const BATCHES: &str = "prestige_embed_batch_size";
pub(super) const WAITING: &str = "prestige_embed_waiting_texts";
pub(super) const UPTIME: &str = "prestige_uptime_seconds";
pub(super) const BUILD: &str = "prestige_build_info";
pub(super) const MEMORY: &str = "process_resident_memory_bytes";

/// A figure of a namespace.
type OfNamespace = fn(&NamespaceFigures) -> u64;

/// Figures of each namespace.
pub(super) const OF_NAMESPACES: [(&str, Kind, &str, OfNamespace); 6] = [
    (
        "prestige_namespace_keys",
        Kind::Gauge,
        "Keys of a namespace.",
        |own| own.keys,
    ),
    (
        "prestige_namespace_unique_values",
        Kind::Gauge,
        "Distinct values of a namespace.",
        |own| own.unique_values,
    ),
    (
        "prestige_namespace_bytes",
        Kind::Gauge,
        "Bytes of keys and distinct values of a namespace.",
        |own| own.bytes,
    ),
    (
        "prestige_namespace_hits_total",
        Kind::Counter,
        "Keys asked for in a namespace that had a value.",
        |own| own.hits,
    ),
    (
        "prestige_namespace_misses_total",
        Kind::Counter,
        "Keys asked for in a namespace that had none.",
        |own| own.misses,
    ),
    (
        "prestige_namespace_puts_total",
        Kind::Counter,
        "Keys put in a namespace.",
        |own| own.puts,
    ),
];

/// The metric of a figure, and what it is. Counts of `stats` are counters, everything else is a gauge. Three names are
/// those of the first dashboards.
pub(super) fn metric(figure: &str, kind: Kind) -> (String, String) {
    let help = FIGURES.iter().find(|(name, _)| *name == figure);
    let help = help.map_or_else(|| percentile_help(figure), |(_, help)| (*help).to_owned());
    let name = match figure {
        "total_keys" => "prestige_keys_total".to_owned(),
        "total_objects" => "prestige_objects_total".to_owned(),
        "total_bytes" => "prestige_store_bytes".to_owned(),
        other if kind == Kind::Counter => format!("prestige_{other}_total"),
        other => match other.strip_suffix("_s") {
            Some(stem) => format!("prestige_{stem}_seconds"),
            None => format!("prestige_{other}"),
        },
    };
    (name, help)
}

/// Of the figures that are named `<operation>_<percentile>_s`.
fn percentile_help(figure: &str) -> String {
    let stem = figure.strip_suffix("_s").unwrap_or(figure);
    let (operation, percentile) = stem.rsplit_once('_').unwrap_or((stem, ""));
    let share = match percentile.strip_prefix('p') {
        Some(number) => format!("What {number} of 100 did not exceed"),
        None => "The longest".to_owned(),
    };
    format!("{share} of the durations of {operation} since the store was opened.")
}

pub(super) fn write(text: &mut Text, overview: &Overview, models: &[(&str, EmbedderLoad)]) {
    let (health, stats) = (&overview.health, &overview.stats);
    let gauges = health
        .figures()
        .into_iter()
        .map(|(name, figure)| (name, figure, Kind::Gauge));
    let counted = stats.figures().into_iter().map(|(name, figure)| {
        let counter = matches!(figure, Figure::Integer(_));
        (
            name,
            figure,
            if counter { Kind::Counter } else { Kind::Gauge },
        )
    });
    for (figure, value, kind) in gauges.chain(counted) {
        let (name, help) = metric(figure, kind);
        let value: &dyn std::fmt::Display = match &value {
            Figure::Integer(number) => number,
            Figure::Float(number) => number,
            Figure::Boolean(truth) => &u8::from(*truth),
            _ => continue,
        };
        text.family(&name, kind, &help);
        text.sample(&name, &[], value);
    }
    write_durations(text, stats);
    write_ratios(text, stats);
    write_similarities(text, stats);
    write_namespaces(text, &overview.namespaces);
    write_models(text, overview, models);
}

fn write_durations(text: &mut Text, stats: &Stats) {
    text.family(
        OPERATIONS,
        Kind::Histogram,
        "Durations of operations inside the store.",
    );
    for (operation, latency) in stats.latencies() {
        let bounds = Latency::bounds().map(|bound| bound.as_secs_f64());
        text.histogram(
            OPERATIONS,
            &[("operation", operation)],
            bounds.zip(latency.buckets),
            latency.count,
            latency.sum.as_secs_f64(),
        );
    }
}

fn write_ratios(text: &mut Text, stats: &Stats) {
    text.family(
        RATIOS,
        Kind::Gauge,
        "Share of hits since the store was opened; absent before the first try.",
    );
    let embeddings = stats.embedding_cache_hits + stats.embedding_cache_misses;
    let answered = stats.semantic_cache_exact_hits + stats.semantic_cache_semantic_hits;
    let responses = answered + stats.semantic_cache_misses;
    for (kind, hits, tries) in [
        ("get", stats.hits, stats.gets),
        ("put_exact", stats.dedup_hits, stats.puts),
        ("put_semantic", stats.semantic_hits, stats.puts),
        ("embedding_cache", stats.embedding_cache_hits, embeddings),
        ("semantic_cache", answered, responses),
        (
            "semantic_cache_exact",
            stats.semantic_cache_exact_hits,
            responses,
        ),
    ] {
        if tries > 0 {
            text.sample(RATIOS, &[("kind", kind)], as_f64(hits) / as_f64(tries));
        }
    }
}

/// Of the latest decisions, so bins may fall: gauges, and no histogram in the sense of Prometheus.
fn write_similarities(text: &mut Text, stats: &Stats) {
    text.family(
        SIMILARITY,
        Kind::Gauge,
        "Similarities of the nearest text at the latest decisions: number of those up to `le`.",
    );
    for (decided, similarities) in [
        ("put", stats.put_similarities),
        ("lookup", stats.lookup_similarities),
    ] {
        let mut upto = 0;
        let bins = as_f64(similarities.bins.len() as u64);
        for (place, count) in (1..).zip(similarities.bins) {
            upto += count;
            let bound = (as_f64(place) / bins).to_string();
            text.sample(SIMILARITY, &[("decision", decided), ("le", &bound)], upto);
        }
    }
}

fn write_namespaces(text: &mut Text, namespaces: &[NamespaceFigures]) {
    text.family(
        NAMESPACES,
        Kind::Gauge,
        "Namespaces, the store's own among them.",
    );
    text.sample(NAMESPACES, &[], namespaces.len());
    let mut largest: Vec<_> = namespaces.iter().collect();
    largest.sort_by_key(|own| std::cmp::Reverse((own.bytes, own.keys)));
    largest.truncate(MAX_NAMESPACES);
    for (name, kind, help, figure) in OF_NAMESPACES {
        text.family(name, kind, help);
        for own in &largest {
            text.sample(name, &[("namespace", &own.name)], figure(own));
        }
    }
}

fn write_models(text: &mut Text, overview: &Overview, models: &[(&str, EmbedderLoad)]) {
    let own = overview.embedder.iter().map(|load| ("store", "", *load));
    let named = models
        .iter()
        .map(|(name, load)| ("embeddings", *name, *load));
    let loads: Vec<_> = own.chain(named).collect();
    text.family(WAITING, Kind::Gauge, "Texts that wait for a model.");
    for (of, model, load) in &loads {
        text.sample(WAITING, &[("of", of), ("model", model)], load.waiting);
    }
    text.family(
        BATCHES,
        Kind::Histogram,
        "Distinct texts that a model computed at once.",
    );
    for (of, model, load) in &loads {
        let sizes = ROUND_SIZES.into_iter().map(as_f64).zip(load.sizes);
        let labels = [("of", *of), ("model", *model)];
        text.histogram(BATCHES, &labels, sizes, load.rounds, load.texts);
    }
}

/// Figures of the process that serves.
pub(super) fn write_process(text: &mut Text, uptime: Duration) {
    text.family(BUILD, Kind::Gauge, "The version that is running.");
    text.sample(BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family(UPTIME, Kind::Gauge, "Time since the server was started.");
    text.sample(UPTIME, &[], uptime.as_secs_f64());
    if let Some(bytes) = resident_bytes() {
        text.family(MEMORY, Kind::Gauge, "Resident memory of the process.");
        text.sample(MEMORY, &[], bytes);
    }
}

/// Resident memory, where the operating system tells it in a file.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows only floats; figures stay far below 2^53"
)]
fn as_f64(number: u64) -> f64 {
    number as f64
}
