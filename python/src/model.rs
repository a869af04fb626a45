//! The model of a semantic store, as Python sees it: which one, and how it is used.

use crate::convert::{text_list, texts_of};
use crate::embedder::Callable;
use crate::error::{PyStoreResult, blocking, invalid};
use crate::loader::{Kept, Loader, Settings, bundled_folder, package_folder, query};
use crate::numbers::{Integer, shown};
use numpy::{IntoPyArray as _, PyArray2, PyArrayMethods as _};
use prestige_core::Error;
use prestige_core::embed::Pooling;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which model embeds texts, and how.
///
/// ``SemanticModel()`` is the bundled all-MiniLM-L6-v2, with 384 dimensions. Another one is named
/// by ``model_path`` (files), ``model_name`` (a preset or repository of the Hugging Face hub), or
/// ``embedder`` and ``embedder_id`` (a function of your own).
///
/// The files are read when the model is first used: by ``embed``, ``dimension``, ``fingerprint``,
/// or by opening a semantic store, which takes about half a second. The model then stays loaded
/// for as long as this object, or a store that uses it, lives. Objects that name the same files and
/// settings share one loaded model. In a forked child it is loaded anew.
///
/// The arguments are the attributes of the same names.
///
/// Raises:
///     InvalidArgumentError: ``pooling`` is neither ``"mean"`` nor ``"cls"``, ``model_name`` is no
///         name of a model, a number is negative, or ``embedder`` comes without ``embedder_id`` or
///         with other arguments.
///     TypeError: ``embedder`` cannot be called.
#[pyclass(module = "prestige")]
pub(crate) struct SemanticModel {
    settings: Settings,
    /// The model as last loaded, kept as long as this object lives: loading takes half a second.
    kept: Kept,
    /// The function in place of model files.
    callable: Option<Arc<Callable>>,
}

#[pymethods]
impl SemanticModel {
    #[new]
    #[pyo3(signature = (model_path = None, *, model_name = None, revision = None, cache_dir = None, download = false,
                        local_files_only = false, tokenizer_path = None, pooling = None, prefix = None,
                        prompt_name = None, max_tokens = None, num_threads = Integer::Default(0), embedder = None,
                        embedder_id = None),
        text_signature = "(model_path=None, *, model_name=None, revision=None, cache_dir=None, download=False, local_files_only=False, tokenizer_path=None, pooling=None, prefix=None, prompt_name=None, max_tokens=None, num_threads=0, embedder=None, embedder_id=None)")]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        model_path: Option<PathBuf>,
        model_name: Option<String>,
        revision: Option<String>,
        cache_dir: Option<PathBuf>,
        download: bool,
        local_files_only: bool,
        tokenizer_path: Option<PathBuf>,
        pooling: Option<&str>,
        prefix: Option<String>,
        prompt_name: Option<String>,
        max_tokens: Option<Integer<'_>>,
        num_threads: Integer<'_>,
        embedder: Option<Py<PyAny>>,
        embedder_id: Option<String>,
    ) -> PyStoreResult<Self> {
        let settings = Settings {
            model_path,
            model_name: known_name(model_name)?,
            revision,
            cache_dir,
            download,
            local_files_only,
            tokenizer_path,
            pooling: pooling.map(parse_pooling).transpose()?,
            prefix,
            prompt_name,
            max_tokens: token_count(max_tokens)?,
            num_threads: num_threads.natural("num_threads")?,
        };
        let model = Self {
            settings,
            kept: Kept::default(),
            callable: callable(py, embedder, embedder_id)?,
        };
        model.check_alone()?;
        Ok(model)
    }

    /// An ``.onnx`` file, or a folder with ``model.onnx`` or ``onnx/model.onnx``.
    ///
    /// None: as ``model_name`` says, else the bundled model.
    #[getter]
    fn model_path(&self) -> Option<&Path> {
        self.settings.model_path.as_deref()
    }

    #[setter]
    fn set_model_path(&mut self, path: Option<PathBuf>) {
        self.settings.model_path = path;
    }

    /// A preset, see ``prestige.hub.presets``, or ``"organisation/name"`` of the Hugging Face hub.
    ///
    /// It is looked for in ``cache_dir``. With ``model_path`` it says how the files there are used.
    #[getter]
    fn model_name(&self) -> Option<&str> {
        self.settings.model_name.as_deref()
    }

    #[setter]
    fn set_model_name(&mut self, name: Option<String>) -> PyStoreResult<()> {
        self.settings.model_name = known_name(name)?;
        Ok(())
    }

    /// Branch, tag or commit of ``model_name``; None: ``"main"``.
    #[getter]
    fn revision(&self) -> Option<&str> {
        self.settings.revision.as_deref()
    }

    #[setter]
    fn set_revision(&mut self, revision: Option<String>) {
        self.settings.revision = revision;
    }

    /// Folder in which ``model_name`` is looked for, and downloaded to.
    ///
    /// A folder of model folders, or a cache of the Hugging Face client. None: the cache that
    /// ``HF_HUB_CACHE`` or ``HF_HOME`` name, by default ``~/.cache/huggingface/hub``.
    #[getter]
    fn cache_dir(&self) -> Option<&Path> {
        self.settings.cache_dir.as_deref()
    }

    #[setter]
    fn set_cache_dir(&mut self, folder: Option<PathBuf>) {
        self.settings.cache_dir = folder;
    }

    /// Whether ``model_name`` is downloaded, by ``prestige.hub.pull``, if it is not there.
    ///
    /// Default False: nothing here opens a connection. Nor does it where ``HF_HUB_OFFLINE`` is set.
    #[getter]
    fn download(&self) -> bool {
        self.settings.download
    }

    #[setter]
    fn set_download(&mut self, download: bool) {
        self.settings.download = download;
    }

    /// Whether ``download`` is to be ignored. Default False.
    #[getter]
    fn local_files_only(&self) -> bool {
        self.settings.local_files_only
    }

    #[setter]
    fn set_local_files_only(&mut self, only: bool) {
        self.settings.local_files_only = only;
    }

    /// Name of a prompt in the model's files that goes before every text, for example ``"query"``.
    ///
    /// None: their default prompt, if they have one. ``prefix`` goes before it. Checked when the
    /// model is loaded.
    #[getter]
    fn prompt_name(&self) -> Option<&str> {
        self.settings.prompt_name.as_deref()
    }

    #[setter]
    fn set_prompt_name(&mut self, name: Option<String>) {
        self.settings.prompt_name = name;
    }

    /// The function that embeds in place of model files, as given; see ``Options.embedder``.
    #[getter]
    fn embedder(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let callable = self.callable.as_ref()?;
        Some(callable.function().clone_ref(py))
    }

    /// The name of the model behind ``embedder``, as given; see ``Options.embedder_id``.
    #[getter]
    fn embedder_id(&self) -> Option<&str> {
        self.callable.as_ref().map(|callable| callable.id())
    }

    /// ``tokenizer.json``, or ``vocab.txt`` of a WordPiece model; None: beside the model.
    #[getter]
    fn tokenizer_path(&self) -> Option<&Path> {
        self.settings.tokenizer_path.as_deref()
    }

    #[setter]
    fn set_tokenizer_path(&mut self, path: Option<PathBuf>) {
        self.settings.tokenizer_path = path;
    }

    /// Text put in front of every text; None: as the preset or the files say, else nothing.
    #[getter]
    fn prefix(&self) -> Option<&str> {
        self.settings.prefix.as_deref()
    }

    #[setter]
    fn set_prefix(&mut self, prefix: Option<String>) {
        self.settings.prefix = prefix;
    }

    /// Longest text in tokens, special ones included; more than their number.
    ///
    /// None: as the preset or the model's files say, else 256. Of a longer text ``embed`` reads the
    /// beginning; a store deduplicates it exactly. Checked when the model is loaded: the bundled
    /// one has positions for 512, others for what their ``config.json`` says.
    #[getter]
    fn max_tokens(&self) -> Option<u64> {
        self.settings.max_tokens
    }

    #[setter]
    fn set_max_tokens(&mut self, tokens: Option<Integer<'_>>) -> PyResult<()> {
        self.settings.max_tokens = token_count(tokens)?;
        Ok(())
    }

    /// Threads that compute one batch; 0: one for each core. Default 0.
    #[getter]
    fn num_threads(&self) -> u64 {
        self.settings.num_threads
    }

    #[setter]
    fn set_num_threads(&mut self, threads: Integer<'_>) -> PyResult<()> {
        self.settings.num_threads = threads.natural("num_threads")?;
        Ok(())
    }

    /// ``"mean"`` or ``"cls"``, in any case; None: as the preset or the files say, else mean.
    ///
    /// ``InvalidArgumentError`` for another name.
    #[getter]
    fn pooling(&self) -> Option<String> {
        self.settings.pooling.map(|pooling| pooling.to_string())
    }

    #[setter]
    fn set_pooling(&mut self, pooling: Option<&str>) -> PyResult<()> {
        self.settings.pooling = pooling.map(parse_pooling).transpose()?;
        Ok(())
    }

    /// Embed texts.
    ///
    /// A text's vector does not depend on the other texts of the call, nor on the thread.
    ///
    /// Concurrent calls share batches. Of a text with more than ``max_tokens`` tokens only the
    /// beginning is read. Ctrl-C ends a long call within about a second.
    ///
    /// Args:
    ///     texts: A list or other iterable of ``str``; a single ``str`` is refused. May be empty.
    ///
    /// Returns:
    ///     float32 array of shape (n, d), C order: a row of unit length for each text, in their
    ///     order.
    ///
    /// Raises:
    ///     TypeError: ``texts`` is not an iterable of ``str``.
    ///     UnicodeEncodeError: A text holds a lone surrogate.
    ///     InvalidArgumentError: ``max_tokens`` leaves no room for text or is more than the model
    ///         can read, or the model has no prompt ``prompt_name``.
    ///     ModelError: The model or ONNX Runtime is missing or damaged, or the model failed on a
    ///         text, or could not be downloaded.
    ///     Exception: What ``embedder`` raises.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
    ) -> PyStoreResult<Bound<'py, PyArray2<f32>>> {
        let strings = text_list(texts)?;
        let owned = texts_of(&strings)?;
        let borrowed: Vec<&str> = owned.iter().map(AsRef::as_ref).collect();
        let loader = self.loader(py)?;
        let model = blocking(py, || loader.load())?;
        let vectors = blocking(py, || Ok(model.embed(&borrowed)?))?;
        let shape = [vectors.len(), vectors.dimension()];
        Ok(vectors.into_vec().into_pyarray(py).reshape(shape)?)
    }

    /// Length of the vectors. Loads the model. Raises ``ModelError`` if that fails.
    #[getter]
    fn dimension(&self, py: Python<'_>) -> PyStoreResult<usize> {
        let loader = self.loader(py)?;
        blocking(py, || Ok(loader.load()?.dimension()))
    }

    /// SHA-256 over model file, tokenizer file, pooling, prefix and max tokens, in hexadecimal.
    ///
    /// Of an ``embedder`` it is over ``embedder_id`` and the dimension.
    ///
    /// Vectors of different fingerprints cannot be compared, so it belongs into the key of every
    /// cached vector. Loads the model. Raises ``ModelError`` if that fails.
    #[getter]
    fn fingerprint(&self, py: Python<'_>) -> PyStoreResult<String> {
        let loader = self.loader(py)?;
        blocking(py, || Ok(loader.load()?.fingerprint().sha256.clone()))
    }

    fn __repr__(&self) -> String {
        let path = self.settings.model_path.as_ref();
        let model = match (&self.callable, path, &self.settings.model_name) {
            (Some(callable), _, _) => callable.id().to_owned(),
            (None, Some(path), _) => path.display().to_string(),
            (None, None, Some(name)) => name.clone(),
            (None, None, None) => "bundled".to_owned(),
        };
        format!("<prestige.SemanticModel model={model}>")
    }
}

impl SemanticModel {
    /// The bundled model, as semantic stores without another one use it.
    pub(crate) fn bundled() -> Self {
        Self {
            settings: Settings::default(),
            kept: Kept::default(),
            callable: None,
        }
    }

    /// A function as the model; `None` without one.
    pub(crate) fn of_callable(
        py: Python<'_>,
        embedder: Option<Py<PyAny>>,
        embedder_id: Option<String>,
    ) -> PyResult<Option<Self>> {
        let callable = callable(py, embedder, embedder_id)?;
        Ok(callable.map(|callable| Self {
            callable: Some(callable),
            ..Self::bundled()
        }))
    }

    /// The model with single settings of the options in place of its own.
    pub(crate) fn with(
        &self,
        path: Option<&Path>,
        pooling: Option<&str>,
        num_threads: u64,
    ) -> PyResult<Self> {
        let mut settings = self.settings.clone();
        if let Some(path) = path {
            settings.model_path = Some(path.to_path_buf());
        }
        if let Some(pooling) = pooling {
            settings.pooling = Some(parse_pooling(pooling)?);
        }
        if num_threads > 0 && self.callable.is_none() {
            settings.num_threads = num_threads;
        }
        Ok(Self {
            settings,
            kept: Arc::clone(&self.kept),
            callable: self.callable.clone(),
        })
    }

    /// Everything that loading needs from Python, so that it runs without the GIL.
    pub(crate) fn loader(&self, py: Python<'_>) -> PyResult<Loader> {
        self.check_alone()?;
        let runtime_hint = package_folder(py, "onnxruntime")?.map(|folder| folder.join("capi"));
        Ok(Loader {
            settings: self.settings.clone(),
            kept: Arc::clone(&self.kept),
            callable: self.callable.clone(),
            bundled: bundled_folder(py)?,
            runtime_hint,
        })
    }

    /// A function has no files and no settings: whatever else was said would be passed over in silence.
    fn check_alone(&self) -> PyResult<()> {
        if self.callable.is_none() || self.settings == Settings::default() {
            return Ok(());
        }
        Err(invalid(
            "embedder and embedder_id go with no other setting of a model, since the function embeds by itself: \
             leave out the files, pooling, prefix, max_tokens and num_threads"
                .to_owned(),
        ))
    }
}

/// The function and its name, both or neither.
fn callable(
    py: Python<'_>,
    embedder: Option<Py<PyAny>>,
    embedder_id: Option<String>,
) -> PyResult<Option<Arc<Callable>>> {
    match (embedder, embedder_id) {
        (None, None) => Ok(None),
        (None, Some(id)) => Err(invalid(format!(
            "embedder_id {id:?} names the model of an embedder, and there is none: give both or neither"
        ))),
        (Some(function), id) => {
            let function = function.into_bound(py);
            check_callable(&function)?;
            match id.filter(|id| !id.trim().is_empty()) {
                Some(id) => Ok(Some(Arc::new(Callable::new(function.unbind(), id)))),
                None => Err(invalid(
                    "an embedder needs embedder_id, a name that changes whenever its vectors do, for example \
                     \"text-embedding-3-small@256\": the store compares no vectors of different names"
                        .to_owned(),
                )),
            }
        }
    }
}

/// Refuses what cannot be called.
pub(crate) fn check_callable(function: &Bound<'_, PyAny>) -> PyResult<()> {
    if function.is_callable() {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "embedder must be a function that takes a list of str and returns an array with a row for each, not {}",
        shown(function)
    )))
}

/// A name that is one, so that a slip shows where it is made.
fn known_name(name: Option<String>) -> PyStoreResult<Option<String>> {
    if let Some(name) = &name {
        query(name, None, None).repository().map_err(Error::from)?;
    }
    Ok(name)
}

fn token_count(tokens: Option<Integer<'_>>) -> PyResult<Option<u64>> {
    tokens
        .map(|tokens| tokens.natural("max_tokens"))
        .transpose()
}

fn parse_pooling(name: &str) -> PyResult<Pooling> {
    name.to_ascii_lowercase()
        .parse()
        .map_err(|_| invalid(format!("pooling must be \"mean\" or \"cls\", not {name:?}")))
}
