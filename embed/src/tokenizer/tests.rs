#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;
use crate::Pooling;

const VOCABULARY: &str =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n##s\nWorld\ncafe\n中\n,\nquery\n:\na\n";

fn spec(folder: &Path, max_tokens: usize) -> ModelSpec {
    std::fs::write(folder.join("model.onnx"), "graph").unwrap();
    std::fs::write(folder.join("vocab.txt"), VOCABULARY).unwrap();
    let mut spec = ModelSpec::from_path(folder).unwrap();
    spec.max_tokens = max_tokens;
    assert_eq!(spec.pooling, Pooling::Mean);
    spec
}

fn ids(tokenizer: &TextTokenizer, text: &str) -> Vec<u32> {
    let tokens = tokenizer.encode(text).unwrap();
    assert_eq!(tokens.type_ids, vec![0; tokens.ids.len()]);
    tokens.ids
}

#[test]
fn a_vocabulary_makes_a_bert_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(folder.path(), 16);
    let tokenizer = TextTokenizer::open(&spec).unwrap();
    assert_eq!(tokenizer.pad_id(), 0);
    assert_eq!(ids(&tokenizer, ""), [2, 3]);
    assert_eq!(
        ids(&tokenizer, "Hello,\tWORLDS café"),
        [2, 5, 11, 6, 7, 9, 3]
    );
    // Chinese characters are words of their own; unknown words and a literal special token keep
    // their places.
    assert_eq!(
        ids(&tokenizer, "hello中world zebra [MASK]"),
        [2, 5, 10, 6, 1, 4, 3]
    );

    spec.lowercase = false;
    let cased = TextTokenizer::open(&spec).unwrap();
    assert_eq!(ids(&cased, "hello World"), [2, 5, 8, 3]);
    spec.prefix = "query: ".to_owned();
    let prefixed = TextTokenizer::open(&spec).unwrap();
    assert_eq!(ids(&prefixed, "hello"), [2, 12, 13, 5, 3]);
}

#[test]
fn long_texts_lose_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = TextTokenizer::open(&spec(folder.path(), 5)).unwrap();
    assert_eq!(ids(&tokenizer, "hello world hello"), [2, 5, 6, 5, 3]);
    assert_eq!(ids(&tokenizer, "hello world hello world"), [2, 5, 6, 5, 3]);
}

#[test]
fn the_head_of_a_huge_text_decides_as_the_whole_would() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 5);
    let tokenizer = TextTokenizer::open(&spec).unwrap();
    let whole = |text: &str| {
        let encoding = tokenizer.tokenizer.encode_fast(text, true).unwrap();
        encoding.get_ids().to_vec()
    };
    let blanks = " ".repeat(10_000);
    for text in [
        "hello world ".repeat(10_000),
        // All that counts comes after the first head, and after the second.
        format!("{blanks}hello world{blanks}hello"),
        format!("hello{blanks}"),
        // One word without an end, characters of three bytes, a word that a careless cut would
        // halve.
        "a".repeat(10_000),
        "中".repeat(10_000),
        format!("{} {}", "x".repeat(317), "worlds ".repeat(100)),
    ] {
        assert_eq!(
            ids(&tokenizer, &text),
            whole(&text),
            "{}",
            text.get(..20).unwrap_or("")
        );
    }
    assert_eq!(head("one two three", 9), "one two");
    assert_eq!(head("one", 9), "one");
    assert_eq!(head("中中中中", 4), "中中中中");
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(folder.path(), 16);
    for (name, content) in [
        ("tokenizer.json", &b"not json"[..]),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b""),
        ("tokenizer.json", b"\xff\xfe\x00"),
        ("vocab.txt", b""),
        ("vocab.txt", b"\xff\xfe"),
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[MASK]\nhello"),
    ] {
        spec.tokenizer_path = folder.path().join(name);
        std::fs::write(&spec.tokenizer_path, content).unwrap();
        let text = TextTokenizer::open(&spec).unwrap_err().to_string();
        assert!(
            text.contains(spec.tokenizer_path.to_str().unwrap()),
            "{text}"
        );
    }
    spec.tokenizer_path = folder.path().join("gone.json");
    let text = TextTokenizer::open(&spec).unwrap_err().to_string();
    assert!(text.contains("gone.json"), "{text}");
}

#[test]
fn a_limit_without_room_for_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for max_tokens in [0, 1, 2] {
        let error = TextTokenizer::open(&spec(folder.path(), max_tokens)).unwrap_err();
        assert!(matches!(error, EmbedError::InvalidInput { .. }), "{error}");
    }
    let tokenizer = TextTokenizer::open(&spec(folder.path(), 3)).unwrap();
    assert_eq!(ids(&tokenizer, "hello world"), [2, 5, 3]);
}
