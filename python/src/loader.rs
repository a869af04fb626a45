//! From the settings of a `SemanticModel` to a model that is ready to work.

use crate::embed::LoadedModel;
use crate::embedder::{Callable, raised};
use parking_lot::Mutex;
use prestige_core::Error;
use prestige_core::embed::{
    EmbedError, Embedder, ModelQuery, ModelSpec, OnnxEmbedder, Pooling, RuntimeLibrary, is_offline,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// Folder of the bundled model inside the package.
const BUNDLED: [&str; 2] = ["models", "all-MiniLM-L6-v2"];

/// Tokens that the bundled model has positions for; its folder has no `config.json` that would say.
const BUNDLED_POSITIONS: usize = 512;

/// Names of the bundled model; that of its repository means the published files.
const BUNDLED_NAMES: [&str; 2] = ["minilm", "all-MiniLM-L6-v2"];

/// What a `SemanticModel` is told; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub model_path: Option<PathBuf>,
    pub model_name: Option<String>,
    pub revision: Option<String>,
    pub cache_dir: Option<PathBuf>,
    pub download: bool,
    pub local_files_only: bool,
    pub tokenizer_path: Option<PathBuf>,
    pub pooling: Option<Pooling>,
    pub prefix: Option<String>,
    pub prompt_name: Option<String>,
    pub max_tokens: Option<u64>,
    pub num_threads: u64,
}

/// The model as last loaded, and from which settings.
pub(crate) type Kept = Arc<Mutex<Option<(Settings, Arc<LoadedModel>)>>>;

/// What makes two models the same loaded model.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    spec: ModelSpec,
    runtime: PathBuf,
}

/// Models in use, so that stores of one process share a loaded model. Held while a model loads: whoever wants the same
/// one waits instead of loading it again. No Python code runs under it.
static LOADED: Mutex<Vec<(Source, Weak<LoadedModel>)>> = Mutex::new(Vec::new());

/// Everything that loading needs from Python, so that it runs without the GIL.
pub(crate) struct Loader {
    pub settings: Settings,
    pub kept: Kept,
    pub callable: Option<Arc<Callable>>,
    pub bundled: PathBuf,
    /// Where the ONNX Runtime of the Python package is.
    pub runtime_hint: Option<PathBuf>,
}

impl Settings {
    /// The model to look for; `None`: the files are named, or bundled.
    fn query(&self) -> Option<ModelQuery> {
        let query = query(
            self.model_name.as_ref()?,
            self.revision.as_deref(),
            self.cache_dir.as_deref(),
        );
        let bundled = self.model_path.is_some() || is_bundled(&query);
        (!bundled).then_some(query)
    }

    /// How the files at `path` are used.
    fn spec(&self, path: &Path) -> Result<ModelSpec, EmbedError> {
        let mut spec = match &self.model_name {
            Some(name) => match query(name, None, None) {
                // The bundled files say themselves how they are used.
                query if is_bundled(&query) => ModelSpec::from_path(path)?,
                query => query.spec(path)?,
            },
            None => ModelSpec::from_path(path)?,
        };
        if let Some(path) = &self.tokenizer_path {
            spec.tokenizer_path.clone_from(path);
        }
        if let Some(pooling) = self.pooling {
            spec.pooling = pooling;
        }
        if let Some(name) = &self.prompt_name {
            spec.use_prompt(name)?;
        }
        if let Some(prefix) = &self.prefix {
            spec.prefix.clone_from(prefix);
        }
        if let Some(tokens) = self.max_tokens {
            spec.max_tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
        }
        spec.threads = usize::try_from(self.num_threads).unwrap_or(usize::MAX);
        Ok(spec)
    }
}

impl Loader {
    /// The loaded model: an earlier one where the files and settings are the same.
    pub(crate) fn load(&self) -> Result<Arc<dyn Embedder>, Error> {
        if let Some(callable) = &self.callable {
            return Ok(callable.embedder()?);
        }
        if let Some(model) = self.earlier(&self.kept.lock()) {
            return Ok(model);
        }
        // Before the lock is taken again, since a download runs Python code.
        let path = self.place()?;
        let mut kept = self.kept.lock();
        if let Some(model) = self.earlier(&kept) {
            return Ok(model);
        }
        let model = self.load_shared(&path)?;
        *kept = Some((self.settings.clone(), Arc::clone(&model)));
        Ok(model)
    }

    fn earlier(&self, kept: &Option<(Settings, Arc<LoadedModel>)>) -> Option<Arc<LoadedModel>> {
        let (settings, model) = kept.as_ref()?;
        (*settings == self.settings && model.is_ours()).then(|| Arc::clone(model))
    }

    /// The file or folder of the model, downloaded first if that is wanted and needed.
    fn place(&self) -> Result<PathBuf, Error> {
        if let Some(path) = &self.settings.model_path {
            return Ok(path.clone());
        }
        let Some(query) = self.settings.query() else {
            return Ok(self.bundled.clone());
        };
        if let Some(found) = query.find()? {
            return Ok(found);
        }
        if !self.settings.download || self.settings.local_files_only || is_offline() {
            return Err(query.missing().into());
        }
        match Python::try_attach(|py| download(py, &query)) {
            Some(downloaded) => Ok(downloaded.map_err(raised)?),
            None => Err(query.missing().into()),
        }
    }

    fn load_shared(&self, path: &Path) -> Result<Arc<LoadedModel>, Error> {
        let runtime = RuntimeLibrary::find(self.runtime_hint.as_deref())?;
        let mut spec = self.settings.spec(path)?;
        if path == self.bundled {
            spec.max_positions = Some(BUNDLED_POSITIONS);
        }
        let source = Source {
            spec,
            runtime: runtime.path().to_path_buf(),
        };
        let mut loaded = LOADED.lock();
        loaded.retain(|(_, model)| model.strong_count() > 0);
        let earlier = loaded
            .iter()
            .filter(|(other, _)| *other == source)
            .filter_map(|(_, model)| model.upgrade())
            .find(|model| model.is_ours());
        if let Some(model) = earlier {
            return Ok(model);
        }
        let model = OnnxEmbedder::open(&source.spec, &runtime)?;
        let model = Arc::new(LoadedModel::new(model));
        loaded.push((source, Arc::downgrade(&model)));
        Ok(model)
    }
}

/// The query of a model by its name.
pub(crate) fn query(name: &str, revision: Option<&str>, cache_dir: Option<&Path>) -> ModelQuery {
    ModelQuery {
        name: name.to_owned(),
        revision: revision.map(str::to_owned),
        folder: cache_dir.map(Path::to_path_buf),
    }
}

/// Whether the model that comes with the package is meant.
pub(crate) fn is_bundled(query: &ModelQuery) -> bool {
    query.revision.is_none()
        && query.folder.is_none()
        && BUNDLED_NAMES
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&query.name))
}

/// The folder of the model that comes with the package.
pub(crate) fn bundled_folder(py: Python<'_>) -> PyResult<PathBuf> {
    let package = package_folder(py, "prestige")?.unwrap_or_default();
    Ok(BUNDLED.iter().fold(package, |path, part| path.join(part)))
}

fn download(py: Python<'_>, query: &ModelQuery) -> PyResult<PathBuf> {
    let options = PyDict::new(py);
    options.set_item("revision", &query.revision)?;
    options.set_item("cache_dir", &query.folder)?;
    py.import("prestige.hub")?
        .call_method("pull", (&query.name,), Some(&options))?
        .extract()
}

/// Folder of an installed package, without importing it; `None` if it is not installed.
pub(crate) fn package_folder(py: Python<'_>, package: &str) -> PyResult<Option<PathBuf>> {
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
