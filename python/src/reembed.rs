//! Calls that take minutes: building an index anew, and embedding all texts by another model.

use crate::aio::check_exit;
use crate::convert::{directory, type_name};
use crate::error::{PyStoreResult, blocking, store_error};
use crate::model::SemanticModel;
use crate::options::Options;
use crate::store::Store;
use prestige_core::Error;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

#[pymethods]
impl Store {
    /// Build the vector index of this namespace anew from its vectors.
    ///
    /// Puts and searches go on meanwhile with the old index, so both are in memory for a while.
    /// Whatever ends the call, Ctrl-C or a crash: before the new index is complete nothing has
    /// changed. A store does this by itself where an index file is missing or damaged.
    ///
    /// Args:
    ///     progress: Called after every few hundred vectors with the number of those linked and of
    ///         those there are.
    ///
    /// Returns:
    ///     The number of vectors; 0 in exact mode.
    ///
    /// Raises:
    ///     BusyError: Another call builds this index, or embeds the texts of the store anew.
    ///     TimedOutError: Another thread held a key for ten times ``lock_timeout_ms``.
    ///     TypeError: ``progress`` cannot be called.
    ///     Exception: What ``progress`` raises.
    #[pyo3(signature = (progress = None))]
    fn rebuild_index(
        &self,
        py: Python<'_>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<u64> {
        let progress = callable(progress)?;
        blocking(py, || {
            self.handle()
                .rebuild_index(&mut |done, total| tell(progress.as_ref(), done, total))
        })
    }

    /// Embed every text of the store by another model, and make it the model of the store.
    ///
    /// Puts and searches go on meanwhile by the old model and its index. One write makes the switch,
    /// for all namespaces; from then on the store is opened with the new model. If anything ends the
    /// call before, Ctrl-C or a crash, the store works as before, and the next call with the same
    /// model goes on from there; a call with another model begins anew, and one with the model of
    /// the store gives up what was begun. Texts that have merged stay merged, and others stay apart.
    /// Caches of the store have models of their own and stay as they are.
    ///
    /// Both indexes are in memory for a while, and both sets of vectors on the disk.
    ///
    /// Args:
    ///     model: The new model, of any dimension.
    ///     progress: Called after every few hundred steps with the number of those done and of those
    ///         there are: one for each value, and one for each vector linked into the new index.
    ///
    /// Returns:
    ///     The number of texts that this call has embedded.
    ///
    /// Raises:
    ///     InvalidArgumentError: The store is exact, or this is a view of a namespace.
    ///     BusyError: Another call does this, or rebuilds an index.
    ///     ModelError: The new model cannot be loaded, or failed on a text.
    ///     TimedOutError: Another thread held a key or value for ten times ``lock_timeout_ms``.
    ///     TypeError: ``model`` is no ``SemanticModel``, or ``progress`` cannot be called.
    ///     Exception: What ``progress``, or the ``embedder`` of the model, raises.
    #[pyo3(signature = (model, progress = None))]
    fn reembed(
        &self,
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<u64> {
        let loader = model_of(model)?.borrow().loader(py)?;
        let progress = callable(progress)?;
        blocking(py, || {
            let mut tell = |done, total| tell(progress.as_ref(), done, total);
            self.handle().reembed_by(|| loader.load(), &mut tell)
        })
    }
}

/// Embed every text of a closed store by another model, for which its own is not needed.
///
/// Opens the store, does what ``Store.reembed`` does, and closes it. If that is ended, the next call
/// goes on where it was. ``prestige.open`` with ``reembed=True`` does the same and leaves it open.
///
/// Args:
///     path: Directory of the store.
///     model: The new model; None: the bundled one.
///     progress: As in ``Store.reembed``.
///     **options: Other attributes of ``Options``.
///
/// Raises:
///     Exception: As ``prestige.open`` and ``Store.reembed``.
#[pyfunction]
#[pyo3(signature = (path, model = None, progress = None, **options))]
pub(crate) fn reembed(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    model: Option<&Bound<'_, PyAny>>,
    progress: Option<&Bound<'_, PyAny>>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyStoreResult<()> {
    let path = directory(path)?;
    let options = Options::with_changes(py, None, options)?;
    if let Some(model) = model {
        options.setattr("semantic_model", model_of(model)?)?;
    }
    options.setattr("reembed", true)?;
    let options = options.borrow().to_core(py)?;
    let progress = callable(progress)?;
    blocking(py, || {
        if !path.join("CURRENT").is_file() {
            let message = format!("there is no store in {}", path.display());
            return Err(Error::Io(message));
        }
        let mut tell = |done, total| tell(progress.as_ref(), done, total);
        prestige_core::Store::open_with_progress(path, options, &mut tell)?.close()
    })
}

fn model_of<'a, 'py>(model: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, SemanticModel>> {
    model.cast::<SemanticModel>().map_err(|_| {
        let hint = match model.is_callable() {
            true => {
                "; a function goes into one: SemanticModel(embedder=function, embedder_id=\"…\")"
            }
            false => "",
        };
        PyTypeError::new_err(format!(
            "model must be a prestige.SemanticModel, not {}{hint}",
            type_name(model)
        ))
    })
}

fn callable(progress: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    match progress {
        Some(function) if !function.is_callable() => Err(PyTypeError::new_err(format!(
            "progress must be a function (done, total), not {}",
            type_name(function)
        ))),
        function => Ok(function.map(|function| function.clone().unbind())),
    }
}

/// Tells how far a call is, and ends it if a signal came or the interpreter exits.
fn tell(progress: Option<&Py<PyAny>>, done: u64, total: u64) -> Result<(), Error> {
    let told = || -> PyResult<()> {
        check_exit()?;
        Python::attach(|py| {
            py.check_signals()?;
            progress.map_or(Ok(()), |progress| {
                progress.call1(py, (done, total)).map(drop)
            })
        })
    };
    told().map_err(store_error)
}
