//! Iteration over a store: a page at a time, over a snapshot.

use crate::convert::{Key, key_to_python, prefix_argument};
use crate::error::{PyStoreResult, blocking};
use crate::numbers::Integer;
use crate::registry::OpenStore;
use crate::store::Store;
use parking_lot::Mutex;
use prestige_core::{Range, Scan};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use std::sync::Arc;

/// What an iterator gives.
#[derive(Clone, Copy, PartialEq)]
enum Gives {
    Keys,
    Values,
    Items,
}

/// Iterator over a store, in byte order of the keys.
///
/// It sees the store as it was when the iterator was made, whatever is put and deleted meanwhile. It
/// holds no locks; until it is exhausted or deleted, what was removed since takes space on disk.
/// Several threads may share it; each of them gets other keys.
#[pyclass(module = "prestige", frozen)]
pub(crate) struct StoreIterator {
    gives: Gives,
    /// A mutex, so that threads may share the iterator. It is never held while the GIL is waited for.
    state: Mutex<State>,
    /// Keeps the store open as the handle does. Dropped after the scan.
    _open: Arc<OpenStore>,
}

type Item = (Vec<u8>, Vec<u8>);

struct State {
    /// Given back with the end of the iteration.
    scan: Option<Scan>,
    page: std::vec::IntoIter<Item>,
}

impl State {
    /// Reads the next page if this one has no items left; without items afterwards the iteration has ended.
    fn fill(&mut self, gives: Gives) -> prestige_core::Result<()> {
        if self.page.len() == 0
            && let Some(scan) = &mut self.scan
        {
            self.page = next_page(scan, gives)?.into_iter();
            if self.page.len() == 0 {
                self.scan = None;
            }
        }
        Ok(())
    }
}

#[pymethods]
impl StoreIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyStoreResult<Option<Bound<'py, PyAny>>> {
        let ready = self
            .state
            .try_lock()
            .and_then(|mut state| state.page.next());
        let item = match ready {
            Some(item) => Some(item),
            None => {
                // Here, so that no item is lost, and so that builtins that run no Python code can be interrupted.
                py.check_signals()?;
                blocking(py, || {
                    let mut state = self.state.lock();
                    state.fill(self.gives)?;
                    Ok(state.page.next())
                })?
            }
        };
        Ok(item.map(|item| self.gives.object(py, &item)).transpose()?)
    }

    /// Return a list of the items left of this page, or those of the next; empty at the end.
    fn _next_page<'py>(&self, py: Python<'py>) -> PyStoreResult<Bound<'py, PyList>> {
        let page = blocking(py, || {
            let mut state = self.state.lock();
            state.fill(self.gives)?;
            Ok(std::mem::take(&mut state.page))
        })?;
        let list = PyList::empty(py);
        for item in page {
            list.append(self.gives.object(py, &item)?)?;
        }
        Ok(list)
    }
}

impl Gives {
    fn object<'py>(self, py: Python<'py>, (key, value): &Item) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Self::Keys => key_to_python(py, key)?,
            Self::Values => PyBytes::new(py, value).into_any(),
            Self::Items => {
                let value = PyBytes::new(py, value).into_any();
                PyTuple::new(py, [key_to_python(py, key)?, value])?.into_any()
            }
        })
    }
}

fn next_page(scan: &mut Scan, gives: Gives) -> prestige_core::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    if gives == Gives::Keys {
        let keys = scan.next_keys()?.into_iter();
        return Ok(keys.map(|key| (key, Vec::new())).collect());
    }
    let mut page = Vec::new();
    scan.next_items(|key, value| page.push((key.to_vec(), value.to_vec())))?;
    Ok(page)
}

impl Store {
    fn iterate(
        &self,
        py: Python<'_>,
        gives: Gives,
        prefix: Option<&Bound<'_, PyAny>>,
        start: Option<Key<'_>>,
        limit: Option<Integer<'_>>,
    ) -> PyStoreResult<StoreIterator> {
        let prefix = prefix_argument(prefix)?;
        let range = Range {
            prefix: prefix.as_ref().map_or(Ok(&[][..]), Key::as_bytes)?,
            start: start.as_ref().map(Key::as_bytes).transpose()?,
            limit: limit.map(|limit| limit.natural("limit")).transpose()?,
        };
        let scan = blocking(py, || self.handle().scan(range))?;
        Ok(StoreIterator {
            gives,
            state: Mutex::new(State {
                scan: Some(scan),
                page: Vec::new().into_iter(),
            }),
            _open: self.keep_open(),
        })
    }
}

#[pymethods]
impl Store {
    /// Iterate over the keys, in byte order, as they are now.
    ///
    /// Args:
    ///     prefix: Only keys that begin with it; None or ``""``: all.
    ///     start: Only keys from this one on; None: all.
    ///     limit: At most so many, from 0; None: no limit.
    ///
    /// Returns:
    ///     An iterator that reads a page at a time, over a snapshot, and holds no locks.
    #[pyo3(signature = (prefix = None, start = None, limit = None),
           text_signature = "($self, prefix='', start=None, limit=None)")]
    fn keys(
        &self,
        py: Python<'_>,
        prefix: Option<&Bound<'_, PyAny>>,
        start: Option<Key<'_>>,
        limit: Option<Integer<'_>>,
    ) -> PyStoreResult<StoreIterator> {
        self.iterate(py, Gives::Keys, prefix, start, limit)
    }

    /// Iterate over the values, in byte order of their keys, as they are now.
    ///
    /// Args:
    ///     prefix: Only of keys that begin with it; None or ``""``: of all.
    ///     start: Only of keys from this one on; None: of all.
    ///     limit: At most so many, from 0; None: no limit.
    ///
    /// Returns:
    ///     An iterator that reads a page at a time, over a snapshot, and holds no locks.
    #[pyo3(signature = (prefix = None, start = None, limit = None),
           text_signature = "($self, prefix='', start=None, limit=None)")]
    fn values(
        &self,
        py: Python<'_>,
        prefix: Option<&Bound<'_, PyAny>>,
        start: Option<Key<'_>>,
        limit: Option<Integer<'_>>,
    ) -> PyStoreResult<StoreIterator> {
        self.iterate(py, Gives::Values, prefix, start, limit)
    }

    /// Iterate over pairs of key and value, in byte order of the keys, as they are now.
    ///
    /// Args:
    ///     prefix: Only keys that begin with it; None or ``""``: all.
    ///     start: Only keys from this one on; None: all.
    ///     limit: At most so many, from 0; None: no limit.
    ///
    /// Returns:
    ///     An iterator that reads a page at a time, over a snapshot, and holds no locks.
    #[pyo3(signature = (prefix = None, start = None, limit = None),
           text_signature = "($self, prefix='', start=None, limit=None)")]
    fn items(
        &self,
        py: Python<'_>,
        prefix: Option<&Bound<'_, PyAny>>,
        start: Option<Key<'_>>,
        limit: Option<Integer<'_>>,
    ) -> PyStoreResult<StoreIterator> {
        self.iterate(py, Gives::Items, prefix, start, limit)
    }

    /// Iterate over pairs of key and value: another name of ``items``.
    ///
    /// Args:
    ///     prefix: Only keys that begin with it; None or ``""``: all.
    ///     start: Only keys from this one on; None: all.
    ///     limit: At most so many, from 0; None: no limit.
    ///
    /// Returns:
    ///     An iterator that reads a page at a time, over a snapshot, and holds no locks.
    #[pyo3(signature = (prefix = None, start = None, limit = None),
           text_signature = "($self, prefix='', start=None, limit=None)")]
    fn scan(
        &self,
        py: Python<'_>,
        prefix: Option<&Bound<'_, PyAny>>,
        start: Option<Key<'_>>,
        limit: Option<Integer<'_>>,
    ) -> PyStoreResult<StoreIterator> {
        self.iterate(py, Gives::Items, prefix, start, limit)
    }

    fn __iter__(&self, py: Python<'_>) -> PyStoreResult<StoreIterator> {
        self.iterate(py, Gives::Keys, None, None, None)
    }
}
