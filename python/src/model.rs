//! The model of a semantic store: which files, how they are used, and the loaded model itself.

use crate::convert::{text_list, text_of};
use crate::embed::embed_in_parts;
use crate::error::{PyStoreResult, blocking, invalid};
use crate::numbers::Integer;
use numpy::{IntoPyArray as _, PyArray2, PyArrayMethods as _};
use parking_lot::Mutex;
use prestige_core::Error;
use prestige_core::embed::{Embedder, ModelSpec, OnnxEmbedder, Pooling, RuntimeLibrary};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// Folder of the bundled model inside the package.
const BUNDLED: [&str; 2] = ["models", "all-MiniLM-L6-v2"];

/// Which model embeds texts, and how.
///
/// ``SemanticModel()`` is the bundled all-MiniLM-L6-v2, with 384 dimensions.
///
/// The files are read when the model is first used: by ``embed``, ``dimension``, ``fingerprint``,
/// or by opening a semantic store, which takes about half a second. The model then stays loaded
/// for as long as this object, or a store that uses it, lives. Objects that name the same files and
/// settings share one loaded model.
///
/// The arguments are the attributes of the same names.
///
/// Raises:
///     InvalidArgumentError: ``pooling`` is neither ``"mean"`` nor ``"cls"``, or a number is
///         negative.
#[pyclass(module = "prestige")]
pub(crate) struct SemanticModel {
    settings: Settings,
    /// The model as last loaded, kept as long as this object lives: loading takes half a second.
    kept: Kept,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Settings {
    model_path: Option<PathBuf>,
    tokenizer_path: Option<PathBuf>,
    pooling: Option<Pooling>,
    prefix: Option<String>,
    max_tokens: Option<u64>,
    num_threads: u64,
}

type Kept = Arc<Mutex<Option<(Settings, Arc<OnnxEmbedder>)>>>;

/// What makes two models the same loaded model.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    spec: ModelSpec,
    runtime: PathBuf,
}

/// Models in use, so that stores of one process share a loaded model. Held while a model loads:
/// whoever wants the same one waits instead of loading it again.
static LOADED: Mutex<Vec<(Source, Weak<OnnxEmbedder>)>> = Mutex::new(Vec::new());

#[pymethods]
impl SemanticModel {
    #[new]
    #[pyo3(signature = (model_path = None, *, tokenizer_path = None, pooling = None, prefix = None, max_tokens = None,
                        num_threads = Integer::Default(0)),
        text_signature = "(model_path=None, *, tokenizer_path=None, pooling=None, prefix=None, max_tokens=None, num_threads=0)")]
    fn new(
        model_path: Option<PathBuf>,
        tokenizer_path: Option<PathBuf>,
        pooling: Option<&str>,
        prefix: Option<String>,
        max_tokens: Option<Integer<'_>>,
        num_threads: Integer<'_>,
    ) -> PyResult<Self> {
        let settings = Settings {
            model_path,
            tokenizer_path,
            pooling: pooling.map(parse_pooling).transpose()?,
            prefix,
            max_tokens: token_count(max_tokens)?,
            num_threads: num_threads.natural("num_threads")?,
        };
        Ok(Self {
            settings,
            kept: Kept::default(),
        })
    }

    /// An ``.onnx`` file, or a folder with ``model.onnx`` or ``onnx/model.onnx``.
    ///
    /// None: the bundled model.
    #[getter]
    fn model_path(&self) -> Option<&Path> {
        self.settings.model_path.as_deref()
    }

    #[setter]
    fn set_model_path(&mut self, path: Option<PathBuf>) {
        self.settings.model_path = path;
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

    /// Text put in front of every text; None: as the files beside the model say, else nothing.
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
    /// None: as the files beside the model say, else 256. Of a longer text ``embed`` reads the
    /// beginning; a store deduplicates it exactly. Checked when the model is loaded.
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

    /// ``"mean"`` or ``"cls"``, in any case; None: as the files beside the model say, else mean.
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
    ///     InvalidArgumentError: ``max_tokens`` leaves no room for text.
    ///     ModelError: The model or ONNX Runtime is missing or damaged, or the model failed on a
    ///         text.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
    ) -> PyStoreResult<Bound<'py, PyArray2<f32>>> {
        let strings = text_list(texts)?;
        let owned = strings.iter().map(text_of).collect::<PyResult<Vec<_>>>()?;
        let borrowed: Vec<&str> = owned.iter().map(AsRef::as_ref).collect();
        let loader = self.loader(py)?;
        let model = blocking(py, || loader.load())?;
        let vectors = embed_in_parts(py, &*model, &borrowed)?;
        let shape = [borrowed.len(), model.dimension()];
        Ok(vectors.into_pyarray(py).reshape(shape)?)
    }

    /// Length of the vectors. Loads the model. Raises ``ModelError`` if that fails.
    #[getter]
    fn dimension(&self, py: Python<'_>) -> PyStoreResult<usize> {
        let loader = self.loader(py)?;
        blocking(py, || Ok(loader.load()?.dimension()))
    }

    /// SHA-256 over model file, tokenizer file, pooling, prefix and max tokens, in hexadecimal.
    ///
    /// Vectors of different fingerprints cannot be compared, so it belongs into the key of every
    /// cached vector. Loads the model. Raises ``ModelError`` if that fails.
    #[getter]
    fn fingerprint(&self, py: Python<'_>) -> PyStoreResult<String> {
        let loader = self.loader(py)?;
        blocking(py, || Ok(loader.load()?.fingerprint().sha256.clone()))
    }

    fn __repr__(&self) -> String {
        let path = self
            .settings
            .model_path
            .as_ref()
            .map_or_else(|| "bundled".to_owned(), |path| path.display().to_string());
        format!("<prestige.SemanticModel model={path}>")
    }
}

impl SemanticModel {
    /// The bundled model, as semantic stores without another one use it.
    pub(crate) fn bundled() -> Self {
        Self {
            settings: Settings::default(),
            kept: Kept::default(),
        }
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
        if num_threads > 0 {
            settings.num_threads = num_threads;
        }
        Ok(Self {
            settings,
            kept: Arc::clone(&self.kept),
        })
    }

    /// Everything that loading needs from Python, so that it runs without the GIL.
    pub(crate) fn loader(&self, py: Python<'_>) -> PyResult<Loader> {
        let model_path = match &self.settings.model_path {
            Some(path) => path.clone(),
            None => package_folder(py, "prestige")?.map_or_else(PathBuf::new, |folder| {
                BUNDLED.iter().fold(folder, |path, part| path.join(part))
            }),
        };
        let runtime_hint = package_folder(py, "onnxruntime")?.map(|folder| folder.join("capi"));
        let (settings, kept) = (self.settings.clone(), Arc::clone(&self.kept));
        Ok(Loader {
            settings,
            kept,
            model_path,
            runtime_hint,
        })
    }
}

/// A model about to be loaded.
pub(crate) struct Loader {
    settings: Settings,
    kept: Kept,
    model_path: PathBuf,
    runtime_hint: Option<PathBuf>,
}

impl Loader {
    /// The loaded model: an earlier one where the files and settings are the same.
    pub(crate) fn load(&self) -> Result<Arc<OnnxEmbedder>, Error> {
        let mut kept = self.kept.lock();
        if let Some((settings, model)) = kept.as_ref()
            && *settings == self.settings
        {
            return Ok(Arc::clone(model));
        }
        let model = self.load_shared()?;
        *kept = Some((self.settings.clone(), Arc::clone(&model)));
        Ok(model)
    }

    fn load_shared(&self) -> Result<Arc<OnnxEmbedder>, Error> {
        let runtime = RuntimeLibrary::find(self.runtime_hint.as_deref())?;
        let source = Source {
            spec: self.spec()?,
            runtime: runtime.path().to_path_buf(),
        };
        let mut loaded = LOADED.lock();
        loaded.retain(|(_, model)| model.strong_count() > 0);
        let earlier = loaded
            .iter()
            .find(|(other, _)| *other == source)
            .and_then(|(_, model)| model.upgrade());
        if let Some(model) = earlier {
            return Ok(model);
        }
        let model = Arc::new(OnnxEmbedder::open(&source.spec, &runtime)?);
        loaded.push((source, Arc::downgrade(&model)));
        Ok(model)
    }

    fn spec(&self) -> Result<ModelSpec, Error> {
        let mut spec = ModelSpec::from_path(&self.model_path)?;
        if let Some(path) = &self.settings.tokenizer_path {
            spec.tokenizer_path.clone_from(path);
        }
        if let Some(pooling) = self.settings.pooling {
            spec.pooling = pooling;
        }
        if let Some(prefix) = &self.settings.prefix {
            spec.prefix.clone_from(prefix);
        }
        if let Some(tokens) = self.settings.max_tokens {
            spec.max_tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
        }
        spec.threads = usize::try_from(self.settings.num_threads).unwrap_or(usize::MAX);
        Ok(spec)
    }
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

/// Folder of an installed package, without importing it; `None` if it is not installed.
fn package_folder(py: Python<'_>, package: &str) -> PyResult<Option<PathBuf>> {
    let spec = py
        .import("importlib.util")?
        .call_method1("find_spec", (package,))?;
    if spec.is_none() {
        return Ok(None);
    }
    let folders = spec.getattr("submodule_search_locations")?;
    match folders
        .try_iter()
        .ok()
        .and_then(|mut folders| folders.next())
    {
        Some(folder) => Ok(Some(folder?.extract()?)),
        None => Ok(None),
    }
}
