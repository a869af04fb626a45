//! The handle of a running server.

use pyo3::prelude::*;
use std::sync::Arc;

/// A running HTTP endpoint, made by ``Store.serve``: a context manager that stops it.
///
/// It runs until it is stopped or its store is closed, whether or not this handle is kept.
#[pyclass(module = "prestige", frozen)]
pub(crate) struct Server {
    server: Arc<prestige_http::Server>,
}

impl Server {
    pub(crate) fn new(server: Arc<prestige_http::Server>) -> Self {
        Self { server }
    }
}

#[pymethods]
impl Server {
    /// Base URL without a slash at its end, such as ``"http://127.0.0.1:40123"``.
    #[getter]
    fn url(&self) -> String {
        self.server.url()
    }

    /// Address it listens on.
    #[getter]
    fn host(&self) -> String {
        self.server.address().ip().to_string()
    }

    /// Port it listens on, 1 to 65535; the one that was chosen where 0 was asked for.
    #[getter]
    fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Whether it was stopped, by ``stop()`` or with its store.
    #[getter]
    fn stopped(&self) -> bool {
        self.server.is_stopped()
    }

    /// Refuse new requests, wait up to 5 s for those in progress, and end.
    ///
    /// A second call does nothing.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.server.stop());
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.stop(py);
    }

    fn __repr__(&self) -> String {
        let state = if self.server.is_stopped() {
            "stopped"
        } else {
            "running"
        };
        format!("<prestige.Server url={} {state}>", self.server.url())
    }
}
