//! Thresholds from judged pairs.

use crate::error::PyStoreResult;
use prestige_core::{Judged, Share, calibrate};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Return what thresholds do with pairs of these similarities and labels.
///
/// ``prestige.calibrate`` is what to call: it takes pairs of every form.
///
/// Args:
///     similarities: Cosine similarities, -1 to 1.
///     same: For each whether the pair means the same.
///     precision: The precision wanted, over 0 and at most 1.
///     thresholds: Thresholds to try, -1 to 1; None: every hundredth from the lowest similarity, or
///         0, to 1.
///
/// Returns:
///     The fields of ``prestige.Calibration`` that follow from it.
///
/// Raises:
///     InvalidArgumentError: There are no pairs or only of one kind, or a number is out of range.
#[pyfunction]
#[pyo3(signature = (similarities, same, precision, thresholds = None))]
pub(crate) fn calibrate_similarities<'py>(
    py: Python<'py>,
    similarities: Vec<f64>,
    same: Vec<bool>,
    precision: f64,
    thresholds: Option<Vec<f64>>,
) -> PyStoreResult<Bound<'py, PyDict>> {
    let pairs = similarities.into_iter().zip(same);
    let judged: Vec<_> = pairs
        .map(|(similarity, same)| Judged { similarity, same })
        .collect();
    let found = calibrate(&judged, thresholds.as_deref(), precision)?;
    let rows = PyList::empty(py);
    for row in &found.rows {
        let dictionary = PyDict::new(py);
        dictionary.set_item("threshold", row.threshold)?;
        dictionary.set_item("right", row.right)?;
        dictionary.set_item("wrong", row.wrong)?;
        set_share(&dictionary, "precision", row.precision)?;
        set_share(&dictionary, "recall", Some(row.recall))?;
        set_share(
            &dictionary,
            "false_accept_rate",
            Some(row.false_accept_rate),
        )?;
        rows.append(dictionary)?;
    }
    let dictionary = PyDict::new(py);
    dictionary.set_item("same", found.same)?;
    dictionary.set_item("different", found.different)?;
    dictionary.set_item("threshold", found.threshold)?;
    dictionary.set_item("safe_threshold", found.safe_threshold)?;
    dictionary.set_item("rows", rows)?;
    Ok(dictionary)
}

/// A share under its name, and the ends of its interval beside it.
fn set_share(dictionary: &Bound<'_, PyDict>, name: &str, share: Option<Share>) -> PyResult<()> {
    dictionary.set_item(name, share.map(|share| share.value))?;
    dictionary.set_item(format!("{name}_low"), share.map(|share| share.low))?;
    dictionary.set_item(format!("{name}_high"), share.map(|share| share.high))
}
