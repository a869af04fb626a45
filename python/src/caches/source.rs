//! What computes vectors: a loaded model, or a Python function.

use super::turn;
use crate::convert::type_name;
use crate::error::{PyStoreResult, blocking, invalid, store_error};
use crate::model::SemanticModel;
use crate::numbers::shown;
use numpy::{PyArray1, PyArray2, PyArrayMethods as _};
use prestige_core::embed::{Embedder, Embeddings};
use prestige_core::{Error, Result, VectorSource};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use std::sync::Arc;

pub(super) enum Source {
    Model(Arc<dyn Embedder>),
    /// `list[str] -> array (n, d)`.
    Function(Py<PyAny>),
    /// Vectors are given; none is computed.
    Nothing,
}

impl Source {
    /// A function, or a model, by default the bundled one. Loads the model.
    pub(super) fn of(
        py: Python<'_>,
        model: Option<&Bound<'_, SemanticModel>>,
        embed: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<Self> {
        match (model, embed) {
            (Some(_), Some(_)) => {
                let message = "model and embed are two ways to compute vectors: give one of them";
                Err(invalid(message.to_owned()).into())
            }
            (None, Some(function)) if function.is_callable() => {
                Ok(Self::Function(function.clone().unbind()))
            }
            (None, Some(other)) => {
                let message = format!(
                    "embed must be a function of a list of str, not {}",
                    shown(other)
                );
                Err(PyTypeError::new_err(message).into())
            }
            (model, None) => {
                let loader = match model {
                    Some(model) => model.borrow().loader(py)?,
                    None => SemanticModel::bundled().loader(py)?,
                };
                Ok(Self::Model(blocking(py, || loader.load())?))
            }
        }
    }
}

impl VectorSource for Source {
    fn embed(&self, texts: &[&str]) -> Result<Embeddings> {
        match self {
            Self::Model(model) => Ok(model.embed(texts)?),
            Self::Function(function) => {
                Python::attach(|py| call(function.bind(py), texts)).map_err(store_error)
            }
            Self::Nothing => Err(Error::InvalidArgument(
                "this cache has neither a model nor a function: give the embedding with the query"
                    .to_owned(),
            )),
        }
    }

    fn embed_within(&self, texts: &[&str], computation: u64) -> Result<Embeddings> {
        // A model calls nobody.
        let Self::Function(function) = self else {
            return self.embed(texts);
        };
        Python::attach(|py| {
            let noted = turn::enter(py, Some(computation))?;
            let embedded = call(function.bind(py), texts);
            turn::leave(py, &noted)?;
            embedded
        })
        .map_err(store_error)
    }

    fn computing(&self) -> Result<Vec<u64>> {
        Python::attach(turn::computing).map_err(store_error)
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Model(model) => model.fits(text),
            Self::Function(_) => true,
            Self::Nothing => false,
        }
    }

    fn prefers_like_lengths(&self) -> bool {
        matches!(self, Self::Model(_))
    }

    fn check(&self) -> Result<()> {
        Python::attach(|py| py.check_signals()).map_err(store_error)
    }
}

/// The rows that a function returns for `texts`.
pub(super) fn call(function: &Bound<'_, PyAny>, texts: &[&str]) -> PyResult<Embeddings> {
    let py = function.py();
    let list = PyList::new(py, texts.iter().map(|text| PyString::new(py, text)))?;
    let answer = function.call1((list,))?;
    if answer.hasattr("__await__")? {
        let close = answer.getattr_opt("close")?;
        close.map(|close| close.call0()).transpose()?;
        return Err(PyTypeError::new_err(
            "the embedding function must return an array, not an awaitable: give a function that is not async",
        ));
    }
    let array = as_array(&answer, || {
        let rows = texts.len();
        format!("the embedding function must return an array of numbers of shape ({rows}, d)")
    })?;
    let Ok(rows) = array.cast::<PyArray2<f32>>() else {
        let shape = array.getattr("shape")?;
        return Err(invalid(format!(
            "the embedding function must return an array of shape ({}, d), not {shape}",
            texts.len()
        )));
    };
    let shape = rows.readonly();
    let view = shape.as_array();
    let (count, dimension) = view.dim();
    if count != texts.len() || dimension == 0 {
        return Err(invalid(format!(
            "the embedding function must return an array of shape ({}, d), not ({count}, {dimension})",
            texts.len()
        )));
    }
    let data = view.iter().copied().collect();
    Embeddings::new(data, dimension).map_err(|error| invalid(error.to_string()))
}

/// A vector that is given as an array or sequence of numbers, `name` in messages.
pub(super) fn vector(given: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<f32>> {
    let array = as_array(given, || {
        format!("{name} must be an array of numbers of shape (d,)")
    })?;
    let Ok(vector) = array.cast::<PyArray1<f32>>() else {
        let shape = array.getattr("shape")?;
        return Err(invalid(format!(
            "{name} must be an array of shape (d,), not {shape}"
        )));
    };
    Ok(vector.readonly().as_array().iter().copied().collect())
}

/// `object` as an array of float32. `expected`: the beginning of the message if it is none.
fn as_array<'py>(
    object: &Bound<'py, PyAny>,
    expected: impl Fn() -> String,
) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let array = py
        .import("numpy")?
        .call_method1("asarray", (object, "float32"));
    array.map_err(|error| {
        if error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyTypeError>(py) {
            let (found, reason) = (type_name(object), error.value(py));
            return invalid(format!("{}, not {found}: {reason}", expected()));
        }
        error
    })
}
