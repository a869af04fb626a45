//! What a lookup of the semantic cache returns.

use super::json::response_to_python;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A response that was found, and all that is needed to judge it.
///
/// Made by ``SemanticCache.get``.
#[pyclass(module = "prestige", frozen)]
pub(crate) struct Hit {
    /// The response, as it was given to ``put``.
    #[pyo3(get)]
    pub(super) response: Py<PyAny>,
    /// The query that the response was put with.
    #[pyo3(get)]
    pub(super) query: String,
    /// Cosine similarity of the two queries, -1 to 1; 1.0 if they are the same text.
    #[pyo3(get)]
    pub(super) similarity: f64,
    /// Whether the two queries are the same text.
    #[pyo3(get)]
    pub(super) exact: bool,
    /// Seconds since the response was put.
    #[pyo3(get)]
    pub(super) age_seconds: f64,
    /// What was put with it: a dictionary of ``str`` to ``str``.
    #[pyo3(get)]
    pub(super) metadata: Py<PyDict>,
    /// The scope of both queries, as it was given.
    #[pyo3(get)]
    pub(super) scope: Py<PyAny>,
}

impl Hit {
    pub(super) fn new(
        py: Python<'_>,
        hit: &prestige_core::Hit,
        scope: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let metadata = PyDict::new(py);
        for (name, text) in &hit.metadata {
            metadata.set_item(name, text)?;
        }
        Ok(Self {
            response: response_to_python(py, &hit.response)?.unbind(),
            query: hit.query.clone(),
            similarity: f64::from(hit.similarity),
            exact: hit.exact,
            age_seconds: hit.age_seconds,
            metadata: metadata.unbind(),
            scope: scope.clone().unbind(),
        })
    }
}

#[pymethods]
impl Hit {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let response = self.response.bind(py).repr()?;
        let query = pyo3::types::PyString::new(py, &self.query).repr()?;
        Ok(format!(
            "<prestige.Hit similarity={:.3} exact={} query={query} response={response}>",
            self.similarity,
            if self.exact { "True" } else { "False" },
        ))
    }
}
