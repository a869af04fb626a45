//! The dict-like `Store`.

use crate::convert::{Argument, Key, Value, key_to_python};
use crate::enums::DedupMode;
use crate::error::{PyStoreResult, blocking, invalid};
use crate::numbers::Natural;
use crate::options::Options;
use crate::registry::OpenStore;
use crate::server::Server;
use prestige_core::{Error, Figure};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyType};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

/// Keys that an iterator fetches at once.
const PAGE: usize = 1024;

/// An open store: a directory that keeps one copy of every distinct value. Made by ``prestige.open``.
#[pyclass(module = "prestige", frozen)]
pub(crate) struct Store {
    open: Arc<OpenStore>,
}

impl Store {
    pub(crate) fn open_with(
        py: Python<'_>,
        path: PathBuf,
        options: &Bound<'_, Options>,
    ) -> PyStoreResult<Self> {
        let options = options.borrow().to_core(py)?;
        let store = blocking(py, || prestige_core::Store::open(path, options))?;
        Ok(Self {
            open: OpenStore::new(store),
        })
    }

    fn store(&self) -> &prestige_core::Store {
        &self.open.store
    }

    fn value<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
    ) -> PyStoreResult<Option<Bound<'py, PyBytes>>> {
        // The one copy that makes the Python object is taken from RocksDB's memory.
        let value = blocking(py, || {
            self.store().get_with(key, |value| {
                Python::attach(|py| PyBytes::new(py, value).unbind())
            })
        })?;
        Ok(value.map(|value| value.into_bound(py)))
    }
}

#[pymethods]
impl Store {
    /// Open or create the store in the directory ``path``.
    #[classmethod]
    #[pyo3(name = "open", signature = (path, options = None, **changes))]
    fn open_class<'py>(
        _class: &Bound<'py, PyType>,
        py: Python<'py>,
        path: PathBuf,
        options: Option<&Bound<'py, Options>>,
        changes: Option<&Bound<'py, PyDict>>,
    ) -> PyStoreResult<Self> {
        let options = Options::with_changes(py, options, changes)?;
        Self::open_with(py, path, &options)
    }

    /// Store ``value`` under ``key``.
    #[pyo3(signature = (key, value, ttl_seconds = None))]
    fn put(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        value: Value<'_>,
        ttl_seconds: Option<Natural>,
    ) -> PyStoreResult<()> {
        let (key, value) = (key.as_bytes()?, value.as_bytes()?);
        let ttl_seconds = ttl_seconds.map(|seconds| seconds.0);
        blocking(py, || self.store().put(key, value, ttl_seconds)).map(drop)
    }

    /// The value of ``key``.
    #[pyo3(signature = (key, default = Argument::Absent, decode = false),
           text_signature = "($self, key, default=..., decode=False)")]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Key<'py>,
        default: Argument<'py>,
        decode: bool,
    ) -> PyStoreResult<Bound<'py, PyAny>> {
        let key = key.as_bytes()?;
        match (self.value(py, key)?, default) {
            (Some(value), _) if decode => Ok(value.call_method1("decode", ("utf-8",))?),
            (Some(value), _) => Ok(value.into_any()),
            (None, Argument::Given(default)) => Ok(default),
            (None, Argument::Absent) => Err(Error::not_found(key).into()),
        }
    }

    /// Delete ``key``.
    fn delete(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<()> {
        let key = key.as_bytes()?;
        blocking(py, || self.store().delete(key))
    }

    /// Keys that begin with ``prefix``, in byte order.
    #[pyo3(signature = (prefix = None, limit = None), text_signature = "($self, prefix='', limit=None)")]
    fn list_keys<'py>(
        &self,
        py: Python<'py>,
        prefix: Option<Key<'_>>,
        limit: Option<Natural>,
    ) -> PyStoreResult<Bound<'py, PyList>> {
        let prefix = prefix.as_ref().map_or(Ok(&[][..]), Key::as_bytes)?;
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit.0).unwrap_or(usize::MAX)
        });
        let keys = blocking(py, || self.store().list_keys(prefix, None, limit))?;
        let list = PyList::empty(py);
        for key in keys {
            list.append(key_to_python(py, &key)?)?;
        }
        Ok(list)
    }

    /// The number of keys.
    #[pyo3(signature = (approximate = true))]
    fn count_keys(&self, py: Python<'_>, approximate: bool) -> PyStoreResult<u64> {
        blocking(py, || self.store().count_keys(approximate))
    }

    /// The number of distinct values.
    fn count_unique_values(&self, py: Python<'_>) -> PyStoreResult<u64> {
        blocking(py, || self.store().count_unique_values())
    }

    /// Remove expired keys and unreferenced values.
    fn sweep(&self, py: Python<'_>) -> PyStoreResult<u64> {
        blocking(py, || self.store().sweep())
    }

    /// Remove expired keys, and on request old and idle ones.
    #[pyo3(signature = (max_age_seconds = Natural(0), max_idle_seconds = Natural(0)),
           text_signature = "($self, max_age_seconds=0, max_idle_seconds=0)")]
    fn prune(
        &self,
        py: Python<'_>,
        max_age_seconds: Natural,
        max_idle_seconds: Natural,
    ) -> PyStoreResult<u64> {
        blocking(py, || {
            self.store().prune(max_age_seconds.0, max_idle_seconds.0)
        })
    }

    /// Evict least recently used keys until ``total_bytes`` is at most ``target_bytes``.
    fn evict_lru(&self, py: Python<'_>, target_bytes: Natural) -> PyStoreResult<u64> {
        blocking(py, || self.store().evict_lru(target_bytes.0))
    }

    /// Figures of the store.
    fn get_health<'py>(&self, py: Python<'py>) -> PyStoreResult<Bound<'py, PyDict>> {
        let health = blocking(py, || self.store().health())?;
        let figures = PyDict::new(py);
        for (name, figure) in health.figures() {
            match figure {
                Figure::Integer(number) => figures.set_item(name, number)?,
                Figure::Float(number) => figures.set_item(name, number)?,
                Figure::Text(text) => figures.set_item(name, text)?,
                Figure::Boolean(truth) => figures.set_item(name, truth)?,
                _ => figures.set_item(name, py.None())?,
            }
        }
        Ok(figures)
    }

    /// Check every invariant against a full scan; a list of violations, empty when all is well.
    fn verify(&self, py: Python<'_>) -> PyStoreResult<Vec<String>> {
        let violations = blocking(py, || self.store().verify())?;
        Ok(violations.iter().map(ToString::to_string).collect())
    }

    /// Make everything put so far durable against power loss.
    fn flush(&self, py: Python<'_>) -> PyStoreResult<()> {
        blocking(py, || self.store().flush())
    }

    /// Rewrite the files so that removed data takes no space.
    fn compact(&self, py: Python<'_>) -> PyStoreResult<()> {
        blocking(py, || self.store().compact())
    }

    /// Id of the value that ``key`` points at.
    fn get_object_id(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<u64> {
        let bytes = key.as_bytes()?;
        let id = blocking(py, || self.store().object_id(bytes))?;
        id.ok_or_else(|| Error::not_found(bytes).into())
    }

    /// Serve health and metrics over HTTP from this process.
    #[pyo3(signature = (host = "127.0.0.1", port = 0))]
    fn serve(&self, py: Python<'_>, host: &str, port: i64) -> PyStoreResult<Server> {
        let port = u16::try_from(port)
            .map_err(|_| invalid(format!("port must be from 0 to 65535, not {port}")))?;
        blocking(py, || self.open.serve(host, port))
    }

    /// Close the store and stop its servers. A second call does nothing.
    fn close(&self, py: Python<'_>) -> PyStoreResult<()> {
        blocking(py, || self.open.close())
    }

    /// Directory of the store.
    #[getter]
    fn path(&self) -> &OsStr {
        self.store().path().as_os_str()
    }

    /// Whether the store is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.store().is_closed()
    }

    /// Bytes of all keys and all distinct values, before compression.
    #[getter]
    fn total_bytes(&self, py: Python<'_>) -> PyStoreResult<u64> {
        blocking(py, || self.store().total_bytes())
    }

    /// How values are deduplicated; fixed when the store was created.
    #[getter]
    fn dedup_mode(&self) -> DedupMode {
        self.store().dedup_mode().into()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: Key<'py>) -> PyStoreResult<Bound<'py, PyAny>> {
        self.get(py, key, Argument::Absent, false)
    }

    fn __setitem__(&self, py: Python<'_>, key: Key<'_>, value: Value<'_>) -> PyStoreResult<()> {
        self.put(py, key, value, None)
    }

    fn __delitem__(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<()> {
        self.delete(py, key)
    }

    fn __contains__(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<bool> {
        let key = key.as_bytes()?;
        blocking(py, || self.store().contains(key))
    }

    fn __len__(&self, py: Python<'_>) -> PyStoreResult<usize> {
        Ok(usize::try_from(self.count_keys(py, true)?).unwrap_or(usize::MAX))
    }

    // An empty store is a store: `if store:` asks whether there is one.
    fn __bool__(&self) -> bool {
        true
    }

    fn __iter__(&self, py: Python<'_>) -> PyStoreResult<KeyIterator> {
        // A closed store is refused here, not at the first key.
        self.count_keys(py, true)?;
        Ok(KeyIterator {
            open: Arc::clone(&self.open),
            page: Vec::new().into_iter(),
            last: None,
            done: false,
        })
    }

    fn __enter__(slf: Py<Self>) -> PyStoreResult<Py<Self>> {
        // Entering a closed store is a mistake that should not wait for the first operation.
        slf.get().store().total_bytes()?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyStoreResult<()> {
        self.close(py)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "an open store cannot be pickled; pass its path and open it where it is needed",
        ))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let path = self.path().into_bound_py_any(py)?.repr()?;
        let closed = if self.closed() { "True" } else { "False" };
        Ok(format!("<prestige.Store path={path} closed={closed}>"))
    }
}

/// Iterator over the keys of a store, in byte order. Keys put or deleted meanwhile may or may not appear.
#[pyclass(module = "prestige")]
pub(crate) struct KeyIterator {
    open: Arc<OpenStore>,
    page: std::vec::IntoIter<Vec<u8>>,
    last: Option<Vec<u8>>,
    done: bool,
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
