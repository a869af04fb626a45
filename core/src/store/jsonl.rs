//! Records as JSON Lines (<https://jsonlines.org>): one object a line.
//!
//! ```text
//! {"key":"greeting","value":"hello","created_us":1767225600000000}
//! {"key_b64":"/w==","value_b64":"AP8=","created_us":1767225600000000,"expires_us":1767229200000000}
//! {"key":"answer","value":"42","created_us":1767225600000000,"metadata":{"task":"support"}}
//! ```
//! Key and value are text where they are UTF-8, otherwise Base64 (RFC 4648 § 4, padded) under the other name. Times are
//! microseconds since the Unix epoch; without `expires_us` a key does not expire, and without `created_us` it counts as
//! put when it is imported. `metadata` is that of the value, left out where there is none.

mod problem;

use super::export::{IMPORT_BYTES, IMPORT_RECORDS, Record};
use super::put::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::metadata::{
    self, MAX_METADATA_NAME_BYTES, MAX_METADATA_PAIRS, MAX_METADATA_TEXT_BYTES, Metadata,
};
use crate::staging::StagedFile;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

/// Bytes read or written at once.
const BUFFER: usize = 1 << 20;
/// Longest metadata: its bytes, and quotes and commas around each pair.
const MAX_METADATA_BYTES: usize =
    MAX_METADATA_PAIRS * (MAX_METADATA_NAME_BYTES + MAX_METADATA_TEXT_BYTES + 6);
/// Longest line: the longest key, value and metadata, each byte escaped as `\u0000`, and the names of the fields.
const MAX_LINE_BYTES: u64 =
    6 * (MAX_KEY_BYTES + MAX_VALUE_BYTES + MAX_METADATA_BYTES) as u64 + 1024;

#[derive(Serialize)]
struct WrittenLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
}

/// A field that is not known is refused: what it says would be lost.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadLine {
    key: Option<String>,
    key_b64: Option<String>,
    value: Option<String>,
    value_b64: Option<String>,
    created_us: Option<u64>,
    expires_us: Option<u64>,
    metadata: Option<Metadata>,
}

/// A record that was read.
struct Owned {
    key: Vec<u8>,
    value: Vec<u8>,
    created_us: Option<u64>,
    expires_us: Option<u64>,
    metadata: Option<Metadata>,
}

impl Owned {
    fn record(&self) -> Record<'_> {
        Record {
            key: &self.key,
            value: &self.value,
            created_us: self.created_us,
            expires_us: self.expires_us,
            metadata: self.metadata.as_ref(),
        }
    }
}

impl Engine {
    pub(crate) fn export_jsonl(
        &self,
        namespace: &Namespace,
        path: &Path,
        prefix: &[u8],
    ) -> Result<u64> {
        let staged = StagedFile::create(path, &self.path)?;
        let mut writer = BufWriter::with_capacity(BUFFER, staged.file());
        let written = self.export_records(namespace, prefix, |record| {
            serde_json::to_writer(&mut writer, &to_line(&record))
                .map_err(std::io::Error::from)
                .and_then(|()| writer.write_all(b"\n"))
                .map_err(|error| Error::io("write", path, &error))?;
            Ok(ControlFlow::Continue(()))
        })?;
        let flushed = writer.flush();
        flushed.map_err(|error| Error::io("write", path, &error))?;
        drop(writer);
        staged.publish()?;
        Ok(written)
    }

    pub(crate) fn import_jsonl(&self, namespace: &Namespace, path: &Path) -> Result<u64> {
        let file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
        let mut lines = Lines {
            path,
            reader: BufReader::with_capacity(BUFFER, file),
            number: 0,
            line: Vec::new(),
        };
        let mut imported = 0;
        loop {
            let (batch, end) = lines.batch();
            let records: Vec<_> = batch.iter().map(Owned::record).collect();
            imported += self
                .import_records(namespace, &records)
                .map_err(|error| lines.name(error))?;
            if end? {
                return Ok(imported);
            }
        }
    }
}

/// The lines of a file, with the number of the last one read.
struct Lines<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    number: u64,
    line: Vec<u8>,
}

impl Lines<'_> {
    /// The records of the next lines, and whether the file ends there. An error is that of the line after them.
    fn batch(&mut self) -> (Vec<Owned>, Result<bool>) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < IMPORT_RECORDS && bytes < IMPORT_BYTES {
            match self.next() {
                Ok(Some(record)) => {
                    bytes += record.record().len();
                    batch.push(record);
                }
                Ok(None) => return (batch, Ok(true)),
                Err(error) => return (batch, Err(error)),
            }
        }
        (batch, Ok(false))
    }

    /// The record of the next line that is not blank.
    fn next(&mut self) -> Result<Option<Owned>> {
        loop {
            self.line.clear();
            let read = (&mut self.reader)
                .take(MAX_LINE_BYTES + 1)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| Error::io("read", self.path, &error))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 > MAX_LINE_BYTES {
                return Err(self.bad(&format!("it has more than {MAX_LINE_BYTES} bytes")));
            }
            if !self.line.trim_ascii().is_empty() {
                return from_line(&self.line)
                    .map(Some)
                    .map_err(|reason| self.bad(&reason));
            }
        }
    }

    fn bad(&self, reason: &str) -> Error {
        Error::InvalidArgument(format!(
            "{}, line {}: this is no record of an export: {reason}",
            self.path.display(),
            self.number
        ))
    }

    /// Says where the records came from that the store refused.
    fn name(&self, error: Error) -> Error {
        match error {
            Error::InvalidArgument(reason) => Error::InvalidArgument(format!(
                "{}, at most {IMPORT_RECORDS} lines up to {}: {reason}",
                self.path.display(),
                self.number
            )),
            other => other,
        }
    }
}

fn to_line<'a>(record: &Record<'a>) -> WrittenLine<'a> {
    let (key, key_b64) = text_or_base64(record.key);
    let (value, value_b64) = text_or_base64(record.value);
    WrittenLine {
        key,
        key_b64,
        value,
        value_b64,
        created_us: record.created_us,
        expires_us: record.expires_us,
        metadata: record.metadata,
    }
}

fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// What is wrong with a line of such a file, without its line feed; `None`: nothing. For whoever reads files where no store
/// is.
#[must_use]
pub fn jsonl_problem(line: &[u8]) -> Option<String> {
    from_line(line).err()
}

/// The record of a line, or what is wrong with it.
fn from_line(line: &[u8]) -> std::result::Result<Owned, String> {
    let line: ReadLine =
        serde_json::from_slice(line).map_err(|error| problem::of_line(line, &error))?;
    let key = bytes_of("key", line.key, line.key_b64, MAX_KEY_BYTES)?;
    let value = bytes_of("value", line.value, line.value_b64, MAX_VALUE_BYTES)?;
    let metadata = line.metadata.filter(|metadata| !metadata.is_empty());
    if let Some(metadata) = &metadata {
        metadata::check(metadata).map_err(|error| error.to_string())?;
    }
    Ok(Owned {
        key,
        value,
        created_us: line.created_us,
        expires_us: line.expires_us,
        metadata,
    })
}

fn bytes_of(
    name: &str,
    text: Option<String>,
    base64: Option<String>,
    most: usize,
) -> std::result::Result<Vec<u8>, String> {
    let bytes = match (text, base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(encoded)) => STANDARD
            .decode(&encoded)
            .map_err(|error| format!("`{name}_b64` is not Base64: {error}"))?,
        _ => return Err(format!("it should have either `{name}` or `{name}_b64`")),
    };
    if bytes.len() > most {
        return Err(format!(
            "a {name} has at most {most} bytes, this one has {}",
            bytes.len()
        ));
    }
    Ok(bytes)
}
