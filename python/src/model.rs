//! The model of a semantic store: which files, how they are used, and the loaded model itself.

use crate::convert::{text_list, text_of};
use crate::error::{PyStoreResult, blocking, invalid};
use crate::numbers::Natural;
use numpy::{IntoPyArray as _, PyArray2, PyArrayMethods as _};
use parking_lot::Mutex;
use prestige_core::Error;
use prestige_core::embed::{Embedder, ModelSpec, OnnxEmbedder, Pooling, RuntimeLibrary};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

/// Folder of the bundled model inside the package.
const BUNDLED: [&str; 2] = ["models", "all-MiniLM-L6-v2"];

/// Which model embeds texts, and how. ``SemanticModel()`` is the bundled all-MiniLM-L6-v2.
#[pyclass(module = "prestige")]
pub(crate) struct SemanticModel {
    /// ``model.onnx`` or its folder; ``None``: the bundled model.
    #[pyo3(get, set)]
    pub model_path: Option<PathBuf>,
    /// ``tokenizer.json`` or ``vocab.txt``; ``None``: beside the model.
    #[pyo3(get, set)]
    pub tokenizer_path: Option<PathBuf>,
    pooling: Option<Pooling>,
    /// Text put in front of every text; ``None``: as the model's files say, usually nothing.
    #[pyo3(get, set)]
    pub prefix: Option<String>,
    /// Longest text in tokens, longer ones are cut; ``None``: as the model's files say.
    #[pyo3(get, set)]
    pub max_tokens: Option<Natural>,
    /// Threads of the model; 0: one per core.
    #[pyo3(get, set)]
    pub num_threads: Natural,
}

/// What makes two models the same loaded model.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    spec: ModelSpec,
    runtime: PathBuf,
}

/// Models in use, so that stores of one process share a loaded model. Held while a model loads: whoever wants the
/// same one waits instead of loading it again.
static LOADED: Mutex<Vec<(Source, Weak<OnnxEmbedder>)>> = Mutex::new(Vec::new());

#[pymethods]
impl SemanticModel {
    #[new]
    #[pyo3(signature = (model_path = None, *, tokenizer_path = None, pooling = None, prefix = None, max_tokens = None,
                        num_threads = Natural(0)))]
    fn new(
        model_path: Option<PathBuf>,
        tokenizer_path: Option<PathBuf>,
        pooling: Option<&str>,
        prefix: Option<String>,
        max_tokens: Option<Natural>,
        num_threads: Natural,
    ) -> PyResult<Self> {
        let pooling = pooling.map(parse_pooling).transpose()?;
        Ok(Self {
            model_path,
            tokenizer_path,
            pooling,
            prefix,
            max_tokens,
            num_threads,
        })
    }

    /// ``"mean"`` or ``"cls"``; ``None``: as the model's files say.
    #[getter]
    fn pooling(&self) -> Option<String> {
        self.pooling.map(|pooling| pooling.to_string())
    }

    #[setter]
    fn set_pooling(&mut self, pooling: Option<&str>) -> PyResult<()> {
        self.pooling = pooling.map(parse_pooling).transpose()?;
        Ok(())
    }

    /// Embed ``texts``: a float32 array of shape (n, d) with rows of unit length.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
    ) -> PyStoreResult<Bound<'py, PyArray2<f32>>> {
        let strings = text_list(texts)?;
        let owned = strings.iter().map(text_of).collect::<PyResult<Vec<_>>>()?;
        let borrowed: Vec<&str> = owned.iter().map(AsRef::as_ref).collect();
        let loader = self.loader(py)?;
        let embeddings = blocking(py, || Ok(loader.load()?.embed(&borrowed)?))?;
        let shape = [embeddings.len(), embeddings.dimension()];
        Ok(embeddings.into_vec().into_pyarray(py).reshape(shape)?)
    }

    /// Length of the vectors. Loads the model.
    #[getter]
    fn dimension(&self, py: Python<'_>) -> PyStoreResult<usize> {
        let loader = self.loader(py)?;
        blocking(py, || Ok(loader.load()?.dimension()))
    }

    /// SHA-256 over the model's files and settings: vectors of different fingerprints cannot be compared.
    #[getter]
    fn fingerprint(&self, py: Python<'_>) -> PyStoreResult<String> {
        let loader = self.loader(py)?;
        blocking(py, || Ok(loader.load()?.fingerprint().sha256.clone()))
    }

    fn __repr__(&self) -> String {
        let path = self
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
            model_path: None,
            tokenizer_path: None,
            pooling: None,
            prefix: None,
            max_tokens: None,
            num_threads: Natural(0),
        }
    }

    pub(crate) fn copy(&self) -> Self {
        Self {
            model_path: self.model_path.clone(),
            tokenizer_path: self.tokenizer_path.clone(),
            prefix: self.prefix.clone(),
            ..*self
        }
    }

    pub(crate) fn override_pooling(&mut self, pooling: &str) -> PyResult<()> {
        self.pooling = Some(parse_pooling(pooling)?);
        Ok(())
    }

    /// Everything that loading needs from Python, so that it runs without the GIL.
    pub(crate) fn loader(&self, py: Python<'_>) -> PyResult<Loader> {
        let model_path = match &self.model_path {
            Some(path) => path.clone(),
            None => package_folder(py, "prestige")?.map_or_else(PathBuf::new, |folder| {
                BUNDLED.iter().fold(folder, |path, part| path.join(part))
            }),
        };
        let runtime_hint = package_folder(py, "onnxruntime")?.map(|folder| folder.join("capi"));
        Ok(Loader {
            model: self.copy(),
            model_path,
            runtime_hint,
        })
    }
}

/// A model about to be loaded.
pub(crate) struct Loader {
    model: SemanticModel,
    model_path: PathBuf,
    runtime_hint: Option<PathBuf>,
}

impl Loader {
    /// The loaded model: an earlier one where the files and settings are the same.
    pub(crate) fn load(&self) -> Result<Arc<OnnxEmbedder>, Error> {
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
        if let Some(path) = &self.model.tokenizer_path {
            spec.tokenizer_path.clone_from(path);
        }
        if let Some(pooling) = self.model.pooling {
            spec.pooling = pooling;
        }
        if let Some(prefix) = &self.model.prefix {
            spec.prefix.clone_from(prefix);
        }
        if let Some(Natural(tokens)) = self.model.max_tokens {
            spec.max_tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
        }
        spec.threads = usize::try_from(self.model.num_threads.0).unwrap_or(usize::MAX);
        Ok(spec)
    }
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
