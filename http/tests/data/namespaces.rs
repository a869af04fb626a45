//! Namespaces, and tokens that reach some of them.

use crate::{JSON, Running};
use prestige_core::Options;
use prestige_http::{Config, Tokens};
use serde_json::{Value, json};

#[test]
fn namespaces_share_nothing() {
    let running = Running::start();
    for (namespace, value) in [
        ("", "of none"),
        ("?namespace=a%2Fb", "of a/b"),
        ("?namespace=%C3%BC", "of ü"),
    ] {
        let put = running.ask(
            &format!("PUT /api/v1/kv/key{namespace}"),
            &[],
            value.as_bytes(),
        );
        assert_eq!(put.status, 201);
        assert_eq!(put.json()["dedup"], "new");
        assert_eq!(
            running.get(&format!("/api/v1/kv/key{namespace}")).text(),
            value
        );
        assert_eq!(
            running.get(&format!("/api/v1/kv/_count{namespace}")).json(),
            json!({"count": 1})
        );
        let health = running.get(&format!("/api/v1/health{namespace}")).json();
        assert_eq!(health["total_keys"], 1);
        let stats = running.get(&format!("/api/v1/stats{namespace}")).json();
        assert_eq!((&stats["puts"], &stats["hits"]), (&json!(1), &json!(1)));
    }
    assert_eq!(
        running.get("/api/v1/namespaces").json(),
        json!({"namespaces": ["a/b", "ü"]})
    );
    // Reading makes none.
    assert_eq!(
        running.get("/api/v1/kv/key?namespace=c").code(),
        "not_found"
    );
    let health = running.get("/api/v1/health?namespace=c").json();
    assert_eq!(
        (&health["total_keys"], &health["dedup_ratio"]),
        (&json!(0), &json!(1.0))
    );
    let names = |document: &Value| {
        document
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&health), names(&running.get("/api/v1/health").json()));
    assert_eq!(running.get("/api/v1/stats?namespace=c").json()["puts"], 0);
    assert_eq!(
        running.get("/api/v1/unique?namespace=c").json(),
        json!({"count": 0})
    );
    assert_eq!(
        running.get("/api/v1/kv?namespace=c").json(),
        json!({"keys": [], "next_cursor": null})
    );
    assert_eq!(
        running.get("/api/v1/kv?namespace=c&values=true").json(),
        json!({"items": [], "next_cursor": null})
    );
    let patch = running.ask(
        "PATCH /api/v1/kv/key?namespace=c",
        &[JSON],
        b"{\"ttl_seconds\": 5}",
    );
    assert_eq!(patch.status, 404);
    assert_eq!(running.store.namespaces().unwrap().len(), 2);

    let dropped = running.ask("DELETE /api/v1/namespaces/a%2Fb", &[], b"");
    assert_eq!((dropped.status, dropped.json()), (200, json!({})));
    assert_eq!(running.get("/api/v1/kv/key?namespace=a%2Fb").status, 404);
    assert_eq!(
        running
            .ask("DELETE /api/v1/namespaces/a/b", &[], b"")
            .code(),
        "not_found"
    );
    assert_eq!(
        running
            .ask("DELETE /api/v1/namespaces/%FF", &[], b"")
            .code(),
        "invalid_argument"
    );
    assert_eq!(
        running.get("/api/v1/namespaces").json(),
        json!({"namespaces": ["ü"]})
    );
    let long = "x".repeat(256);
    for path in ["/api/v1/kv/key", "/api/v1/health"] {
        let refused = running.get(&format!("{path}?namespace={long}"));
        assert_eq!(refused.code(), "invalid_argument");
        assert_eq!(
            running.get(&format!("{path}?namespace=%FF")).code(),
            "invalid_argument"
        );
    }
}

/// Every route of this file's crate, with a body that it takes.
fn requests(namespace: &str) -> Vec<(String, &'static str)> {
    [
        ("PUT /api/v1/kv/new", ""),
        ("GET /api/v1/kv/key", ""),
        ("HEAD /api/v1/kv/key", ""),
        ("PATCH /api/v1/kv/key", "{\"ttl_seconds\": 0}"),
        ("DELETE /api/v1/kv/new", ""),
        ("GET /api/v1/kv", ""),
        ("GET /api/v1/kv?values=true", ""),
        ("GET /api/v1/kv/_count", ""),
        ("GET /api/v1/kv/_count/approx", ""),
        ("GET /api/v1/unique", ""),
        ("POST /api/v1/kv:batchGet", "{\"keys\": [\"key\"]}"),
        ("POST /api/v1/kv:batchContains", "{\"keys\": [\"key\"]}"),
        (
            "POST /api/v1/kv:batchPut",
            "{\"items\": [{\"key\": \"b\", \"value\": \"v\"}]}",
        ),
        ("POST /api/v1/kv:batchDelete", "{\"keys\": [\"b\"]}"),
        ("GET /api/v1/health", ""),
        ("GET /api/v1/stats", ""),
        ("POST /api/v1/digest", "{\"value\": \"v\"}"),
        ("POST /api/v1/explain", "{\"value\": \"v\"}"),
        ("POST /api/v1/candidates", "{\"query\": \"value\"}"),
        ("GET /api/v1/families", ""),
        (
            "POST /api/v1/families/f/outcomes",
            "{\"verdict\": \"accepted\"}",
        ),
        ("GET /api/v1/families/f/outcomes", ""),
        ("GET /api/v1/families/f/report", ""),
        (
            "POST /api/v1/cache/put",
            "{\"query\": \"q\", \"response\": \"r\"}",
        ),
        ("POST /api/v1/cache/lookup", "{\"query\": \"q\"}"),
        ("GET /api/v1/cache/scopes", ""),
        ("GET /api/v1/cache/stats", ""),
        ("POST /api/v1/cache/invalidate", "{}"),
        ("POST /api/v1/cache/clear", ""),
        (
            "POST /api/v1/embeddings:put",
            "{\"model_id\": \"m\", \"texts\": [\"t\"], \"vectors\": [\"AACAPw==\"]}",
        ),
        (
            "POST /api/v1/embeddings:lookup",
            "{\"model_id\": \"m\", \"texts\": [\"t\"]}",
        ),
        ("POST /api/v1/embeddings:stats", "{\"model_id\": \"m\"}"),
        (
            "POST /api/v1/embeddings:delete",
            "{\"model_id\": \"m\", \"texts\": [\"t\"]}",
        ),
        ("POST /api/v1/embeddings:clear", "{\"model_id\": \"m\"}"),
    ]
    .map(|(request, body)| {
        let mark = if request.contains('?') { '&' } else { '?' };
        (format!("{request}{mark}namespace={namespace}"), body)
    })
    .into()
}

fn guarded() -> Running {
    let mut tokens = Tokens::none();
    tokens
        .add_lines("admin all\nread reader\nwrite writer tenant-*,shared\nread tenant tenant-1\nwrite default-only ,\n")
        .unwrap();
    let running = Running::with(
        Options::default(),
        Config {
            tokens,
            ..Config::default()
        },
    );
    for namespace in ["", "tenant-1", "other"] {
        let store = running.store.namespace(namespace).unwrap();
        store
            .put(b"key", format!("value of {namespace:?}").as_bytes(), None)
            .unwrap();
    }
    running
}

fn status(running: &Running, token: &str, (request, body): &(String, &str)) -> u16 {
    let token = format!("Bearer {token}");
    let headers = [("Authorization", token.as_str()), JSON];
    let headers = if body.is_empty() {
        &headers[..1]
    } else {
        &headers
    };
    running.ask(request, headers, body.as_bytes()).status
}

#[test]
fn a_token_does_not_reach_other_namespaces() {
    let running = guarded();
    for namespace in ["", "other", "tenant", "TENANT-1", "tenant%2D", "none"] {
        for request in requests(namespace) {
            for token in ["tenant", "writer"] {
                if token == "writer" && namespace == "tenant%2D" {
                    continue;
                }
                assert_eq!(
                    status(&running, token, &request),
                    403,
                    "{token} {request:?}"
                );
            }
            assert_eq!(status(&running, "unknown", &request), 401, "{request:?}");
        }
    }
    for request in requests("tenant-1") {
        let reached = status(&running, "writer", &request);
        assert!((200..300).contains(&reached), "{request:?}: {reached}");
        let writes = request.0.starts_with("PUT")
            || request.0.starts_with("PATCH")
            || request.0.starts_with("DELETE")
            || [
                "batchPut",
                "batchDelete",
                "cache/put",
                "invalidate",
                "clear",
                ":put",
                ":delete",
            ]
            .iter()
            .any(|word| request.0.contains(word))
            || request.0.starts_with("POST /api/v1/families");
        for token in ["tenant", "reader"] {
            let reached = status(&running, token, &request);
            let allowed = (200..300).contains(&reached) || reached == 404;
            assert!(
                if writes { reached == 403 } else { allowed },
                "{token} {request:?}: {reached}"
            );
        }
    }
    for request in requests("") {
        let reached = status(&running, "default-only", &request);
        // These vectors are shared with all who ask `/v1/embeddings`.
        if request.0.contains("/embeddings:") {
            assert_eq!(reached, 403, "{request:?}");
        } else {
            assert!((200..300).contains(&reached), "{request:?}: {reached}");
        }
    }
    let listed = |token: &str| {
        let token = format!("Bearer {token}");
        running
            .ask("GET /api/v1/namespaces", &[("Authorization", &token)], b"")
            .json()["namespaces"]
            .clone()
    };
    assert_eq!(listed("tenant"), json!(["tenant-1"]));
    assert_eq!(listed("default-only"), json!([]));
    let all = listed("all");
    assert!(all.as_array().unwrap().contains(&json!("other")), "{all}");
    // Neither is one removed, nor said whether it is there.
    for namespace in ["other", "none"] {
        let request = (format!("DELETE /api/v1/namespaces/{namespace}"), "");
        assert_eq!(status(&running, "writer", &request), 403);
    }
    assert_eq!(
        status(
            &running,
            "writer",
            &("DELETE /api/v1/namespaces/tenant-1".to_owned(), "")
        ),
        403
    );
    assert_eq!(
        status(
            &running,
            "all",
            &("DELETE /api/v1/namespaces/tenant-1".to_owned(), "")
        ),
        200
    );
}

#[test]
fn caches_of_namespaces_share_nothing() {
    let running = Running::start();
    for namespace in ["", "a", "b"] {
        let query = format!("?namespace={namespace}");
        let put = running.post(
            &format!("/api/v1/cache/put{query}"),
            &json!({
                "query": "q", "scope": {"s": 1}, "response": format!("of {namespace}"),
            }),
        );
        assert_eq!(put.status, 204, "{}", put.text());
        let vector = crate::vectors::encoded(&[namespace.len() as f32, 1.0]);
        let put = running.post(
            &format!("/api/v1/embeddings:put{query}"),
            &json!({
                "model_id": "m", "texts": ["t"], "vectors": [vector],
            }),
        );
        assert_eq!(put.status, 204);
    }
    for namespace in ["", "a", "b"] {
        let query = format!("?namespace={namespace}");
        let hit = running.posted(
            &format!("/api/v1/cache/lookup{query}"),
            &json!({"query": "q", "scope": {"s": 1}}),
        );
        assert_eq!(hit["hit"]["response"], format!("of {namespace}"));
        assert_eq!(hit["hit"]["scope"], json!({"s": 1}));
        let scopes = running.get(&format!("/api/v1/cache/scopes{query}")).json();
        assert_eq!(
            scopes,
            json!({"scopes": [{"scope": {"s": 1}, "entries": 1}]})
        );
        let stats = running.get(&format!("/api/v1/cache/stats{query}")).json();
        assert_eq!(
            (&stats["exact_hits"], &stats["puts"]),
            (&json!(1), &json!(1))
        );
        let found = running.posted(
            &format!("/api/v1/embeddings:lookup{query}"),
            &json!({"model_id": "m", "texts": ["t"]}),
        );
        assert_eq!(
            found["vectors"],
            json!([crate::vectors::encoded(&[namespace.len() as f32, 1.0])])
        );
    }
    // What the caches of namespaces are made of cannot be named from outside.
    let inner = json!({"prestige.namespace": "a", "scope": {"s": 1}});
    assert_eq!(
        running
            .post(
                "/api/v1/cache/lookup",
                &json!({"query": "q", "scope": inner})
            )
            .code(),
        "invalid_argument"
    );
    let model = json!({"model_id": "[\"a\",\"m\"]", "texts": ["t"]});
    assert_eq!(
        running.post("/api/v1/embeddings:lookup", &model).code(),
        "invalid_argument"
    );
    assert_eq!(
        running.posted("/api/v1/cache/clear?namespace=a", &json!(null)),
        json!({"removed": 1})
    );
    assert_eq!(
        running.posted("/api/v1/cache/invalidate?namespace=c", &json!({})),
        json!({"removed": 0})
    );
    for (namespace, hit) in [("", true), ("a", false), ("b", true)] {
        let path = format!("/api/v1/cache/lookup?namespace={namespace}");
        let found = running.posted(&path, &json!({"query": "q", "scope": {"s": 1}}));
        assert_eq!(found["hit"].is_object(), hit, "{namespace}");
    }
    assert_eq!(
        running.posted("/api/v1/embeddings:clear", &json!({"model_id": "m"})),
        json!({"deleted": 1})
    );
    let found = running.posted(
        "/api/v1/embeddings:lookup?namespace=a",
        &json!({"model_id": "m", "texts": ["t"]}),
    );
    assert!(found["vectors"][0].is_string());
}
