//! Missing and damaged model files are errors that name the file, never a crash.
#![cfg(feature = "onnx")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::fs;
use std::path::Path;

use common::{model_folder, runtime};
use prestige_embed::{EmbedError, Embedder, ModelSpec, OnnxEmbedder};

/// A copy of the default model in a folder of its own.
fn copy_model(folder: &Path) -> ModelSpec {
    for name in ["model.onnx", "tokenizer.json", "prestige.json"] {
        let source = model_folder().join(name);
        if source.is_file() {
            fs::copy(source, folder.join(name)).unwrap();
        }
    }
    ModelSpec::from_path(folder).unwrap()
}

#[track_caller]
fn assert_model_error(spec: &ModelSpec) -> String {
    let error = OnnxEmbedder::open(spec, &runtime()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, EmbedError::Model { .. }), "{text}");
    assert!(text.contains(spec.model_path.to_str().unwrap()), "{text}");
    assert!(
        text.contains("expected") && text.contains("build or download"),
        "{text}"
    );
    text
}

#[test]
fn a_truncated_model_is_an_error_wherever_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let spec = copy_model(folder.path());
    let bytes = fs::read(&spec.model_path).unwrap();
    for length in [
        0,
        1,
        100,
        4096,
        bytes.len() / 3,
        bytes.len() / 2,
        bytes.len() - 1,
    ] {
        fs::write(&spec.model_path, &bytes[..length]).unwrap();
        assert_model_error(&spec);
    }
    // The whole file works again in the same process.
    fs::write(&spec.model_path, &bytes).unwrap();
    assert_eq!(
        OnnxEmbedder::open(&spec, &runtime()).unwrap().dimension(),
        384
    );
}

#[test]
fn files_that_are_no_models_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let spec = copy_model(folder.path());
    for content in [
        &b"version https://git-lfs.github.com/spec/v1\n"[..],
        &[0xff; 10_000],
        b"\0\0\0\0",
    ] {
        fs::write(&spec.model_path, content).unwrap();
        assert_model_error(&spec);
    }
    fs::remove_file(&spec.model_path).unwrap();
    assert_model_error(&spec);
    fs::create_dir(&spec.model_path).unwrap();
    assert!(assert_model_error(&spec).contains("a folder"));
}

#[test]
fn a_damaged_or_missing_tokenizer_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let spec = copy_model(folder.path());
    let bytes = fs::read(&spec.tokenizer_path).unwrap();
    let damaged = [&b"garbage"[..], &bytes[..bytes.len() / 2], b""].map(Some);
    for content in damaged.into_iter().chain([None]) {
        match content {
            Some(content) => fs::write(&spec.tokenizer_path, content).unwrap(),
            None => fs::remove_file(&spec.tokenizer_path).unwrap(),
        }
        let error = OnnxEmbedder::open(&spec, &runtime()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, EmbedError::Tokenizer { .. }), "{text}");
        assert!(
            text.contains(spec.tokenizer_path.to_str().unwrap()),
            "{text}"
        );
    }
}
