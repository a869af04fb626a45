//! Many keys at once: a page of Python objects is gathered with the GIL held, and worked on without it.

use crate::convert::Key;
use crate::error::{PyStoreError, PyStoreResult, blocking, invalid};
use crate::lent::kept_value_to_python;
use crate::store::Store;
use prestige_core::Error;
use pyo3::exceptions::{PyTypeError, PyUnicodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList, PyString};

/// Most keys looked up or deleted at once.
const PAGE_KEYS: usize = 4_096;
/// Keys of the first page of `get_many`: as long as the length of the values is not known, they may all be large.
const FIRST_PAGE_KEYS: usize = 64;
/// Bytes of values that a page of `get_many` is to have, by the average of the page before: they are in memory twice.
const PAGE_VALUE_BYTES: usize = 16 << 20;

#[pymethods]
impl Store {
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
            let values: Vec<_> = blocking(py, || reader.get_many_unkept(&slices))?
                .into_iter()
                .map(|value| value.map(|value| kept_value_to_python(py, &reader, &value)))
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
/// their own, and stay as they are, but for the reason of what has no UTF-8 form.
pub(crate) fn numbered(py: Python<'_>, what: &str, number: u64, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyUnicodeError>(py) {
        let value = error.value(py);
        // Not every error of the kind has a reason.
        if let Ok(reason) = value.getattr("reason") {
            let reason = format!("{reason}, in {what} {number}");
            let _ = value.setattr("reason", reason);
        }
        return error;
    }
    let message = format!("{what} {number}: {}", error.value(py));
    if error.get_type(py).is(py.get_type::<PyTypeError>()) {
        PyTypeError::new_err(message)
    } else if error.is_instance_of::<PyValueError>(py) {
        invalid(message)
    } else {
        error
    }
}

/// A refusal of the store with the number of what it is about.
pub(crate) fn numbered_refusal(what: &str, number: u64, error: Error) -> PyStoreError {
    match error {
        Error::InvalidArgument(message) => invalid(format!("{what} {number}: {message}")).into(),
        other => other.into(),
    }
}

fn slices<'a>(keys: &'a [Key<'_>]) -> PyResult<Vec<&'a [u8]>> {
    keys.iter().map(Key::as_bytes).collect()
}
