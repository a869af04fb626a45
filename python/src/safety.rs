//! Backups, exports and imports, and reading beside an owner.

use crate::convert::{Key, prefix_argument};
use crate::error::{PyStoreResult, blocking};
use crate::store::Store;
use crate::transfer;
use prestige_core::Metadata;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use std::path::PathBuf;

#[pymethods]
impl Store {
    /// Make a copy of the store while it is in use.
    ///
    /// The copy is a store by itself, with everything that was put before the call and perhaps some
    /// of what is put during it. It is durable when the call returns, and a failure leaves nothing
    /// at ``path``. On one file system it shares the table files, which never change, and takes
    /// little space at first. ``prestige.restore`` makes a store of it.
    ///
    /// Args:
    ///     path: Directory to make: it does not exist or is empty, its parent exists, and it lies
    ///         outside of the store.
    ///
    /// Raises:
    ///     InvalidArgumentError: There is something at ``path``, or it lies in the store.
    ///     IOError: The copy cannot be written.
    ///     ReadOnlyError: The store was opened read-only.
    fn backup(&self, py: Python<'_>, path: PathBuf) -> PyStoreResult<()> {
        blocking(py, || self.handle().backup(path))
    }

    /// Write keys, values and times to a file, one JSON object a line.
    ///
    /// Those of this handle's namespace; the others are exported through their views.
    ///
    /// Fields: ``key`` and ``value`` as text, or ``key_b64`` and ``value_b64`` in Base64 where they
    /// are not UTF-8; ``created_us``, and ``expires_us`` for keys that expire, in microseconds
    /// since the Unix epoch; ``metadata`` of values that have some. The keys come in byte order, as
    /// they all were when the call began, the expired left out. The file is durable and complete
    /// when it appears.
    ///
    /// Args:
    ///     path: The file; one that is there is replaced.
    ///     prefix: Only keys that begin with it; None: all.
    ///
    /// Returns:
    ///     The number of keys written.
    ///
    /// Raises:
    ///     InvalidArgumentError: ``path`` is a directory or lies in the store.
    ///     IOError: The file cannot be written. Nothing is left of it.
    #[pyo3(signature = (path, *, prefix = None))]
    fn export_jsonl(
        &self,
        py: Python<'_>,
        path: PathBuf,
        prefix: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<u64> {
        let prefix = prefix_argument(prefix)?;
        let prefix = prefix.as_ref().map_or(Ok(&[][..]), Key::as_bytes)?;
        blocking(py, || self.handle().export_jsonl(path, prefix))
    }

    /// Put the keys of a file that ``export_jsonl`` wrote.
    ///
    /// These are ordinary puts in batches: a value is normalised and deduplicated as this store
    /// does, and a key that is there is replaced. Keys keep the times they have in the file, and
    /// lines of expired keys are skipped. Without ``created_us`` a key counts as put now.
    ///
    /// Args:
    ///     path: The file.
    ///
    /// Returns:
    ///     The number of lines put.
    ///
    /// Raises:
    ///     InvalidArgumentError: A line is no record, or the store refuses it; the message names
    ///         file and line. What stands before it stays imported.
    ///     IOError: The file cannot be read.
    ///     ReadOnlyError: The store was opened read-only.
    fn import_jsonl(&self, py: Python<'_>, path: PathBuf) -> PyStoreResult<u64> {
        blocking(py, || self.handle().import_jsonl(path))
    }

    /// Write keys, values and times to a Parquet file.
    ///
    /// Columns: ``key`` and ``value`` (binary), ``created`` and ``expires`` (timestamps in
    /// microseconds, UTC; null: never), ``metadata`` (a map of text to text, or null). Otherwise as
    /// ``export_jsonl``. Needs the package pyarrow: ``pip install "prestige-cache[parquet]"``.
    ///
    /// Args:
    ///     path: The file; one that is there is replaced.
    ///     prefix: Only keys that begin with it; None: all.
    ///
    /// Returns:
    ///     The number of keys written.
    ///
    /// Raises:
    ///     ImportError: pyarrow is not installed.
    ///     InvalidArgumentError: ``path`` is a directory or lies in the store.
    ///     IOError: The file cannot be written. Nothing is left of it.
    #[pyo3(signature = (path, *, prefix = None))]
    fn export_parquet(
        slf: &Bound<'_, Self>,
        path: PathBuf,
        prefix: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let parquet = slf.py().import("prestige._parquet")?;
        parquet
            .call_method1("export", (slf, path, prefix))?
            .extract()
    }

    /// Put the keys of a Parquet file, such as ``export_parquet`` writes.
    ///
    /// ``key`` and ``value`` may be text as well; ``created``, ``expires`` and ``metadata`` may be
    /// missing, and timestamps have any unit. Other columns are not read. Otherwise as
    /// ``import_jsonl``.
    ///
    /// Args:
    ///     path: The file.
    ///
    /// Returns:
    ///     The number of rows put.
    ///
    /// Raises:
    ///     ImportError: pyarrow is not installed.
    ///     InvalidArgumentError: The file is not Parquet or lacks a column, or a row has no key or
    ///         value or is refused; the message names file and rows. What was put before stays.
    ///     IOError: The file cannot be read.
    ///     ReadOnlyError: The store was opened read-only.
    fn import_parquet(slf: &Bound<'_, Self>, path: PathBuf) -> PyResult<u64> {
        let parquet = slf.py().import("prestige._parquet")?;
        parquet.call_method1("load", (slf, path))?.extract()
    }

    /// Call ``visit`` with lists of keys, values, put and expiry times and metadata.
    #[pyo3(signature = (prefix, visit))]
    fn _export_batches(
        &self,
        py: Python<'_>,
        prefix: Option<&Bound<'_, PyAny>>,
        visit: Py<PyAny>,
    ) -> PyStoreResult<u64> {
        let prefix = prefix_argument(prefix)?;
        let prefix = prefix.as_ref().map_or(Ok(&[][..]), Key::as_bytes)?;
        transfer::export(py, self.handle(), prefix, &visit)
    }

    /// Put records that come as lists of one length.
    fn _import_batch(
        &self,
        py: Python<'_>,
        keys: Vec<PyBackedBytes>,
        values: Vec<PyBackedBytes>,
        created: Vec<Option<u64>>,
        expires: Vec<Option<u64>>,
        metadata: Vec<Option<Metadata>>,
    ) -> PyStoreResult<u64> {
        transfer::import(
            py,
            self.handle(),
            &keys,
            &values,
            &created,
            &expires,
            &metadata,
        )
    }

    /// Show what was written since, in a store that was opened read-only.
    ///
    /// Waits for running operations. Does nothing in a store that is open for writing, which shows
    /// everything anyway.
    ///
    /// Raises:
    ///     BusyError: The owner kept changing its files; the store shows what it did before.
    fn refresh(&self, py: Python<'_>) -> PyStoreResult<()> {
        blocking(py, || self.handle().refresh())
    }
}
