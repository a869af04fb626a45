//! Numbers of the options: refused where they are set, with the range in the message.

use crate::error::invalid;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;

/// A count, size or time: an integer from 0 to 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, IntoPyObject)]
#[pyo3(transparent)]
pub(crate) struct Natural(pub u64);

/// A share: a number over 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq, IntoPyObject)]
#[pyo3(transparent)]
pub(crate) struct Ratio(pub f64);

/// A factor: a finite number from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, IntoPyObject)]
#[pyo3(transparent)]
pub(crate) struct Factor(pub f64);

impl FromPyObject<'_, '_> for Factor {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let number = float(&object)?;
        if number.is_finite() && number >= 0.0 {
            return Ok(Self(number));
        }
        Err(invalid(format!(
            "expected a finite number from 0 on, not {number}"
        )))
    }
}

impl FromPyObject<'_, '_> for Natural {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let out_of_range = || {
            invalid(format!(
                "expected an integer from 0 to 2**63 - 1, not {}",
                shown(&object)
            ))
        };
        match object.extract::<i64>() {
            Ok(number) => u64::try_from(number).map(Self).map_err(|_| out_of_range()),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                Err(out_of_range())
            }
            Err(_) => Err(PyTypeError::new_err(format!(
                "expected an integer, not {}",
                shown(&object)
            ))),
        }
    }
}

impl FromPyObject<'_, '_> for Ratio {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let number = float(&object)?;
        if number > 0.0 && number <= 1.0 {
            return Ok(Self(number));
        }
        Err(invalid(format!(
            "expected a number over 0 and at most 1, not {number}"
        )))
    }
}

fn float(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    object
        .extract()
        .map_err(|_| PyTypeError::new_err(format!("expected a number, not {}", shown(object))))
}

fn shown(object: &Bound<'_, PyAny>) -> String {
    object
        .repr()
        .map_or_else(|_| "that".to_owned(), |repr| repr.to_string())
}
