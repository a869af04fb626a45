#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// A model folder with the given files; the model's content does not matter here.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn spec(&self) -> Result<ModelSpec, EmbedError> {
        ModelSpec::from_path(self.0.path())
    }
}

const MINIMAL: [(&str, &str); 2] = [("model.onnx", "graph"), ("tokenizer.json", "{}")];

#[test]
fn a_bare_folder_gets_the_defaults() {
    let folder = Folder::new(&MINIMAL);
    let spec = folder.spec().unwrap();
    assert_eq!(
        spec.name,
        folder.0.path().file_name().unwrap().to_str().unwrap()
    );
    assert_eq!(spec.model_path, folder.path("model.onnx"));
    assert_eq!(spec.tokenizer_path, folder.path("tokenizer.json"));
    assert_eq!((spec.pooling, spec.prefix.as_str()), (Pooling::Mean, ""));
    assert_eq!(
        (spec.max_tokens, spec.threads, spec.dimension),
        (256, 0, None)
    );
    assert_eq!(
        ModelSpec::from_path(&folder.path("model.onnx")).unwrap(),
        spec
    );
}

#[test]
fn settings_are_read_from_both_kinds_of_files_ours_first() {
    let folder = Folder::new(&MINIMAL);
    folder.write(
        "1_Pooling/config.json",
        r#"{"pooling_mode_cls_token": true}"#,
    );
    folder.write(
        "sentence_bert_config.json",
        r#"{"max_seq_length": 512, "do_lower_case": false}"#,
    );
    let spec = folder.spec().unwrap();
    assert_eq!((spec.pooling, spec.max_tokens), (Pooling::Cls, 512));

    folder.write("1_Pooling/config.json", r#"{"pooling_mode": "mean"}"#);
    folder.write("sentence_bert_config.json", r#"{"max_seq_length": null}"#);
    let spec = folder.spec().unwrap();
    assert_eq!((spec.pooling, spec.max_tokens), (Pooling::Mean, 256));

    folder.write(
        "prestige.json",
        r#"{"name": "n", "pooling": "cls", "max_tokens": 7, "dimension": 384, "normalize": true}"#,
    );
    let spec = folder.spec().unwrap();
    assert_eq!((spec.name.as_str(), spec.pooling), ("n", Pooling::Cls));
    assert_eq!((spec.max_tokens, spec.dimension), (7, Some(384)));
}

#[test]
fn positions_bound_the_tokens_where_the_files_say_how_many_there_are() {
    let folder = Folder::new(&MINIMAL);
    let spec = folder.spec().unwrap();
    assert_eq!(spec.max_positions, None);
    for (config, positions) in [
        (r#"{"max_position_embeddings": 512}"#, Some(512)),
        // The files know better what the model is used with.
        (r#"{"max_position_embeddings": 100}"#, Some(256)),
        (
            r#"{"max_position_embeddings": 512, "position_embedding_type": "absolute"}"#,
            Some(512),
        ),
        (
            r#"{"max_position_embeddings": 512, "position_embedding_type": "alibi"}"#,
            None,
        ),
        (r#"{"max_position_embeddings": null}"#, None),
    ] {
        folder.write("config.json", config);
        let mut spec = folder.spec().unwrap();
        assert_eq!(spec.max_positions, positions, "{config}");
        spec.max_tokens = 512;
        assert_eq!(
            spec.check_max_tokens().is_ok(),
            positions != Some(256),
            "{config}"
        );
    }
}

#[test]
fn prompts_are_read_and_one_of_them_may_be_the_prefix() {
    const FILE: &str = "config_sentence_transformers.json";
    let folder = Folder::new(&MINIMAL);
    folder.write(
        FILE,
        r#"{"prompts": {"query": "query: ", "document": "", "none": null}, "default_prompt_name": null}"#,
    );
    let mut spec = folder.spec().unwrap();
    assert_eq!(spec.prefix, "");
    assert!(spec.prompts.keys().eq(["document", "none", "query"]));
    let fingerprint = spec.fingerprint().unwrap();
    spec.use_prompt("query").unwrap();
    assert_eq!(spec.prefix, "query: ");
    assert_ne!(spec.fingerprint().unwrap(), fingerprint);
    spec.use_prompt("none").unwrap();
    assert_eq!(spec.fingerprint().unwrap(), fingerprint);
    let text = spec.use_prompt("passage").unwrap_err().to_string();
    assert!(text.contains("\"document\", \"none\", \"query\"") && text.contains("\"passage\""));

    folder.write(
        FILE,
        r#"{"prompts": {"query": "query: "}, "default_prompt_name": "query"}"#,
    );
    assert_eq!(folder.spec().unwrap().prefix, "query: ");
    folder.write("prestige.json", r#"{"prefix": "ours: "}"#);
    assert_eq!(folder.spec().unwrap().prefix, "ours: ");
    folder.write(FILE, r#"{"default_prompt_name": "query"}"#);
    let text = folder.spec().unwrap_err().to_string();
    assert!(text.contains(FILE) && text.contains("\"query\""), "{text}");
    folder.write(FILE, "{}");
    let text = folder
        .spec()
        .unwrap()
        .use_prompt("x")
        .unwrap_err()
        .to_string();
    assert!(text.contains("no prompts"), "{text}");
}

#[test]
fn modules_say_where_the_pooling_is_and_that_nothing_comes_after_it() {
    let modules = |names: &[&str]| {
        let entries = names.iter().enumerate().map(|(i, name)| {
            let class = name.to_lowercase();
            format!(
                r#"{{"path": "{i}_{name}", "type": "sentence_transformers.models.{class}.{name}"}}"#
            )
        });
        format!("[{}]", entries.collect::<Vec<_>>().join(","))
    };
    let folder = Folder::new(&MINIMAL);
    folder.write(
        "modules.json",
        &modules(&["Transformer", "Normalize", "Pooling"]),
    );
    folder.write("2_Pooling/config.json", r#"{"pooling_mode": "cls"}"#);
    assert_eq!(folder.spec().unwrap().pooling, Pooling::Cls);
    folder.write(
        "2_Pooling/config.json",
        r#"{"pooling_mode_lasttoken": true}"#,
    );
    let text = folder.spec().unwrap_err().to_string();
    assert!(
        text.contains("2_Pooling/config.json") && text.contains("lasttoken pooling"),
        "{text}"
    );
    folder.write(
        "modules.json",
        &modules(&["Transformer", "Pooling", "Dense"]),
    );
    let text = folder.spec().unwrap_err().to_string();
    assert!(
        text.contains("modules.json") && text.contains("the module Dense"),
        "{text}"
    );
    // Who knows better says so in a file of ours.
    folder.write("prestige.json", r#"{"pooling": "mean"}"#);
    assert_eq!(folder.spec().unwrap().pooling, Pooling::Mean);
}

#[test]
fn a_repository_layout_is_understood() {
    let folder = Folder::new(&[
        ("onnx/model.onnx", "graph"),
        ("vocab.txt", "[UNK]"),
        ("tokenizer_config.json", r#"{"do_lower_case": false}"#),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode_cls_token": true}"#,
        ),
    ]);
    let spec = folder.spec().unwrap();
    assert_eq!(spec.model_path, folder.path("onnx/model.onnx"));
    assert_eq!(fs::read(&spec.tokenizer_path).unwrap(), b"[UNK]");
    assert!(!spec.lowercase && spec.tokenizer_is_vocabulary());
    assert_eq!(spec.pooling, Pooling::Cls);
    assert_eq!(
        spec.name,
        folder.0.path().file_name().unwrap().to_str().unwrap()
    );
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let folder = Folder::new(&[("model.onnx", "graph"), ("notes.md", "")]);
    let text = folder.spec().unwrap_err().to_string();
    assert!(
        text.contains("tokenizer.json") && text.contains("vocab.txt"),
        "{text}"
    );

    folder.write("tokenizer.json", "{}");
    for (file, content) in [
        ("prestige.json", "{"),
        ("prestige.json", r#"{"pooling": "max"}"#),
        ("prestige.json", r#"{"max_tokens": -1}"#),
        ("prestige.json", "\u{0}"),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode_max_tokens": true}"#,
        ),
        ("1_Pooling/config.json", r#"{"pooling_mode": "lasttoken"}"#),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#,
        ),
        ("sentence_bert_config.json", "[1"),
    ] {
        folder.write(file, content);
        let text = folder.spec().unwrap_err().to_string();
        assert!(text.contains(file), "{content}: {text}");
        fs::remove_file(folder.path(file)).unwrap();
    }

    for missing in [
        folder.path("missing"),
        folder.path("missing.onnx"),
        folder.path("notes.md"),
    ] {
        let text = ModelSpec::from_path(&missing).unwrap_err().to_string();
        assert!(
            text.contains(missing.to_str().unwrap()) && text.contains("model.onnx"),
            "{text}"
        );
    }
    fs::remove_file(folder.path("model.onnx")).unwrap();
    let text = folder.spec().unwrap_err().to_string();
    assert!(text.contains("a folder without it"), "{text}");
}

#[test]
fn the_fingerprint_covers_what_shapes_a_vector_and_nothing_else() {
    let folder = Folder::new(&MINIMAL);
    let spec = folder.spec().unwrap();
    let sha = |spec: &ModelSpec| spec.fingerprint().unwrap().sha256;
    let first = sha(&spec);
    let plain = Fingerprint::from_parts(
        spec.name.clone(),
        &[b"graph", b"{}", b"mean", b"", &256_u64.to_le_bytes()],
    );
    assert_eq!(spec.fingerprint().unwrap(), plain);

    let same = ModelSpec {
        name: "other".into(),
        threads: 5,
        lowercase: false,
        ..spec.clone()
    };
    assert_eq!(sha(&same), first);
    for other in [
        ModelSpec {
            pooling: Pooling::Cls,
            ..spec.clone()
        },
        ModelSpec {
            prefix: "query: ".into(),
            ..spec.clone()
        },
        ModelSpec {
            max_tokens: 128,
            ..spec.clone()
        },
    ] {
        assert_ne!(sha(&other), first);
    }
    for file in ["model.onnx", "tokenizer.json", "model.onnx_data"] {
        let before = fs::read(folder.path(file)).ok();
        folder.write(file, "changed");
        assert_ne!(sha(&spec), first, "{file}");
        match before {
            Some(bytes) => fs::write(folder.path(file), bytes).unwrap(),
            None => fs::remove_file(folder.path(file)).unwrap(),
        }
    }
    assert_eq!(sha(&spec), first);

    folder.write("vocab.txt", "{}");
    let vocabulary = ModelSpec {
        tokenizer_path: folder.path("vocab.txt"),
        ..spec.clone()
    };
    let cased = ModelSpec {
        lowercase: false,
        ..vocabulary.clone()
    };
    assert_ne!(sha(&vocabulary), sha(&cased));

    fs::remove_file(folder.path("model.onnx")).unwrap();
    let text = spec.fingerprint().unwrap_err().to_string();
    assert!(text.contains("model.onnx"), "{text}");
    let absent = ModelSpec {
        tokenizer_path: Path::new("/absent.json").into(),
        ..cased
    };
    folder.write("model.onnx", "graph");
    let text = absent.fingerprint().unwrap_err().to_string();
    assert!(text.contains("/absent.json"), "{text}");
}
