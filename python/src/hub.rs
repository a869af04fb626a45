//! What `prestige.hub` asks for: the models that are known by name, and where they are on this machine.

use crate::error::PyStoreResult;
use crate::loader::{bundled_folder, is_bundled, query};
use prestige_core::Error;
use prestige_core::embed::{PRESETS, cache_folder, is_offline, repository_files};
use pyo3::prelude::*;
use std::path::PathBuf;

/// A preset as Python takes it: name, repository, dimension, longest text in tokens, pooling, prefix, megabytes, purpose.
type PresetRow = (
    &'static str,
    &'static str,
    usize,
    usize,
    String,
    &'static str,
    u32,
    &'static str,
);

/// Every preset, the default one first.
#[pyfunction]
pub(crate) fn model_presets() -> Vec<PresetRow> {
    PRESETS
        .iter()
        .map(|preset| {
            (
                preset.name,
                preset.repository,
                preset.dimension,
                preset.max_tokens,
                preset.pooling.to_string(),
                preset.prefix,
                preset.megabytes,
                preset.about,
            )
        })
        .collect()
}

/// The repository of a model on the hub, and the files of it that are used.
#[pyfunction]
pub(crate) fn model_repository(name: &str) -> PyStoreResult<(String, Vec<&'static str>)> {
    let query = query(name, None, None);
    let repository = query.repository().map_err(Error::from)?.to_owned();
    let files = query
        .preset()
        .map_or_else(repository_files, |preset| preset.files());
    Ok((repository, files))
}

/// The folder of a model on this machine; ``ModelError`` when it is not there.
#[pyfunction]
#[pyo3(signature = (name, revision = None, cache_dir = None))]
pub(crate) fn find_model(
    py: Python<'_>,
    name: &str,
    revision: Option<&str>,
    cache_dir: Option<PathBuf>,
) -> PyStoreResult<PathBuf> {
    let query = query(name, revision, cache_dir.as_deref());
    if is_bundled(&query) {
        return Ok(bundled_folder(py)?);
    }
    let found = query.find().map_err(Error::from)?;
    found.ok_or_else(|| Error::from(query.missing()).into())
}

/// The cache of the Hugging Face client, by the environment.
#[pyfunction]
pub(crate) fn hub_cache() -> Option<PathBuf> {
    cache_folder()
}

/// Whether the environment forbids connections to the hub.
#[pyfunction]
pub(crate) fn hub_is_offline() -> bool {
    is_offline()
}
