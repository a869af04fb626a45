//! What the client of a server, which is Python, takes from here: the checks and conversions of arguments that the
//! classes of this module make, so that the same call has the same result and the same error with either.

use crate::batch::{numbered, numbered_refusal};
use crate::candidates::{digest_of, filter_of, floats, metadata_of, rank_of};
use crate::convert::{Key, Value, key_to_python, prefix_argument};
use crate::error::{PyStoreResult, exception};
use crate::lifetime::Moment;
use crate::numbers::{Integer, finite};
use crate::put_many::entry_of;
use numpy::{IntoPyArray as _, PyArray2, PyArrayMethods as _};
use prestige_core::{Error, Metadata, Verdict, check_key};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::BTreeMap;

/// Key, value, seconds until it expires, and metadata of an entry of `put_many`.
type EntryParts<'py> = (
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Option<u64>,
    Option<Metadata>,
);

/// The bytes of a key.
#[pyfunction]
pub(crate) fn key_bytes<'py>(py: Python<'py>, key: Key<'py>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, key.as_bytes()?))
}

/// The bytes of the key with this number in an iterable.
#[pyfunction]
pub(crate) fn numbered_key<'py>(
    py: Python<'py>,
    key: &Bound<'py, PyAny>,
    number: u64,
) -> PyStoreResult<Bound<'py, PyBytes>> {
    let key = key.extract::<Key<'_>>();
    let key = key.map_err(|error| numbered(py, "key", number, error))?;
    let bytes = key.as_bytes()?;
    // The server would refuse it, and knows no numbers beyond those of a request.
    check_key(bytes).map_err(|error| numbered_refusal("key", number, error))?;
    Ok(PyBytes::new(py, bytes))
}

/// A key as Python shows it.
#[pyfunction]
pub(crate) fn key_text<'py>(py: Python<'py>, key: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    key_to_python(py, key)
}

/// What is raised where a key is not there.
#[pyfunction]
pub(crate) fn missing_key(key: &[u8]) -> PyErr {
    exception("NotFoundError", Error::not_found(key).to_string())
}

/// The bytes of a value.
#[pyfunction]
pub(crate) fn value_bytes<'py>(
    py: Python<'py>,
    value: Value<'py>,
) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, value.as_bytes()?))
}

/// The bytes that the argument ``prefix`` gives; those of the empty one for None.
#[pyfunction]
#[pyo3(signature = (prefix))]
pub(crate) fn prefix_bytes<'py>(
    py: Python<'py>,
    prefix: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let prefix = prefix_argument(prefix)?;
    let prefix = prefix.as_ref().map_or(Ok(&[][..]), Key::as_bytes)?;
    Ok(PyBytes::new(py, prefix))
}

/// An entry of ``put_many``, the one with this number: key, value, TTL and metadata.
#[pyfunction]
#[pyo3(signature = (entry, ttl_seconds, number))]
pub(crate) fn entry_parts<'py>(
    py: Python<'py>,
    entry: &Bound<'py, PyAny>,
    ttl_seconds: Option<u64>,
    number: u64,
) -> PyStoreResult<EntryParts<'py>> {
    let entry = entry_of(entry, ttl_seconds, number)?;
    let key = entry.key.as_bytes()?;
    check_key(key).map_err(|error| numbered_refusal("entry", number, error))?;
    Ok((
        PyBytes::new(py, key),
        PyBytes::new(py, entry.value.as_bytes()?),
        entry.ttl_seconds,
        entry.metadata,
    ))
}

/// Metadata of a value.
#[pyfunction]
pub(crate) fn metadata_pairs(metadata: &Bound<'_, PyAny>) -> PyResult<Metadata> {
    metadata_of(metadata)
}

/// A filter of candidates: for each name the texts of which one must be it.
#[pyfunction]
pub(crate) fn filter_texts(filter: &Bound<'_, PyAny>) -> PyResult<BTreeMap<String, Vec<String>>> {
    filter_of(filter)
}

/// An integer from 0 to 2**63 - 1 that the argument ``name`` gives.
#[pyfunction]
pub(crate) fn natural_number(name: &str, given: Bound<'_, PyAny>) -> PyResult<u64> {
    Integer::Given(given).natural(name)
}

/// A finite number that the argument ``name`` gives.
#[pyfunction]
pub(crate) fn finite_number(name: &str, given: &Bound<'_, PyAny>) -> PyResult<f64> {
    finite(name, given)
}

/// The rank of a candidate.
#[pyfunction]
pub(crate) fn rank_number(given: Bound<'_, PyAny>) -> PyStoreResult<u32> {
    rank_of(given)
}

/// The digest of a candidate, as hexadecimal digits.
#[pyfunction]
pub(crate) fn digest_text(given: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(digest_of(given)?.to_hex())
}

/// Refuse what is no verdict about a candidate.
#[pyfunction]
pub(crate) fn check_verdict(verdict: &str) -> PyStoreResult<()> {
    verdict.parse::<Verdict>()?;
    Ok(())
}

/// Microseconds since the Unix epoch that the argument ``name`` gives.
#[pyfunction]
pub(crate) fn moment_micros(name: &str, given: &Bound<'_, PyAny>) -> PyResult<u64> {
    Ok(Moment::of(name, given)?.0)
}

/// Numbers with 1 or 2 dimensions as rows, float32 of shape (n, d).
#[pyfunction]
pub(crate) fn float_rows<'py>(
    py: Python<'py>,
    given: &Bound<'py, PyAny>,
    name: &str,
    dimensions: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let (rows, numbers) = floats(given, name, dimensions)?;
    let length = numbers.len() / rows.max(1);
    numbers.into_pyarray(py).reshape([rows, length])
}

/// Adds the functions of this file to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(key_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(numbered_key, module)?)?;
    module.add_function(wrap_pyfunction!(key_text, module)?)?;
    module.add_function(wrap_pyfunction!(missing_key, module)?)?;
    module.add_function(wrap_pyfunction!(value_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(prefix_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(entry_parts, module)?)?;
    module.add_function(wrap_pyfunction!(metadata_pairs, module)?)?;
    module.add_function(wrap_pyfunction!(filter_texts, module)?)?;
    module.add_function(wrap_pyfunction!(natural_number, module)?)?;
    module.add_function(wrap_pyfunction!(finite_number, module)?)?;
    module.add_function(wrap_pyfunction!(rank_number, module)?)?;
    module.add_function(wrap_pyfunction!(digest_text, module)?)?;
    module.add_function(wrap_pyfunction!(check_verdict, module)?)?;
    module.add_function(wrap_pyfunction!(moment_micros, module)?)?;
    module.add_function(wrap_pyfunction!(float_rows, module)?)
}
