//! What caches on a server take from here; see `crate::arguments`.

use super::arguments::seconds;
use super::hit::Hit;
use super::json::{metadata, response, response_to_python, scope};
use super::source::{call, vector};
use crate::convert::{self, text_list};
use crate::error::{PyStoreResult, blocking};
use crate::model::SemanticModel;
use numpy::{IntoPyArray as _, PyArray1, PyArray2, PyArrayMethods as _};
use prestige_core::embed::Embedder as _;
use prestige_core::{EntryMetadata, Response, ResponseKind};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

/// A list of the texts of an iterable; none has a lone surrogate.
#[pyfunction]
pub(crate) fn texts_of<'py>(given: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyString>>> {
    let texts = text_list(given)?;
    convert::texts_of(&texts)?;
    Ok(texts)
}

/// Canonical JSON of a scope: equal scopes have equal JSON.
#[pyfunction]
#[pyo3(signature = (given))]
pub(crate) fn scope_json(given: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(scope(given)?.as_json().to_owned())
}

/// Kind, ``"text"``, ``"bytes"`` or ``"json"``, and bytes of a response.
#[pyfunction]
#[pyo3(signature = (given))]
pub(crate) fn response_parts<'py>(
    py: Python<'py>,
    given: &Bound<'py, PyAny>,
) -> PyResult<(&'static str, Bound<'py, PyBytes>)> {
    let response = response(given)?;
    let kind = match response.kind {
        ResponseKind::Text => "text",
        ResponseKind::Bytes => "bytes",
        ResponseKind::Json => "json",
    };
    Ok((kind, PyBytes::new(py, &response.bytes)))
}

/// The response that has these parts.
#[pyfunction]
pub(crate) fn response_of_parts<'py>(
    py: Python<'py>,
    kind: &str,
    bytes: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    let kind = match kind {
        "text" => ResponseKind::Text,
        "json" => ResponseKind::Json,
        _ => ResponseKind::Bytes,
    };
    let bytes = bytes.to_vec();
    response_to_python(py, &Response { kind, bytes })
}

/// Metadata of an entry of a semantic cache.
#[pyfunction]
#[pyo3(signature = (given))]
pub(crate) fn entry_metadata(given: Option<&Bound<'_, PyAny>>) -> PyResult<EntryMetadata> {
    metadata(given)
}

/// Seconds from 0 on that the argument ``name`` gives.
#[pyfunction]
pub(crate) fn seconds_from_zero(name: &str, given: &Bound<'_, PyAny>) -> PyResult<f64> {
    seconds(name, given)
}

/// The float32 array of shape (d,) that the argument ``name`` gives.
#[pyfunction]
pub(crate) fn vector_argument<'py>(
    py: Python<'py>,
    given: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    Ok(vector(given, name)?.into_pyarray(py))
}

/// What an embedding function returns for texts, float32 of shape (n, d).
#[pyfunction]
pub(crate) fn vectors_of<'py>(
    py: Python<'py>,
    function: &Bound<'py, PyAny>,
    texts: Vec<String>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let rows = call(function, &borrowed)?;
    let shape = [rows.len(), rows.dimension()];
    rows.into_vec().into_pyarray(py).reshape(shape)
}

/// Whether a model reads all of a text. Loads the model.
#[pyfunction]
pub(crate) fn model_fits(
    py: Python<'_>,
    model: &Bound<'_, SemanticModel>,
    text: &str,
) -> PyStoreResult<bool> {
    let loader = model.borrow().loader(py)?;
    blocking(py, || Ok(loader.load()?.fits(text)))
}

/// A hit of a cache on a server.
#[pyfunction]
pub(crate) fn make_hit(
    response: Py<PyAny>,
    query: String,
    similarity: f64,
    exact: bool,
    age_seconds: f64,
    metadata: Py<PyDict>,
    scope: Py<PyAny>,
) -> Hit {
    Hit {
        response,
        query,
        similarity,
        exact,
        age_seconds,
        metadata,
        scope,
    }
}

/// Adds the functions of this file to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(texts_of, module)?)?;
    module.add_function(wrap_pyfunction!(scope_json, module)?)?;
    module.add_function(wrap_pyfunction!(response_parts, module)?)?;
    module.add_function(wrap_pyfunction!(response_of_parts, module)?)?;
    module.add_function(wrap_pyfunction!(entry_metadata, module)?)?;
    module.add_function(wrap_pyfunction!(seconds_from_zero, module)?)?;
    module.add_function(wrap_pyfunction!(vector_argument, module)?)?;
    module.add_function(wrap_pyfunction!(vectors_of, module)?)?;
    module.add_function(wrap_pyfunction!(model_fits, module)?)?;
    module.add_function(wrap_pyfunction!(make_hit, module)?)
}
