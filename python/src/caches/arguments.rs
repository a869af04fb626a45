//! Arguments of the semantic cache.

use super::source::vector;
use crate::error::invalid;
use crate::numbers::{Integer, finite};
use prestige_core::{Computed, Lookup, Scope};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

/// A scope, and the value that names it.
pub(super) struct Place {
    pub given: Py<PyAny>,
    pub scope: Scope,
}

/// The scope of a call.
pub(super) enum Within<'a, 'py> {
    Own(&'a Place),
    Other(Bound<'py, PyAny>, Scope),
}

impl<'py> Within<'_, 'py> {
    pub(super) fn scope(&self) -> &Scope {
        match self {
            Self::Own(place) => &place.scope,
            Self::Other(_, scope) => scope,
        }
    }

    pub(super) fn given(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::Own(place) => place.given.bind(py).clone(),
            Self::Other(given, _) => given.clone(),
        }
    }
}

/// Tokens that a response cost: a number, or a function of the response.
pub(super) enum Tokens {
    Number(u64),
    Function(Py<PyAny>),
}

impl Tokens {
    pub(super) fn of(given: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        match given {
            None => Ok(Self::Number(0)),
            Some(given) if given.is_callable() && !given.is_instance_of::<PyInt>() => {
                Ok(Self::Function(given.clone().unbind()))
            }
            Some(given) => {
                let number = Integer::Given(given.clone()).natural("tokens")?;
                Ok(Self::Number(number))
            }
        }
    }

    pub(super) fn of_response(&self, response: &Bound<'_, PyAny>) -> PyResult<u64> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Function(function) => {
                let number = function.bind(response.py()).call1((response,))?;
                Integer::Given(number).natural("tokens")
            }
        }
    }
}

/// What a lookup is given besides its query and scope.
pub(super) struct LookedUp {
    threshold: Option<f64>,
    embedding: Option<Vec<f32>>,
}

impl LookedUp {
    pub(super) fn of(
        threshold: Option<&Bound<'_, PyAny>>,
        embedding: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let threshold = threshold.map(|given| finite("threshold", given));
        Ok(Self {
            threshold: threshold.transpose()?,
            embedding: self::embedding(embedding)?,
        })
    }

    pub(super) fn lookup(&self) -> Lookup<'_> {
        Lookup {
            threshold: self.threshold,
            embedding: self.embedding.as_deref(),
        }
    }
}

/// The embedding of a query, if it is given.
pub(super) fn embedding(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Vec<f32>>> {
    given.map(|given| vector(given, "embedding")).transpose()
}

pub(super) fn natural(name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u64>> {
    let given = given.map(|given| Integer::Given(given.clone()).natural(name));
    given.transpose()
}

/// A number of seconds, or a `timedelta`.
pub(super) fn seconds(name: &str, given: &Bound<'_, PyAny>) -> PyResult<f64> {
    let number = match given.getattr_opt("total_seconds")? {
        Some(method) => method.call0()?.extract()?,
        None => finite(name, given)?,
    };
    if number >= 0.0 {
        return Ok(number);
    }
    Err(invalid(format!("{name} must be from 0 on, not {number}")))
}

pub(super) fn price(name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<f64> {
    let price = given.map_or(Ok(0.0), |given| finite(name, given))?;
    if price >= 0.0 {
        return Ok(price);
    }
    Err(invalid(format!("{name} must be from 0 on, not {price}")))
}

pub(super) fn micros(given: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
    let given = given.map_or(Ok(0.0), |given| seconds("seconds", given))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and the conversion saturates, which is what is wanted"
    )]
    let micros = (given * 1e6).round() as u64;
    Ok(micros)
}

/// The response that `function` returns.
pub(super) fn computed(
    function: &Bound<'_, PyAny>,
    query: &Bound<'_, PyString>,
    tokens: &Tokens,
) -> PyResult<Computed> {
    let answer = function.call1((query,))?;
    if answer.hasattr("__await__")? {
        let close = answer.getattr_opt("close")?;
        close.map(|close| close.call0()).transpose()?;
        return Err(PyTypeError::new_err(
            "the function must return a response, not an awaitable: use aget_or_compute for an async function",
        ));
    }
    Ok(Computed {
        response: super::json::response(&answer)?,
        tokens: tokens.of_response(&answer)?,
    })
}
