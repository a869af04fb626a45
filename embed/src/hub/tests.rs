#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn write_model(folder: &Path) {
    write(&folder.join("onnx/model.onnx"), "graph");
    write(&folder.join("tokenizer.json"), "{}");
}

fn query(name: &str, folder: &Path) -> ModelQuery {
    ModelQuery {
        name: name.to_owned(),
        revision: None,
        folder: Some(folder.to_owned()),
    }
}

#[test]
fn the_variables_of_the_client_name_its_cache() {
    let folder = |set: &[(&str, &str)]| {
        cache_folder_by(|name| {
            let value = set.iter().find(|(other, _)| *other == name);
            value.map(|(_, value)| OsString::from(value))
        })
    };
    let all = [
        ("HF_HUB_CACHE", "/a"),
        ("HUGGINGFACE_HUB_CACHE", "/b"),
        ("HF_HOME", "/c"),
        ("XDG_CACHE_HOME", "/d"),
        ("HOME", "/home/me"),
    ];
    let expected = [
        "/a",
        "/b",
        "/c/hub",
        "/d/huggingface/hub",
        "/home/me/.cache/huggingface/hub",
    ];
    for (from, expected) in expected.iter().enumerate() {
        assert_eq!(folder(all.get(from..).unwrap()), Some(expected.into()));
    }
    assert_eq!(folder(&[]), None);
    let tilde = [("HF_HOME", "~/models"), ("HOME", "/home/me")];
    assert_eq!(folder(&tilde), Some("/home/me/models/hub".into()));
}

#[test]
fn a_snapshot_is_found_by_branch_and_by_commit() {
    let cache = tempfile::tempdir().unwrap();
    let repository = cache.path().join("models--BAAI--bge-small-en-v1.5");
    let snapshot = repository.join("snapshots").join(COMMIT);
    write_model(&snapshot);
    write(&repository.join("refs/main"), COMMIT);
    write(&repository.join("refs/refs/pr/1"), COMMIT);
    let found = |name: &str, revision: Option<&str>| {
        let revision = revision.map(str::to_owned);
        let query = ModelQuery {
            revision,
            ..query(name, cache.path())
        };
        query.find().unwrap()
    };
    for name in [
        "bge-small",
        "BAAI/bge-small-en-v1.5",
        "baai/BGE-small-en-v1.5",
    ] {
        assert_eq!(found(name, None), Some(snapshot.clone()), "{name}");
    }
    for revision in ["main", COMMIT, "refs/pr/1"] {
        assert_eq!(found("bge-small", Some(revision)), Some(snapshot.clone()));
    }
    assert_eq!(found("bge-small", Some("v2")), None);
    assert_eq!(found("bge-large", None), None);
    assert_eq!(found("other/model", None), None);
    // Its name is that of the repository, not of the commit.
    assert_eq!(
        ModelSpec::from_path(&snapshot).unwrap().name,
        "BAAI/bge-small-en-v1.5"
    );
    // Without its tokenizer it is an unfinished download.
    fs::remove_file(snapshot.join("tokenizer.json")).unwrap();
    assert_eq!(found("bge-small", None), None);
}

#[test]
fn weights_that_are_kept_apart_belong_to_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("bge-m3");
    write_model(&model);
    let query = query("bge-m3", folder.path());
    for file in query.preset().unwrap().weight_files {
        assert_eq!(query.find().unwrap(), None);
        write(&model.join(file), "weights");
    }
    assert_eq!(query.find().unwrap(), Some(model));
}

#[test]
fn a_folder_of_models_needs_no_cache_layout() {
    for place in ["bge-small", "BAAI/bge-small-en-v1.5", "bge-small-en-v1.5"] {
        let folder = tempfile::tempdir().unwrap();
        write_model(&folder.path().join(place));
        let found = query("bge-small", folder.path()).find().unwrap();
        assert_eq!(found, Some(folder.path().join(place)));
    }
}

#[test]
fn names_that_are_none_are_refused_and_never_lead_out_of_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "",
        "bge",
        "a/b/c",
        "../models",
        "a/..",
        "/etc",
        "a/b c",
        "a\\b",
        "a/",
    ] {
        let text = query(name, folder.path()).find().unwrap_err().to_string();
        assert!(
            text.contains("bge-small") && text.contains("organisation/name"),
            "{text}"
        );
    }
    for revision in ["", "..", "../../x", "/etc", "a/../../b"] {
        let query = ModelQuery {
            revision: Some(revision.to_owned()),
            ..query("bge-small", folder.path())
        };
        let text = query.find().unwrap_err().to_string();
        assert!(text.contains("revision"), "{text}");
    }
}

#[test]
fn a_missing_model_says_what_to_do() {
    let text = query("nomic", Path::new("/models")).missing().to_string();
    for part in [
        "/models",
        "nomic-ai/nomic-embed-text-v1.5",
        "prestige models pull nomic",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
