//! Files that are no ONNX Runtime. A test binary of its own: a process keeps the first library that
//! works.
#![cfg(feature = "onnx")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::fs;

use common::tiny_model::TinyModel;
use prestige_embed::{EmbedError, Embedder, ModelSpec, OnnxEmbedder, RuntimeLibrary};

/// Runs this test again as a child without `ORT_DYLIB_PATH`, which would beat every hint.
const CHILD: &str = "PRESTIGE_TEST_RUNTIME";

#[test]
fn a_library_that_cannot_be_used_is_named_and_a_good_one_still_loads() {
    let Some(good) = std::env::var_os(CHILD) else {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_library_that_cannot_be_used_is_named_and_a_good_one_still_loads",
            ])
            .env(CHILD, common::runtime().path())
            .env_remove("ORT_DYLIB_PATH")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    TinyModel::default().write(folder.path());
    let spec = ModelSpec::from_path(folder.path()).unwrap();

    let text_file = folder.path().join("libonnxruntime.so.1.32.0");
    fs::write(&text_file, "not a library").unwrap();
    // A real library of another kind.
    let other = fs::read_dir(std::path::Path::new(&good).parent().unwrap())
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("providers_shared"))
        .expect("the onnxruntime package has a second library");
    for wrong in [folder.path(), &text_file, &other] {
        let runtime = RuntimeLibrary::find(Some(wrong)).unwrap();
        let error = OnnxEmbedder::open(&spec, &runtime).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, EmbedError::Runtime { .. }), "{text}");
        assert!(text.contains(runtime.path().to_str().unwrap()), "{text}");
        assert!(text.contains("pip install onnxruntime"), "{text}");
    }

    let missing = folder.path().join("missing.so");
    let text = RuntimeLibrary::find(Some(&missing))
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("missing.so") && text.contains("ORT_DYLIB_PATH"),
        "{text}"
    );

    let runtime = RuntimeLibrary::find(Some(std::path::Path::new(&good))).unwrap();
    let model = OnnxEmbedder::open(&spec, &runtime).unwrap();
    assert_eq!(model.embed(&["hello"]).unwrap().dimension(), 2);
}
