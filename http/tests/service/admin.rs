//! Maintenance, and jobs.

use crate::Running;
use crate::client::{Answer, ask, get};
use prestige_core::{Options, Store};
use prestige_http::{Config, Server};
use std::sync::Arc;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn post(running: &Running, operation: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let request = format!("POST /api/v1/admin/{operation}");
    ask(&running.server, &request, headers, body.as_bytes())
}

#[test]
fn short_work_is_answered_with_its_result() {
    let running = Running::start(Config::default());
    let store = &running.store;
    for key in 0..10u8 {
        store.put(&[key], &[key; 100], None).unwrap();
    }
    assert_eq!(post(&running, "flush", &[], "").text(), "{}");
    assert_eq!(post(&running, "sweep", &[], "").text(), "{\"deleted\":0}");
    assert_eq!(post(&running, "prune", &[], "").text(), "{\"deleted\":0}");
    let body = "{\"max_age_s\": 100, \"max_idle_s\": 100}";
    let answer = post(&running, "prune", &[JSON], body);
    assert_eq!(answer.text(), "{\"deleted\":0}");
    let answer = post(&running, "prune", &[JSON], "null");
    assert_eq!(answer.text(), "{\"deleted\":0}");
    let body = "{\"max_age_s\": 9223372036854775808}";
    let answer = post(&running, "prune", &[JSON], body);
    assert_eq!(answer.code(), "malformed_body");
    let answer = post(&running, "evict", &[JSON], "{\"target_bytes\": 505}");
    assert_eq!(answer.text(), "{\"deleted\":5}");
    assert_eq!(store.count_keys(false).unwrap(), 5);
    // Of another namespace nothing is touched.
    let other = store.namespace("other name").unwrap();
    other.put(b"key", b"value", None).unwrap();
    let body = "{\"target_bytes\": 0}";
    let answer = post(&running, "evict?namespace=other%20name", &[JSON], body);
    assert_eq!(answer.text(), "{\"deleted\":1}");
    assert_eq!(store.count_keys(false).unwrap(), 5);
    let jobs = get(&running.server, "/api/v1/jobs").json();
    let jobs = jobs["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 7);
    assert_eq!(jobs[0]["namespace"], "other name");
    assert_eq!(jobs[6]["namespace"], serde_json::Value::Null);
}

/// Asks for a job until it has ended.
fn ended(running: &Running, accepted: &Answer) -> serde_json::Value {
    assert_eq!(accepted.status, 202);
    let path = accepted.header("location").unwrap();
    loop {
        let job = get(&running.server, path).json();
        assert_eq!(job["id"], accepted.json()["id"]);
        if job["state"] != "running" {
            assert!(job["finished_at"].as_f64() >= job["started_at"].as_f64());
            return job;
        }
        std::thread::yield_now();
    }
}

#[test]
fn long_work_is_a_job() {
    let running = Running::start(Config::default());
    running.store.put(b"key", b"value", None).unwrap();
    // `wait=0`: no patience at all, so that even quick work is seen as a job.
    for operation in ["compact", "verify"] {
        let answer = post(&running, operation, &[("Prefer", "wait=0")], "");
        if answer.status == 202 {
            let job = ended(&running, &answer);
            assert_eq!(job["operation"], operation);
            assert_eq!(job["state"], "succeeded", "{job}");
        } else {
            assert_eq!(answer.status, 200);
        }
        let answer = post(&running, operation, &[("Prefer", "wait=30")], "");
        assert_eq!(answer.status, 200);
    }
    let answer = post(&running, "verify", &[("Prefer", "wait=30")], "");
    assert_eq!(answer.text(), "{\"violations\":[]}");
    let answer = get(&running.server, "/api/v1/jobs/none");
    assert_eq!(answer.code(), "not_found");
}

#[test]
fn an_index_is_rebuilt() {
    let running = Running::start(Config::default());
    let wait = ("Prefer", "wait=30");
    for namespace in ["", "none"] {
        let operation = format!("rebuild_index?namespace={namespace}");
        let answer = post(&running, &operation, &[wait], "");
        assert_eq!(answer.text(), "{\"vectors\":0}", "{namespace:?}");
    }
    let names = running.store.namespaces().unwrap();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn the_directory_of_backups_is_made_for_a_server_that_starts() {
    let folder = tempfile::tempdir().unwrap();
    let backups = folder.path().join("a").join("b");
    let config = |port| {
        let mut config = Config {
            backup_directory: Some(backups.clone()),
            ..Config::default()
        };
        config.listen.port = port;
        config
    };
    let running = Running::start(Config::default());
    let taken = running.server.address().unwrap().port();
    let store = Arc::clone(&running.store);
    assert!(Server::start(store, config(taken)).is_err());
    assert!(!folder.path().join("a").exists());
    let _running = Running::start(config(0));
    assert!(backups.is_dir());
}

#[test]
fn backups_go_into_their_directory_alone() {
    let backups = tempfile::tempdir().unwrap();
    let running = Running::start(Config {
        backup_directory: Some(backups.path().to_path_buf()),
        ..Config::default()
    });
    running.store.put(b"key", b"value", None).unwrap();
    let wait = ("Prefer", "wait=30");
    let backup = |name: &str| {
        let body = serde_json::json!({ "name": name }).to_string();
        post(&running, "backup", &[JSON, wait], &body)
    };
    let long = "x".repeat(201);
    for name in [
        "",
        ".",
        "..",
        "../out",
        "/tmp/out",
        "a/b",
        "a\\b",
        ".hidden",
        "-x",
        "a\0b",
        "é",
        long.as_str(),
    ] {
        let answer = backup(name);
        assert_eq!(answer.code(), "invalid_argument", "{name:?}");
    }
    let answer = backup("2026-01-01.first");
    assert_eq!(answer.text(), "{\"name\":\"2026-01-01.first\"}");
    let answer = backup("2026-01-01.first");
    assert_eq!(answer.status, 409);
    assert_eq!(answer.code(), "invalid_argument");
    let shown = backups.path().parent().unwrap().to_str().unwrap();
    assert!(!answer.text().contains(shown), "{}", answer.text());
    let copy = backups.path().join("2026-01-01.first");
    let copy = Store::open(copy, Options::default()).unwrap();
    assert_eq!(copy.get(b"key").unwrap().unwrap(), b"value");
    assert!(copy.verify().unwrap().is_empty());
}

#[test]
fn without_a_directory_there_are_no_backups() {
    let running = Running::start(Config::default());
    let answer = post(&running, "backup", &[JSON], "{\"name\": \"a\"}");
    assert_eq!(answer.code(), "forbidden");
}

#[test]
fn a_store_opened_read_only_is_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path(), Options::default()).unwrap());
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let store = std::sync::Arc::new(Store::open(directory.path(), options).unwrap());
    let server = prestige_http::Server::start(store, Config::default()).unwrap();
    for operation in ["flush", "sweep", "prune"] {
        let request = format!("POST /api/v1/admin/{operation}");
        let answer = ask(&server, &request, &[], b"");
        assert_eq!((answer.status, answer.code().as_str()), (403, "read_only"));
    }
}

#[test]
fn a_view_is_served_alone() {
    let running = Running::start(Config::default());
    running.store.put(b"key", b"value", None).unwrap();
    let view = std::sync::Arc::new(running.store.namespace("view").unwrap());
    let server = prestige_http::Server::start(view, Config::default()).unwrap();
    for (namespace, deleted) in [("", 0), ("view", 0), ("other", 0)] {
        let request = format!("POST /api/v1/admin/evict?namespace={namespace}");
        let answer = ask(&server, &request, &[JSON], b"{\"target_bytes\": 0}");
        assert_eq!(answer.json()["deleted"], deleted);
    }
    assert!(running.store.contains(b"key").unwrap());
}

#[test]
fn the_document_describes_what_is_served() {
    let running = Running::start(Config::default());
    let document = get(&running.server, "/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document,
        serde_json::from_str::<serde_json::Value>(&prestige_http::openapi_json()).unwrap()
    );
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(!path.contains('*'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let refused = &operation["responses"]["default"];
            if path.starts_with("/v1/") {
                // OpenAI's own shape.
                let schema = &refused["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/OpenAiError", "{path}");
            } else {
                let problem = &refused["$ref"];
                assert_eq!(problem, "#/components/responses/Problem", "{method} {path}");
            }
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
    let problem = &document["components"]["schemas"]["Problem"];
    assert!(problem.is_object());
}
