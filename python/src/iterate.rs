//! Iteration over the keys of a store, a page at a time.

use crate::convert::key_to_python;
use crate::error::{PyStoreResult, blocking};
use crate::registry::OpenStore;
use pyo3::prelude::*;
use std::sync::Arc;

/// Keys fetched at once.
const PAGE: usize = 1024;

/// Iterator over the keys of a store, in byte order.
///
/// Keys put or deleted meanwhile may or may not appear.
#[pyclass(module = "prestige")]
pub(crate) struct KeyIterator {
    open: Arc<OpenStore>,
    page: std::vec::IntoIter<Vec<u8>>,
    last: Option<Vec<u8>>,
    done: bool,
}

impl KeyIterator {
    pub(crate) fn new(open: Arc<OpenStore>) -> Self {
        Self {
            open,
            page: Vec::new().into_iter(),
            last: None,
            done: false,
        }
    }
}

#[pymethods]
impl KeyIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyStoreResult<Option<Bound<'py, PyAny>>> {
        if self.page.len() == 0 && !self.done {
            let (store, last) = (&self.open.store, self.last.as_deref());
            let page = blocking(py, || store.list_keys(b"", last, PAGE))?;
            self.done = page.len() < PAGE;
            self.last = page.last().cloned();
            self.page = page.into_iter();
        }
        self.page
            .next()
            .map(|key| Ok(key_to_python(py, &key)?))
            .transpose()
    }
}
