//! Finds and reads the files of a model folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::MODEL_REMEDY;
use super::pooling_file::read_pooling;
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
    pub(super) prompts: BTreeMap<String, String>,
    pub(super) max_tokens: Option<usize>,
    pub(super) max_positions: Option<usize>,
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

/// `config_sentence_transformers.json` of sentence-transformers.
#[derive(Deserialize, Default)]
struct SentenceTransformersFile {
    /// A prompt may be null, which is none.
    prompts: Option<BTreeMap<String, Option<String>>>,
    default_prompt_name: Option<String>,
}

/// `sentence_bert_config.json` of sentence-transformers.
#[derive(Deserialize, Default)]
struct SentenceBertFile {
    max_seq_length: Option<usize>,
}

/// `config.json` of transformers.
#[derive(Deserialize, Default)]
struct ConfigFile {
    max_position_embeddings: Option<usize>,
    position_embedding_type: Option<String>,
}

impl ConfigFile {
    /// Length of the table of positions; `None`: the model has no table, or does not say. Some models do not use its
    /// first two entries, so it is an upper bound.
    fn max_positions(self) -> Option<usize> {
        let kind = self.position_embedding_type.as_deref();
        self.max_position_embeddings
            .filter(|_| matches!(kind, None | Some("absolute")))
    }
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
        let config: ConfigFile = read_json(folders, "config.json")?.unwrap_or_default();
        let (prompts, default_prompt) = read_prompts(folders)?;
        let tokenizer: TokenizerConfigFile =
            read_json(folders, "tokenizer_config.json")?.unwrap_or_default();
        Ok(Self {
            name: own.name,
            pooling,
            prefix: own.prefix.or(default_prompt),
            prompts,
            max_tokens,
            max_positions: config.max_positions(),
            dimension: own.dimension,
            lowercase: tokenizer.do_lower_case,
        })
    }
}

/// The prompts of `config_sentence_transformers.json`, and the one that is put before every text unless told otherwise.
fn read_prompts(
    folders: &[PathBuf],
) -> Result<(BTreeMap<String, String>, Option<String>), EmbedError> {
    const NAME: &str = "config_sentence_transformers.json";
    let file: SentenceTransformersFile = read_json(folders, NAME)?.unwrap_or_default();
    let prompts: BTreeMap<String, String> = file
        .prompts
        .unwrap_or_default()
        .into_iter()
        .map(|(name, prompt)| (name, prompt.unwrap_or_default()))
        .collect();
    let Some(name) = file.default_prompt_name else {
        return Ok((prompts, None));
    };
    match prompts.get(&name).cloned() {
        Some(prompt) => Ok((prompts, Some(prompt))),
        None => Err(EmbedError::Model {
            path: find(folders, NAME).unwrap_or_else(|| NAME.into()),
            expected: "a default_prompt_name that is one of the prompts".to_owned(),
            found: format!("{name:?}"),
            remedy: MODEL_REMEDY.to_owned(),
        }),
    }
}

pub(super) fn find(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Reads a settings file; `None` when there is none.
pub(super) fn read_json<T: DeserializeOwned>(
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
