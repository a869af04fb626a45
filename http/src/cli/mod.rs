//! The command line: what `prestige` understands, and `prestige serve`.
//!
//! [`parse`] turns arguments into a command that another layer runs, or into something to print. [`serve`] is the one
//! command that runs here.
//!
//! # Layout
//!
//! - `command`, `target`, `values`: the arguments
//! - `layers`: arguments before environment before file before defaults; `file`: the configuration file
//! - `serve/`: the settings of the server, its printed configuration, its signals and its life

mod command;
mod file;
mod layers;
mod serve;
mod target;
#[cfg(test)]
mod tests;
mod values;

pub use layers::Environment;
pub use serve::{ModelChoice, Models, serve};

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use command::{Command, Prestige};
use file::File;
use layers::{Layered, Refused, is_setting};
use serde::Serialize;
use std::ffi::OsString;
use std::path::PathBuf;

/// Exit code of wrong arguments.
const EXIT_USAGE: u8 = 2;
/// The same of `health`, whose 2 means critical.
const EXIT_UNKNOWN: u8 = 3;

/// Settings of the commands that the environment may give; `serve` takes all of its own.
const CLIENT_SETTINGS: [&str; 5] = ["path", "url", "namespace", "token", "token_file"];

/// What the arguments mean.
#[derive(Debug)]
pub enum Parsed {
    /// A command to run.
    Run(Run),
    /// Something to print, and then the end.
    Message(Message),
}

/// A command to run; serialises to its arguments, with its name as `command`.
#[derive(Debug)]
pub struct Run(Box<Command>);

/// What to print in place of running a command.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The text, with a line feed at its end.
    pub plain: String,
    /// The same with ANSI escape sequences, for terminals.
    pub styled: String,
    /// Exit code of the process.
    pub code: u8,
    /// Whether it belongs on the standard error output.
    pub is_error: bool,
}

impl Serialize for Run {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Parses arguments, without the name of the program in front.
#[must_use]
pub fn parse(argv: &[OsString], environment: Environment<'_>) -> Parsed {
    match parse_layers(argv, environment) {
        Ok((Command::Completions(arguments), _)) => {
            let mut script = Vec::new();
            let mut command = Prestige::command();
            clap_complete::generate(arguments.shell, &mut command, "prestige", &mut script);
            let script = String::from_utf8_lossy(&script).into_owned();
            Parsed::Message(Message {
                plain: script.clone(),
                styled: script,
                code: 0,
                is_error: false,
            })
        }
        Ok((command, _)) => Parsed::Run(Run(Box::new(command))),
        Err(message) => Parsed::Message(message),
    }
}

/// The command, and the layers that its settings come from.
fn parse_layers(
    argv: &[OsString],
    environment: Environment<'_>,
) -> Result<(Command, Layered), Message> {
    let name = argv.first().and_then(|name| name.to_str()).unwrap_or("");
    let layered = layers::parse(
        Prestige::command(),
        argv,
        environment,
        |name, argument| match name {
            "serve" => is_setting(argument),
            _ => CLIENT_SETTINGS.contains(&argument.get_id().as_str()),
        },
        |name, arguments| read_file(name, arguments, environment),
    )
    .map_err(|refused| message(name, refused))?;
    if let Some((name, arguments)) = layered.matches.subcommand() {
        check_target(name, arguments).map_err(|why| message(name, Refused::Setting(why)))?;
    }
    let parsed = Prestige::from_arg_matches(&layered.matches)
        .map_err(|error| message(name, Refused::Clap(error)))?;
    Ok((parsed.command, layered))
}

/// The file that `serve --config` or `PRESTIGE_CONFIG` names.
fn read_file(
    name: &str,
    arguments: &ArgMatches,
    environment: Environment<'_>,
) -> Result<Option<File>, String> {
    if name != "serve" {
        return Ok(None);
    }
    let named = arguments.get_one::<PathBuf>("config").cloned();
    let variable = || environment("PRESTIGE_CONFIG").filter(|value| !value.is_empty());
    let Some(path) = named.or_else(|| variable().map(PathBuf::from)) else {
        return Ok(None);
    };
    let command = Prestige::command();
    match command.find_subcommand(name) {
        Some(command) => File::read(&path, command).map(Some),
        None => Ok(None),
    }
}

/// Whether a command that works on a store has one.
fn check_target(name: &str, arguments: &ArgMatches) -> Result<(), String> {
    let has = |id: &str| arguments.try_contains_id(id).unwrap_or(false);
    let takes_place = arguments.ids().any(|id| id == "namespace");
    if !takes_place || name == "serve" || (name == "calibrate" && has("file")) {
        return Ok(());
    }
    let places = ["directory", "path", "store"]
        .iter()
        .filter(|id| has(id))
        .count();
    if has("url") && places > 0 {
        return Err(format!(
            "{name}: PRESTIGE_PATH and PRESTIGE_URL are both set; choose with --path or --url, or unset one"
        ));
    }
    if !has("url") && places == 0 {
        return Err(format!(
            "{name}: which store? Name its directory with --path DIR or PRESTIGE_PATH, or a server with --url URL or \
             PRESTIGE_URL"
        ));
    }
    Ok(())
}

fn message(name: &str, refused: Refused) -> Message {
    let usage = if name == "health" {
        EXIT_UNKNOWN
    } else {
        EXIT_USAGE
    };
    match refused {
        Refused::Clap(error) => {
            let text = error.render();
            Message {
                plain: text.to_string(),
                styled: text.ansi().to_string(),
                code: if error.exit_code() == 0 { 0 } else { usage },
                is_error: error.use_stderr(),
            }
        }
        Refused::Setting(why) => {
            let text = format!("prestige: {why}\n");
            Message {
                plain: text.clone(),
                styled: text,
                code: usage,
                is_error: true,
            }
        }
    }
}
