//! The dict-like `Store`.

use crate::candidates::metadata_of;
use crate::convert::{self, Argument, Key, directory, key_to_python, prefix_argument};
use crate::endpoint::embeddings_config;
use crate::enums::DedupMode;
use crate::error::{PyStoreResult, blocking, caught};
use crate::lent::{LetGo, kept_value_to_python, value_to_python};
use crate::numbers::Integer;
use crate::options::Options;
use crate::registry::OpenStore;
use crate::server::{Server, tokens, with_tls};
use crate::stats::dictionary;
use prestige_core::{Entry, Error};
use prestige_http::{Config, Listen};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple, PyType};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

/// An open store: a directory that keeps one copy of every distinct value.
///
/// Made by ``prestige.open``.
///
/// A context manager that closes it, and dict-like: ``store[key]``, ``del store[key]``, ``key in
/// store``, ``len(store)``, iteration over the keys. It is true even when empty.
///
/// Every method has an ``asyncio`` form with an ``a`` in front: ``await store.aget(key)``, ``async
/// for key in store.akeys()``. A worker thread of the process makes the call. If its task is
/// cancelled before the call has begun, it is not made; later it runs to its end.
///
/// Keys are ``str`` (stored as UTF-8; lone surrogates stand for single bytes, as in file names) or
/// ``bytes``, at most 65,536 bytes. Values are ``str`` (stored as UTF-8) or bytes-like (bytes,
/// bytearray, memoryview, NumPy array of another dtype than object), at most 1 GiB. ``str`` and
/// ``bytes`` are not copied on their way in, other buffers once.
///
/// Beyond what is listed, every method raises ``ClosedError`` (a ``ValueError``) once the store is
/// closed, ``PrestigeError`` in a forked child of the process that opened it, ``IOError`` or
/// ``CorruptionError`` if the files cannot be read or written, ``TypeError`` for arguments of wrong
/// types and ``InvalidArgumentError`` for negative numbers. A failed write changes nothing. Methods
/// that write raise ``ReadOnlyError`` in a store that was opened with ``read_only=True``.
#[pyclass(module = "prestige", frozen)]
pub(crate) struct Store {
    open: Arc<OpenStore>,
    /// The namespace that this handle works on; `None`: the store itself.
    view: Option<Arc<prestige_core::Store>>,
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
            view: None,
        })
    }

    /// A handle of one namespace of the same store.
    pub(crate) fn view(&self, view: prestige_core::Store) -> Self {
        Self {
            open: Arc::clone(&self.open),
            view: Some(Arc::new(view)),
        }
    }

    pub(crate) fn handle(&self) -> &Arc<prestige_core::Store> {
        self.view.as_ref().unwrap_or(&self.open.store)
    }

    /// What keeps the store open as long as this handle does.
    pub(crate) fn keep_open(&self) -> Arc<OpenStore> {
        Arc::clone(&self.open)
    }

    fn value<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
    ) -> PyStoreResult<Option<Bound<'py, PyBytes>>> {
        let reader = self.handle().reader()?;
        // Memory is looked at with the GIL held: that takes less time than giving it up.
        if let Some(value) = caught(|| Ok(reader.get_cached(key)))? {
            return Ok(Some(value_to_python(py, &value)));
        }
        let found = blocking(py, || reader.get_unkept(key))?;
        Ok(found.map(|value| kept_value_to_python(py, &reader, &value)))
    }
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (*_arguments, **_options))]
    fn new(
        _arguments: &Bound<'_, PyTuple>,
        _options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        Err(PyTypeError::new_err(
            "a Store is made by opening a directory: prestige.open(path)",
        ))
    }

    /// Open the store in a directory, or create it.
    ///
    /// Args:
    ///     path: Directory of the store; made if it does not exist, with its parents.
    ///     options: How to open it; the defaults if left out.
    ///     **changes: Attributes of ``Options`` that go before those of ``options``.
    ///
    /// Returns:
    ///     The open store; a context manager that closes it.
    ///
    /// Raises:
    ///     ValueError: ``Unknown option: …``; as ``InvalidArgumentError``, an option out of its
    ///         range, a mode other than the store's, or a directory with files of something else.
    ///     BusyError: The store is open already, in this process or another.
    ///     IOError: The path is a file, or cannot be read or written; read-only, there is no store.
    ///     CorruptionError: Files of the store are missing, damaged or replaced by older ones.
    ///     ModelError: The model of a semantic store is missing, damaged or another one.
    ///     PrestigeError: The process was forked from one that had opened a store.
    #[classmethod]
    #[pyo3(name = "open", signature = (path, options = None, **changes))]
    fn open_class<'py>(
        _class: &Bound<'py, PyType>,
        py: Python<'py>,
        path: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyAny>>,
        changes: Option<&Bound<'py, PyDict>>,
    ) -> PyStoreResult<Self> {
        let path = directory(path)?;
        let options = Options::with_changes(py, options, changes)?;
        Self::open_with(py, path, &options)
    }

    /// Store a value under a key, in place of what was there.
    ///
    /// In a semantic store a text that is similar enough to a stored one is not stored: the key
    /// then points at the earlier wording. A text with more tokens than the model reads is
    /// deduplicated exactly.
    ///
    /// Args:
    ///     key: The key.
    ///     value: The value.
    ///     ttl_seconds: Seconds until the key expires, 0 to 2**63 - 1; 0: never; None:
    ///         ``default_ttl_seconds``.
    ///     metadata: Texts that belong to the value, whatever its key: at most 64 pairs, keys of 1
    ///         to 256 bytes and values of up to 4096 bytes of UTF-8. They are added to what the
    ///         value has already, and go with it.
    ///
    /// Raises:
    ///     InvalidArgumentError: Key, value or metadata is too long, or all of them are larger than
    ///         ``max_store_bytes``.
    ///     TimedOutError: Another thread held the key or value for ``lock_timeout_ms``.
    ///     ModelError: The model failed on the text.
    ///     TypeError: ``value`` is neither ``str`` nor bytes-like, or an array of Python objects.
    ///     UnicodeEncodeError: ``value`` is a ``str`` with a lone surrogate.
    #[pyo3(signature = (key, value, ttl_seconds = None, metadata = None))]
    fn put(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        value: convert::Value<'_>,
        ttl_seconds: Option<Integer<'_>>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<()> {
        let ttl_seconds = ttl_seconds.map(|seconds| seconds.natural("ttl_seconds"));
        let metadata = metadata.map(metadata_of).transpose()?;
        let _let_go = LetGo(py);
        let lent = value.lend();
        let entry = Entry {
            key: key.as_bytes()?,
            value: value.as_bytes()?,
            ttl_seconds: ttl_seconds.transpose()?,
            metadata: metadata.as_ref(),
            lent: lent.as_ref(),
        };
        blocking(py, || self.handle().put_entry(&entry)).map(drop)
    }

    /// Return the value of a key.
    ///
    /// Args:
    ///     key: The key.
    ///     default: Returned as it is where the key does not exist; None counts as given.
    ///     decode: Whether to decode the value from UTF-8.
    ///
    /// Returns:
    ///     The value, ``str`` if decoded, or ``default``.
    ///
    /// Raises:
    ///     NotFoundError: The key does not exist or has expired, and there is no ``default``.
    ///     UnicodeDecodeError: The value is to be decoded and is not UTF-8.
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

    /// Delete a key, and with the last key of a value the value (see ``enable_gc``).
    ///
    /// Args:
    ///     key: The key.
    ///
    /// Raises:
    ///     NotFoundError: The key does not exist or has expired.
    ///     TimedOutError: Another thread held the key or value for ``lock_timeout_ms``.
    fn delete(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<()> {
        let key = key.as_bytes()?;
        blocking(py, || self.handle().delete(key))
    }

    /// List keys in byte order, the expired left out.
    ///
    /// Args:
    ///     prefix: Only keys that begin with it; None or ``""``: all.
    ///     limit: At most so many, from 0; None: no limit.
    ///
    /// Returns:
    ///     The keys as ``str``; bytes that are not UTF-8 appear as lone surrogates, which every
    ///     method takes back.
    #[pyo3(signature = (prefix = None, limit = None), text_signature = "($self, prefix='', limit=None)")]
    fn list_keys<'py>(
        &self,
        py: Python<'py>,
        prefix: Option<&Bound<'_, PyAny>>,
        limit: Option<Integer<'_>>,
    ) -> PyStoreResult<Bound<'py, PyList>> {
        let prefix = prefix_argument(prefix)?;
        let prefix = prefix.as_ref().map_or(Ok(&[][..]), Key::as_bytes)?;
        let limit = limit.map_or(Ok(u64::MAX), |limit| limit.natural("limit"))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let keys = blocking(py, || self.handle().list_keys(prefix, None, limit))?;
        let list = PyList::empty(py);
        for key in keys {
            list.append(key_to_python(py, &key)?)?;
        }
        Ok(list)
    }

    /// Count the keys.
    ///
    /// Args:
    ///     approximate: True: the expired and not yet swept count too, and a counter is read.
    ///         False: they do not; each key is looked at once, when it has expired.
    ///
    /// Returns:
    ///     The number of keys.
    #[pyo3(signature = (approximate = true))]
    fn count_keys(&self, py: Python<'_>, approximate: bool) -> PyStoreResult<u64> {
        blocking(py, || self.handle().count_keys(approximate))
    }

    /// Return the number of distinct values, those that wait for ``sweep()`` included.
    fn count_unique_values(&self, py: Python<'_>) -> PyStoreResult<u64> {
        blocking(py, || self.handle().count_unique_values())
    }

    /// Remove expired keys, and values that no key points at.
    ///
    /// Returns:
    ///     The number of values deleted, those of the expired keys included.
    ///
    /// Raises:
    ///     TimedOutError: Another thread held a key or value for ``lock_timeout_ms``.
    fn sweep(&self, py: Python<'_>) -> PyStoreResult<u64> {
        blocking(py, || self.handle().sweep())
    }

    /// Remove expired keys, and on request old and idle ones.
    ///
    /// Args:
    ///     max_age_seconds: Also keys whose last put is longer ago; 0 (default): no such bound.
    ///     max_idle_seconds: Also keys neither put nor read for longer, as exact as
    ///         ``lru_update_interval_seconds`` allows; 0 (default): no such bound.
    ///
    /// Returns:
    ///     The number of keys removed.
    ///
    /// Raises:
    ///     TimedOutError: Another thread held a key or value for ``lock_timeout_ms``.
    #[pyo3(signature = (max_age_seconds = Integer::Default(0), max_idle_seconds = Integer::Default(0)),
           text_signature = "($self, max_age_seconds=0, max_idle_seconds=0)")]
    fn prune(
        &self,
        py: Python<'_>,
        max_age_seconds: Integer<'_>,
        max_idle_seconds: Integer<'_>,
    ) -> PyStoreResult<u64> {
        let max_age = max_age_seconds.natural("max_age_seconds")?;
        let max_idle = max_idle_seconds.natural("max_idle_seconds")?;
        blocking(py, || self.handle().prune(max_age, max_idle))
    }

    /// Evict least recently used keys until ``total_bytes`` is at most ``target_bytes``.
    ///
    /// If it is more, expired keys and values without a key are removed first.
    ///
    /// Args:
    ///     target_bytes: Bytes that may stay, from 0.
    ///
    /// Returns:
    ///     The number of keys evicted, without the expired ones.
    ///
    /// Raises:
    ///     TimedOutError: Another thread held a key or value for ``lock_timeout_ms``.
    fn evict_lru(&self, py: Python<'_>, target_bytes: Integer<'_>) -> PyStoreResult<u64> {
        let target_bytes = target_bytes.natural("target_bytes")?;
        blocking(py, || self.handle().evict_lru(target_bytes))
    }

    /// Return figures of the store.
    ///
    /// Costs a few reads, and one for each key that has expired since the last call.
    ///
    /// Returns:
    ///     A dictionary with the keys of ``prestige.HealthStats``.
    fn get_health<'py>(&self, py: Python<'py>) -> PyStoreResult<Bound<'py, PyDict>> {
        let health = blocking(py, || self.handle().health())?;
        Ok(dictionary(py, health.figures())?)
    }

    /// Check every invariant of the store against a full scan.
    ///
    /// Writers wait only while a snapshot is taken.
    ///
    /// Returns:
    ///     A sentence for each violation; an empty list when all is well.
    fn verify(&self, py: Python<'_>) -> PyStoreResult<Vec<String>> {
        let violations = blocking(py, || self.handle().verify())?;
        Ok(violations.iter().map(ToString::to_string).collect())
    }

    /// Make all that was put durable against power loss, and checkpoint the vector index.
    ///
    /// From then on a store that has lost some of it is refused by ``open``.
    fn flush(&self, py: Python<'_>) -> PyStoreResult<()> {
        blocking(py, || self.handle().flush())
    }

    /// Rewrite the files of the store, so that removed data takes no space on disk.
    ///
    /// Needs as much free space as the store has data, for a while. Other threads go on meanwhile.
    ///
    /// Raises:
    ///     ReadOnlyError: The store was opened read-only.
    fn compact(&self, py: Python<'_>) -> PyStoreResult<()> {
        blocking(py, || self.handle().compact())
    }

    /// Return the id of the value a key points at.
    ///
    /// Args:
    ///     key: The key.
    ///
    /// Returns:
    ///     The id: the same for keys that share a value, and never used for another value.
    ///
    /// Raises:
    ///     NotFoundError: The key does not exist or has expired.
    fn get_object_id(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<u64> {
        let bytes = key.as_bytes()?;
        let id = blocking(py, || self.handle().object_id(bytes))?;
        id.ok_or_else(|| Error::not_found(bytes).into())
    }

    /// Serve the store over HTTP, on threads of this process.
    ///
    /// Keys and values, maintenance, health, metrics and a page to watch it all; see
    /// ``docs/http.md``. Everything goes through this store: its options, its model, its embedder.
    /// Of a view of a namespace, that namespace alone is served.
    ///
    /// Without a token everybody who reaches the server may read and change everything, so it then
    /// listens on loopback addresses and Unix sockets only.
    ///
    /// Args:
    ///     host: Name or address to listen on. ``"0.0.0.0"`` means every IPv4 interface of the
    ///         machine, and needs a token.
    ///     port: 0 to 65535; 0: a free one.
    ///     token: What clients send as ``Authorization: Bearer TOKEN``, for everything.
    ///     token_file: File with more of them, one a line: ``ROLE TOKEN [NAMESPACE,...]``. ROLE is
    ///         ``read``, ``write`` or ``admin``; NAMESPACE may end in ``*``.
    ///     unix_socket: Path of a Unix socket to listen on, instead of ``host`` and ``port``. Its
    ///         owner alone may connect.
    ///     tls_certificate: PEM file with the certificate of the server and those that lead to the
    ///         root; given together with ``tls_key``.
    ///     tls_key: PEM file with its private key.
    ///     backup_directory: Where ``POST /api/v1/admin/backup`` makes copies; made if it is not
    ///         there. None: nowhere.
    ///     models: Models of ``POST /v1/embeddings`` by the names that requests call them; besides
    ///         them there is the bundled one, ``"minilm"``. Each is loaded with the first request
    ///         for it.
    ///     upstream: The server that it asks for every other model.
    ///
    /// Returns:
    ///     The running server; a context manager that stops it.
    ///
    /// Raises:
    ///     InvalidArgumentError: ``host`` does not resolve, or is reached from other machines and
    ///         there is no token; ``port`` is out of range; a token, certificate or key cannot be
    ///         used; ``upstream`` is out of range.
    ///     BusyError: Another server listens on ``unix_socket``.
    ///     IOError: The address cannot be listened on, or ``token_file`` not be read.
    #[pyo3(
        signature = (
            host = "127.0.0.1", port = Integer::Default(0), *, token = None, token_file = None, unix_socket = None,
            tls_certificate = None, tls_key = None, backup_directory = None, models = None, upstream = None
        ),
        text_signature = "($self, host='127.0.0.1', port=0, *, token=None, token_file=None, unix_socket=None, \
                          tls_certificate=None, tls_key=None, backup_directory=None, models=None, upstream=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn serve(
        &self,
        py: Python<'_>,
        host: &str,
        port: Integer<'_>,
        token: Option<&str>,
        token_file: Option<PathBuf>,
        unix_socket: Option<PathBuf>,
        tls_certificate: Option<PathBuf>,
        tls_key: Option<PathBuf>,
        backup_directory: Option<PathBuf>,
        models: Option<&Bound<'_, PyDict>>,
        upstream: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<Server> {
        let port = port.port("port")?;
        let listen = match unix_socket {
            Some(path) => Listen::unix(path),
            None => Listen::tcp(host, port),
        };
        let embeddings = embeddings_config(py, models, upstream)?;
        let config = Config {
            listen: with_tls(listen, tls_certificate, tls_key)?,
            tokens: tokens(token, token_file.as_deref())?,
            backup_directory,
            reembed_models: embeddings.models.clone(),
            embeddings,
            ..Config::default()
        };
        blocking(py, || self.open.serve(self.handle(), config))
    }

    /// Close the store.
    ///
    /// Stops its servers, waits for running operations, writes what is pending and releases the
    /// directory.
    ///
    /// A second call does nothing. Of a view of a namespace it ends the view alone.
    ///
    /// Raises:
    ///     IOError: The last writes failed. The store is closed all the same.
    ///     BusyError: ``Options.embedder`` calls this while a put waits for it. It stays open.
    fn close(&self, py: Python<'_>) -> PyStoreResult<()> {
        blocking(py, || match &self.view {
            Some(view) => view.close(),
            None => self.open.close(),
        })
    }

    /// Directory of the store, as it was given.
    #[getter]
    fn path(&self) -> &OsStr {
        self.handle().path().as_os_str()
    }

    /// Whether the store is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.handle().is_closed()
    }

    /// Whether the store was opened read-only.
    #[getter]
    fn read_only(&self) -> bool {
        self.handle().is_read_only()
    }

    /// Bytes of all keys and distinct values, uncompressed: what ``max_store_bytes`` bounds.
    #[getter]
    fn total_bytes(&self, py: Python<'_>) -> PyStoreResult<u64> {
        blocking(py, || self.handle().total_bytes())
    }

    /// How values are deduplicated; fixed when the store was created.
    #[getter]
    fn dedup_mode(&self) -> DedupMode {
        self.handle().dedup_mode().into()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: Key<'py>) -> PyStoreResult<Bound<'py, PyAny>> {
        self.get(py, key, Argument::Absent, false)
    }

    fn __setitem__(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        value: convert::Value<'_>,
    ) -> PyStoreResult<()> {
        self.put(py, key, value, None, None)
    }

    fn __delitem__(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<()> {
        self.delete(py, key)
    }

    fn __contains__(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<bool> {
        let key = key.as_bytes()?;
        blocking(py, || self.handle().contains(key))
    }

    fn __len__(&self, py: Python<'_>) -> PyStoreResult<usize> {
        Ok(usize::try_from(self.count_keys(py, true)?).unwrap_or(usize::MAX))
    }

    // An empty store is a store: `if store:` asks whether there is one.
    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyStoreResult<Py<Self>> {
        // Entering a closed store is a mistake that should not wait for the first operation.
        blocking(py, || slf.get().handle().total_bytes())?;
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
        let namespace = match self.handle().namespace_name() {
            "" => String::new(),
            name => format!(" namespace={}", name.into_bound_py_any(py)?.repr()?),
        };
        Ok(format!(
            "<prestige.Store path={path}{namespace} closed={closed}>"
        ))
    }
}
