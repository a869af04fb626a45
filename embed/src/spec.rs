//! The files of a model and how to use them.

mod files;
mod pooling_file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::fingerprint::FingerprintHasher;
use crate::{EmbedError, Fingerprint, Pooling};

/// Longest text, in tokens, when neither the model's files nor the user say.
const DEFAULT_MAX_TOKENS: usize = 256;

/// What to do about a missing or damaged model file.
const MODEL_REMEDY: &str = "build or download the model again, or name another folder";

/// Names the files of a model and says how to use them. Start from [`ModelSpec::from_path`] and
/// change fields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelSpec {
    /// Name for people; does not influence the vectors.
    pub name: String,
    /// The ONNX file.
    pub model_path: PathBuf,
    /// `tokenizer.json`, or `vocab.txt` of a BERT WordPiece model.
    pub tokenizer_path: PathBuf,
    /// How token vectors become a text vector. Models that pool themselves (2-D output) ignore it.
    pub pooling: Pooling,
    /// Put before every text, for example `"query: "`; empty for most models.
    pub prefix: String,
    /// Prefixes by name, as the model's files have them, for [`ModelSpec::use_prompt`]; they do not influence the
    /// vectors otherwise.
    pub prompts: BTreeMap<String, String>,
    /// Longest text in tokens, special tokens included; longer ones lose their end. More than
    /// `max_positions` is refused on opening; where that is not known, texts that are too long for
    /// the model fail with [`EmbedError::Inference`].
    pub max_tokens: usize,
    /// Tokens that the model has positions for (512 for BERT), when its files say.
    pub max_positions: Option<usize>,
    /// Threads that compute one batch; 0 for one per core available to the process.
    pub threads: usize,
    /// Dimension the model must have, when its description says; checked on opening.
    pub dimension: Option<usize>,
    /// Whether text is lowercased before it is split; only asked for with `vocab.txt` (a
    /// `tokenizer.json` says itself).
    pub lowercase: bool,
}

impl ModelSpec {
    /// Reads what is known about the model at `path`: a `.onnx` file, or a folder with `model.onnx`
    /// or `onnx/model.onnx` in it. The other files are looked for beside the model (and one up from
    /// a folder `onnx`):
    ///
    /// - `tokenizer.json`, else `vocab.txt` with the `do_lower_case` of `tokenizer_config.json`
    ///   (default true);
    /// - settings, the first that says: `prestige.json` (`name`, `pooling`, `prefix`, `max_tokens`,
    ///   `dimension`), the sentence-transformers files `1_Pooling/config.json` (pooling; another
    ///   folder if `modules.json` names one), `sentence_bert_config.json` (`max_seq_length`) and
    ///   `config_sentence_transformers.json` (`prompts`, and the one of them to use,
    ///   `default_prompt_name`), else mean pooling, no prefix, 256 tokens, the folder's name;
    /// - `config.json` (`max_position_embeddings`, if positions are numbered from the beginning), but
    ///   at least `max_tokens` as the files say.
    ///
    /// Vectors have unit length whatever the settings say of normalisation.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Model`] or [`EmbedError::Tokenizer`] naming the file that is missing, cannot
    /// be read, or asks for what is not done here: pooling other than mean and cls, layers after
    /// the pooling.
    pub fn from_path(path: &Path) -> Result<Self, EmbedError> {
        let model_path = files::find_model(path)?;
        let folders = files::companion_folders(&model_path);
        let tokenizer_path = files::find_tokenizer(&folders, &model_path)?;
        let settings = files::Settings::read(&folders)?;
        let folder_name = || {
            let folder = folders.last()?.canonicalize().ok()?;
            // A snapshot of the Hugging Face cache is named by its commit.
            if let Some(repository) = crate::hub::repository_of_snapshot(&folder) {
                return Some(repository);
            }
            Some(folder.file_name()?.to_string_lossy().into_owned())
        };
        let max_tokens = settings.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
        Ok(Self {
            name: settings
                .name
                .or_else(folder_name)
                .unwrap_or_else(|| "model".to_owned()),
            model_path,
            tokenizer_path,
            pooling: settings.pooling.unwrap_or_default(),
            prefix: settings.prefix.unwrap_or_default(),
            prompts: settings.prompts,
            max_tokens,
            max_positions: settings
                .max_positions
                .map(|positions| positions.max(max_tokens)),
            threads: 0,
            dimension: settings.dimension,
            lowercase: settings.lowercase.unwrap_or(true),
        })
    }

    /// Takes one of `prompts` as the prefix.
    ///
    /// # Errors
    ///
    /// [`EmbedError::InvalidInput`] that lists the names there are, when `name` is none of them.
    pub fn use_prompt(&mut self, name: &str) -> Result<(), EmbedError> {
        let prompt = self.prompts.get(name).ok_or_else(|| {
            let names: Vec<String> = self
                .prompts
                .keys()
                .map(|name| format!("{name:?}"))
                .collect();
            let expected = match names.as_slice() {
                [] => "no prompt_name, since the files of the model have no prompts".to_owned(),
                names => format!("one of the model's prompts: {}", names.join(", ")),
            };
            EmbedError::invalid(expected, format!("{name:?}"))
        })?;
        self.prefix.clone_from(prompt);
        Ok(())
    }

    /// Refuses more tokens than the model has positions for.
    pub(crate) fn check_max_tokens(&self) -> Result<(), EmbedError> {
        match self.max_positions {
            Some(most) if self.max_tokens > most => Err(EmbedError::invalid(
                format!(
                    "max_tokens of at most {most}, since the model {} has no positions for more",
                    self.name
                ),
                self.max_tokens.to_string(),
            )),
            _ => Ok(()),
        }
    }

    /// SHA-256 over everything that shapes a vector: model file, tokenizer file, pooling, prefix
    /// and max tokens (u64, little endian), each with its length before it. Parts that not every
    /// model has come last: the weights of a model that keeps them beside its graph
    /// (`model.onnx_data`, `model.onnx.data`), and the lowercasing of a `vocab.txt`.
    ///
    /// Reads all these files: 0.2 s for 23 MB on a CPU without SHA instructions, less with them.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Model`] or [`EmbedError::Tokenizer`] when a file is missing or cannot be read.
    pub fn fingerprint(&self) -> Result<Fingerprint, EmbedError> {
        let mut hasher = FingerprintHasher::default();
        let model_error = |path: &Path, error: std::io::Error| EmbedError::Model {
            path: path.to_owned(),
            expected: "a readable file".to_owned(),
            found: error.to_string(),
            remedy: MODEL_REMEDY.to_owned(),
        };
        hasher
            .file(&self.model_path)
            .map_err(|e| model_error(&self.model_path, e))?;
        hasher
            .file(&self.tokenizer_path)
            .map_err(|error| EmbedError::Tokenizer {
                path: self.tokenizer_path.clone(),
                expected: "a readable file".to_owned(),
                found: error.to_string(),
                remedy: MODEL_REMEDY.to_owned(),
            })?;
        hasher.part(self.pooling.to_string().as_bytes());
        hasher.part(self.prefix.as_bytes());
        hasher.part(&(self.max_tokens as u64).to_le_bytes());
        for weights in files::external_weights(&self.model_path) {
            hasher
                .file(&weights)
                .map_err(|e| model_error(&weights, e))?;
        }
        if self.tokenizer_is_vocabulary() {
            hasher.part(&[u8::from(self.lowercase)]);
        }
        Ok(hasher.finish(self.name.clone()))
    }

    /// Whether the tokenizer is a bare list of WordPiece tokens rather than a `tokenizer.json`.
    pub(crate) fn tokenizer_is_vocabulary(&self) -> bool {
        self.tokenizer_path
            .extension()
            .is_some_and(|extension| extension == "txt")
    }
}

#[cfg(test)]
mod tests;
