//! How a sentence-transformers model pools, and that nothing comes after the pooling.
//!
//! A wrong guess here would give wrong vectors without a sign of it, so whatever is not understood is refused.

use std::path::PathBuf;

use serde::Deserialize;

use super::files::{find, read_json};
use crate::{EmbedError, Pooling};

/// Where the pooling is described unless `modules.json` names another folder.
const POOLING_FOLDER: &str = "1_Pooling";

/// `config.json` of a pooling module: newer files name the mode, older ones set a flag for each.
#[derive(Deserialize)]
struct PoolingFile {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
    pooling_mode: Option<PoolingModes>,
}

/// Several modes put their vectors side by side.
#[derive(Deserialize)]
#[serde(untagged)]
enum PoolingModes {
    One(String),
    Several(Vec<String>),
}

/// An entry of `modules.json`: what a text goes through, in order.
#[derive(Deserialize)]
struct Module {
    path: String,
    /// A Python class with its module, for example `sentence_transformers.models.Pooling`.
    r#type: String,
}

impl PoolingFile {
    /// Names of all modes that the file asks for.
    fn modes(&self) -> Vec<&str> {
        let flags = [
            (self.pooling_mode_cls_token, "cls"),
            (self.pooling_mode_mean_tokens, "mean"),
            (self.pooling_mode_max_tokens, "max"),
            (
                self.pooling_mode_mean_sqrt_len_tokens,
                "mean_sqrt_len_tokens",
            ),
            (self.pooling_mode_weightedmean_tokens, "weightedmean"),
            (self.pooling_mode_lasttoken, "lasttoken"),
        ];
        let mut modes: Vec<&str> = match &self.pooling_mode {
            None => Vec::new(),
            Some(PoolingModes::One(mode)) => vec![mode],
            Some(PoolingModes::Several(modes)) => modes.iter().map(String::as_str).collect(),
        };
        for (set, mode) in flags {
            if set && !modes.contains(&mode) {
                modes.push(mode);
            }
        }
        modes
    }
}

/// The pooling of a sentence-transformers model; `None` when its files do not say.
pub(super) fn read_pooling(folders: &[PathBuf]) -> Result<Option<Pooling>, EmbedError> {
    let folder = pooling_folder(folders)?;
    let name = format!(
        "{}/config.json",
        folder.as_deref().unwrap_or(POOLING_FOLDER)
    );
    let Some(file) = read_json::<PoolingFile>(folders, &name)? else {
        return Ok(None);
    };
    let modes = file.modes();
    match modes.as_slice() {
        [mode] => mode.parse().ok(),
        _ => None,
    }
    .map(Some)
    .ok_or_else(|| {
        let found = match modes.as_slice() {
            [] => "no pooling mode".to_owned(),
            modes => format!("{} pooling", modes.join(" + ")),
        };
        refused(
            folders,
            &name,
            "mean or cls pooling",
            found,
            "use a model with mean or cls pooling, or embed with a function of your own",
        )
    })
}

/// The folder of the pooling module by `modules.json`, which must have no module that changes vectors after it.
fn pooling_folder(folders: &[PathBuf]) -> Result<Option<String>, EmbedError> {
    const NAME: &str = "modules.json";
    let modules: Vec<Module> = read_json(folders, NAME)?.unwrap_or_default();
    let mut folder = None;
    for module in modules {
        match module.r#type.rsplit('.').next().unwrap_or_default() {
            // Vectors are normalised in any case.
            "Transformer" | "Normalize" => {}
            "Pooling" => folder = Some(module.path),
            other => {
                return Err(refused(
                    folders,
                    NAME,
                    "the modules Transformer, Pooling and Normalize",
                    format!("the module {other}"),
                    "use a model without it, or embed with a function of your own",
                ));
            }
        }
    }
    Ok(folder)
}

fn refused(
    folders: &[PathBuf],
    name: &str,
    expected: &str,
    found: String,
    remedy: &str,
) -> EmbedError {
    EmbedError::Model {
        path: find(folders, name).unwrap_or_else(|| name.into()),
        expected: expected.to_owned(),
        found,
        remedy: remedy.to_owned(),
    }
}
