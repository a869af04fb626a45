//! The commands and their arguments. Help texts are what `prestige COMMAND --help` prints.

use super::serve::ServeArguments;
use super::target::{Place, Target};
use super::values::{Alert, Raw, alert, pair, raw, seconds, share, similarity, size};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use serde::Serialize;

/// An embedded store that keeps one copy of every distinct value.
#[derive(Debug, Parser)]
#[command(
    name = "prestige",
    bin_name = "prestige",
    version,
    arg_required_else_help = true,
    propagate_version = false,
    disable_help_subcommand = true,
    subcommand_help_heading = "Commands",
    after_help = "Exit codes: 0 done, 1 failed or not found, 2 wrong arguments, 130 interrupted, 141 the reader of the \
                  output has gone. `health` has those of Nagios: 0 ok, 1 warning, 2 critical, 3 unknown."
)]
pub(crate) struct Prestige {
    #[command(subcommand)]
    pub command: Command,
}

/// One command. As JSON: its arguments, and its name as `command`.
#[derive(Debug, Serialize, Subcommand)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub(crate) enum Command {
    /// Store a value under a key
    Put(Put),
    /// Print the value of a key
    Get(Get),
    /// Delete keys
    #[command(visible_alias = "delete")]
    Del(Del),
    /// List keys, in byte order
    Keys(Keys),
    /// Count the keys
    Count(Count),
    /// Count the keys, the expired and not yet swept among them
    CountApprox(Place),
    /// List the namespaces
    Namespaces(Place),
    /// Judge the store: figures, a status, and an exit code for monitoring
    #[command(after_long_help = HEALTH_HELP)]
    Health(Health),
    /// Show what has happened since the store was opened
    Stats(Place),
    /// Remove expired keys and values that no key points at
    Sweep(Place),
    /// Remove expired keys, and old or idle ones
    Prune(Prune),
    /// Remove least recently used keys until the store is small enough
    Evict(Evict),
    /// Make all that was put durable against power loss
    Flush(Place),
    /// Check every invariant of the store; exit code 1 if one is broken
    Verify(Place),
    /// Rewrite the files, so that removed data takes no space
    Compact(Place),
    /// Build the vector index anew from the stored vectors
    RebuildIndex(Place),
    /// Embed every text of a semantic store by another model, which becomes its own
    Reembed(Reembed),
    /// Copy a store while it is in use
    Backup(Backup),
    /// Make a store from a backup
    Restore(Restore),
    /// Write keys, values and times to a file
    Export(Export),
    /// Put the keys of a file that `export` wrote
    Import(Import),
    /// Find the stored values nearest to a query
    Candidates(Candidates),
    /// Show which threshold suits judged pairs of texts
    Calibrate(Calibrate),
    /// List, find and download models for semantic stores
    Models(Models),
    /// Serve a store over HTTP
    Serve(Box<ServeArguments>),
    /// Show an embedding cache and a semantic store at work on real texts
    Demo(Demo),
    /// Print a script that completes commands in a shell
    #[command(
        after_help = "For example: prestige completions bash > ~/.local/share/bash-completion/completions/prestige"
    )]
    Completions(Completions),
}

const HEALTH_HELP: &str = "\
FIGURE is one of those that the command prints, as total_bytes. RANGE says where it is well, as Nagios plugins write it:
  10      from 0 to 10        10:20   from 10 to 20
  10:     from 10 on          @10:20  not from 10 to 20
  ~:10    up to 10
Numbers may be sizes, ~:10GiB, and those of figures that end with _s times: last_sweep_age_s=1h

Without thresholds only a broken index or a store that cannot be read is critical.
Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown (wrong arguments, no such store).";

#[derive(Args, Debug, Serialize)]
pub(crate) struct Put {
    /// The key
    #[arg(value_parser = raw())]
    pub key: Raw,
    /// The value; `-` or nothing: what comes on the standard input
    #[arg(value_parser = raw(), conflicts_with = "file")]
    pub value: Option<Raw>,
    /// Take the value from a file
    #[arg(short, long, value_name = "FILE", value_parser = raw())]
    pub file: Option<Raw>,
    /// How long the key lives, in seconds or as 12h; 0: for ever (default: as the store says)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub ttl: Option<u64>,
    /// Metadata of the value; may be repeated
    #[arg(short, long, value_name = "NAME=TEXT", value_parser = pair)]
    pub metadata: Vec<(String, String)>,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Get {
    /// The key
    #[arg(value_parser = raw())]
    pub key: Raw,
    /// Write the value to a file
    #[arg(long, value_name = "FILE", value_parser = raw())]
    pub output: Option<Raw>,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Del {
    /// The keys
    #[arg(value_name = "KEY", required = true, value_parser = raw())]
    pub keys: Vec<Raw>,
    /// Do not fail for keys that are not there
    #[arg(short, long)]
    pub force: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Keys {
    /// Only keys that begin with it
    #[arg(value_parser = raw())]
    pub prefix: Option<Raw>,
    /// At most so many
    pub limit: Option<u64>,
    /// Only keys from this one on
    #[arg(long, value_name = "KEY", value_parser = raw())]
    pub start: Option<Raw>,
    /// End each key with a NUL in place of a line feed
    #[arg(short = '0', long, conflicts_with = "json")]
    pub null: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Count {
    /// Count distinct values in place of keys
    #[arg(long)]
    pub unique: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: Place,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Health {
    /// Where a figure is well, else a warning; may be repeated
    #[arg(short, long, value_name = "FIGURE=RANGE", value_parser = alert)]
    pub warn: Vec<Alert>,
    /// Where a figure is well, else critical; may be repeated
    #[arg(short, long, value_name = "FIGURE=RANGE", value_parser = alert)]
    pub crit: Vec<Alert>,
    /// Print one line with performance data, as Nagios and its kin read it
    #[arg(long, conflicts_with = "json")]
    pub nagios: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: Place,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Prune {
    /// Also keys whose last put is longer ago, in seconds or as 30days
    #[arg(long, value_name = "TIME", default_value = "0", hide_default_value = true, value_parser = seconds)]
    pub max_age: u64,
    /// Also keys neither put nor read for longer
    #[arg(long, value_name = "TIME", default_value = "0", hide_default_value = true, value_parser = seconds)]
    pub max_idle: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: Place,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Evict {
    /// Bytes of keys and values that may stay, as 10GiB
    #[arg(value_name = "BYTES", value_parser = size)]
    pub target_bytes: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub place: Place,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Reembed {
    /// The new model: a name of `prestige models list`, minilm for the bundled one, or a folder; of a server one that it allows
    pub model: String,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Backup {
    /// Directory to make; of a server, a name in its backup directory
    #[arg(value_name = "BACKUP", value_parser = raw())]
    pub backup: Raw,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Restore {
    /// Directory that `backup` made
    #[arg(value_name = "BACKUP", value_parser = raw())]
    pub backup: Raw,
    /// Directory of the store to make
    #[arg(value_name = "DIR", value_parser = raw())]
    pub directory: Raw,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Form of a file of keys and values.
#[derive(Clone, Copy, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// One JSON object a line
    Jsonl,
    /// Apache Parquet, with the package pyarrow
    Parquet,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Export {
    /// The file; `-`: the standard output
    #[arg(value_parser = raw())]
    pub file: Raw,
    /// Only keys that begin with it
    #[arg(long, value_name = "PREFIX", value_parser = raw())]
    pub prefix: Option<Raw>,
    /// Form of the file (default: as its name ends, else jsonl)
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Import {
    /// The file; `-`: the standard input
    #[arg(value_parser = raw())]
    pub file: Raw,
    /// Form of the file (default: as its name ends, else jsonl)
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Candidates {
    /// The query; `-`: what comes on the standard input
    #[arg(value_parser = raw())]
    pub query: Raw,
    /// At most so many
    #[arg(short, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub k: u64,
    /// Least cosine similarity, -1 to 1
    #[arg(long, value_name = "SIMILARITY", allow_negative_numbers = true, value_parser = similarity)]
    pub min_similarity: Option<f64>,
    /// Only values with this metadata; may be repeated
    #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
    pub filter: Vec<(String, String)>,
    /// Leave the values out
    #[arg(long)]
    pub no_values: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
#[command(
    about = "Show what each threshold would merge of judged pairs: precision, recall and false accepts with 95 % \
             intervals (Wilson), and the lowest one of a wanted precision"
)]
pub(crate) struct Calibrate {
    /// Pairs as .csv with a header, or as .jsonl, in UTF-8, with text_a, text_b and label, or similarity and label
    #[arg(value_parser = raw())]
    pub file: Option<Raw>,
    /// In place of FILE, the family of outcomes that the store has
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub family: Option<String>,
    /// The precision wanted, over 0 and at most 1
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = share)]
    pub precision: f64,
    /// Folder or file of the model that embeds (default: the bundled one)
    #[arg(long, value_name = "PATH", value_parser = raw())]
    pub model: Option<Raw>,
    /// Draw the shares by threshold into this file
    #[arg(long, value_name = "FILE.svg", value_parser = raw())]
    pub chart: Option<Raw>,
    /// The same as --path
    #[arg(long, value_name = "DIR", hide = true, value_parser = raw(), conflicts_with_all = ["path", "url", "file"])]
    pub store: Option<Raw>,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: Target,
}

#[derive(Args, Debug, Serialize)]
#[command(
    about = "List, find and download models for semantic stores. Only `pull` opens connections"
)]
pub(crate) struct Models {
    #[command(subcommand)]
    #[serde(flatten)]
    pub part: ModelsPart,
}

#[derive(Debug, Serialize, Subcommand)]
#[serde(tag = "part", rename_all = "kebab-case")]
pub(crate) enum ModelsPart {
    /// The models known by name, and where they are
    List {
        #[command(flatten)]
        #[serde(flatten)]
        cache: ModelCache,
    },
    /// The folder of a model on this machine
    Path {
        #[command(flatten)]
        #[serde(flatten)]
        model: NamedModel,
    },
    /// Download a model from the Hugging Face hub, or bring it up to date, and print its folder
    #[command(
        after_help = "Files are compared with the hashes that the hub states. Needs the package huggingface_hub: pip \
                      install 'prestige-cache[hub]'. Honours HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_ENDPOINT."
    )]
    Pull {
        #[command(flatten)]
        #[serde(flatten)]
        model: NamedModel,
        /// Open no connection: fail if it is missing
        #[arg(long)]
        local_files_only: bool,
        /// Show no progress
        #[arg(long)]
        quiet: bool,
    },
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct ModelCache {
    /// Where models are (default: the cache of the Hugging Face client, see HF_HOME)
    #[arg(long, value_name = "DIR", value_parser = raw())]
    pub cache_dir: Option<Raw>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct NamedModel {
    /// A name of `prestige models list`, or organisation/name
    pub model: String,
    /// Branch, tag or commit (default: main)
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub cache: ModelCache,
}

#[derive(Args, Debug, Serialize)]
#[command(
    about = "Show an embedding cache, a semantic store and the health endpoint at work, in a temporary directory that \
             is removed afterwards"
)]
pub(crate) struct Demo {
    /// UTF-8 texts, one a line (default: the support questions that come with the package)
    #[arg(value_parser = raw())]
    pub file: Option<Raw>,
    /// Cosine similarity from which two texts share one value, over 0 and at most 1 (default: that of the store)
    #[arg(long, value_name = "T", value_parser = share)]
    pub threshold: Option<f64>,
    /// Use the first N texts of FILE
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
}

#[derive(Args, Debug, Serialize)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    #[serde(skip)]
    pub shell: Shell,
}
