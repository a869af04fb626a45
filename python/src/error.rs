//! From errors of the store to Python exceptions: the one table.

use crate::lent::let_go;
use prestige_core::{CallbackError, Error};
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Result of a method that Python calls.
pub(crate) type PyStoreResult<T> = Result<T, PyStoreError>;

/// An error on its way to Python: of the store, or a Python exception already.
#[derive(Debug)]
pub(crate) enum PyStoreError {
    Store(Error),
    Python(PyErr),
}

impl From<Error> for PyStoreError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<PyErr> for PyStoreError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<PyStoreError> for PyErr {
    fn from(error: PyStoreError) -> Self {
        match error {
            PyStoreError::Store(Error::Callback(failure)) => raised(&failure),
            PyStoreError::Store(error) => exception(class_of(&error), error.to_string()),
            PyStoreError::Python(error) => error,
        }
    }
}

/// Name in `prestige.exceptions` of the class of an error; whatever has none is the parent of all.
fn class_of(error: &Error) -> &'static str {
    match error {
        Error::NotFound(_) => "NotFoundError",
        Error::InvalidArgument(_) => "InvalidArgumentError",
        Error::Io(_) => "IOError",
        Error::Corruption(_) => "CorruptionError",
        Error::Busy(_) => "BusyError",
        Error::TimedOut(_) => "TimedOutError",
        Error::Closed(_) => "ClosedError",
        Error::ReadOnly(_) => "ReadOnlyError",
        Error::Model(_) => "ModelError",
        _ => "PrestigeError",
    }
}

/// The exception that a Python function has raised, again: everyone who waited for its answer gets it.
fn raised(failure: &CallbackError) -> PyErr {
    match failure.inner().downcast_ref::<PyErr>() {
        Some(error) => Python::attach(|py| error.clone_ref(py)),
        None => exception("PrestigeError", failure.to_string()),
    }
}

/// What a Python function has raised, on its way through the store. What is no `Exception`, as `KeyboardInterrupt`, ends
/// the call of this thread alone.
pub(crate) fn callback_error(error: PyErr) -> CallbackError {
    if Python::attach(|py| error.is_instance_of::<PyException>(py)) {
        CallbackError::new(error)
    } else {
        CallbackError::interrupt(error)
    }
}

/// The same, as an error of the store.
pub(crate) fn store_error(error: PyErr) -> Error {
    Error::Callback(callback_error(error))
}

/// An exception of `prestige.exceptions`.
pub(crate) fn exception(class: &str, message: String) -> PyErr {
    Python::attach(|py| {
        static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
        let module =
            MODULE.get_or_try_init(py, || py.import("prestige.exceptions").map(Bound::unbind));
        let class = module.and_then(|module| {
            module
                .bind(py)
                .getattr(class)?
                .cast_into::<PyType>()
                .map_err(PyErr::from)
        });
        match class {
            Ok(class) => PyErr::from_type(class, message),
            // Without its Python half the package is broken: say what happened all the same.
            Err(_) => PyRuntimeError::new_err(message),
        }
    })
}

/// A bad argument.
pub(crate) fn invalid(message: String) -> PyErr {
    exception("InvalidArgumentError", message)
}

/// Runs `work` without the GIL. A panic of ours becomes a `PrestigeError`: Python code must be able to catch it with
/// everything else.
pub(crate) fn blocking<T, F>(py: Python<'_>, work: F) -> PyStoreResult<T>
where
    F: Send + FnOnce() -> Result<T, Error>,
    T: Send,
{
    let ended = py.detach(|| catch_unwind(AssertUnwindSafe(work)));
    let_go(py);
    outcome(ended)
}

/// As [`blocking`], with the GIL: for what takes less time than giving it up.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> PyStoreResult<T> {
    outcome(catch_unwind(AssertUnwindSafe(work)))
}

fn outcome<T>(ended: std::thread::Result<Result<T, Error>>) -> PyStoreResult<T> {
    match ended {
        Ok(result) => Ok(result?),
        Err(panic) => Err(exception(
            "PrestigeError",
            format!("internal error: {}", panic_message(&*panic)),
        )
        .into()),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}
