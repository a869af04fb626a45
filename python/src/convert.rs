//! Keys and values from Python and back.

use crate::batch::numbered;
use crate::error::invalid;
use crate::lent::lend;
use prestige_core::LentBytes;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

/// A key: `str` (UTF-8; lone surrogates stand for bytes, as in file names) or `bytes`.
pub(crate) struct Key<'py>(Text<'py>);

/// A value: `str` or anything with the buffer protocol.
///
/// `str` and `bytes` are used where they are. Other buffers can change while the GIL is released, so they are copied,
/// once.
pub(crate) struct Value<'py>(Text<'py>);

enum Text<'py> {
    Bytes(Bound<'py, PyBytes>),
    Str(Bound<'py, PyString>),
}

impl Key<'_> {
    pub(crate) fn as_bytes(&self) -> PyResult<&[u8]> {
        self.0.as_bytes()
    }
}

impl Value<'_> {
    pub(crate) fn as_bytes(&self) -> PyResult<&[u8]> {
        self.0.as_bytes()
    }

    /// What the read cache may hold of it in place of a copy.
    pub(crate) fn lend(&self) -> Option<Arc<dyn LentBytes>> {
        match &self.0 {
            Text::Bytes(bytes) => lend(bytes),
            Text::Str(_) => None,
        }
    }
}

impl Text<'_> {
    fn as_bytes(&self) -> PyResult<&[u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.as_bytes()),
            Self::Str(string) => Ok(string.to_str()?.as_bytes()),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Key<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(string) = object.cast::<PyString>() {
            if string.to_str().is_ok() {
                return Ok(Self(Text::Str(string.to_owned())));
            }
            let encoded = string.call_method1("encode", ("utf-8", "surrogateescape"))?;
            return Ok(Self(Text::Bytes(encoded.cast_into()?)));
        }
        match object.cast::<PyBytes>() {
            Ok(bytes) => Ok(Self(Text::Bytes(bytes.to_owned()))),
            Err(_) => Err(PyTypeError::new_err(format!(
                "a key must be str or bytes, not {}",
                type_name(&object)
            ))),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Value<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self(Text::Bytes(bytes.to_owned())));
        }
        if let Ok(string) = object.cast::<PyString>() {
            // Lone surrogates have no UTF-8 form: UnicodeEncodeError says which.
            string.to_str()?;
            return Ok(Self(Text::Str(string.to_owned())));
        }
        let Ok(view) = PyMemoryView::from(&object) else {
            return Err(PyTypeError::new_err(format!(
                "a value must be str or bytes-like (bytes, bytearray, memoryview, NumPy array), not {}",
                type_name(&object)
            )));
        };
        if view.getattr("format")?.eq("O")? {
            return Err(PyTypeError::new_err(
                "an array of Python objects has no bytes of its own; convert it to numbers or bytes first",
            ));
        }
        Ok(Self(Text::Bytes(
            view.call_method0("tobytes")?.cast_into()?,
        )))
    }
}

/// The directory of a store: `str` or path-like, and not empty.
pub(crate) fn directory(object: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let path: PathBuf = object.extract().map_err(|error: PyErr| {
        // An exception of a `__fspath__` method is the caller's own.
        if !error.is_instance_of::<PyTypeError>(object.py()) {
            return error;
        }
        let hint = match object.cast::<PyBytes>() {
            Ok(_) => "; os.fsdecode(path) turns bytes into str",
            Err(_) => "",
        };
        PyTypeError::new_err(format!(
            "path must be str or os.PathLike, not {}{hint}",
            type_name(object)
        ))
    })?;
    if path.as_os_str().is_empty() {
        return Err(invalid(
            "path must not be empty: name a directory, \".\" for the current one".to_owned(),
        ));
    }
    Ok(path)
}

/// The `str` that the argument `name` gives.
pub(crate) fn text_argument<'py>(
    name: &str,
    object: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyString>> {
    let string = object.cast::<PyString>().map_err(|_| {
        PyTypeError::new_err(format!("{name} must be str, not {}", type_name(object)))
    })?;
    Ok(string.clone())
}

/// The beginning of keys that the argument `prefix` gives.
pub(crate) fn prefix_argument<'py>(
    prefix: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Key<'py>>> {
    let Some(prefix) = prefix else {
        return Ok(None);
    };
    if prefix.cast::<PyString>().is_err() && prefix.cast::<PyBytes>().is_err() {
        return Err(PyTypeError::new_err(format!(
            "prefix must be str or bytes, not {}",
            type_name(prefix)
        )));
    }
    prefix.extract().map(Some)
}

pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .name()
        .map_or_else(|_| "that".to_owned(), |name| name.to_string())
}

/// A key as Python shows it: `str`, lone surrogates for bytes that are not UTF-8.
pub(crate) fn key_to_python<'py>(py: Python<'py>, key: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(key) {
        Ok(text) => Ok(PyString::new(py, text).into_any()),
        Err(_) => PyBytes::new(py, key).call_method1("decode", ("utf-8", "surrogateescape")),
    }
}

/// The value that an argument has when it was not given, so that `None` can be given.
pub(crate) enum Argument<'py> {
    Absent,
    Given(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Argument<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Given(object.to_owned()))
    }
}

/// The strings of a list, tuple or other iterable of `str`; a single `str` is refused, since it would read as letters.
pub(crate) fn text_list<'py>(object: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyString>>> {
    if object.cast::<PyString>().is_ok() || object.cast::<PyBytes>().is_ok() {
        return Err(PyTypeError::new_err(format!(
            "texts must be a list of str, not {}",
            type_name(object)
        )));
    }
    let mut texts = Vec::new();
    let iterator = object.try_iter().map_err(|_| {
        PyTypeError::new_err(format!(
            "texts must be a list of str, not {}",
            type_name(object)
        ))
    })?;
    for (number, text) in iterator.enumerate() {
        let string = text?.cast_into::<PyString>().map_err(|error| {
            PyTypeError::new_err(format!(
                "texts must be a list of str, found {} as text {number}",
                type_name(&error.into_inner())
            ))
        })?;
        texts.push(string);
    }
    Ok(texts)
}

/// Texts of the strings of a list. Lone surrogates have no UTF-8 form: the error says in which text.
pub(crate) fn texts_of<'a>(strings: &'a [Bound<'_, PyString>]) -> PyResult<Vec<Cow<'a, str>>> {
    let text = |(number, string): (u64, &'a Bound<'_, PyString>)| {
        text_of(string).map_err(|error| numbered(string.py(), "text", number, error))
    };
    (0..).zip(strings).map(text).collect()
}

/// Text of a Python string for as long as the string lives.
pub(crate) fn text_of<'a>(string: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    string.to_cow()
}
