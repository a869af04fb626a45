//! `EmbeddingCache`: texts in, an array of vectors out.

use super::source::Source;
use super::{Home, not_pickled};
use crate::convert::{text_list, text_of, texts_of};
use crate::error::{PyStoreResult, blocking, caught, invalid};
use crate::model::SemanticModel;
use crate::numbers::{Integer, shown};
use crate::stats::dictionary;
use numpy::{IntoPyArray as _, PyArray1, PyArray2, PyArrayMethods as _};
use prestige_core::embed::Embedder as _;
use prestige_core::{EmbeddingCacheOptions, EmbeddingPrecision};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use std::borrow::Cow;
use std::ffi::OsStr;

/// A cache of embeddings: each text is computed once, and its vector kept in a store.
///
/// A cache of a model and a length of vectors is a namespace of its own, so that vectors of
/// different models never meet. Its entries are keys of the store: TTL, ``max_store_bytes``,
/// backups and ``verify()`` hold for them. Threads share it freely.
///
/// A context manager that closes the store if the cache has opened it.
///
/// Args:
///     path_or_store: An open ``Store``, the client of a server (``prestige.connect``) or its
///         view of a namespace, or the directory of a store, which the cache opens and closes.
///     model: The model that computes vectors; None, and no ``embed``: the bundled one.
///     embed: A function that does, in place of a model: ``list[str]`` in, array-like of shape
///         (n, d) out. Each vector is kept as it is, at whatever length. It gets each text of a
///         call once, in their order, and is called from one thread at a time for the same text.
///     model_id: Names the model; give another for whatever makes other vectors. Needed with
///         ``embed``, and refused without it and ``model``; None: the fingerprint of the model. At
///         most 238 bytes of UTF-8.
///     dimension: Length of the vectors; None: as the store has them for the model, or as the
///         first that is computed.
///     dtype: How new vectors are stored, ``"float32"`` or ``"float16"``. They are float32 when
///         they are read, in either case.
///     ttl_seconds: Seconds until a vector expires, 0 to 2**63 - 1; 0: never; None:
///         ``default_ttl_seconds`` of the store.
///     batch_size: Most texts of one call of ``embed`` or the model; None: 256, or 64 for a model.
///     **options: Attributes of ``Options``, for a store that the cache opens.
///
/// Raises:
///     InvalidArgumentError: A view of an open store was given, ``embed`` without ``model_id``,
///         ``model_id`` without ``embed`` and ``model``, both of these, an unknown ``dtype``, or
///         the store has vectors of several lengths for the model and ``dimension`` names none.
///     ModelError: The model or ONNX Runtime is missing or damaged.
///     Exception: As ``prestige.open`` raises for a path.
#[pyclass(module = "prestige", frozen, subclass)]
pub(crate) struct EmbeddingCache {
    home: Home,
    cache: prestige_core::EmbeddingCache,
    source: Source,
}

/// Texts of one call of a model: so many take about half a second, after which Ctrl-C is heard.
const MODEL_BATCH: usize = 64;

#[pymethods]
impl EmbeddingCache {
    #[new]
    #[pyo3(signature = (path_or_store, model = None, embed = None, *, model_id = None, dimension = None,
                        dtype = "float32", ttl_seconds = None, batch_size = None, **options))]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of Python")]
    fn new<'py>(
        py: Python<'py>,
        path_or_store: &Bound<'py, PyAny>,
        model: Option<&Bound<'py, SemanticModel>>,
        embed: Option<&Bound<'py, PyAny>>,
        model_id: Option<String>,
        dimension: Option<Integer<'py>>,
        dtype: &str,
        ttl_seconds: Option<Integer<'py>>,
        batch_size: Option<Integer<'py>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyStoreResult<Self> {
        let precision = match dtype {
            "float32" => EmbeddingPrecision::F32,
            "float16" => EmbeddingPrecision::F16,
            other => {
                let message = format!("dtype must be \"float32\" or \"float16\", not {other:?}");
                return Err(invalid(message).into());
            }
        };
        let number = |name: &str, given: Option<Integer<'py>>| -> PyResult<Option<u64>> {
            given.map(|number| number.natural(name)).transpose()
        };
        let size = |number: Option<u64>| number.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let ttl_seconds = number("ttl_seconds", ttl_seconds)?;
        let mut dimension = size(number("dimension", dimension)?);
        let batch_size = size(number("batch_size", batch_size)?);
        if let (None, None, Some(id)) = (&model, &embed, &model_id) {
            let message = format!(
                "model_id {id:?} names a model, and neither embed nor model says what computes with it: give embed, a \
                 function, or model; leave all three out for the bundled model"
            );
            return Err(invalid(message).into());
        }
        let source = Source::of(py, model, embed)?;
        let (model_id, batch_size) = match &source {
            Source::Model(model) => {
                let own = model.dimension();
                if dimension.is_some_and(|given| given != own) {
                    let message = format!("the vectors of the model have {own} components");
                    return Err(invalid(format!("dimension must be {own}: {message}")).into());
                }
                dimension = Some(own);
                let fingerprint = || model.fingerprint().sha256.clone();
                let id = model_id.unwrap_or_else(fingerprint);
                (id, batch_size.or(Some(MODEL_BATCH)))
            }
            _ => {
                let id = model_id.ok_or_else(|| {
                    invalid(
                        "an embedding function needs a model_id that names its model, for example \
                         \"text-embedding-3-small\": vectors of different models must not meet"
                            .to_owned(),
                    )
                })?;
                (id, batch_size)
            }
        };
        let home = Home::of(py, path_or_store, options)?;
        let wanted = EmbeddingCacheOptions {
            model: model_id,
            dimension,
            precision,
            ttl_seconds,
            batch_size,
        };
        let made = blocking(py, || {
            prestige_core::EmbeddingCache::new(&home.open.store, wanted)
        });
        match made {
            Ok(cache) => Ok(Self {
                home,
                cache,
                source,
            }),
            Err(error) => {
                blocking(py, || home.close())?;
                Err(error)
            }
        }
    }

    /// Return the vectors of texts; those that are not in the cache are computed and stored.
    ///
    /// Each distinct text is computed once, in batches, and once across concurrent callers: who
    /// asks for a text that another thread is computing waits for it, and gets its vector or its
    /// error. After an error the next call tries again. A batch that fails ends the call; what was
    /// computed before it stays. A vector that cannot be stored, for example on a full disk or in a
    /// read-only store, is returned all the same, and counted in ``stats()`` as ``not_stored``.
    ///
    /// Args:
    ///     texts: A list or other iterable of ``str``, of any length; a single ``str`` is refused.
    ///
    /// Returns:
    ///     float32 array of shape (n, d), C order: a row for each text, in their order. Without
    ///     texts the shape is (0, d), d being 0 as long as it is not known.
    ///
    /// Raises:
    ///     TypeError: ``texts`` is not an iterable of ``str``.
    ///     UnicodeEncodeError: A text holds a lone surrogate.
    ///     InvalidArgumentError: The function returned another shape, another length of vectors
    ///         than the cache has, a NaN or an infinity, or asked the cache for the same text.
    ///     Exception: What the function or the model raises.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
    ) -> PyStoreResult<Bound<'py, PyArray2<f32>>> {
        let strings = text_list(texts)?;
        let owned = texts_of(&strings)?;
        let borrowed: Vec<&str> = owned.iter().map(AsRef::as_ref).collect();
        let rows = blocking(py, || self.cache.embed(&borrowed, &self.source))?;
        let shape = [borrowed.len(), rows.dimension];
        Ok(rows.data.into_pyarray(py).reshape(shape)?)
    }

    /// Return the vector of one text, computed and stored if it is not in the cache.
    ///
    /// Args:
    ///     text: The text.
    ///
    /// Returns:
    ///     float32 array of shape (d,).
    ///
    /// Raises:
    ///     Exception: As ``embed``.
    fn embed_query<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyString>,
    ) -> PyStoreResult<Bound<'py, PyArray1<f32>>> {
        let text = text_of(text)?;
        let rows = blocking(py, || self.cache.embed(&[&text], &self.source))?;
        Ok(rows.data.into_pyarray(py))
    }

    /// Return the vector of a text if it is in the cache. Computes nothing.
    ///
    /// Args:
    ///     text: The text.
    ///
    /// Returns:
    ///     float32 array of shape (d,), or None.
    fn get<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyString>,
    ) -> PyStoreResult<Option<Bound<'py, PyArray1<f32>>>> {
        let text = text_of(text)?;
        let mut found = blocking(py, || self.cache.get_many(&[&text]))?;
        let vector = found.pop().flatten();
        Ok(vector.map(|vector| PyArray1::from_slice(py, &vector)))
    }

    /// Return the vectors of those texts that are in the cache. Computes nothing.
    ///
    /// Args:
    ///     texts: A list or other iterable of ``str``.
    ///
    /// Returns:
    ///     For each text a float32 array of shape (d,), or None.
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
    ) -> PyStoreResult<Bound<'py, PyList>> {
        let strings = text_list(texts)?;
        let owned = texts_of(&strings)?;
        let borrowed: Vec<&str> = owned.iter().map(AsRef::as_ref).collect();
        let found = blocking(py, || self.cache.get_many(&borrowed))?;
        let found = found.iter().map(|vector| {
            let vector = vector.as_ref();
            vector.map(|vector| PyArray1::from_slice(py, vector))
        });
        Ok(PyList::new(py, found.collect::<Vec<_>>())?)
    }

    /// Store the vector of a text in place of what is there.
    ///
    /// Args:
    ///     text: The text.
    ///     vector: Its components: an array or sequence of d numbers.
    ///
    /// Raises:
    ///     InvalidArgumentError: ``vector`` has another shape or length, or a NaN or an infinity.
    ///     TimedOutError: Another thread held the text for ``lock_timeout_ms``.
    fn put(
        &self,
        py: Python<'_>,
        text: &Bound<'_, PyString>,
        vector: &Bound<'_, PyAny>,
    ) -> PyStoreResult<()> {
        let text: Cow<'_, str> = text_of(text)?;
        let vector = super::source::vector(vector, "vector")?;
        blocking(py, || self.cache.put(&text, &vector))
    }

    /// Remove the vectors of texts.
    ///
    /// Args:
    ///     texts: A list or other iterable of ``str``.
    ///
    /// Returns:
    ///     The number of vectors removed.
    fn delete_many(&self, py: Python<'_>, texts: &Bound<'_, PyAny>) -> PyStoreResult<u64> {
        let strings = text_list(texts)?;
        let owned = texts_of(&strings)?;
        let borrowed: Vec<&str> = owned.iter().map(AsRef::as_ref).collect();
        blocking(py, || self.cache.delete(&borrowed))
    }

    /// Remove every vector of this model and length, in one write.
    ///
    /// Returns:
    ///     The number of vectors removed.
    fn clear(&self, py: Python<'_>) -> PyStoreResult<u64> {
        blocking(py, || self.cache.clear())
    }

    /// Return what this object has done.
    ///
    /// Returns:
    ///     A dictionary: ``hits`` and ``misses`` (texts asked for), ``computed`` (texts),
    ///     ``batches``, ``damaged`` (stored vectors that did not read and were computed again),
    ///     ``not_stored``, ``seconds_computing``, and ``seconds_saved``: the hits at the average
    ///     time of what was computed, 0 before anything was.
    fn stats<'py>(&self, py: Python<'py>) -> PyStoreResult<Bound<'py, PyDict>> {
        let stats = caught(|| Ok(self.cache.stats()))?;
        Ok(dictionary(py, stats.figures())?)
    }

    /// Close the store if the cache has opened it. A second call does nothing.
    ///
    /// Raises:
    ///     IOError: The last writes failed. The store is closed all the same.
    fn close(&self, py: Python<'_>) -> PyStoreResult<()> {
        blocking(py, || self.home.close())
    }

    /// Directory of the store, as it was given.
    #[getter]
    fn path(&self) -> &OsStr {
        self.home.path().as_os_str()
    }

    /// Whether the store is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.home.is_closed()
    }

    /// Name of the model.
    #[getter]
    fn model_id(&self) -> &str {
        self.cache.model()
    }

    /// Length of the vectors; None as long as it is not known.
    #[getter]
    fn dimension(&self) -> Option<usize> {
        self.cache.dimension()
    }

    fn __len__(&self, py: Python<'_>) -> PyStoreResult<usize> {
        let vectors = blocking(py, || self.cache.len())?;
        Ok(usize::try_from(vectors).unwrap_or(usize::MAX))
    }

    // An empty cache is a cache: `if cache:` asks whether there is one.
    fn __bool__(&self) -> bool {
        true
    }

    fn __contains__(&self, py: Python<'_>, text: &Bound<'_, PyAny>) -> PyStoreResult<bool> {
        let Ok(text) = text.cast::<PyString>() else {
            let message = format!("a text must be str, not {}", shown(text));
            return Err(PyTypeError::new_err(message).into());
        };
        let text = text_of(text)?;
        blocking(py, || self.cache.contains(&text))
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyStoreResult<Py<Self>> {
        blocking(py, || slf.get().cache.len())?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _exception: &Bound<'_, pyo3::types::PyTuple>,
    ) -> PyStoreResult<()> {
        self.close(py)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled())
    }

    fn __repr__(&self) -> String {
        let (path, closed) = self.home.shown();
        let model = self.cache.model();
        format!("<prestige.EmbeddingCache path='{path}' model_id={model:?} closed={closed}>")
    }
}
