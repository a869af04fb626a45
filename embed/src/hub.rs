//! Finds models that are on this machine already; opens no connection.
//!
//! The cache of the Hugging Face client is a folder that all of its users share. A repository `org/name` in it:
//!
//! ```text
//! models--org--name/
//!   refs/main                     the commit that `main` was when it was last fetched, 40 hex digits
//!   snapshots/<commit>/…          the files of that commit by their paths, as links to
//!   blobs/<SHA-256 or git hash>   their contents
//! ```

use std::env;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::{EmbedError, ModelSpec, Preset};

/// The revision that is looked for unless another one is named.
const DEFAULT_REVISION: &str = "main";

/// Which model to look for, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelQuery {
    /// A preset, or `organisation/name` of the Hugging Face hub.
    pub name: String,
    /// Branch, tag or commit; `None`: `main`.
    pub revision: Option<String>,
    /// The folder to look in, and no other: for a folder named like the preset or the repository, else as a cache of the
    /// Hugging Face client. `None`: the cache that the environment names.
    pub folder: Option<PathBuf>,
}

impl ModelQuery {
    /// The preset that `name` means.
    #[must_use]
    pub fn preset(&self) -> Option<&'static Preset> {
        Preset::named(&self.name)
    }

    /// `organisation/name`.
    ///
    /// # Errors
    ///
    /// [`EmbedError::InvalidInput`] when `name` is neither a preset nor of that form.
    pub fn repository(&self) -> Result<&str, EmbedError> {
        if let Some(preset) = self.preset() {
            return Ok(preset.repository);
        }
        let parts: Vec<&str> = self.name.split('/').collect();
        let valid = |part: &&str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if parts.len() == 2 && parts.iter().all(valid) {
            return Ok(&self.name);
        }
        let names: Vec<&str> = crate::PRESETS.iter().map(|preset| preset.name).collect();
        Err(EmbedError::invalid(
            format!(
                "a model name: {}, or \"organisation/name\" of the Hugging Face hub",
                names.join(", ")
            ),
            format!("{:?}", self.name),
        ))
    }

    /// The folder of the model on this machine, if it has its ONNX file.
    ///
    /// # Errors
    ///
    /// As [`ModelQuery::repository`], and for a `revision` that is a path out of the cache.
    pub fn find(&self) -> Result<Option<PathBuf>, EmbedError> {
        let repository = self.repository()?;
        let revision = self.revision.as_deref().unwrap_or(DEFAULT_REVISION);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if revision.is_empty() || !Path::new(revision).components().all(plain) {
            return Err(EmbedError::invalid(
                "a branch, a tag or a commit as revision",
                format!("{revision:?}"),
            ));
        }
        let mut places = Vec::new();
        if let Some(folder) = &self.folder {
            let model = repository.rsplit('/').next().unwrap_or(repository);
            places.extend(self.preset().map(|preset| folder.join(preset.name)));
            places.extend([folder.join(repository), folder.join(model)]);
        }
        if let Some(cache) = self.folder.clone().or_else(cache_folder) {
            places.extend(snapshot(&cache, repository, revision));
        }
        Ok(places.into_iter().find(|place| self.holds_model(place)))
    }

    /// How the model in `folder` is used.
    ///
    /// # Errors
    ///
    /// As [`ModelSpec::from_path`].
    pub fn spec(&self, folder: &Path) -> Result<ModelSpec, EmbedError> {
        match self.preset() {
            Some(preset) => preset.spec(folder),
            None => ModelSpec::from_path(folder),
        }
    }

    /// The error for a model that is not on this machine.
    #[must_use]
    pub fn missing(&self) -> EmbedError {
        let repository = self.repository().unwrap_or(&self.name).to_owned();
        let at = self
            .revision
            .as_ref()
            .map_or_else(String::new, |revision| format!(" at {revision}"));
        EmbedError::Model {
            path: self
                .folder
                .clone()
                .or_else(cache_folder)
                .unwrap_or_default(),
            expected: format!("the model {repository}{at}"),
            found: "none".to_owned(),
            remedy: format!(
                "download it with `prestige models pull {}` or SemanticModel(…, download=True){}, or name the folder \
                 that has it",
                self.name,
                if is_offline() {
                    " after HF_HUB_OFFLINE is unset"
                } else {
                    ""
                }
            ),
        }
    }

    fn holds_model(&self, folder: &Path) -> bool {
        let weights = self.preset().map_or(&[][..], |preset| preset.weight_files);
        ModelSpec::from_path(folder).is_ok()
            && weights.iter().all(|file| folder.join(file).is_file())
    }
}

/// Whether the environment forbids connections to the hub, by the variables of its client.
#[must_use]
pub fn is_offline() -> bool {
    let set = |name: &str| {
        let value = env::var(name).unwrap_or_default().to_ascii_uppercase();
        (!value.is_empty()).then(|| ["1", "ON", "YES", "TRUE"].contains(&value.as_str()))
    };
    set("HF_HUB_OFFLINE")
        .or_else(|| set("TRANSFORMERS_OFFLINE"))
        .unwrap_or(false)
}

/// The cache of the Hugging Face client, by its variables, in its order; `None` without a home folder.
#[must_use]
pub fn cache_folder() -> Option<PathBuf> {
    cache_folder_by(|name| env::var_os(name).filter(|value| !value.is_empty()))
}

fn cache_folder_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let home = || {
        variable("HOME")
            .or_else(|| variable("USERPROFILE"))
            .map(PathBuf::from)
    };
    let path = |name: &str| {
        let value = PathBuf::from(variable(name)?);
        match value.strip_prefix("~") {
            Ok(rest) => Some(home()?.join(rest)),
            Err(_) => Some(value),
        }
    };
    path("HF_HUB_CACHE")
        .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| Some(path("HF_HOME")?.join("hub")))
        .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface").join("hub")))
        .or_else(|| Some(home()?.join(".cache").join("huggingface").join("hub")))
}

/// The files of a revision in a cache of the Hugging Face client.
fn snapshot(cache: &Path, repository: &str, revision: &str) -> Option<PathBuf> {
    let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
    let commit = std::fs::read_to_string(folder.join("refs").join(revision));
    let commit = commit.as_deref().map_or(revision, str::trim);
    let snapshot = folder.join("snapshots").join(commit);
    (!commit.is_empty() && snapshot.is_dir()).then_some(snapshot)
}

/// `organisation/name` of a folder `models--organisation--name/snapshots/<commit>`.
pub(crate) fn repository_of_snapshot(folder: &Path) -> Option<String> {
    let snapshots = folder.parent()?;
    let repository = snapshots.parent()?.file_name()?.to_str()?;
    let (organisation, name) = repository.strip_prefix("models--")?.split_once("--")?;
    (snapshots.file_name()? == "snapshots").then(|| format!("{organisation}/{name}"))
}

#[cfg(test)]
mod tests;
