//! Models of every shape that the crate takes, and of some that it refuses.
#![cfg(feature = "onnx")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::runtime;
use common::tiny_model::{INT32, INT64, TinyModel};
use prestige_embed::{EmbedError, Embedder, ModelSpec, OnnxEmbedder, Pooling};

fn open_with(
    model: &TinyModel<'_>,
    change: impl FnOnce(&mut ModelSpec),
) -> Result<OnnxEmbedder, EmbedError> {
    let folder = tempfile::tempdir().unwrap();
    model.write(folder.path());
    let mut spec = ModelSpec::from_path(folder.path()).unwrap();
    change(&mut spec);
    OnnxEmbedder::open(&spec, &runtime())
}

fn open(model: &TinyModel<'_>) -> Result<OnnxEmbedder, EmbedError> {
    open_with(model, |_| ())
}

#[track_caller]
fn assert_near(row: &[f32], expected: [f32; 2]) {
    let near = row.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-6);
    assert!(
        near && row.len() == 2,
        "expected {expected:?}, found {row:?}"
    );
}

#[test]
fn token_vectors_are_pooled_over_the_text_and_never_over_padding() {
    let model = open(&TinyModel::default()).unwrap();
    assert_eq!(model.dimension(), 2);
    // Padding is the vector [9, 9]: one place of it would turn every short text.
    let rows = model
        .embed(&[
            "hello",
            "hello hello hello world",
            "world",
            "hello world world world world",
        ])
        .unwrap();
    assert_near(rows.row(0).unwrap(), [1.0, 0.0]);
    assert_near(
        rows.row(1).unwrap(),
        [3.0 / 10_f32.sqrt(), 1.0 / 10_f32.sqrt()],
    );
    assert_near(rows.row(2).unwrap(), [0.0, 1.0]);
    assert_near(
        rows.row(3).unwrap(),
        [1.0 / 17_f32.sqrt(), 4.0 / 17_f32.sqrt()],
    );
}

#[test]
fn cls_pooling_takes_the_first_token() {
    let mut tiny = TinyModel::default();
    tiny.table[2] = [3.0, 4.0];
    let model = open_with(&tiny, |spec| spec.pooling = Pooling::Cls).unwrap();
    for row in model.embed(&["hello", "world hello"]).unwrap().rows() {
        assert_near(row, [0.6, 0.8]);
    }
}

#[test]
fn prefix_and_limit_shape_the_vector() {
    let prefixed = open_with(&TinyModel::default(), |spec| spec.prefix = "world ".into()).unwrap();
    let half = 0.5_f32.sqrt();
    assert_near(
        prefixed.embed(&["hello"]).unwrap().row(0).unwrap(),
        [half, half],
    );
    let short = open_with(&TinyModel::default(), |spec| spec.max_tokens = 4).unwrap();
    let rows = short
        .embed(&["hello hello world", "world world hello hello"])
        .unwrap();
    assert_near(rows.row(0).unwrap(), [1.0, 0.0]);
    assert_near(rows.row(1).unwrap(), [0.0, 1.0]);
}

#[test]
fn only_declared_inputs_are_fed() {
    for inputs in [
        vec![("input_ids", INT64)],
        vec![
            ("token_type_ids", INT64),
            ("attention_mask", INT64),
            ("input_ids", INT64),
        ],
    ] {
        let model = open(&TinyModel {
            inputs,
            ..TinyModel::default()
        })
        .unwrap();
        let rows = model.embed(&["world", "hello hello"]).unwrap();
        assert_near(rows.row(0).unwrap(), [0.0, 1.0]);
        assert_near(rows.row(1).unwrap(), [1.0, 0.0]);
    }
}

#[test]
fn the_right_output_is_chosen() {
    // The mean over everything, padding too: [9, 9] shows which output was read.
    let padded = |outputs: Vec<&'static str>| {
        let model = open(&TinyModel {
            outputs,
            ..TinyModel::default()
        })
        .unwrap();
        model
            .embed(&["hello", "hello world world world"])
            .unwrap()
            .row(0)
            .unwrap()
            .to_vec()
    };
    let half = 10.0 / (10_f32 * 10.0 + 9.0 * 9.0).sqrt();
    for own_pooling in [
        vec!["sentence_embedding"],
        vec!["pooler_output"],
        vec!["count", "sentence_embedding"],
    ] {
        let row = padded(own_pooling);
        assert!(
            row[0] > 0.5 && row[1] > 0.5 && (row[0] - half).abs() < 0.1,
            "{row:?}"
        );
    }
    for ours in [
        vec!["pooler_output", "last_hidden_state"],
        vec!["pooler_output", "some_token_vectors"],
        vec!["count", "last_hidden_state", "sentence_embedding"],
    ] {
        assert_near(&padded(ours), [1.0, 0.0]);
    }
}

#[test]
fn a_dimension_the_file_does_not_state_is_found_out() {
    let tiny = TinyModel {
        states_dimension: false,
        ..TinyModel::default()
    };
    assert_eq!(open(&tiny).unwrap().dimension(), 2);
}

#[test]
fn models_of_another_kind_are_refused_by_name() {
    let with_inputs = |inputs: Vec<(&'static str, u64)>| TinyModel {
        inputs,
        ..TinyModel::default()
    };
    let cases = [
        (
            with_inputs(vec![("input_ids", INT64), ("pixel_values", INT64)]),
            "pixel_values",
        ),
        (with_inputs(vec![("input_ids", INT32)]), "input_ids of type"),
        (
            TinyModel {
                outputs: vec!["count"],
                ..TinyModel::default()
            },
            "count of type",
        ),
    ];
    for (tiny, named) in cases {
        let error = open(&tiny).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, EmbedError::Model { .. }), "{text}");
        assert!(
            text.contains("model.onnx") && text.contains(named),
            "{text}"
        );
    }
    let text = open_with(&TinyModel::default(), |spec| spec.dimension = Some(384))
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("dimension 384") && text.contains("dimension 2"),
        "{text}"
    );
    let text = open_with(&TinyModel::default(), |spec| spec.max_tokens = 2)
        .unwrap_err()
        .to_string();
    assert!(text.contains("max_tokens above 2"), "{text}");
}

#[test]
fn a_model_that_fails_on_a_text_fails_that_call_alone() {
    // Token 7, "never", is past the end of the table; token 1, any unknown word, is all zeros.
    let mut tiny = TinyModel::default();
    let model = open_with(&tiny, |spec| spec.name = "tiny".into()).unwrap();
    for bad in ["never", "unknown"] {
        let error = model.embed(&["hello", bad]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, EmbedError::Inference { .. }), "{text}");
        assert!(text.contains("model tiny"), "{text}");
        assert_near(model.embed(&["hello"]).unwrap().row(0).unwrap(), [1.0, 0.0]);
    }
    tiny.table[5] = [f32::NAN, 0.0];
    let text = open(&tiny)
        .unwrap()
        .embed(&["hello"])
        .unwrap_err()
        .to_string();
    assert!(text.contains("NaN"), "{text}");
}
