//! The options of a store as Python attributes. Defaults and ranges are those of `prestige_core::Options`.

use crate::clock::ManualClock;
use crate::enums::{DedupMode, NormalizationMode};
use crate::error::invalid;
use crate::model::{SemanticModel, check_callable};
use crate::numbers::{Factor, Natural, Ratio, named, shown};
use crate::verifier::{Precision, verifier};
use prestige_core as core;
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::Arc;

/// Every attribute of [`Options`], in the order of `repr`.
const NAMES: [&str; 46] = [
    "dedup_mode",
    "normalization_mode",
    "default_ttl_seconds",
    "max_store_bytes",
    "block_cache_bytes",
    "value_cache_bytes",
    "write_buffer_bytes",
    "enable_statistics",
    "bloom_bits_per_key",
    "lock_timeout_ms",
    "max_retries",
    "retry_base_delay_us",
    "retry_max_delay_us",
    "retry_jitter_factor",
    "enable_gc",
    "eviction_target_ratio",
    "track_access_time",
    "lru_update_interval_seconds",
    "reaper_interval_seconds",
    "normalization_max_bytes",
    "read_only",
    "sync_writes",
    "clock",
    "semantic_model",
    "semantic_model_path",
    "embedder",
    "embedder_id",
    "reembed",
    "semantic_threshold",
    "semantic_max_text_bytes",
    "semantic_search_k",
    "semantic_margin_enabled",
    "semantic_margin_threshold",
    "semantic_rnn_enabled",
    "semantic_rnn_k",
    "semantic_vector_precision",
    "verifier",
    "semantic_num_threads",
    "semantic_pooling",
    "semantic_verify_exact",
    "semantic_index_save_interval",
    "hnsw_m",
    "hnsw_ef_construction",
    "hnsw_ef_search",
    "semantic_max_index_entries",
    "semantic_compact_threshold",
];

/// How a store is opened.
///
/// Every attribute can be given as a keyword to ``Options()`` and ``prestige.open()``.
///
/// Integers run from 0 to 2**63 - 1 where no other range is named. A wrong type raises
/// ``TypeError``, a number out of range ``InvalidArgumentError``: on assignment, or where noted
/// "checked on opening", by ``prestige.open()``.
///
/// Args:
///     **options: Attributes, for example ``default_ttl_seconds=3600``.
///
/// Raises:
///     ValueError: ``Unknown option: …``.
///     InvalidArgumentError: A value is out of its range; the message names the option.
///     TypeError: A value has the wrong type; the message names the option.
#[pyclass(module = "prestige")]
pub(crate) struct Options {
    /// `None`: as the store was created.
    dedup_mode: Option<DedupMode>,
    /// How text is normalised before it is stored. Default ``NormalizationMode.NONE``.
    #[pyo3(get, set)]
    normalization_mode: NormalizationMode,
    /// Seconds until keys put without ``ttl_seconds`` expire; 0: never. Default 0.
    #[pyo3(get, set)]
    default_ttl_seconds: Natural,
    /// Upper bound of ``Store.total_bytes``; 0: none. Default 0.
    ///
    /// When a put exceeds it, expired keys and values without a key are removed, then least
    /// recently used keys are evicted.
    #[pyo3(get, set)]
    max_store_bytes: Natural,
    /// RocksDB's cache of table blocks, indexes and filters, 0 to 2**50; checked on opening.
    ///
    /// Default 64 MiB.
    #[pyo3(get, set)]
    block_cache_bytes: Natural,
    /// Cache of hot keys and values in front of RocksDB, 0 to 2**50; 0: none. Checked on opening.
    ///
    /// Default 256 MiB.
    #[pyo3(get, set)]
    value_cache_bytes: Natural,
    /// RocksDB's write buffers, all together, 64 KiB to 2**40; checked on opening.
    ///
    /// Default 64 MiB.
    #[pyo3(get, set)]
    write_buffer_bytes: Natural,
    /// Whether RocksDB gathers statistics. Default False.
    #[pyo3(get, set)]
    enable_statistics: bool,
    /// Bits of the Bloom filters for a key, 0 to 64; 0: none. Checked on opening. Default 10.
    #[pyo3(get, set)]
    bloom_bits_per_key: Natural,
    /// Longest wait for another thread's work on a key or value, in milliseconds, from 1.
    ///
    /// Checked on opening. Default 2000.
    #[pyo3(get, set)]
    lock_timeout_ms: Natural,
    /// Accepted for compatibility, without effect: writes wait for locks. Default 3.
    #[pyo3(get, set)]
    max_retries: Natural,
    /// Accepted for compatibility, without effect. Default 1000.
    #[pyo3(get, set)]
    retry_base_delay_us: Natural,
    /// Accepted for compatibility, without effect. Default 100000.
    #[pyo3(get, set)]
    retry_max_delay_us: Natural,
    /// Accepted for compatibility, without effect. Default 0.5.
    #[pyo3(get, set)]
    retry_jitter_factor: Factor,
    /// Whether a value goes with its last key; else it stays until ``sweep()``. Default True.
    #[pyo3(get, set)]
    enable_gc: bool,
    /// Share of ``max_store_bytes`` that eviction leaves, over 0 and at most 1. Default 0.8.
    #[pyo3(get, set)]
    eviction_target_ratio: Ratio,
    /// Whether reads count as use; otherwise only puts do. Default True.
    #[pyo3(get, set)]
    track_access_time: bool,
    /// A key's access time is refreshed at most once in so many seconds. Default 3600.
    #[pyo3(get, set)]
    lru_update_interval_seconds: Natural,
    /// Seconds between background rounds that remove expired keys of all namespaces; 0: none.
    ///
    /// A finite number from 0 on. Default 60.
    #[pyo3(get, set)]
    reaper_interval_seconds: Factor,
    /// Longest value that is normalised, in bytes. Default 1 MiB.
    #[pyo3(get, set)]
    normalization_max_bytes: Natural,
    /// Whether the store is opened for reading only. Default False.
    ///
    /// Nothing of its directory changes, and a store that is not there is not created. It may be
    /// open for writing elsewhere; what was written since is seen after ``Store.refresh()``. Of a
    /// semantic store keys and values are read; it needs no model.
    #[pyo3(get, set)]
    read_only: bool,
    /// Whether every write reaches the disk before it is acknowledged. Default False.
    ///
    /// Without it a power cut can take the latest writes; the end of the process alone takes none.
    #[pyo3(get, set)]
    sync_writes: bool,
    /// For tests, a ``prestige.testing.ManualClock``; None: the system's clock. Default None.
    #[pyo3(get, set)]
    clock: Option<Py<ManualClock>>,
    /// The model of a semantic store; None: the bundled one. Default None.
    #[pyo3(get, set)]
    semantic_model: Option<Py<SemanticModel>>,
    /// Goes before ``semantic_model.model_path``; None: as the model says. Default None.
    #[pyo3(get, set)]
    semantic_model_path: Option<PathBuf>,
    /// A function in place of a model.
    embedder: Option<Py<PyAny>>,
    /// Name of the model behind ``embedder``; it must change whenever the vectors do.
    ///
    /// Part of the fingerprint: a store with vectors of another name refuses to open. Default None.
    #[pyo3(get, set)]
    embedder_id: Option<String>,
    /// Whether opening embeds all texts anew where the vectors are of another model. Default False.
    ///
    /// The former model is not needed. See ``Store.reembed``, which does the same while the store is
    /// in use, and ``prestige.reembed``, which tells how far it is.
    #[pyo3(get, set)]
    reembed: bool,
    /// Least cosine similarity at which two texts share a value, over 0 and at most 1.
    ///
    /// Default 0.97.
    #[pyo3(get, set)]
    semantic_threshold: Ratio,
    /// Longest text that is embedded, in bytes. Default 8192.
    ///
    /// Longer ones deduplicate exactly, and so do those of more tokens than the model reads: 256
    /// for the bundled one, see ``SemanticModel.max_tokens``.
    #[pyo3(get, set)]
    semantic_max_text_bytes: Natural,
    /// Nearest neighbours compared with the threshold, 1 to 10000; checked on opening. Default 8.
    #[pyo3(get, set)]
    semantic_search_k: Natural,
    /// Whether the best candidate must lead over the second best to merge. Default False.
    #[pyo3(get, set)]
    semantic_margin_enabled: bool,
    /// By how much more similar it must be, over 0 and at most 1. Default 0.05.
    #[pyo3(get, set)]
    semantic_margin_threshold: Ratio,
    /// Whether candidates must be near in return to be merged with. Default False.
    ///
    /// Then a text merges only if it is among the ``semantic_rnn_k`` nearest of its candidate: a
    /// text that is near to everything takes no others.
    #[pyo3(get, set)]
    semantic_rnn_enabled: bool,
    /// How many nearest ones count, at most 10000; 0: ``semantic_search_k``. Default 0.
    ///
    /// Checked on opening.
    #[pyo3(get, set)]
    semantic_rnn_k: Natural,
    /// Bits of each number of a vector: ``"f32"``, ``"f16"`` or ``"i8"``. Default ``"f16"``.
    ///
    /// That of the index; with another one than at the last opening it is rebuilt. On disk vectors
    /// have 32 bits for ``"f32"`` and else 16, and those decide.
    #[pyo3(get, set)]
    semantic_vector_precision: Precision,
    /// A function that has the last word on a merge.
    verifier: Option<Py<PyAny>>,
    /// Goes before ``semantic_model.num_threads``; 0: as the model says. Default 0.
    #[pyo3(get, set)]
    semantic_num_threads: Natural,
    /// Goes before ``semantic_model.pooling``; None: as the model says. Default None.
    ///
    /// Checked on opening.
    #[pyo3(get, set)]
    semantic_pooling: Option<String>,
    /// Whether candidates are scored again with their stored vectors. Default True.
    #[pyo3(get, set)]
    semantic_verify_exact: bool,
    /// Index operations between background checkpoints. Default 0.
    ///
    /// 0: a quarter of the index, at least 4096.
    #[pyo3(get, set)]
    semantic_index_save_interval: Natural,
    /// Links of a vector in the graph, 2 to 512; checked on opening. Default 16.
    ///
    /// M of Malkov and Yashunin, arXiv:1603.09320. With another value than at the last opening the
    /// index is rebuilt.
    #[pyo3(get, set)]
    hnsw_m: Natural,
    /// Candidates considered when a vector is linked, 1 to 65536; checked on opening. Default 200.
    ///
    /// efConstruction of the same paper. With another value than at the last opening the index is
    /// rebuilt.
    #[pyo3(get, set)]
    hnsw_ef_construction: Natural,
    /// Candidates considered in a search, 1 to 65536; checked on opening. Default 100.
    ///
    /// efSearch of the same paper.
    #[pyo3(get, set)]
    hnsw_ef_search: Natural,
    /// Most vectors of the index; texts beyond it deduplicate exactly; 0: no bound. Default 0.
    #[pyo3(get, set)]
    semantic_max_index_entries: Natural,
    /// Accepted for compatibility, without effect: the index renews itself. Default 0.2.
    #[pyo3(get, set)]
    semantic_compact_threshold: Factor,
}

#[pymethods]
impl Options {
    #[new]
    #[pyo3(signature = (**options))]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Py<Self>> {
        let made = Py::new(py, Self::defaults())?;
        apply(made.bind(py), options)?;
        Ok(made)
    }

    /// Which values share one object. A store keeps the mode it was created with.
    ///
    /// Unset (also by None) it reads ``DedupMode.EXACT`` and means: as the store was created, exact
    /// for a new one. Set to another mode than that of the store, opening raises
    /// ``InvalidArgumentError``.
    #[getter]
    fn dedup_mode(&self) -> DedupMode {
        self.dedup_mode.unwrap_or(DedupMode::EXACT)
    }

    #[setter]
    fn set_dedup_mode(&mut self, mode: Option<DedupMode>) {
        self.dedup_mode = mode;
    }

    /// A function in place of a model: ``list[str] -> array (n, d)``, a row for each text.
    ///
    /// Needs ``embedder_id``, and excludes ``semantic_model``, its path and pooling. Checked on
    /// opening, which calls it once to learn d. It returns what ``numpy.asarray`` makes a finite
    /// array of float or integers, no row all zero; rows are scaled to unit length. It is called
    /// without any lock, by whichever thread puts, and by several at once: it must be thread-safe.
    /// It may use stores, even this one; a put of an unknown text in the same store calls it
    /// again. What it raises, the put raises, and nothing is stored. Default None.
    #[getter]
    fn embedder(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.embedder
            .as_ref()
            .map(|function| function.clone_ref(py))
    }

    #[setter]
    fn set_embedder(&mut self, function: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        if let Some(function) = &function {
            check_callable(function)?;
        }
        self.embedder = function.map(Bound::unbind);
        Ok(())
    }

    /// A function that has the last word on a merge; None: nobody is asked. Default None.
    ///
    /// ``(new: str, stored: str, similarity: float) -> bool``: called before a put merges a text
    /// with the most similar stored one, after every other condition, without any lock and by
    /// whichever thread puts. It may use the store, but not close it. True merges, False keeps
    /// both. What it raises, the put raises, and nothing is stored; anything but a ``bool`` is a
    /// ``TypeError``.
    #[getter]
    fn verifier(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.verifier
            .as_ref()
            .map(|function| function.clone_ref(py))
    }

    #[setter]
    fn set_verifier(&mut self, function: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        if let Some(function) = function.as_ref().filter(|function| !function.is_callable()) {
            return Err(PyTypeError::new_err(format!(
                "must be a function (new, stored, similarity) -> bool, not {}",
                shown(function)
            )));
        }
        self.verifier = function.map(Bound::unbind);
        Ok(())
    }

    /// Sets an attribute as its descriptor does, with the name in front of what is wrong with the value.
    fn __setattr__(slf: &Bound<'_, Self>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if !NAMES.contains(&name) {
            return Err(PyAttributeError::new_err(unknown(slf.py(), name)?));
        }
        let attribute = slf.get_type().getattr(name)?;
        match attribute.call_method1("__set__", (slf, value)) {
            Ok(_) => Ok(()),
            Err(error) => Err(named(slf.py(), name, error)),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let shown = NAMES
            .iter()
            .map(|name| Ok(format!("{name}={}", slf.getattr(*name)?.repr()?)))
            .collect::<PyResult<Vec<_>>>()?;
        Ok(format!("<prestige.Options {}>", shown.join(" ")))
    }
}

impl Options {
    fn defaults() -> Self {
        let defaults = core::Options::default();
        let semantic = &defaults.semantic;
        let natural = |number: usize| Natural(number as u64);
        Self {
            dedup_mode: None,
            normalization_mode: NormalizationMode::NONE,
            default_ttl_seconds: Natural(defaults.default_ttl_seconds),
            max_store_bytes: Natural(defaults.max_store_bytes),
            block_cache_bytes: Natural(defaults.block_cache_bytes),
            value_cache_bytes: Natural(defaults.value_cache_bytes),
            write_buffer_bytes: Natural(defaults.write_buffer_bytes),
            enable_statistics: defaults.enable_statistics,
            bloom_bits_per_key: Natural(u64::from(defaults.bloom_bits_per_key)),
            lock_timeout_ms: Natural(defaults.lock_timeout_ms),
            max_retries: Natural(3),
            retry_base_delay_us: Natural(1000),
            retry_max_delay_us: Natural(100_000),
            retry_jitter_factor: Factor(0.5),
            enable_gc: defaults.enable_gc,
            eviction_target_ratio: Ratio(defaults.eviction_target_ratio),
            track_access_time: defaults.track_access_time,
            lru_update_interval_seconds: Natural(defaults.lru_update_interval_seconds),
            reaper_interval_seconds: Factor(defaults.reaper_interval_seconds),
            normalization_max_bytes: Natural(defaults.normalization_max_bytes),
            read_only: defaults.read_only,
            sync_writes: defaults.sync_writes,
            clock: None,
            semantic_model: None,
            semantic_model_path: None,
            embedder: None,
            embedder_id: None,
            reembed: false,
            semantic_threshold: Ratio(semantic.threshold),
            semantic_max_text_bytes: Natural(semantic.max_text_bytes),
            semantic_search_k: natural(semantic.search_k),
            semantic_margin_enabled: false,
            semantic_margin_threshold: Ratio(0.05),
            semantic_rnn_enabled: false,
            semantic_rnn_k: Natural(0),
            semantic_vector_precision: Precision(semantic.vector_precision),
            verifier: None,
            semantic_num_threads: Natural(0),
            semantic_pooling: None,
            semantic_verify_exact: semantic.verify_exact,
            semantic_index_save_interval: Natural(semantic.index_save_interval),
            hnsw_m: natural(semantic.hnsw_m),
            hnsw_ef_construction: natural(semantic.hnsw_ef_construction),
            hnsw_ef_search: natural(semantic.hnsw_ef_search),
            semantic_max_index_entries: Natural(semantic.max_index_entries),
            semantic_compact_threshold: Factor(0.2),
        }
    }

    /// The options as the store takes them, the model as it is to be loaded.
    pub(crate) fn to_core(&self, py: Python<'_>) -> PyResult<core::Options> {
        let bits = u32::try_from(self.bloom_bits_per_key.0);
        let loader = self.model(py)?.loader(py)?;
        Ok(core::Options {
            dedup_mode: self.dedup_mode.map(Into::into),
            normalization_mode: self.normalization_mode.into(),
            normalization_max_bytes: self.normalization_max_bytes.0,
            default_ttl_seconds: self.default_ttl_seconds.0,
            max_store_bytes: self.max_store_bytes.0,
            eviction_target_ratio: self.eviction_target_ratio.0,
            track_access_time: self.track_access_time,
            lru_update_interval_seconds: self.lru_update_interval_seconds.0,
            enable_gc: self.enable_gc,
            reaper_interval_seconds: self.reaper_interval_seconds.0,
            block_cache_bytes: self.block_cache_bytes.0,
            value_cache_bytes: self.value_cache_bytes.0,
            write_buffer_bytes: self.write_buffer_bytes.0,
            bloom_bits_per_key: bits
                .map_err(|_| invalid("bloom_bits_per_key must be at most 64".to_owned()))?,
            enable_statistics: self.enable_statistics,
            read_only: self.read_only,
            sync_writes: self.sync_writes,
            lock_timeout_ms: self.lock_timeout_ms.0,
            semantic: core::SemanticOptions {
                threshold: self.semantic_threshold.0,
                max_text_bytes: self.semantic_max_text_bytes.0,
                search_k: size(self.semantic_search_k),
                margin: match self.semantic_margin_enabled {
                    true => self.semantic_margin_threshold.0,
                    false => 0.0,
                },
                reciprocal_k: match (self.semantic_rnn_enabled, size(self.semantic_rnn_k)) {
                    (false, _) => 0,
                    (true, 0) => size(self.semantic_search_k),
                    (true, k) => k,
                },
                vector_precision: self.semantic_vector_precision.0,
                verify_exact: self.semantic_verify_exact,
                max_index_entries: self.semantic_max_index_entries.0,
                index_save_interval: self.semantic_index_save_interval.0,
                hnsw_m: size(self.hnsw_m),
                hnsw_ef_construction: size(self.hnsw_ef_construction),
                hnsw_ef_search: size(self.hnsw_ef_search),
            },
            embedder: Some(Arc::new(move || loader.load())),
            reembed: self.reembed,
            verifier: self.verifier(py).map(verifier),
            clock: match &self.clock {
                Some(clock) => clock.get().to_core(),
                None => core::Options::default().clock,
            },
        })
    }

    /// `embedder` or `semantic_model`, else the bundled model; the single settings of the model go before it.
    fn model(&self, py: Python<'_>) -> PyResult<SemanticModel> {
        let path = self.semantic_model_path.as_deref();
        let pooling = self.semantic_pooling.as_deref();
        let threads = self.semantic_num_threads.0;
        let function = self
            .embedder
            .as_ref()
            .map(|function| function.clone_ref(py));
        if let Some(model) = SemanticModel::of_callable(py, function, self.embedder_id.clone())? {
            return match (&self.semantic_model, path, pooling) {
                (None, None, None) => Ok(model),
                _ => Err(invalid(
                    "embedder is a model by itself: leave out semantic_model, semantic_model_path and \
                     semantic_pooling, or leave out embedder"
                        .to_owned(),
                )),
            };
        }
        match &self.semantic_model {
            Some(model) => model.borrow(py).with(path, pooling, threads),
            None => SemanticModel::bundled().with(path, pooling, threads),
        }
    }

    /// A copy of `options`, or the defaults, with `changes` on top.
    pub(crate) fn with_changes<'py>(
        py: Python<'py>,
        options: Option<&Bound<'py, PyAny>>,
        changes: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Self>> {
        let made = Bound::new(py, Self::defaults())?;
        if let Some(options) = options {
            let options = options.cast::<Self>().map_err(|_| {
                PyTypeError::new_err(format!(
                    "options must be a prestige.Options, not {}; single options are keywords: \
                     prestige.open(path, default_ttl_seconds=3600)",
                    shown(options)
                ))
            })?;
            for name in NAMES {
                made.setattr(name, options.getattr(name)?)?;
            }
            // Its attribute reads EXACT where nothing was set.
            made.borrow_mut().dedup_mode = options.borrow().dedup_mode;
        }
        apply(&made, changes)?;
        Ok(made)
    }
}

/// Sets attributes from keyword arguments.
fn apply(options: &Bound<'_, Options>, changes: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    for (name, value) in changes.into_iter().flatten() {
        let name: String = name.extract()?;
        if !NAMES.contains(&name.as_str()) {
            return Err(PyValueError::new_err(unknown(options.py(), &name)?));
        }
        options.setattr(name.as_str(), value)?;
    }
    Ok(())
}

/// What to say of a name that is no option: the option it is nearest to, or where all are listed.
fn unknown(py: Python<'_>, name: &str) -> PyResult<String> {
    let near: Vec<String> = py
        .import("difflib")?
        .call_method1("get_close_matches", (name, NAMES, 1))?
        .extract()?;
    // A name that is a part of the option's, as `ttl`, is too short to be near it.
    let near = near.first().map(String::as_str).or_else(|| {
        let mut options = NAMES.iter().copied();
        options.find(|option| name.len() > 2 && option.contains(name))
    });
    Ok(match near {
        Some(near) => format!("Unknown option: {name}. Did you mean {near}?"),
        None => format!(
            "Unknown option: {name}. help(prestige.Options) lists all options and says what they do"
        ),
    })
}

fn size(number: Natural) -> usize {
    usize::try_from(number.0).unwrap_or(usize::MAX)
}
