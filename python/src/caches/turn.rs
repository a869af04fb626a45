//! The part of an asynchronous caller in a computation that others wait for.

use super::json::response_to_python;
use crate::error::{PyStoreError, PyStoreResult, store_error};
use parking_lot::Mutex;
use prestige_core::{Following, Leading, Response};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use std::sync::Arc;

/// What `aget_or_compute` is to do after a miss: compute, or wait for who does.
#[pyclass(module = "prestige._native", name = "_Turn", frozen)]
pub(crate) struct Turn(Part);

enum Part {
    /// Taken by whoever ends it. Held for an instant.
    Leads(Mutex<Option<Leading>>),
    Follows(Following),
    /// It was put meanwhile.
    Known(Response),
}

/// The context variable with the computations that a context is a part of, as a tuple. Whatever is called from there inherits
/// it, tasks and worker threads included, so a call that would wait for itself is known by it.
fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static COMPUTING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = COMPUTING.get_or_try_init(py, || {
        let kind = py.import("contextvars")?.getattr("ContextVar")?;
        Ok::<_, PyErr>(kind.call1(("prestige_computing",))?.unbind())
    })?;
    Ok(made.bind(py))
}

/// The computations that the context of the caller is a part of.
pub(super) fn computing(py: Python<'_>) -> PyResult<Vec<u64>> {
    variable(py)?
        .call_method1("get", (PyTuple::empty(py),))?
        .extract()
}

/// Notes in the context of the caller that it is a part of a computation, besides those it is a part of already. Returns
/// what `leave` takes.
pub(super) fn enter(py: Python<'_>, computation: Option<u64>) -> PyResult<Py<PyAny>> {
    let mut all = computing(py)?;
    all.extend(computation);
    let token = variable(py)?.call_method1("set", (PyTuple::new(py, all)?,))?;
    Ok(token.unbind())
}

/// Ends what `enter` began, in the same context.
pub(super) fn leave(py: Python<'_>, token: &Py<PyAny>) -> PyResult<()> {
    variable(py)?.call_method1("reset", (token,)).map(drop)
}

impl Turn {
    pub(super) fn new(turn: prestige_core::Turn) -> Self {
        Self(match turn {
            prestige_core::Turn::Leads(leading) => Part::Leads(Mutex::new(Some(leading))),
            prestige_core::Turn::Follows(following) => Part::Follows(following),
            prestige_core::Turn::Hit(hit) => Part::Known(hit.response),
        })
    }

    fn take(&self) -> Option<Leading> {
        match &self.0 {
            Part::Leads(leading) => leading.lock().take(),
            _ => None,
        }
    }

    /// Gives the response to those who wait.
    pub(super) fn succeed(&self, py: Python<'_>, response: Response) {
        if let Some(leading) = self.take() {
            // Whom it tells takes the GIL.
            py.detach(|| leading.succeed(Arc::new(response)));
        }
    }
}

#[pymethods]
impl Turn {
    #[getter]
    fn leads(&self) -> bool {
        matches!(self.0, Part::Leads(_))
    }

    /// Notes in the context that it computes this. Returns what `leave` takes.
    fn enter(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let computation = match &self.0 {
            Part::Leads(leading) => leading.lock().as_ref().map(Leading::computation),
            _ => None,
        };
        enter(py, computation)
    }

    /// Ends what `enter` began, in the same context.
    #[expect(clippy::unused_self, reason = "it is the counterpart of `enter`")]
    fn leave(&self, py: Python<'_>, token: Py<PyAny>) -> PyResult<()> {
        leave(py, &token)
    }

    /// Gives an error to those who wait; what is no `Exception` leaves one of them to begin anew.
    fn fail(&self, py: Python<'_>, error: &Bound<'_, PyAny>) {
        if let Some(leading) = self.take() {
            let error = store_error(PyErr::from_value(error.clone()));
            py.detach(|| leading.fail(&error));
        }
    }

    /// Has `callback` called when there is an outcome, in any thread.
    fn on_end(&self, py: Python<'_>, callback: Py<PyAny>) {
        let Part::Follows(following) = &self.0 else {
            return;
        };
        let listener = Box::new(move || {
            Python::attach(|py| {
                // Its loop may have ended meanwhile; then nobody waits any more.
                if let Err(error) = callback.call0(py) {
                    error.write_unraisable(py, None);
                }
            });
        });
        py.detach(|| following.on_end(listener));
    }

    /// The caller waits no longer; a traceback may keep this for long.
    fn release(&self) {
        if let Part::Follows(following) = &self.0 {
            following.release();
        }
    }

    /// `(response,)`, or None if there is none and the caller is to begin anew. Raises the error.
    fn outcome<'py>(&self, py: Python<'py>) -> PyStoreResult<Option<Bound<'py, PyTuple>>> {
        let response = match &self.0 {
            Part::Known(response) => response.clone(),
            Part::Follows(following) => match following.outcome() {
                Some(Ok(response)) => (*response).clone(),
                Some(Err(error)) => return Err(PyStoreError::from(error)),
                None => return Ok(None),
            },
            Part::Leads(_) => return Ok(None),
        };
        let response = response_to_python(py, &response)?;
        Ok(Some(PyTuple::new(py, [response])?))
    }
}
