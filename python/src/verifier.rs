//! A Python function with the last word on merges, and the precision of vectors by its name.

use crate::error::invalid;
use crate::numbers::shown;
use prestige_core::{CallbackError, Error, VectorPrecision, Verifier};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::sync::Arc;

/// The function as the store calls it. It is called without the GIL and without any lock of the store, so taking the GIL
/// here waits for no thread that waits for this one.
pub(crate) fn verifier(function: Py<PyAny>) -> Verifier {
    Arc::new(move |new, stored, similarity| {
        let asked = Python::try_attach(|py| {
            let answer = function.bind(py).call1((new, stored, similarity))?;
            // Anything else is a mistake that would merge, such as the coroutine of an async function.
            answer.extract::<bool>().map_err(|_| {
                // Or Python warns that nobody has awaited it.
                if answer.hasattr("__await__").unwrap_or(false) {
                    let _ = answer.call_method0("close");
                }
                PyTypeError::new_err(format!(
                    "verifier must return True or False, not {}",
                    shown(&answer)
                ))
            })
        });
        let asked = asked
            .ok_or_else(|| Error::Model("the Python interpreter is shutting down".to_owned()))?;
        asked.map_err(|error| Error::Callback(CallbackError::new(error)))
    })
}

/// The precision of vectors: `"f32"`, `"f16"` or `"i8"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Precision(pub VectorPrecision);

impl FromPyObject<'_, '_> for Precision {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let wrong = || format!("must be \"f32\", \"f16\" or \"i8\", not {}", shown(&object));
        let name: String = object
            .extract()
            .map_err(|_| PyTypeError::new_err(wrong()))?;
        name.parse().map(Self).map_err(|_| invalid(wrong()))
    }
}

impl<'py> IntoPyObject<'py> for Precision {
    type Target = pyo3::types::PyString;
    type Output = Bound<'py, Self::Target>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        self.0.to_string().into_pyobject(py)
    }
}
