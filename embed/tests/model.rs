//! The default model against known answers, and against itself in other batches and threads.
#![cfg(feature = "onnx")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::fs;
use std::thread;

use common::{cosine, model_folder, open_model, runtime};
use prestige_embed::{Embedder, ModelSpec, OnnxEmbedder};

/// Texts of all lengths, from none to far past the limit, with repeats.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = (0..36)
        .map(|i| {
            let word = [
                "refund",
                "password",
                "naïve café",
                "配送",
                "😀",
                "ORDER #12",
            ][i % 6];
            format!("{word} ").repeat(1 + i * i % 31)
        })
        .collect();
    texts.extend(["", " ", "?", "\n\t", "a\u{0}b", "[SEP]"].map(str::to_owned));
    texts.push("all work and no play ".repeat(2000));
    texts.push(texts[3].clone());
    texts
}

fn as_strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[test]
fn vectors_equal_those_of_an_independent_implementation() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/embeddings.json"
    );
    let known: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let known = known["cases"].as_array().unwrap();
    assert!(known.len() >= 10);
    let texts: Vec<&str> = known
        .iter()
        .map(|entry| entry["text"].as_str().unwrap())
        .collect();
    let rows = open_model().embed(&texts).unwrap();
    for (entry, row) in known.iter().zip(rows.rows()) {
        let vector: Vec<f32> = serde_json::from_value(entry["vector"].clone()).unwrap();
        let similarity = cosine(&vector, row);
        assert!(similarity >= 0.9999, "{}: {similarity}", entry["text"]);
    }
}

#[test]
fn a_text_has_one_vector_alone_in_a_batch_and_from_eight_threads() {
    let model = open_model();
    let texts = texts();
    let texts = as_strs(&texts);
    let batch = model.embed(&texts).unwrap();
    assert_eq!(
        (batch.len(), batch.dimension()),
        (texts.len(), model.dimension())
    );
    for row in batch.rows() {
        let length: f32 = row.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    let check = |index: usize, row: &[f32], place: &str| {
        let similarity = cosine(batch.row(index).unwrap(), row);
        let text: String = texts[index].chars().take(20).collect();
        assert!(similarity >= 0.999_999, "{place}, {text:?}: {similarity}");
    };
    for (index, text) in texts.iter().enumerate() {
        check(
            index,
            model.embed(&[text]).unwrap().row(0).unwrap(),
            "alone",
        );
    }
    thread::scope(|scope| {
        for thread in 0..8_usize {
            let (model, texts, check) = (&model, &texts, &check);
            scope.spawn(move || {
                // Every thread in its own order, one to five texts a call.
                let order: Vec<usize> = (0..texts.len())
                    .map(|i| (i * 37 + thread * 11) % texts.len())
                    .collect();
                for call in order.chunks(1 + thread % 5) {
                    let asked: Vec<&str> = call.iter().map(|&index| texts[index]).collect();
                    let rows = model.embed(&asked).unwrap();
                    for (&index, row) in call.iter().zip(rows.rows()) {
                        check(index, row, "threads");
                    }
                }
            });
        }
    });
}

#[test]
fn meaning_shows_in_the_vectors() {
    let model = open_model();
    assert_eq!(model.dimension(), 384);
    let rows = model
        .embed(&[
            "How do I reset my password?",
            "I forgot my password",
            "Opening hours on Sunday",
        ])
        .unwrap();
    let row = |index| rows.row(index).unwrap();
    assert!(cosine(row(0), row(1)) > 0.6);
    assert!(cosine(row(0), row(2)) < 0.3);
    assert!(model.embed(&[]).unwrap().is_empty());
}

#[test]
fn what_follows_the_limit_does_not_count() {
    let mut spec = ModelSpec::from_path(&model_folder()).unwrap();
    assert_eq!(spec.max_tokens, 256);
    spec.max_tokens = 8;
    let short = OnnxEmbedder::open(&spec, &runtime()).unwrap();
    // [CLS], six words, [SEP].
    let rows = short
        .embed(&[
            "one two three four five six",
            "one two three four five six seven eight nine",
        ])
        .unwrap();
    assert!(cosine(rows.row(0).unwrap(), rows.row(1).unwrap()) >= 0.999_999);
    let rows = open_model()
        .embed(&[
            "one two three four five six",
            "one two three four five six seven eight nine",
        ])
        .unwrap();
    assert!(cosine(rows.row(0).unwrap(), rows.row(1).unwrap()) < 0.999);
}

#[test]
fn vocab_txt_gives_the_vectors_of_tokenizer_json() {
    let folder = tempfile::tempdir().unwrap();
    let source = model_folder();
    fs::copy(source.join("model.onnx"), folder.path().join("model.onnx")).unwrap();
    let json = fs::read(source.join("tokenizer.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let vocabulary = json["model"]["vocab"].as_object().unwrap();
    let mut lines = vec![String::new(); vocabulary.len()];
    for (token, id) in vocabulary {
        lines[usize::try_from(id.as_u64().unwrap()).unwrap()] = token.clone();
    }
    fs::write(folder.path().join("vocab.txt"), lines.join("\n")).unwrap();
    let spec = ModelSpec::from_path(folder.path()).unwrap();
    assert!(spec.tokenizer_path.ends_with("vocab.txt"));
    let from_vocabulary = OnnxEmbedder::open(&spec, &runtime()).unwrap();
    let model = open_model();
    assert_ne!(from_vocabulary.fingerprint(), model.fingerprint());

    let texts = texts();
    let texts = as_strs(&texts);
    let expected = model.embed(&texts).unwrap();
    let found = from_vocabulary.embed(&texts).unwrap();
    for ((text, a), b) in texts.iter().zip(expected.rows()).zip(found.rows()) {
        assert!(cosine(a, b) >= 0.999_999, "{text:.20}");
    }
}

#[test]
fn thread_counts_do_not_change_vectors_or_fingerprint() {
    let mut spec = ModelSpec::from_path(&model_folder()).unwrap();
    let text = ["the number of threads is a matter of speed alone"];
    let models = [0, 1, 3].map(|threads| {
        spec.threads = threads;
        OnnxEmbedder::open(&spec, &runtime()).unwrap()
    });
    for model in &models {
        assert_eq!(model.fingerprint(), models[0].fingerprint());
        let (a, b) = (model.embed(&text).unwrap(), models[0].embed(&text).unwrap());
        assert!(cosine(a.as_slice(), b.as_slice()) >= 0.999_999);
    }
}
