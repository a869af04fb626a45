//! Scopes and responses: Python values to bytes and back.

use crate::convert::type_name;
use crate::error::invalid;
use prestige_core::{EntryMetadata, Response, ResponseKind, Scope};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PySequence, PyString,
};
use serde_json::Value;

/// Deepest nesting of a response.
const MAX_DEPTH: usize = 100;
/// Deepest nesting of a scope that is looked at; the cache itself allows less.
const MAX_SCOPE_DEPTH: usize = 64;

/// The scope that a Python value names.
pub(super) fn scope(given: &Bound<'_, PyAny>) -> PyResult<Scope> {
    let value = scope_value(given, 0)?;
    Scope::new(&value).map_err(|error| invalid(error.to_string()))
}

fn scope_value(given: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > MAX_SCOPE_DEPTH {
        return Err(invalid("a scope must be nested at most 32 deep".to_owned()));
    }
    if given.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Value::from(text.to_str()?));
    }
    if let Ok(truth) = given.cast::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if given.is_instance_of::<PyInt>() {
        let number = given.extract::<i64>().map(Value::from);
        return number
            .or_else(|_| given.extract::<u64>().map(Value::from))
            .map_err(|_| {
                invalid(
                    "an integer of a scope must have at most 64 bits; give it as str".to_owned(),
                )
            });
    }
    if given.is_instance_of::<PyFloat>() {
        let number: f64 = given.extract()?;
        return serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| invalid(format!("a number of a scope must be finite, not {number}")));
    }
    if let Ok(mapping) = given.cast::<PyMapping>() {
        let mut members = serde_json::Map::new();
        for item in mapping.items()? {
            let (name, member): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            let Ok(name) = name.cast::<PyString>() else {
                return Err(PyTypeError::new_err(format!(
                    "the names in a scope must be str, not {}",
                    type_name(&name)
                )));
            };
            members.insert(name.to_str()?.to_owned(), scope_value(&member, depth + 1)?);
        }
        return Ok(Value::Object(members));
    }
    if given.cast::<PyBytes>().is_err()
        && let Ok(sequence) = given.cast::<PySequence>()
    {
        let items = sequence.try_iter()?;
        let items = items.map(|item| scope_value(&item?, depth + 1));
        return Ok(Value::Array(items.collect::<PyResult<_>>()?));
    }
    Err(PyTypeError::new_err(format!(
        "a scope is made of str, int, float, bool and None, and of mappings and sequences of them, not of {}",
        type_name(given)
    )))
}

/// A response as it is stored: what comes back is what was given, so only values of which that is true are taken.
pub(super) fn response(given: &Bound<'_, PyAny>) -> PyResult<Response> {
    if let Ok(text) = given.cast_exact::<PyString>() {
        return Ok(Response {
            kind: ResponseKind::Text,
            bytes: text.to_str()?.as_bytes().to_vec(),
        });
    }
    if let Ok(bytes) = given.cast_exact::<PyBytes>() {
        return Ok(Response {
            kind: ResponseKind::Bytes,
            bytes: bytes.as_bytes().to_vec(),
        });
    }
    check_json(given, 0)?;
    let py = given.py();
    let settings = PyDict::new(py);
    settings.set_item("ensure_ascii", false)?;
    settings.set_item("allow_nan", false)?;
    settings.set_item("separators", (",", ":"))?;
    let json = py
        .import("json")?
        .call_method("dumps", (given,), Some(&settings))?;
    let json = json.cast_into::<PyString>()?;
    Ok(Response {
        kind: ResponseKind::Json,
        bytes: json.to_str()?.as_bytes().to_vec(),
    })
}

/// Refuses what JSON would turn into something else: a tuple into a list, an integer that names a member into a string.
fn check_json(given: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
    if depth > MAX_DEPTH {
        return Err(invalid(format!(
            "a response must be nested at most {MAX_DEPTH} deep"
        )));
    }
    if given.is_none()
        || given.is_exact_instance_of::<PyString>()
        || given.is_exact_instance_of::<PyBool>()
        || given.is_exact_instance_of::<PyInt>()
    {
        return Ok(());
    }
    if let Ok(number) = given.cast_exact::<PyFloat>() {
        if number.value().is_finite() {
            return Ok(());
        }
        return Err(invalid(format!(
            "a number of a response must be finite, not {}",
            number.value()
        )));
    }
    if let Ok(items) = given.cast_exact::<PyList>() {
        return items
            .iter()
            .try_for_each(|item| check_json(&item, depth + 1));
    }
    if let Ok(members) = given.cast_exact::<PyDict>() {
        for (name, member) in members {
            if !name.is_exact_instance_of::<PyString>() {
                return Err(PyTypeError::new_err(format!(
                    "the keys of a response must be str, not {}",
                    type_name(&name)
                )));
            }
            check_json(&member, depth + 1)?;
        }
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "a response must be str, bytes, or made of dict, list, str, int, float, bool and None, not of {}: convert it \
         first, so that what comes back is what was given",
        type_name(given)
    )))
}

/// A response as it was given.
pub(super) fn response_to_python<'py>(
    py: Python<'py>,
    response: &Response,
) -> PyResult<Bound<'py, PyAny>> {
    let text = || {
        // Checked when it was read.
        std::str::from_utf8(&response.bytes).map_err(|error| invalid(error.to_string()))
    };
    Ok(match response.kind {
        ResponseKind::Text => PyString::new(py, text()?).into_any(),
        ResponseKind::Bytes => PyBytes::new(py, &response.bytes).into_any(),
        ResponseKind::Json => py.import("json")?.call_method1("loads", (text()?,))?,
    })
}

/// Metadata: a mapping of `str` to `str`.
pub(super) fn metadata(given: Option<&Bound<'_, PyAny>>) -> PyResult<EntryMetadata> {
    let mut metadata = EntryMetadata::new();
    let Some(given) = given else {
        return Ok(metadata);
    };
    let wrong = |object: &Bound<'_, PyAny>| {
        PyTypeError::new_err(format!(
            "metadata must be a mapping of str to str, found {}",
            type_name(object)
        ))
    };
    let mapping = given.cast::<PyMapping>().map_err(|_| wrong(given))?;
    for item in mapping.items()? {
        let (name, text): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        let name = name.cast::<PyString>().map_err(|_| wrong(&name))?;
        let text = text.cast::<PyString>().map_err(|_| wrong(&text))?;
        metadata.insert(name.to_str()?.to_owned(), text.to_str()?.to_owned());
    }
    Ok(metadata)
}
