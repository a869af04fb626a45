//! What the tests with a runtime share.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod tiny_model;

use std::path::{Path, PathBuf};

use prestige_embed::{ModelSpec, OnnxEmbedder, RuntimeLibrary};

/// The runtime named by `ORT_DYLIB_PATH`, which `make test` sets.
pub fn runtime() -> RuntimeLibrary {
    RuntimeLibrary::find(None).expect("these tests need an ONNX Runtime library")
}

/// The default model: `PRESTIGE_TEST_MODEL`, else where the model build leaves it.
pub fn model_folder() -> PathBuf {
    let folder = std::env::var_os("PRESTIGE_TEST_MODEL")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let home = std::env::var_os("HOME").expect("HOME is set");
            Path::new(&home).join(".cache/prestige/models/all-MiniLM-L6-v2/int8w")
        });
    assert!(
        folder.join("model.onnx").is_file(),
        "{} has no model.onnx: build the model, or set PRESTIGE_TEST_MODEL",
        folder.display()
    );
    folder
}

pub fn open_model() -> OnnxEmbedder {
    OnnxEmbedder::open(&ModelSpec::from_path(&model_folder()).unwrap(), &runtime()).unwrap()
}

pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter()
            .zip(b)
            .map(|(&x, &y)| f64::from(x) * f64::from(y))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
