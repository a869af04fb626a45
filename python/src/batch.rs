//! Many keys at once: a page of Python objects is gathered with the GIL held, and worked on without it.

use crate::convert::{Key, Value};
use crate::error::{PyStoreResult, blocking};
use crate::numbers::Integer;
use crate::store::Store;
use prestige_core::Entry;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyList, PyMapping, PyString, PyTuple};

/// Most entries of one write.
const PAGE_ENTRIES: usize = 1_000;
/// A write ends with the entry that makes its keys and values this long, in bytes.
const PAGE_BYTES: usize = 4 << 20;
/// Keys looked up at once.
const PAGE_KEYS: usize = 4_096;

/// One entry of `put_many`, kept alive while it is written.
struct Gathered<'py> {
    key: Key<'py>,
    value: Value<'py>,
    ttl_seconds: Option<u64>,
}

#[pymethods]
impl Store {
    /// Store many values, in few large writes.
    ///
    /// Up to 1,000 entries or 4 MiB at a time are one atomic write, in which equal values are
    /// stored and, in a semantic store, embedded once. Of several entries with one key the last
    /// wins. The input may be endless: only one write's worth of it is held.
    ///
    /// Args:
    ///     entries: A mapping, or an iterable of ``(key, value)`` or ``(key, value, ttl_seconds)``.
    ///     ttl_seconds: For entries that name none, as in ``put``.
    ///     progress: Called after every write with the number of entries stored so far.
    ///
    /// Returns:
    ///     The number of entries stored.
    ///
    /// Raises:
    ///     TypeError: An entry is of another form; the message gives its number.
    ///     Exception: As ``put``, and what the input or ``progress`` raises. What was written
    ///         before stays; the write in progress leaves nothing.
    #[pyo3(signature = (entries, ttl_seconds = None, progress = None))]
    fn put_many(
        &self,
        py: Python<'_>,
        entries: &Bound<'_, PyAny>,
        ttl_seconds: Option<Integer<'_>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<u64> {
        let mut entries = entries_of(entries)?;
        let ttl_seconds = ttl_seconds.map(|seconds| seconds.natural("ttl_seconds"));
        let ttl_seconds = ttl_seconds.transpose()?;
        let mut stored = 0;
        loop {
            let page = gather(&mut entries, ttl_seconds, stored)?;
            if page.is_empty() {
                return Ok(stored);
            }
            let entries = page
                .iter()
                .map(|entry| {
                    Ok(Entry {
                        key: entry.key.as_bytes()?,
                        value: entry.value.as_bytes()?,
                        ttl_seconds: entry.ttl_seconds,
                    })
                })
                .collect::<PyResult<Vec<_>>>()?;
            blocking(py, || self.handle().put_many(&entries))?;
            stored += page.len() as u64;
            if let Some(progress) = progress {
                progress.call1((stored,))?;
            }
            py.check_signals()?;
        }
    }

    /// Return the values of many keys.
    ///
    /// Args:
    ///     keys: The keys.
    ///     default: Stands for the value of a key that does not exist or has expired.
    ///     decode: Whether to decode the values from UTF-8.
    ///
    /// Returns:
    ///     The values, in the order of the keys.
    ///
    /// Raises:
    ///     UnicodeDecodeError: A value is to be decoded and is not UTF-8.
    #[pyo3(signature = (keys, default = None, decode = false))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
        decode: bool,
    ) -> PyStoreResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let keys = keys_of(keys)?;
        for page in keys.chunks(PAGE_KEYS) {
            let slices = slices(page)?;
            let reader = self.handle().reader()?;
            for value in blocking(py, || reader.get_many(&slices))? {
                match value.map(|value| PyBytes::new(py, &value)) {
                    Some(value) if decode => {
                        list.append(value.call_method1("decode", ("utf-8",))?)?
                    }
                    Some(value) => list.append(value)?,
                    None => list.append(default)?,
                }
            }
            drop(reader);
            py.check_signals()?;
        }
        Ok(list)
    }

    /// Tell for many keys whether they exist.
    ///
    /// Args:
    ///     keys: The keys.
    ///
    /// Returns:
    ///     True or False, in the order of the keys.
    fn contains_many(&self, py: Python<'_>, keys: &Bound<'_, PyAny>) -> PyStoreResult<Vec<bool>> {
        let keys = keys_of(keys)?;
        let mut found = Vec::with_capacity(keys.len());
        for page in keys.chunks(PAGE_KEYS) {
            let slices = slices(page)?;
            found.extend(blocking(py, || self.handle().contains_many(&slices))?);
            py.check_signals()?;
        }
        Ok(found)
    }

    /// Delete many keys, in bounded writes.
    ///
    /// Args:
    ///     keys: The keys; those that do not exist are passed over.
    ///
    /// Returns:
    ///     The number of keys deleted.
    ///
    /// Raises:
    ///     TimedOutError: Another thread held a key or value for ``lock_timeout_ms``. What was
    ///         deleted before stays deleted.
    fn delete_many(&self, py: Python<'_>, keys: &Bound<'_, PyAny>) -> PyStoreResult<u64> {
        let keys = keys_of(keys)?;
        let mut deleted = 0;
        for page in keys.chunks(PAGE_KEYS) {
            let slices = slices(page)?;
            deleted += blocking(py, || self.handle().delete_many(&slices))?;
            py.check_signals()?;
        }
        Ok(deleted)
    }
}

fn entries_of<'py>(entries: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    if entries.cast::<PyDict>().is_ok() || entries.cast::<PyMapping>().is_ok() {
        return entries.call_method0("items")?.try_iter();
    }
    entries.try_iter()
}

/// The next entries, enough for one write.
fn gather<'py>(
    entries: &mut Bound<'py, PyIterator>,
    ttl_seconds: Option<u64>,
    before: u64,
) -> PyResult<Vec<Gathered<'py>>> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while page.len() < PAGE_ENTRIES && bytes < PAGE_BYTES {
        let Some(entry) = entries.next() else { break };
        let gathered = entry_of(&entry?, ttl_seconds, before + page.len() as u64)?;
        bytes += gathered.key.as_bytes()?.len() + gathered.value.as_bytes()?.len();
        page.push(gathered);
    }
    Ok(page)
}

fn entry_of<'py>(
    entry: &Bound<'py, PyAny>,
    ttl_seconds: Option<u64>,
    number: u64,
) -> PyResult<Gathered<'py>> {
    let form = || {
        PyTypeError::new_err(format!(
            "entry {number} should be (key, value) or (key, value, ttl_seconds)"
        ))
    };
    let parts = match entry.cast::<PyTuple>() {
        Ok(tuple) => tuple.clone(),
        Err(_) => entry.cast::<PyList>().map_err(|_| form())?.to_tuple(),
    };
    if !(2..=3).contains(&parts.len()) {
        return Err(form());
    }
    let ttl_seconds = match parts.get_item(2) {
        Ok(own) if !own.is_none() => Some(own.extract::<Integer<'_>>()?.natural("ttl_seconds")?),
        _ => ttl_seconds,
    };
    Ok(Gathered {
        key: parts.get_item(0)?.extract()?,
        value: parts.get_item(1)?.extract()?,
        ttl_seconds,
    })
}

fn keys_of<'py>(keys: &Bound<'py, PyAny>) -> PyResult<Vec<Key<'py>>> {
    if keys.cast::<PyString>().is_ok() || keys.cast::<PyBytes>().is_ok() {
        return Err(PyTypeError::new_err(
            "keys should be an iterable of keys, not a single one",
        ));
    }
    keys.try_iter()?.map(|key| key?.extract()).collect()
}

fn slices<'a>(keys: &'a [Key<'_>]) -> PyResult<Vec<&'a [u8]>> {
    keys.iter().map(Key::as_bytes).collect()
}
