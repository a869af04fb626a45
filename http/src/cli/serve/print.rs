//! `--print-config`: every setting, its value and where that comes from, as a file that can be used as it is.

use super::arguments::ServeArguments;
use crate::cli::file::table_of;
use crate::cli::layers::{Layered, SECRETS, Source, is_setting, variable};
use clap::{Arg, Command};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// In place of a secret.
pub(super) const MASK: &str = "***";

/// The settings as TOML, each with its source as a comment.
pub(super) fn toml(arguments: &ServeArguments, layered: &Layered, command: &Command) -> String {
    let values = values(arguments);
    let mut text = String::new();
    for table in tables(command) {
        let lines: Vec<(String, String)> = settings(command)
            .filter(|setting| table_of(setting) == table)
            .map(|setting| line(setting, &values, layered))
            .collect();
        let width = lines.iter().map(|(line, _)| line.len()).max().unwrap_or(0);
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}[{table}]");
        for (line, source) in lines {
            let _ = writeln!(text, "{line:width$}  # {source}");
        }
    }
    text
}

/// The settings as JSON: for each its value and source, and its definition.
pub(super) fn json(arguments: &ServeArguments, layered: &Layered, command: &Command) -> String {
    let values = values(arguments);
    let document: Map<String, Value> = settings(command)
        .map(|setting| {
            let id = setting.get_id().as_str();
            let defaults = setting.get_default_values();
            let default = defaults
                .first()
                .map(|value| value.to_string_lossy().into_owned());
            let described = json!({
                "value": shown(id, &values),
                "source": source(id, layered),
                "table": table_of(setting),
                "argument": setting.get_long().map(|long| format!("--{long}")),
                "variable": variable(id),
                "default": default,
                "values": possible_values(setting),
                "help": setting.get_help().map(ToString::to_string),
            });
            (id.to_owned(), described)
        })
        .collect();
    format!("{}\n", Value::Object(document))
}

/// What a setting can be, if it is one of a few names.
fn possible_values(setting: &Arg) -> Vec<String> {
    let values = setting.get_possible_values();
    values
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect()
}

fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|setting| is_setting(setting))
}

/// The tables, in the order in which their settings are defined.
fn tables(command: &Command) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for table in settings(command).map(table_of) {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    tables
}

fn values(arguments: &ServeArguments) -> Map<String, Value> {
    let mut values = match serde_json::to_value(arguments) {
        Ok(Value::Object(values)) => values,
        _ => Map::new(),
    };
    if let Some(directory) = &arguments.directory {
        values.insert("path".to_owned(), json!(directory.to_string_lossy()));
    }
    values
}

fn shown(id: &str, values: &Map<String, Value>) -> Value {
    match values.get(id) {
        None | Some(Value::Null) => Value::Null,
        Some(_) if SECRETS.contains(&id) => json!(MASK),
        Some(Value::String(url)) if id == "upstream" => json!(without_password(url)),
        Some(value) => value.clone(),
    }
}

/// A URL with what stands before the host masked: there may be a password.
fn without_password(url: &str) -> String {
    match url
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)))
    {
        Some((scheme, rest)) => format!("{scheme}://{MASK}@{rest}"),
        None => url.to_owned(),
    }
}

fn source(id: &str, layered: &Layered) -> String {
    let given = |id: &str| {
        layered
            .sources
            .get(id)
            .filter(|source| **source != Source::Default)
    };
    let directory = given("directory").filter(|_| id == "path");
    let source = directory.or_else(|| given(id)).unwrap_or(&Source::Default);
    source.to_string()
}

fn line(setting: &Arg, values: &Map<String, Value>, layered: &Layered) -> (String, String) {
    let id = setting.get_id().as_str();
    let line = match toml_of(&shown(id, values)) {
        Some(value) => format!("{id} = {value}"),
        None => format!("# {id} ="),
    };
    (line, source(id, layered))
}

fn toml_of(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(toml_of).collect();
            Some(format!("[{}]", items.join(", ")))
        }
        Value::String(text) => Some(toml::Value::String(text.clone()).to_string()),
        other => Some(other.to_string()),
    }
}
