//! The handle of a running server.

use prestige_core::Error;
use prestige_http::{Listen, Tls, Tokens};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tokens of an argument and of a file.
pub(crate) fn tokens(token: Option<&str>, file: Option<&Path>) -> Result<Tokens, Error> {
    let mut tokens = match token {
        Some(token) => Tokens::admin(token)?,
        None => Tokens::none(),
    };
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::Io(format!(
                "cannot read the tokens of {}: {error}",
                path.display()
            ))
        })?;
        tokens.add_lines(&text)?;
        if tokens.is_empty() {
            return Err(Error::InvalidArgument(format!(
                "{} has no tokens: expected lines of ROLE TOKEN [NAMESPACE,NAMESPACE…]",
                path.display()
            )));
        }
    }
    Ok(tokens)
}

/// `listen` with both files of TLS, or with none.
pub(crate) fn with_tls(
    listen: Listen,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Listen, Error> {
    let tls = match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
        _ => {
            return Err(Error::InvalidArgument(
                "tls_certificate and tls_key must be given together".to_owned(),
            ));
        }
    };
    Ok(Listen { tls, ..listen })
}

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
    ///
    /// Of a Unix socket ``"unix://"`` and its path.
    #[getter]
    fn url(&self) -> String {
        self.server.url()
    }

    /// Address it listens on; empty if that is a Unix socket.
    #[getter]
    fn host(&self) -> String {
        self.server
            .address()
            .map_or_else(String::new, |address| address.ip().to_string())
    }

    /// Port it listens on, 1 to 65535; the one that was chosen where 0 was asked for.
    ///
    /// 0 if it listens on a Unix socket.
    #[getter]
    fn port(&self) -> u16 {
        self.server.address().map_or(0, |address| address.port())
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
