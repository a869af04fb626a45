//! Numbers of options and of arguments: refused where they are given, with what was expected in the message.
//!
//! Messages begin with "must be", and whoever knows the name of the option or argument puts it in front.

use crate::error::invalid;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;

/// Longest value shown whole in a message.
const SHOWN_CHARACTERS: usize = 80;

/// A count, size or time: an integer from 0 to 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, IntoPyObject)]
#[pyo3(transparent)]
pub(crate) struct Natural(pub u64);

/// An integer argument of a method, not looked at until the method names it: its errors are to begin with the name.
pub(crate) enum Integer<'py> {
    /// What the argument is where it was left out.
    Default(u64),
    Given(Bound<'py, PyAny>),
}

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
            "must be a finite number from 0 on, not {number}"
        )))
    }
}

impl FromPyObject<'_, '_> for Natural {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match signed(&object)?.map(u64::try_from) {
            Some(Ok(number)) => Ok(Self(number)),
            _ => Err(invalid(format!(
                "must be an integer from 0 to 2**63 - 1, not {}",
                shown(&object)
            ))),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Integer<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Given(object.to_owned()))
    }
}

impl Integer<'_> {
    /// The number, 0 to 2^63 - 1.
    pub(crate) fn natural(&self, name: &str) -> PyResult<u64> {
        match self {
            Self::Default(number) => Ok(*number),
            Self::Given(object) => {
                let number = object.extract::<Natural>();
                Ok(number.map_err(|error| named(object.py(), name, error))?.0)
            }
        }
    }

    /// The number of a port, 0 to 65535.
    pub(crate) fn port(&self, name: &str) -> PyResult<u16> {
        let given = match self {
            Self::Default(number) => return Ok(u16::try_from(*number)?),
            Self::Given(object) => object,
        };
        let number = signed(given).map_err(|error| named(given.py(), name, error))?;
        number
            .and_then(|number| u16::try_from(number).ok())
            .ok_or_else(|| {
                let shown = shown(given);
                invalid(format!(
                    "{name} must be an integer from 0 to 65535, not {shown}"
                ))
            })
    }
}

/// Puts the name of an option or argument in front of what is wrong with its value.
pub(crate) fn named(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    let message = error.value(py).to_string();
    let message = if message.starts_with("must be ") {
        format!("{name} {message}")
    } else {
        format!("{name}: {message}")
    };
    if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(message)
    } else {
        invalid(message)
    }
}

/// An integer, `None` if it is beyond 64 bits.
fn signed(object: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    match object.extract() {
        Ok(number) => Ok(Some(number)),
        Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => Ok(None),
        Err(_) => Err(PyTypeError::new_err(format!(
            "must be an integer, not {}",
            shown(object)
        ))),
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
            "must be a number over 0 and at most 1, not {number}"
        )))
    }
}

fn float(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    object
        .extract()
        .map_err(|_| PyTypeError::new_err(format!("must be a number, not {}", shown(object))))
}

/// A finite number that the argument `name` gives.
pub(crate) fn finite(name: &str, given: &Bound<'_, PyAny>) -> PyResult<f64> {
    let number = float(given).map_err(|error| named(given.py(), name, error))?;
    if number.is_finite() {
        return Ok(number);
    }
    Err(invalid(format!(
        "{name} must be a finite number, not {number}"
    )))
}

/// A value as Python shows it, cut where it is long.
pub(crate) fn shown(object: &Bound<'_, PyAny>) -> String {
    let Ok(repr) = object.repr() else {
        return "that".to_owned();
    };
    let repr = repr.to_string();
    match repr.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", repr.get(..end).unwrap_or_default()),
        None => repr,
    }
}
