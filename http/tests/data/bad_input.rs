//! What no client should send.

use crate::{JSON, Running};
use prestige_core::Options;
use prestige_http::{Config, Limits};
use serde_json::Value;

const BODIES: [&str; 9] = [
    "/api/v1/kv:batchGet",
    "/api/v1/kv:batchContains",
    "/api/v1/kv:batchDelete",
    "/api/v1/kv:batchPut",
    "/api/v1/digest",
    "/api/v1/explain",
    "/api/v1/candidates",
    "/api/v1/cache/lookup",
    "/api/v1/embeddings:lookup",
];

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let running = Running::start();
    let deep = "[".repeat(100_000);
    for path in BODIES {
        for body in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            b"5",
            b"\"text\"",
            b"{\"unknown\": 1}",
            b"{\"keys\": \"a\"}",
            b"{\"keys\": [5]}",
            b"{\"keys\": [\"\xff\"]}",
            b"{\"keys\": [{\"base64\": \"***\"}]}",
            b"{\"keys\": [{\"base64\": \"AA==\", \"x\": 1}]}",
            b"{} {}",
            b"{\"value\": \"\\ud800\"}",
            b"\xef\xbb\xbf{}",
            deep.as_bytes(),
        ] {
            let refused = running.ask(&format!("POST {path}"), &[JSON], body);
            let problem: Value = refused.json();
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            if refused.code() == "malformed_body" {
                assert!(
                    problem["line"].is_u64() && problem["column"].is_u64(),
                    "{path} {shown}: {problem}"
                );
            }
            assert_eq!(refused.status, 400, "{path} {shown}: {problem}");
        }
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "application/xml",
        ] {
            let refused = running.ask(&format!("POST {path}"), &[("Content-Type", kind)], b"{}");
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (415, "unsupported_media_type"),
                "{path} {kind}"
            );
        }
        assert_eq!(running.ask(&format!("POST {path}"), &[], b"{}").status, 415);
        let wrong = running.ask(&format!("GET {path}"), &[], b"");
        assert_eq!(
            (wrong.status, wrong.code().as_str()),
            (405, "method_not_allowed"),
            "{path}"
        );
        assert!(wrong.header("allow").unwrap().contains("POST"));
    }
    for body in [
        "{}",
        "{\"value\": 5}",
        "{\"value\": \"v\", \"ttl_seconds\": \"5\"}",
        "[]",
        "",
    ] {
        let refused = running.ask("PUT /api/v1/kv/key", &[JSON], body.as_bytes());
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "malformed_body"),
            "{body}"
        );
    }
    assert_eq!(running.store.count_keys(false).unwrap(), 0);
    assert!(running.store.namespaces().unwrap().is_empty());
}

#[test]
fn what_is_too_large_is_refused() {
    let running = Running::with(
        Options::default(),
        Config {
            limits: Limits {
                body_bytes: 10_000,
                key_bytes: 100,
                ..Limits::default()
            },
            ..Config::default()
        },
    );
    let large = vec![b'x'; 10_001];
    let chunked = [&b"2711\r\n"[..], &large, b"\r\n0\r\n\r\n"].concat();
    for (request, headers, body) in [
        ("PUT /api/v1/kv/key", &[][..], &large),
        ("PUT /api/v1/kv/key", &[JSON], &large),
        (
            "PUT /api/v1/kv/key",
            &[("Transfer-Encoding", "chunked")],
            &chunked,
        ),
        ("POST /api/v1/kv:batchPut", &[JSON], &large),
        ("POST /api/v1/candidates", &[JSON], &large),
        ("POST /api/v1/families/f/outcomes", &[JSON], &large),
    ] {
        let refused = running.ask(request, headers, body);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (413, "too_large"),
            "{request} {headers:?}"
        );
        assert_eq!(refused.json()["limit"], 10_000);
    }
    assert_eq!(running.put(b"key", &large[1..]).status, 201);
    let key = "k".repeat(101);
    for method in ["PUT", "GET", "DELETE"] {
        let refused = running.ask(&format!("{method} /api/v1/kv/{key}"), &[], b"");
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (413, "too_large")
        );
    }
    assert_eq!(
        running
            .ask(&format!("PUT /api/v1/kv/{}", &key[1..]), &[], b"")
            .status,
        201
    );
    for (path, body) in [
        ("/api/v1/kv:batchGet", format!("{{\"keys\": [\"{key}\"]}}")),
        (
            "/api/v1/kv:batchPut",
            format!(
                "{{\"items\": [{{\"key\": \"a\", \"value\": \"\"}}, {{\"key\": \"{key}\", \"value\": \"\"}}]}}"
            ),
        ),
    ] {
        let refused = running.ask(&format!("POST {path}"), &[JSON], body.as_bytes());
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (413, "too_large"),
            "{path}"
        );
    }
    assert!(!running.store.contains(b"a").unwrap());
}

#[test]
fn bad_paths_are_refused() {
    let running = Running::start();
    for path in [
        "/api/v1/kv/%",
        "/api/v1/kv/%4",
        "/api/v1/kv/%zz",
        "/api/v1/kv/a?namespace=%",
    ] {
        let refused = running.get(path);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "invalid_argument"),
            "{path}"
        );
    }
    for path in [
        "/api/v1",
        "/api/v1/",
        "/api/v1/kvx",
        "/api/v1/kv:other",
        "/api/v2/kv/a",
        "/api/v1/cache",
        "/api/v1/families/",
    ] {
        let refused = running.get(path);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (404, "no_such_route"),
            "{path}"
        );
    }
    for request in [
        "POST /api/v1/kv/key",
        "PUT /api/v1/kv",
        "PUT /api/v1/kv/_count",
        "DELETE /api/v1/health",
    ] {
        let refused = running.ask(request, &[], b"");
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (405, "method_not_allowed"),
            "{request}"
        );
        assert!(refused.header("allow").is_some());
    }
}

#[test]
fn a_closed_store_and_one_opened_read_only_say_so() {
    let running = Running::start();
    running.put(b"key", b"value");
    running.get("/api/v1/kv/key");
    running.store.close().unwrap();
    for request in [
        "GET /api/v1/kv/key",
        "PUT /api/v1/kv/key",
        "GET /api/v1/kv",
        "GET /api/v1/stats",
        "GET /api/v1/namespaces",
    ] {
        let refused = running.ask(request, &[], b"");
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "closed"),
            "{request}"
        );
    }

    let directory = tempfile::tempdir().unwrap();
    prestige_core::Store::open(directory.path(), Options::default())
        .unwrap()
        .put(b"key", b"value", None)
        .unwrap();
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let store = std::sync::Arc::new(prestige_core::Store::open(directory.path(), options).unwrap());
    let server = prestige_http::Server::start(store, Config::default()).unwrap();
    let ask =
        |request: &str, body: &str| crate::client::ask(&server, request, &[JSON], body.as_bytes());
    assert_eq!(crate::client::get(&server, "/api/v1/kv/key").body, b"value");
    for (request, body) in [
        ("PUT /api/v1/kv/key", "{\"value\": \"v\"}"),
        ("PUT /api/v1/kv/key?namespace=n", "{\"value\": \"v\"}"),
        ("PATCH /api/v1/kv/key", "{\"ttl_seconds\": 5}"),
        ("DELETE /api/v1/kv/key", ""),
        (
            "POST /api/v1/kv:batchPut",
            "{\"items\": [{\"key\": \"a\", \"value\": \"\"}]}",
        ),
        ("POST /api/v1/kv:batchDelete", "{\"keys\": [\"key\"]}"),
        (
            "POST /api/v1/families/f/outcomes",
            "{\"verdict\": \"accepted\"}",
        ),
        (
            "POST /api/v1/cache/put",
            "{\"query\": \"q\", \"response\": \"r\"}",
        ),
        ("POST /api/v1/cache/clear", ""),
        (
            "POST /api/v1/embeddings:put",
            "{\"model_id\": \"m\", \"texts\": [\"t\"], \"vectors\": [\"AACAPw==\"]}",
        ),
    ] {
        let refused = ask(request, body);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "read_only"),
            "{request}"
        );
    }
    server.stop();
}
