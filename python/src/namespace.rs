//! Namespaces of a store.

use crate::convert::text_argument;
use crate::error::{PyStoreResult, blocking};
use crate::store::Store;
use pyo3::prelude::*;

#[pymethods]
impl Store {
    /// Return a view of a namespace, which is made if it does not exist.
    ///
    /// A namespace is a hard partition of the store: its own keys, values, figures and, in a
    /// semantic store, index. Nothing is found or shared across. ``max_store_bytes``, ``flush()``,
    /// ``compact()`` and ``bytes_on_disk`` are of the whole store.
    ///
    /// Args:
    ///     name: At most 255 bytes of UTF-8. ``""`` names the namespace of the store itself.
    ///
    /// Returns:
    ///     A view with the whole interface of a store. Closing it leaves the store open; closing
    ///     the store closes it.
    ///
    /// Raises:
    ///     InvalidArgumentError: The name is too long.
    ///     NotFoundError: The store was opened read-only and has no namespace of that name.
    fn namespace(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyStoreResult<Self> {
        let name = text_argument("name", name)?;
        let name = name.to_str()?;
        let view = blocking(py, || self.handle().namespace(name))?;
        Ok(self.view(view))
    }

    /// Return the names of all namespaces but the store's own, sorted.
    fn namespaces(&self, py: Python<'_>) -> PyStoreResult<Vec<String>> {
        blocking(py, || self.handle().namespaces())
    }

    /// Remove a namespace and all it holds.
    ///
    /// It is one write, whatever the namespace holds: after a crash all of it is there, or nothing.
    /// Views of it raise ``InvalidArgumentError`` from then on.
    ///
    /// Args:
    ///     name: Name of the namespace.
    ///
    /// Raises:
    ///     NotFoundError: There is no namespace of that name.
    ///     InvalidArgumentError: The name is ``""``.
    ///     TimedOutError: A write of another thread took longer than ``lock_timeout_ms``.
    fn drop_namespace(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyStoreResult<()> {
        let name = text_argument("name", name)?;
        let name = name.to_str()?;
        blocking(py, || self.handle().drop_namespace(name))
    }

    /// Name of the namespace of this view; ``""`` for the store itself.
    #[getter]
    fn namespace_name(&self) -> &str {
        self.handle().namespace_name()
    }
}
