//! Copies of a store, and records out of it and into it.

use crate::error::{PyStoreResult, blocking};
use prestige_core::{Metadata, Record, Store};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Most records handed to Python at once.
const RECORDS: usize = 65_536;
/// Most bytes of keys and values handed to Python at once, unless a single record has more.
const BYTES: usize = 16 << 20;

/// Make a store from a backup.
///
/// The backup stays as it is, so that it can be restored again; opened as a store it would change.
/// The copy is durable when the call returns, and a failure leaves nothing behind.
///
/// Args:
///     backup: Directory that ``Store.backup`` made, or of any store that is closed.
///     path: Directory of the store to make: it does not exist or is empty, its parent exists.
///
/// Raises:
///     InvalidArgumentError: There is something at ``path``, one directory lies in the other, or
///         ``backup`` is of a newer format.
///     BusyError: ``backup`` is open as a store.
///     IOError: ``backup`` is no store or cannot be read, or the copy cannot be written.
///     CorruptionError: Files of the backup are missing or damaged.
///     PrestigeError: The process was forked from one that had opened a store.
#[pyfunction]
pub(crate) fn restore(py: Python<'_>, backup: PathBuf, path: PathBuf) -> PyStoreResult<()> {
    blocking(py, || prestige_core::restore(backup, path))
}

/// Say what is wrong with a line of a file of ``Store.export_jsonl``.
///
/// Args:
///     line: The line.
///
/// Returns:
///     What was expected and what was found; ``None`` if nothing is wrong.
#[pyfunction]
pub(crate) fn jsonl_problem(line: &[u8]) -> Option<String> {
    prestige_core::jsonl_problem(line)
}

/// Records on their way to Python, column by column.
#[derive(Default)]
struct Columns {
    keys: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
    created: Vec<Option<u64>>,
    expires: Vec<Option<u64>>,
    metadata: Vec<Option<Metadata>>,
    bytes: usize,
}

impl Columns {
    fn push(&mut self, record: &Record<'_>) {
        self.keys.push(record.key.to_vec());
        self.values.push(record.value.to_vec());
        self.created.push(record.created_us);
        self.expires.push(record.expires_us);
        self.metadata.push(record.metadata.cloned());
        let pairs = record.metadata.into_iter().flatten();
        let metadata: usize = pairs.map(|(name, text)| name.len() + text.len()).sum();
        self.bytes += record.key.len() + record.value.len() + metadata;
    }

    fn is_full(&self) -> bool {
        self.keys.len() >= RECORDS || self.bytes >= BYTES
    }

    fn hand_to(self, py: Python<'_>, visit: &Py<PyAny>) -> PyResult<()> {
        let bytes = |column: Vec<Vec<u8>>| -> Vec<Py<PyBytes>> {
            let bytes = column.iter().map(|bytes| PyBytes::new(py, bytes).unbind());
            bytes.collect()
        };
        let (keys, values) = (bytes(self.keys), bytes(self.values));
        visit.call1(
            py,
            (keys, values, self.created, self.expires, self.metadata),
        )?;
        Ok(())
    }
}

/// Calls `visit` with lists of keys, values, put times, expiry times and metadata.
pub(crate) fn export(
    py: Python<'_>,
    store: &Store,
    prefix: &[u8],
    visit: &Py<PyAny>,
) -> PyStoreResult<u64> {
    let mut columns = Columns::default();
    let mut failed = None;
    let exported = blocking(py, || {
        store.export_records(prefix, |record| {
            columns.push(&record);
            if columns.is_full() {
                let full = std::mem::take(&mut columns);
                failed = Python::attach(|py| full.hand_to(py, visit)).err();
            }
            Ok(match failed {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            })
        })
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    columns.hand_to(py, visit)?;
    Ok(exported)
}

/// Puts records that come as columns of one length.
pub(crate) fn import(
    py: Python<'_>,
    store: &Store,
    keys: &[PyBackedBytes],
    values: &[PyBackedBytes],
    created: &[Option<u64>],
    expires: &[Option<u64>],
    metadata: &[Option<Metadata>],
) -> PyStoreResult<u64> {
    let times = created.iter().zip(expires).zip(metadata);
    let records: Vec<_> = keys
        .iter()
        .zip(values)
        .zip(times)
        .map(
            |((key, value), ((created_us, expires_us), metadata))| Record {
                key,
                value,
                created_us: *created_us,
                expires_us: *expires_us,
                metadata: metadata.as_ref(),
            },
        )
        .collect();
    blocking(py, || store.import_records(&records))
}
