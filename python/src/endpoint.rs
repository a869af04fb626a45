//! The models of `/v1/embeddings`, as `Store.serve` is told of them.

use crate::error::{PyStoreResult, invalid};
use crate::model::SemanticModel;
use crate::numbers::{Integer, shown};
use prestige_core::EmbedderProvider;
use prestige_http::{EmbeddingsConfig, LocalModel, Secret, Upstream};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::Arc;
use std::time::Duration;

/// What the bundled model is called.
const BUNDLED: [&str; 2] = ["minilm", "all-MiniLM-L6-v2"];

/// The bundled model, those of `models` by their names, and the upstream.
pub(crate) fn embeddings_config(
    py: Python<'_>,
    models: Option<&Bound<'_, PyDict>>,
    upstream: Option<&Bound<'_, PyAny>>,
) -> PyStoreResult<EmbeddingsConfig> {
    let mut config = EmbeddingsConfig::default();
    for (name, model) in models.into_iter().flatten() {
        let name: String = name
            .extract()
            .map_err(|_| wrong("models", "a dict by name", &name))?;
        let model = model
            .cast::<SemanticModel>()
            .map_err(|_| wrong("models", "a dict of SemanticModel", &model))?;
        let provider = provider(py, &model.borrow())?;
        config.models.push(LocalModel {
            names: vec![name],
            provider,
        });
    }
    config.models.push(LocalModel {
        names: BUNDLED.map(str::to_owned).to_vec(),
        provider: provider(py, &SemanticModel::bundled())?,
    });
    config.upstream = upstream.map(read).transpose()?;
    Ok(config)
}

/// Loads the model when it is first needed, with the settings that it has now.
fn provider(py: Python<'_>, model: &SemanticModel) -> PyResult<EmbedderProvider> {
    let loader = model.loader(py)?;
    Ok(Arc::new(move || loader.load()))
}

/// A `prestige.Upstream`.
fn read(given: &Bound<'_, PyAny>) -> PyStoreResult<Upstream> {
    let class = given
        .py()
        .import("prestige.upstream")?
        .getattr("Upstream")?;
    if !given.is_instance(&class)? {
        return Err(wrong("upstream", "an Upstream", given).into());
    }
    let text = |name: &str| -> PyResult<Option<String>> {
        let value = given.getattr(name)?;
        let expected = || wrong(name, "a str", &value);
        match value.is_none() {
            true => Ok(None),
            false => Ok(Some(value.extract().map_err(|_| expected())?)),
        }
    };
    let natural = |name: &str| -> PyResult<u64> {
        given.getattr(name)?.extract::<Integer<'_>>()?.natural(name)
    };
    let models = given.getattr("models")?;
    if models.is_instance_of::<PyString>() {
        return Err(wrong("models", "a list of str", &models).into());
    }
    let models = models.try_iter()?.map(|name| name?.extract());
    let seconds: f64 = given.getattr("timeout_seconds")?.extract()?;
    let timeout = Duration::try_from_secs_f64(seconds)
        .map_err(|_| invalid(format!("timeout_seconds must be over 0, not {seconds}")))?;
    Ok(Upstream {
        key: text("key")?.map(Secret::new),
        pass_authorization: given.getattr("pass_authorization")?.extract()?,
        models: models.collect::<PyResult<_>>()?,
        timeout,
        retries: u32::try_from(natural("retries")?).unwrap_or(u32::MAX),
        batch_size: usize::try_from(natural("batch_size")?).unwrap_or(usize::MAX),
        ..Upstream::new(text("url")?.unwrap_or_default())
    })
}

fn wrong(name: &str, expected: &str, found: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("{name} must be {expected}, not {}", shown(found)))
}
