//! Models that are known by name: where they are published, and how they are used.
//!
//! Pooling, dimension and limit are those of the files `1_Pooling/config.json` and `sentence_bert_config.json` of each
//! repository; where the prefix comes from is said at each. A preset is for comparing texts with one another, which is
//! what deduplication and caches of questions do: of the prefixes that a model knows it has the one for that. They are
//! stated here and not taken from the downloaded files, so that a preset means one thing on every machine.

use std::path::Path;

use crate::{EmbedError, ModelSpec, Pooling};

/// A model known by name.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preset {
    /// Short name.
    pub name: &'static str,
    /// `organisation/name` on the Hugging Face hub.
    pub repository: &'static str,
    /// The ONNX file in the repository.
    pub model_file: &'static str,
    /// Files in the repository that hold weights of the ONNX file.
    pub weight_files: &'static [&'static str],
    /// How token vectors become a text vector.
    pub pooling: Pooling,
    /// Put before every text.
    pub prefix: &'static str,
    /// Longest text in tokens.
    pub max_tokens: usize,
    /// Length of the vectors.
    pub dimension: usize,
    /// Size of the model's files in megabytes, about; of the default one, of the bundled files.
    pub megabytes: u32,
    /// What it is for, in a few words.
    pub about: &'static str,
}

/// Every preset, the default one first.
pub const PRESETS: [Preset; 8] = [
    // https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, Apache-2.0. No prefix. The bundled model is the
    // same with its weights in int8.
    Preset {
        name: "minilm",
        repository: "sentence-transformers/all-MiniLM-L6-v2",
        model_file: "onnx/model.onnx",
        weight_files: &[],
        pooling: Pooling::Mean,
        prefix: "",
        max_tokens: 256,
        dimension: 384,
        megabytes: 24,
        about: "English, small; bundled",
    },
    // https://huggingface.co/BAAI/bge-small-en-v1.5, MIT. Its instruction is for queries that search passages; the model
    // card says to leave it out for similarity.
    Preset {
        name: "bge-small",
        repository: "BAAI/bge-small-en-v1.5",
        model_file: "onnx/model.onnx",
        weight_files: &[],
        pooling: Pooling::Cls,
        prefix: "",
        max_tokens: 512,
        dimension: 384,
        megabytes: 133,
        about: "English, small",
    },
    // https://huggingface.co/BAAI/bge-large-en-v1.5, MIT. As above.
    Preset {
        name: "bge-large",
        repository: "BAAI/bge-large-en-v1.5",
        model_file: "onnx/model.onnx",
        weight_files: &[],
        pooling: Pooling::Cls,
        prefix: "",
        max_tokens: 512,
        dimension: 1024,
        megabytes: 1340,
        about: "English, large",
    },
    // https://huggingface.co/BAAI/bge-m3, MIT. Needs no instruction. Weights of more than 2 GB do not fit into an ONNX
    // file, hence the two files beside it.
    Preset {
        name: "bge-m3",
        repository: "BAAI/bge-m3",
        model_file: "onnx/model.onnx",
        weight_files: &["onnx/model.onnx_data", "onnx/Constant_7_attr__value"],
        pooling: Pooling::Cls,
        prefix: "",
        max_tokens: 8192,
        dimension: 1024,
        megabytes: 2290,
        about: "more than 100 languages, long texts, large",
    },
    // https://huggingface.co/intfloat/e5-small-v2, MIT. "query: " is the prefix for symmetric tasks, by the model card.
    // This one has its ONNX file at the top.
    Preset {
        name: "e5-small",
        repository: "intfloat/e5-small-v2",
        model_file: "model.onnx",
        weight_files: &[],
        pooling: Pooling::Mean,
        prefix: "query: ",
        max_tokens: 512,
        dimension: 384,
        megabytes: 133,
        about: "English, small",
    },
    // https://huggingface.co/intfloat/e5-base-v2, MIT. As above.
    Preset {
        name: "e5-base",
        repository: "intfloat/e5-base-v2",
        model_file: "onnx/model.onnx",
        weight_files: &[],
        pooling: Pooling::Mean,
        prefix: "query: ",
        max_tokens: 512,
        dimension: 768,
        megabytes: 436,
        about: "English, medium",
    },
    // https://huggingface.co/intfloat/multilingual-e5-small, MIT. As above.
    Preset {
        name: "multilingual-e5-small",
        repository: "intfloat/multilingual-e5-small",
        model_file: "onnx/model.onnx",
        weight_files: &[],
        pooling: Pooling::Mean,
        prefix: "query: ",
        max_tokens: 512,
        dimension: 384,
        megabytes: 470,
        about: "about 100 languages, small",
    },
    // https://huggingface.co/nomic-ai/nomic-embed-text-v1.5, Apache-2.0. A prefix is compulsory; "clustering: " is the
    // one for finding semantic duplicates, by the model card.
    Preset {
        name: "nomic",
        repository: "nomic-ai/nomic-embed-text-v1.5",
        model_file: "onnx/model.onnx",
        weight_files: &[],
        pooling: Pooling::Mean,
        prefix: "clustering: ",
        max_tokens: 8192,
        dimension: 768,
        megabytes: 547,
        about: "English, long texts, medium",
    },
];

/// Files beside the model that tell how it is used, as far as a repository has them.
const SETTINGS_FILES: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
];

/// Model files of a repository that is no preset: one of the first two, with its weights if they are kept apart.
const MODEL_FILES: [&str; 6] = [
    "model.onnx",
    "onnx/model.onnx",
    "model.onnx_data",
    "onnx/model.onnx_data",
    "model.onnx.data",
    "onnx/model.onnx.data",
];

impl Preset {
    /// The preset of this name: its short name, its repository, or the last part of that, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| {
            let model = preset.repository.rsplit('/').next().unwrap_or_default();
            [preset.name, preset.repository, model]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// How the files of the preset in `folder`, laid out as in its repository, are used.
    ///
    /// # Errors
    ///
    /// As [`ModelSpec::from_path`].
    pub fn spec(&self, folder: &Path) -> Result<ModelSpec, EmbedError> {
        let published = folder.join(self.model_file);
        // A folder that the user made may have its model at the top.
        let mut spec = ModelSpec::from_path(if published.is_file() {
            &published
        } else {
            folder
        })?;
        self.repository.clone_into(&mut spec.name);
        spec.pooling = self.pooling;
        self.prefix.clone_into(&mut spec.prefix);
        spec.max_tokens = self.max_tokens;
        spec.max_positions = spec
            .max_positions
            .map(|positions| positions.max(self.max_tokens));
        spec.dimension = Some(self.dimension);
        Ok(spec)
    }

    /// The files to fetch, by their paths in the repository; it need not have all of the settings.
    #[must_use]
    pub fn files(&self) -> Vec<&'static str> {
        let mut files = vec![self.model_file];
        files.extend(self.weight_files);
        files.extend(SETTINGS_FILES);
        files
    }
}

/// The files to fetch of a repository that is no preset, as far as it has them.
#[must_use]
pub fn repository_files() -> Vec<&'static str> {
    let mut files = MODEL_FILES.to_vec();
    files.extend(SETTINGS_FILES);
    files
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fs;

    #[test]
    fn presets_are_found_by_each_of_their_names() {
        for preset in &PRESETS {
            let (_, model) = preset.repository.split_once('/').unwrap();
            for name in [preset.name, preset.repository, model] {
                assert_eq!(Preset::named(name), Some(preset));
                assert_eq!(Preset::named(&name.to_uppercase()), Some(preset));
            }
            assert!(preset.files().contains(&"tokenizer.json"));
        }
        for name in ["", "bge", "../bge-small", "BAAI/"] {
            assert_eq!(Preset::named(name), None, "{name}");
        }
    }

    #[test]
    fn a_preset_goes_before_the_files_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("model.onnx", "at the top");
        write("onnx/model.onnx", "in the folder");
        write("tokenizer.json", "{}");
        write("sentence_bert_config.json", r#"{"max_seq_length": 7}"#);
        write(
            "1_Pooling/config.json",
            r#"{"pooling_mode_mean_tokens": true}"#,
        );
        let preset = Preset::named("bge-small").unwrap();
        let spec = preset.spec(folder.path()).unwrap();
        assert_eq!(spec.model_path, folder.path().join("onnx/model.onnx"));
        assert_eq!((spec.pooling, spec.max_tokens), (Pooling::Cls, 512));
        assert_eq!(
            (spec.name.as_str(), spec.dimension),
            (preset.repository, Some(384))
        );

        fs::remove_dir_all(folder.path().join("onnx")).unwrap();
        let spec = preset.spec(folder.path()).unwrap();
        assert_eq!(spec.model_path, folder.path().join("model.onnx"));
        fs::remove_file(folder.path().join("model.onnx")).unwrap();
        assert!(preset.spec(folder.path()).is_err());
    }

    #[test]
    fn the_prefix_is_part_of_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), "graph").unwrap();
        fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
        let sha = |name: &str| {
            let spec = Preset::named(name).unwrap().spec(folder.path()).unwrap();
            spec.fingerprint().unwrap().sha256
        };
        assert_ne!(sha("e5-small"), sha("bge-small"));
        // The same files and settings under another name are the same model.
        assert_eq!(sha("bge-small"), sha("bge-large"));
    }
}
