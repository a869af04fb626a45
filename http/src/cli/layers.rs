//! Where settings come from: arguments go before the environment, that before the file, that before the defaults.
//!
//! There is one definition of each setting, its clap argument. A variable of the environment is `PRESTIGE_` and the name
//! of the argument, `PRESTIGE_MAX_STORE_BYTES`; a key of the file is the name alone, `max_store_bytes`. What they say
//! becomes the default of the argument, so that one parser checks all of it.

use super::file::File;
use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::ffi::OsString;
use std::fmt;

/// Looks up a variable of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Arguments that say what to do once, not how things are.
const NOT_SETTINGS: [&str; 6] = [
    "help",
    "version",
    "config",
    "print_config",
    "json",
    "option",
];

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Argument(String),
    Environment(String),
    File { name: String, line: usize },
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(name) => formatter.write_str(name),
            Self::Environment(name) => formatter.write_str(name),
            Self::File { name, line } => write!(formatter, "{name}, line {line}"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// What the layers say: the arguments as parsed, and where each setting comes from.
pub(crate) struct Layered {
    pub matches: ArgMatches,
    pub sources: BTreeMap<String, Source>,
}

/// Why settings cannot be used: something to print, or a layer below the arguments is wrong.
#[derive(Debug)]
pub(crate) enum Refused {
    Clap(clap::Error),
    Setting(String),
}

/// Whether an argument is a setting, which the environment and the file may have too.
pub(crate) fn is_setting(argument: &clap::Arg) -> bool {
    let id = argument.get_id().as_str();
    !NOT_SETTINGS.contains(&id) && !argument.is_hide_set() && id != "directory"
}

/// Name of the variable of a setting.
pub(crate) fn variable(id: &str) -> String {
    format!("PRESTIGE_{}", id.to_uppercase())
}

/// Parses `argv`, which is without the name of the program. `settings` says which arguments of a command the environment
/// may give; `file` reads the file that the first parsing names.
pub(crate) fn parse(
    command: Command,
    argv: &[OsString],
    environment: Environment<'_>,
    settings: impl Fn(&str, &clap::Arg) -> bool,
    file: impl Fn(&str, &ArgMatches) -> Result<Option<File>, String>,
) -> Result<Layered, Refused> {
    let argv = with_truths(&command, argv);
    let words = || std::iter::once(OsString::from("prestige")).chain(argv.iter().cloned());
    let given = command
        .clone()
        .try_get_matches_from(words())
        .map_err(Refused::Clap)?;
    let Some((name, arguments)) = given.subcommand() else {
        return Ok(Layered {
            matches: given,
            sources: BTreeMap::new(),
        });
    };
    let file = file(name, arguments).map_err(Refused::Setting)?;
    let mut below: BTreeMap<String, (Source, Vec<OsString>)> = BTreeMap::new();
    let mut sources = BTreeMap::new();
    let Some(definition) = command.find_subcommand(name) else {
        return Ok(Layered {
            matches: given,
            sources,
        });
    };
    let on_the_line = |id: &str| {
        let known = arguments.try_contains_id(id).unwrap_or(false);
        known && arguments.value_source(id) == Some(ValueSource::CommandLine)
    };
    // A directory or a server that is named goes before both in the environment.
    let place_named = ["directory", "path", "url", "store"]
        .iter()
        .any(|id| on_the_line(id));
    for argument in definition.get_arguments() {
        let id = argument.get_id().as_str();
        if on_the_line(id) {
            sources.insert(id.to_owned(), Source::Argument(shown(argument)));
            continue;
        }
        sources.insert(id.to_owned(), Source::Default);
        if !settings(name, argument) || (place_named && ["path", "url"].contains(&id)) {
            continue;
        }
        // A client has one token; a server takes both.
        let other = match id {
            "token" if name != "serve" => "token_file",
            "token_file" if name != "serve" => "token",
            _ => "",
        };
        if on_the_line(other) {
            continue;
        }
        let variable = variable(id);
        if let Some(value) = environment(&variable).filter(|value| !value.is_empty()) {
            below.insert(id.to_owned(), (Source::Environment(variable), vec![value]));
        } else if let Some(entry) = file.as_ref().and_then(|file| file.entries.get(id)) {
            let source = Source::File {
                name: file
                    .as_ref()
                    .map_or_else(String::new, |file| file.name.clone()),
                line: entry.line,
            };
            below.insert(id.to_owned(), (source, entry.values.clone()));
        }
    }
    let command = command.mut_subcommand(name, |mut command| {
        for (id, (_, values)) in &below {
            let values: Vec<OsStr> = values
                .iter()
                .map(|value| OsStr::from(value.clone()))
                .collect();
            command = command.mut_arg(id, |argument| argument.default_values(values));
        }
        command
    });
    let matches = command
        .clone()
        .try_get_matches_from(words())
        .map_err(|error| refused(&command, name, &below, error))?;
    for (id, (source, _)) in below {
        sources.insert(id, source);
    }
    Ok(Layered { matches, sources })
}

/// Joins a truth that stands behind its argument as a word of its own, `--tcp false`, to `--tcp=false`. The value may be
/// left out, so clap would take the word for the directory.
fn with_truths(command: &Command, argv: &[OsString]) -> Vec<OsString> {
    let definition = argv
        .first()
        .and_then(|name| name.to_str())
        .and_then(|name| command.find_subcommand(name));
    let takes_truth = |word: &OsString| {
        let long = word.to_str().and_then(|word| word.strip_prefix("--"));
        let mut arguments = definition.into_iter().flat_map(Command::get_arguments);
        long.is_some()
            && arguments
                .any(|argument| argument.get_long() == long && argument.is_require_equals_set())
    };
    let mut words = Vec::with_capacity(argv.len());
    let mut rest = argv.iter().peekable();
    while let Some(word) = rest.next() {
        let mut word = word.clone();
        if word == "--" {
            words.push(word);
            words.extend(rest.by_ref().cloned());
        } else if takes_truth(&word)
            && let Some(value) = rest.next_if(|next| *next == "true" || *next == "false")
        {
            word.push("=");
            word.push(value);
            words.push(word);
        } else {
            words.push(word);
        }
    }
    words
}

/// The error of a layer below the arguments: these were parsed before.
fn refused(
    command: &Command,
    name: &str,
    below: &BTreeMap<String, (Source, Vec<OsString>)>,
    error: clap::Error,
) -> Refused {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return Refused::Clap(error);
    };
    // Arguments have no name to show before they are built.
    let mut command = command.clone();
    command.build();
    let mut arguments = command
        .find_subcommand(name)
        .into_iter()
        .flat_map(Command::get_arguments);
    let id = arguments
        .find(|argument| argument.to_string() == *shown)
        .map(|argument| argument.get_id().as_str());
    let Some((id, (source, _))) = id.and_then(|id| below.get_key_value(id)) else {
        return Refused::Clap(error);
    };
    let why = match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) => {
            format!("expected one of {}", valid.join(", "))
        }
        _ => error
            .source()
            .map_or_else(|| error.kind().to_string(), ToString::to_string),
    };
    let found = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(found)) if !SECRETS.contains(&id.as_str()) => {
            format!("; found {found:?}")
        }
        _ => String::new(),
    };
    Refused::Setting(match source {
        Source::Environment(variable) => {
            format!("the environment variable {variable}: {why}{found}")
        }
        source => format!("{source}: {id}: {why}{found}"),
    })
}

/// Settings that are never shown.
pub(crate) const SECRETS: [&str; 2] = ["token", "upstream_key"];

fn shown(argument: &clap::Arg) -> String {
    match argument.get_long() {
        Some(long) => format!("--{long}"),
        None => "argument".to_owned(),
    }
}
