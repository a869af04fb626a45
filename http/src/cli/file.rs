//! The configuration file: TOML, a table for each group of settings.

use super::layers::is_setting;
use clap::{Arg, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Names at least this alike (Jaro-Winkler, 0 to 1) are worth suggesting.
const ALIKE: f64 = 0.75;

/// The settings of a file.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// Name for messages.
    pub name: String,
    /// By the name of the argument.
    pub entries: BTreeMap<String, Entry>,
}

/// One setting.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub line: usize,
    pub values: Vec<OsString>,
}

/// The table that a setting stands in: the heading of its argument, in small letters.
pub(crate) fn table_of(argument: &Arg) -> String {
    argument
        .get_help_heading()
        .unwrap_or("server")
        .to_lowercase()
}

impl File {
    /// Reads a file with settings of `command`.
    pub(crate) fn read(path: &Path, command: &Command) -> Result<Self, String> {
        let text = std::fs::read(path).map_err(|error| {
            format!("cannot read the configuration {}: {error}", path.display())
        })?;
        let text = String::from_utf8(text)
            .map_err(|_| format!("the configuration {} is not UTF-8", path.display()))?;
        Self::parse(&path.display().to_string(), &text, command)
    }

    /// The settings of `text`. Errors name the line, never its text: it may be a secret.
    pub(crate) fn parse(name: &str, text: &str, command: &Command) -> Result<Self, String> {
        let line = |span: &Range<usize>| {
            let before = text.as_bytes().iter().take(span.start);
            1 + before.filter(|byte| **byte == b'\n').count()
        };
        let document = DeTable::parse(text).map_err(|error| {
            let place = error.span().map_or(0, |span| line(&span));
            format!(
                "{name}, line {place}: this is not TOML: {}",
                error.message()
            )
        })?;
        let settings: Vec<&Arg> = command
            .get_arguments()
            .filter(|argument| is_setting(argument))
            .collect();
        let mut entries = BTreeMap::new();
        for (table, content) in document.get_ref() {
            let place = line(&table.span());
            let table: &str = table.get_ref();
            let Some(content) = content.get_ref().as_table() else {
                return Err(format!(
                    "{name}, line {place}: {}",
                    outside(&settings, table)
                ));
            };
            let known = settings.iter().any(|setting| table_of(setting) == table);
            if !known {
                let tables = settings.iter().map(|setting| table_of(setting));
                return Err(format!(
                    "{name}, line {place}: there is no table [{table}]{}",
                    nearest(table, tables)
                        .map_or_else(String::new, |near| format!("; did you mean [{near}]?"))
                ));
            }
            for (key, value) in content {
                let place = line(&key.span());
                let wrong = |why: String| format!("{name}, line {place}: {why}");
                let key: &str = key.get_ref();
                let setting = setting(&settings, table, key).map_err(wrong)?;
                let repeats = matches!(setting.get_action(), clap::ArgAction::Append);
                let values = values(value, repeats)
                    .map_err(|why| format!("{name}, line {place}: {key}: {why}"))?;
                entries.insert(
                    key.to_owned(),
                    Entry {
                        line: place,
                        values,
                    },
                );
            }
        }
        Ok(Self {
            name: name.to_owned(),
            entries,
        })
    }
}

/// What is wrong with a key that stands in no table.
fn outside(settings: &[&Arg], key: &str) -> String {
    match settings.iter().find(|setting| setting.get_id() == key) {
        Some(setting) => format!("{key} belongs into the table [{}]", table_of(setting)),
        None => unknown(settings, key),
    }
}

fn setting<'a>(settings: &[&'a Arg], table: &str, key: &str) -> Result<&'a Arg, String> {
    let found = settings.iter().find(|setting| setting.get_id() == key);
    let Some(setting) = found else {
        return Err(unknown(settings, key));
    };
    let own = table_of(setting);
    if own != table {
        return Err(format!(
            "{key} belongs into the table [{own}], not [{table}]"
        ));
    }
    Ok(setting)
}

fn unknown(settings: &[&Arg], key: &str) -> String {
    let names = settings.iter().map(|setting| setting.get_id().to_string());
    match nearest(key, names) {
        Some(near) => format!("there is no setting {key}; did you mean {near}?"),
        None => format!("there is no setting {key}; prestige serve --print-config shows all"),
    }
}

/// The name most like `name`, if one is like it.
pub(crate) fn nearest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    names
        .map(|other| (strsim::jaro_winkler(&name.to_lowercase(), &other), other))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// The words that an argument would have in place of a TOML value.
fn values(value: &Spanned<DeValue<'_>>, repeats: bool) -> Result<Vec<OsString>, String> {
    if let Some(array) = value.get_ref().as_array() {
        if !repeats {
            return Err("expected one value, not an array".to_owned());
        }
        return array.iter().map(|value| word(value.get_ref())).collect();
    }
    Ok(vec![word(value.get_ref())?])
}

fn word(value: &DeValue<'_>) -> Result<OsString, String> {
    match value {
        DeValue::String(text) => Ok(OsString::from(text.as_ref())),
        DeValue::Integer(number) if number.radix() == 10 => Ok(OsString::from(number.as_str())),
        DeValue::Float(number) => Ok(OsString::from(number.as_str())),
        DeValue::Boolean(truth) => Ok(OsString::from(truth.to_string())),
        other => Err(format!(
            "expected a string, a decimal number, true or false, not {}",
            match other {
                DeValue::Integer(_) => "an integer of another base",
                other => other.type_str(),
            }
        )),
    }
}
