//! Figures as dictionaries.

use crate::error::{PyStoreResult, blocking};
use crate::store::Store;
use prestige_core::Figure;
use pyo3::prelude::*;
use pyo3::types::PyDict;

#[pymethods]
impl Store {
    /// Return what has happened since the store was opened.
    ///
    /// Counts and latencies of this handle's namespace, of all threads. Costs some microseconds.
    ///
    /// Returns:
    ///     A dictionary with the keys of ``prestige.StoreStats``.
    fn stats<'py>(&self, py: Python<'py>) -> PyStoreResult<Bound<'py, PyDict>> {
        let stats = blocking(py, || self.handle().stats())?;
        Ok(dictionary(py, stats.figures())?)
    }
}

/// A dictionary of figures; what is not known is None.
pub(crate) fn dictionary<'py>(
    py: Python<'py>,
    figures: Vec<(&'static str, Figure)>,
) -> PyResult<Bound<'py, PyDict>> {
    let dictionary = PyDict::new(py);
    for (name, figure) in figures {
        match figure {
            Figure::Integer(number) => dictionary.set_item(name, number)?,
            Figure::Float(number) => dictionary.set_item(name, number)?,
            Figure::Text(text) => dictionary.set_item(name, text)?,
            Figure::Boolean(truth) => dictionary.set_item(name, truth)?,
            Figure::Histogram(bins) => dictionary.set_item(name, bins.to_vec())?,
            _ => dictionary.set_item(name, py.None())?,
        }
    }
    Ok(dictionary)
}
