//! Many keys at once: a page of Python objects is gathered with the GIL held, and worked on without it.

use crate::candidates::metadata_of;
use crate::convert::{Key, Value};
use crate::error::{PyStoreResult, blocking, invalid};
use crate::numbers::Integer;
use crate::store::Store;
use prestige_core::{Entry, Metadata};
use pyo3::exceptions::{PyTypeError, PyUnicodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyList, PyMapping, PyString, PyTuple};

/// Most entries of one write.
const PAGE_ENTRIES: usize = 1_000;
/// A write ends with the entry that makes its keys and values this long, in bytes.
const PAGE_BYTES: usize = 4 << 20;
/// Most keys looked up or deleted at once.
const PAGE_KEYS: usize = 4_096;
/// Keys of the first page of `get_many`: as long as the length of the values is not known, they may all be large.
const FIRST_PAGE_KEYS: usize = 64;
/// Bytes of values that a page of `get_many` is to have, by the average of the page before: they are in memory twice.
const PAGE_VALUE_BYTES: usize = 16 << 20;

/// One entry of `put_many`, kept alive while it is written.
pub(crate) struct Gathered<'py> {
    pub key: Key<'py>,
    pub value: Value<'py>,
    pub ttl_seconds: Option<u64>,
    pub metadata: Option<Metadata>,
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
    ///     entries: A mapping, or an iterable of ``(key, value)``, ``(key, value, ttl_seconds)`` or
    ///         ``(key, value, ttl_seconds, metadata)``.
    ///     ttl_seconds: For entries that name none, as in ``put``.
    ///     progress: Called after every write with the number of entries stored so far.
    ///
    /// Returns:
    ///     The number of entries stored.
    ///
    /// Raises:
    ///     TypeError: An entry is of another form; the message gives its number, from 0.
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
        // Also where there turns out to be nothing to write; so in each of these methods.
        blocking(py, || self.handle().check_writable())?;
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
                        metadata: entry.metadata.as_ref(),
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
    ///     keys: An iterable of keys; a single ``str`` or ``bytes`` is refused.
    ///     default: Stands for the value of a key that does not exist or has expired.
    ///     decode: Whether to decode the values from UTF-8.
    ///
    /// Returns:
    ///     The values, in the order of the keys.
    ///
    /// Raises:
    ///     TypeError: A key is neither ``str`` nor ``bytes``; the message gives its number.
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
        let mut keys = KeyPages::of(keys)?;
        blocking(py, || self.handle().check_readable())?;
        let mut most = FIRST_PAGE_KEYS;
        loop {
            let page = keys.next_page(most)?;
            if page.is_empty() {
                return Ok(list);
            }
            let slices = slices(&page)?;
            let reader = self.handle().reader()?;
            let values: Vec<_> = blocking(py, || reader.get_many(&slices))?
                .into_iter()
                .map(|value| value.map(|value| PyBytes::new(py, &value)))
                .collect();
            // Before anything that can run Python code, which may want to close the store.
            drop(reader);
            let mut bytes = 0;
            for value in values {
                bytes += value.as_ref().map_or(0, |value| value.as_bytes().len());
                match value {
                    Some(value) if decode => {
                        list.append(value.call_method1("decode", ("utf-8",))?)?
                    }
                    Some(value) => list.append(value)?,
                    None => list.append(default)?,
                }
            }
            let average = bytes / page.len() + 1;
            most = (PAGE_VALUE_BYTES / average).clamp(1, PAGE_KEYS);
            py.check_signals()?;
        }
    }

    /// Tell for many keys whether they exist.
    ///
    /// Args:
    ///     keys: An iterable of keys; a single ``str`` or ``bytes`` is refused.
    ///
    /// Returns:
    ///     True or False, in the order of the keys.
    ///
    /// Raises:
    ///     TypeError: A key is neither ``str`` nor ``bytes``; the message gives its number.
    fn contains_many(&self, py: Python<'_>, keys: &Bound<'_, PyAny>) -> PyStoreResult<Vec<bool>> {
        let mut keys = KeyPages::of(keys)?;
        blocking(py, || self.handle().check_readable())?;
        let mut found = Vec::new();
        loop {
            let page = keys.next_page(PAGE_KEYS)?;
            if page.is_empty() {
                return Ok(found);
            }
            let slices = slices(&page)?;
            found.extend(blocking(py, || self.handle().contains_many(&slices))?);
            py.check_signals()?;
        }
    }

    /// Delete many keys, in bounded writes.
    ///
    /// Args:
    ///     keys: An iterable of keys, of which only some thousand are held at a time; those that do
    ///         not exist are passed over. A single ``str`` or ``bytes`` is refused.
    ///
    /// Returns:
    ///     The number of keys deleted.
    ///
    /// Raises:
    ///     TypeError: A key is neither ``str`` nor ``bytes``; the message gives its number.
    ///     TimedOutError: Another thread held a key or value for ``lock_timeout_ms``.
    ///     Exception: What the input raises. What was deleted before an error stays deleted.
    fn delete_many(&self, py: Python<'_>, keys: &Bound<'_, PyAny>) -> PyStoreResult<u64> {
        let mut keys = KeyPages::of(keys)?;
        blocking(py, || self.handle().check_writable())?;
        let mut deleted = 0;
        loop {
            let page = keys.next_page(PAGE_KEYS)?;
            if page.is_empty() {
                return Ok(deleted);
            }
            let slices = slices(&page)?;
            deleted += blocking(py, || self.handle().delete_many(&slices))?;
            py.check_signals()?;
        }
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

/// An entry of `put_many`, the one with this number.
pub(crate) fn entry_of<'py>(
    entry: &Bound<'py, PyAny>,
    ttl_seconds: Option<u64>,
    number: u64,
) -> PyResult<Gathered<'py>> {
    let form = || {
        PyTypeError::new_err(format!(
            "entry {number} should be (key, value), (key, value, ttl_seconds) or (key, value, ttl_seconds, metadata)"
        ))
    };
    let parts = match entry.cast::<PyTuple>() {
        Ok(tuple) => tuple.clone(),
        Err(_) => entry.cast::<PyList>().map_err(|_| form())?.to_tuple(),
    };
    if !(2..=4).contains(&parts.len()) {
        return Err(form());
    }
    let numbered = |error| numbered(entry.py(), "entry", number, error);
    let ttl_seconds = match parts.get_item(2) {
        Ok(own) if !own.is_none() => {
            let natural = own.extract::<Integer<'_>>()?.natural("ttl_seconds");
            Some(natural.map_err(numbered)?)
        }
        _ => ttl_seconds,
    };
    let metadata = match parts.get_item(3) {
        Ok(given) if !given.is_none() => Some(metadata_of(&given).map_err(numbered)?),
        _ => None,
    };
    Ok(Gathered {
        key: parts.get_item(0)?.extract().map_err(numbered)?,
        value: parts.get_item(1)?.extract().map_err(numbered)?,
        ttl_seconds,
        metadata,
    })
}

/// Keys of an iterable, a page at a time, so that an endless one does not fill the memory.
struct KeyPages<'py> {
    keys: Bound<'py, PyIterator>,
    /// Keys given so far.
    before: u64,
}

impl<'py> KeyPages<'py> {
    fn of(keys: &Bound<'py, PyAny>) -> PyResult<Self> {
        if keys.cast::<PyString>().is_ok() || keys.cast::<PyBytes>().is_ok() {
            return Err(PyTypeError::new_err(
                "keys should be an iterable of keys, not a single one",
            ));
        }
        Ok(Self {
            keys: keys.try_iter()?,
            before: 0,
        })
    }

    /// At most `most` keys; none at the end.
    fn next_page(&mut self, most: usize) -> PyResult<Vec<Key<'py>>> {
        let py = self.keys.py();
        let mut page = Vec::new();
        for key in self.keys.by_ref().take(most) {
            let key = key?;
            let number = self.before + page.len() as u64;
            let key = key.extract();
            page.push(key.map_err(|error| numbered(py, "key", number, error))?);
        }
        self.before += page.len() as u64;
        Ok(page)
    }
}

/// `error` with the number of what it is about. Errors of other classes than ours for bad arguments have a form of
/// their own, and stay as they are.
pub(crate) fn numbered(py: Python<'_>, what: &str, number: u64, error: PyErr) -> PyErr {
    let message = format!("{what} {number}: {}", error.value(py));
    if error.get_type(py).is(py.get_type::<PyTypeError>()) {
        PyTypeError::new_err(message)
    } else if error.is_instance_of::<PyValueError>(py)
        && !error.is_instance_of::<PyUnicodeError>(py)
    {
        invalid(message)
    } else {
        error
    }
}

fn slices<'a>(keys: &'a [Key<'_>]) -> PyResult<Vec<&'a [u8]>> {
    keys.iter().map(Key::as_bytes).collect()
}
