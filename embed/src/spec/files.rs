//! Finds and reads the files of a model folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::MODEL_REMEDY;
use crate::{EmbedError, Pooling};

/// Where a folder may keep its model: our builds and most exports use the first, Hugging Face
/// repositories the second.
const MODEL_FILES: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

/// The model file that `path` means.
pub(super) fn find_model(path: &Path) -> Result<PathBuf, EmbedError> {
    let (expected, found) = if path.is_dir() {
        let candidates = MODEL_FILES.map(|file| path.join(file));
        match candidates.into_iter().find(|file| file.is_file()) {
            Some(file) => return Ok(file),
            None => ("a folder that holds model.onnx", "a folder without it"),
        }
    } else if path.is_file() {
        if path
            .extension()
            .is_some_and(|extension| extension == "onnx")
        {
            return Ok(path.to_path_buf());
        }
        (
            "a .onnx file or a folder that holds model.onnx",
            "a file of another kind",
        )
    } else {
        (
            "a .onnx file or a folder that holds model.onnx",
            "nothing there",
        )
    };
    Err(EmbedError::Model {
        path: path.to_path_buf(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        remedy: MODEL_REMEDY.to_owned(),
    })
}

/// Folders that may hold the files beside the model: its own, then the one that holds its folder
/// `onnx`.
pub(super) fn companion_folders(model: &Path) -> Vec<PathBuf> {
    // A bare "model.onnx" has the empty path as its parent.
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let folder = parent(model);
    if folder.file_name().is_some_and(|name| name == "onnx") {
        let repository = parent(&folder);
        return vec![folder, repository];
    }
    vec![folder]
}

/// `tokenizer.json`, else `vocab.txt`.
pub(super) fn find_tokenizer(folders: &[PathBuf], model: &Path) -> Result<PathBuf, EmbedError> {
    ["tokenizer.json", "vocab.txt"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .ok_or_else(|| EmbedError::Tokenizer {
            path: model.with_file_name("tokenizer.json"),
            expected: "tokenizer.json or vocab.txt beside the model".to_owned(),
            found: "neither".to_owned(),
            remedy: "copy it there from the model's origin".to_owned(),
        })
}

/// Files that hold the weights of `model` when the graph file does not (ONNX external data, by its
/// usual names).
pub(super) fn external_weights(model: &Path) -> Vec<PathBuf> {
    ["_data", ".data"]
        .iter()
        .map(|suffix| {
            let mut name = model.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        })
        .filter(|file| file.is_file())
        .collect()
}

/// What the files beside a model say; `None` where they say nothing.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) name: Option<String>,
    pub(super) pooling: Option<Pooling>,
    pub(super) prefix: Option<String>,
    pub(super) max_tokens: Option<usize>,
    pub(super) dimension: Option<usize>,
    pub(super) lowercase: Option<bool>,
}

/// `prestige.json`, written by our own model build.
#[derive(Deserialize, Default)]
struct PrestigeFile {
    name: Option<String>,
    pooling: Option<Pooling>,
    prefix: Option<String>,
    max_tokens: Option<usize>,
    dimension: Option<usize>,
}

/// `1_Pooling/config.json` of sentence-transformers.
#[derive(Deserialize)]
struct PoolingFile {
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    /// Newer files name the mode instead of setting a flag.
    pooling_mode: Option<String>,
}

/// `sentence_bert_config.json` of sentence-transformers.
#[derive(Deserialize, Default)]
struct SentenceBertFile {
    max_seq_length: Option<usize>,
}

/// `tokenizer_config.json` of transformers.
#[derive(Deserialize, Default)]
struct TokenizerConfigFile {
    do_lower_case: Option<bool>,
}

impl Settings {
    pub(super) fn read(folders: &[PathBuf]) -> Result<Self, EmbedError> {
        let own: PrestigeFile = read_json(folders, "prestige.json")?.unwrap_or_default();
        let pooling = match own.pooling {
            Some(pooling) => Some(pooling),
            None => read_pooling(folders)?,
        };
        let max_tokens = match own.max_tokens {
            Some(max_tokens) => Some(max_tokens),
            None => {
                read_json::<SentenceBertFile>(folders, "sentence_bert_config.json")?
                    .unwrap_or_default()
                    .max_seq_length
            }
        };
        let tokenizer: TokenizerConfigFile =
            read_json(folders, "tokenizer_config.json")?.unwrap_or_default();
        Ok(Self {
            name: own.name,
            pooling,
            prefix: own.prefix,
            max_tokens,
            dimension: own.dimension,
            lowercase: tokenizer.do_lower_case,
        })
    }
}

fn read_pooling(folders: &[PathBuf]) -> Result<Option<Pooling>, EmbedError> {
    const NAME: &str = "1_Pooling/config.json";
    let Some(file) = read_json::<PoolingFile>(folders, NAME)? else {
        return Ok(None);
    };
    let named = file
        .pooling_mode
        .as_deref()
        .and_then(|mode| mode.parse().ok());
    match (
        file.pooling_mode_mean_tokens,
        file.pooling_mode_cls_token,
        named,
    ) {
        (true, false, None) => Ok(Some(Pooling::Mean)),
        (false, true, None) => Ok(Some(Pooling::Cls)),
        (false, false, Some(pooling)) => Ok(Some(pooling)),
        // A wrong guess here would give wrong vectors without a sign of it.
        _ => Err(EmbedError::Model {
            path: find(folders, NAME).unwrap_or_else(|| NAME.into()),
            expected: "mean or cls pooling".to_owned(),
            found: "another pooling, or several".to_owned(),
            remedy: "use a model with mean or cls pooling".to_owned(),
        }),
    }
}

fn find(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Reads a settings file; `None` when there is none.
fn read_json<T: DeserializeOwned>(
    folders: &[PathBuf],
    name: &str,
) -> Result<Option<T>, EmbedError> {
    let Some(path) = find(folders, name) else {
        return Ok(None);
    };
    fs::read(&path)
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other))
        .map(Some)
        .map_err(|error| EmbedError::Model {
            path,
            expected: "JSON with the settings of the model".to_owned(),
            found: error.to_string(),
            remedy: MODEL_REMEDY.to_owned(),
        })
}
