//! The semantic cache.

use crate::Running;
use serde_json::{Value, json};

fn hit(running: &Running, body: Value) -> Value {
    running.posted("/api/v1/cache/lookup", &body)["hit"].clone()
}

fn put(running: &Running, body: Value) {
    let answer = running.post("/api/v1/cache/put", &body);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[test]
fn responses_of_every_kind_come_back_as_they_were() {
    let running = Running::start();
    for (number, (response, kind, shown)) in [
        (json!("text with \u{1f600}"), Value::Null, "text"),
        (json!(""), json!("text"), "text"),
        (json!({"base64": "/wA="}), json!("bytes"), "bytes"),
        (json!("text as bytes"), json!("bytes"), "bytes"),
        (
            json!({"a": [1, 2.5, null, {"b": "c"}]}),
            Value::Null,
            "json",
        ),
        (json!("string"), json!("json"), "json"),
        (Value::Null, Value::Null, "json"),
        (json!({"base64": "/wA="}), json!("json"), "json"),
    ]
    .into_iter()
    .enumerate()
    {
        let query = format!("query {number}");
        let mut body = json!({"query": query, "response": response, "metadata": {"m": "1"}, "tokens": 9, "seconds": 1.5});
        if !kind.is_null() {
            body["kind"] = kind;
        }
        put(&running, body);
        let found = hit(&running, json!({"query": query}));
        let expected = match (&response, shown) {
            (Value::String(text), "bytes") => json!({"base64": crate::base64(text.as_bytes())}),
            _ => response,
        };
        assert_eq!(
            (&found["response"], &found["kind"]),
            (&expected, &json!(shown)),
            "{query}"
        );
        assert_eq!(
            (&found["query"], &found["exact"], &found["similarity"]),
            (&json!(query), &json!(true), &json!(1.0))
        );
        assert_eq!(
            (&found["metadata"], &found["tokens"], &found["seconds"]),
            (&json!({"m": "1"}), &json!(9), &json!(1.5))
        );
        assert_eq!(found["scope"], Value::Null);
        assert!(found["age_seconds"].as_f64().unwrap() < 100.0);
    }
    // Numbers that no float has are kept as they were sent.
    let body = b"{\"query\": \"big\", \"response\": [123456789012345678901234567890.10]}";
    assert_eq!(
        running
            .ask("POST /api/v1/cache/put", &[crate::JSON], body)
            .status,
        204
    );
    let found = running.post("/api/v1/cache/lookup", &json!({"query": "big"}));
    assert!(
        found.text().contains("[123456789012345678901234567890.10]"),
        "{}",
        found.text()
    );
    assert_eq!(hit(&running, json!({"query": "other"})), Value::Null);
}

#[test]
fn similar_queries_hit_within_their_scope() {
    let running = Running::semantic();
    for scope in [json!("a"), json!({"tenant": 1, "model": "x"})] {
        put(
            &running,
            json!({"query": "how do I reset my password", "response": scope.to_string(), "scope": scope}),
        );
    }
    let found = hit(
        &running,
        json!({"query": "how do I reset my password ", "scope": {"model": "x", "tenant": 1}}),
    );
    assert_eq!(found["exact"], false);
    assert!(found["similarity"].as_f64().unwrap() > 0.97);
    assert_eq!(found["query"], "how do I reset my password");
    assert_eq!(found["scope"], json!({"model": "x", "tenant": 1}));
    assert_eq!(
        hit(
            &running,
            json!({"query": "how do I reset my password ", "scope": "b"})
        ),
        Value::Null
    );
    assert_eq!(
        hit(
            &running,
            json!({"query": "something else altogether", "scope": "a"})
        ),
        Value::Null
    );
    let low = json!({"query": "how do I reset my old password", "scope": "a", "threshold": 0.5});
    assert_eq!(hit(&running, low)["exact"], false);
    let stats = running.get("/api/v1/cache/stats").json();
    assert_eq!(
        (&stats["semantic_hits"], &stats["misses"], &stats["puts"]),
        (&json!(2), &json!(2), &json!(2))
    );

    // A model that only the client has is another one: it cannot be compared with.
    let other = json!({"query": "how", "scope": "a", "model_id": "m", "embedding": [1.0, 0.0]});
    let refused = running.post("/api/v1/cache/lookup", &other);
    assert_eq!((refused.status, refused.code().as_str()), (409, "model"));
    // By its fingerprint the server knows its own model.
    use prestige_core::embed::Embedder as _;
    let own = prestige_core::embed::HashEmbedder::new(64)
        .fingerprint()
        .sha256
        .clone();
    let same = json!({"query": "how do I reset my password ", "scope": "a", "model_id": own});
    assert_eq!(hit(&running, same)["exact"], false);
    // Scopes are listed and removed without a model.
    let scopes = running.get("/api/v1/cache/scopes").json();
    assert_eq!(scopes["scopes"].as_array().unwrap().len(), 2);
    assert_eq!(
        running.posted("/api/v1/cache/invalidate", &json!({"scope": "a"})),
        json!({"removed": 1})
    );
    assert_eq!(
        running.posted("/api/v1/cache/invalidate", &json!({"scope": null})),
        json!({"removed": 0})
    );
    assert_eq!(
        running.posted("/api/v1/cache/invalidate", &json!({})),
        json!({"removed": 1})
    );
    assert_eq!(
        running.get("/api/v1/cache/scopes").json(),
        json!({"scopes": []})
    );
}

#[test]
fn clients_bring_their_own_embeddings() {
    let running = Running::start();
    let model = "text-embedding-3-small";
    let entry = |query: &str, embedding: [f32; 3]| json!({"query": query, "embedding": embedding, "model_id": model, "response": query});
    put(&running, entry("east", [1.0, 0.0, 0.0]));
    put(&running, entry("north", [0.0, 1.0, 0.0]));
    let look = |embedding: [f32; 3]| {
        hit(
            &running,
            json!({"query": "somewhere", "embedding": embedding, "model_id": model}),
        )
    };
    assert_eq!(look([2.0, 0.1, 0.0])["response"], "east");
    assert_eq!(look([0.1, 9.0, 0.0])["response"], "north");
    assert_eq!(look([1.0, 1.0, 0.0]), Value::Null);
    // Without an embedding the exact text alone is looked for, and the answer says whether one could help.
    let wants =
        |body: Value| running.posted("/api/v1/cache/lookup", &body)["wants_embedding"].clone();
    assert_eq!(
        wants(json!({"query": "somewhere", "model_id": model})),
        true
    );
    assert_eq!(wants(json!({"query": "east", "model_id": model})), false);
    assert_eq!(
        wants(json!({"query": "somewhere", "model_id": model, "scope": "empty"})),
        false
    );
    assert_eq!(
        wants(json!({"query": "x", "model_id": model, "embedding": [1.0, 1.0, 0.0]})),
        false
    );
    assert_eq!(
        hit(&running, json!({"query": "east", "model_id": model}))["response"],
        "east"
    );
    assert_eq!(hit(&running, json!({"query": "east"}))["response"], "east");
    for (body, status) in [
        (json!({"query": "x", "embedding": [1.0, 0.0, 0.0]}), 400),
        (
            json!({"query": "x", "embedding": [1.0, 0.0], "model_id": model}),
            400,
        ),
        (
            json!({"query": "x", "embedding": [0.0, 0.0, 0.0], "model_id": model}),
            400,
        ),
        (
            json!({"query": "x", "embedding": [], "model_id": model}),
            400,
        ),
        (json!({"query": "x", "model_id": ""}), 400),
        (
            json!({"query": "x", "embedding": [1.0, 0.0, 0.0], "model_id": "other"}),
            409,
        ),
        (json!({"query": "x", "threshold": 0}), 400),
        (json!({"query": "x", "threshold": 1.5}), 400),
        (json!({"scope": "x"}), 400),
        (json!({"query": "x", "scope": nested(40)}), 400),
    ] {
        let refused = running.post("/api/v1/cache/lookup", &body);
        assert_eq!(refused.status, status, "{body} {}", refused.text());
        refused.code();
    }
    for body in [
        json!({"query": "x"}),
        json!({"query": "x", "response": 5, "kind": "text"}),
        json!({"query": "x", "response": "?", "kind": "picture"}),
        json!({"query": "x", "response": {"base64": "?"}, "kind": "bytes"}),
        json!({"query": "x", "response": "r", "ttl_seconds": -1}),
        json!({"query": "x", "response": "r", "seconds": -1}),
        json!({"query": "x", "response": "r", "tokens": -1}),
        json!({"query": "x", "response": "r", "metadata": {"a": 1}}),
        json!({"query": "x", "response": "r", "metadata": {"a": "1".repeat(5000)}}),
    ] {
        let refused = running.post("/api/v1/cache/put", &body);
        assert_eq!(refused.status, 400, "{body}");
        refused.code();
    }
    assert_eq!(hit(&running, json!({"query": "x"})), Value::Null);
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!("x"), |inner, _| json!([inner]))
}

#[test]
fn entries_are_removed_by_metadata_and_age() {
    let running = Running::start();
    for (query, version) in [("a", "1"), ("b", "2"), ("c", "2")] {
        put(
            &running,
            json!({"query": query, "response": "r", "metadata": {"version": version, "kind": "faq"}}),
        );
    }
    let invalidate =
        |body: Value| running.posted("/api/v1/cache/invalidate", &body)["removed"].clone();
    assert_eq!(
        invalidate(json!({"metadata": {"version": "1", "kind": "other"}})),
        0
    );
    assert_eq!(
        invalidate(json!({"metadata": {"version": "1", "kind": "faq"}})),
        1
    );
    assert_eq!(invalidate(json!({"older_than": 3600})), 0);
    assert_eq!(
        running
            .post("/api/v1/cache/invalidate", &json!({"older_than": -1}))
            .code(),
        "invalid_argument"
    );
    assert_eq!(hit(&running, json!({"query": "a"})), Value::Null);
    assert_eq!(hit(&running, json!({"query": "b"}))["response"], "r");
    assert_eq!(invalidate(json!({"older_than": 0})), 2);
    put(
        &running,
        json!({"query": "d", "response": "r", "ttl_seconds": 0}),
    );
    assert_eq!(
        running.posted("/api/v1/cache/clear", &json!(null)),
        json!({"removed": 1})
    );
}

#[test]
fn the_model_of_one_namespace_is_none_of_another() {
    let running = Running::start();
    let entry = |model: &str| json!({"query": "q", "embedding": [1.0, 0.0], "model_id": model, "response": model});
    let put = |namespace: &str, body: &Value| {
        running.post(&format!("/api/v1/cache/put?namespace={namespace}"), body)
    };
    for (namespace, model) in [("", "one"), ("red", "two"), ("blue", "three")] {
        assert_eq!(put(namespace, &entry(model)).status, 204, "{namespace}");
    }
    let refused = put("red", &entry("three"));
    assert_eq!((refused.status, refused.code().as_str()), (409, "model"));
    let text = refused.text();
    assert!(text.contains("red") && text.contains("two"), "{text}");
    assert!(
        !text.contains("model one") && !text.contains("blue"),
        "{text}"
    );
    // Scopes and their removal need no model, and know those of their own namespace alone.
    let cleared = running.posted("/api/v1/cache/clear?namespace=red", &json!(null));
    assert_eq!(cleared, json!({"removed": 1}));
    assert_eq!(put("red", &entry("three")).status, 204);
    let long = json!({"query": "q", "model_id": "m".repeat(2000)});
    assert_eq!(running.post("/api/v1/cache/lookup", &long).status, 400);
}

#[test]
fn an_application_and_the_server_see_the_same_entries() {
    use prestige_core::embed::Fingerprint;
    use prestige_core::{
        Lookup, Prices, Put, Response, ResponseKind, Scope, SemanticCache, SemanticCacheOptions,
    };
    let running = Running::start();
    let model = Fingerprint::from_parts("m", &[b"model_id", b"m"]);
    let options = SemanticCacheOptions {
        model,
        namespace: String::new(),
        threshold: 0.9,
        ttl_seconds: None,
        prices: Prices::default(),
    };
    let cache = SemanticCache::new(&running.store, options).unwrap();
    let scope = Scope::new(&json!({"tenant": 5})).unwrap();
    let response = Response {
        kind: ResponseKind::Text,
        bytes: b"answer".to_vec(),
    };
    struct Given;
    impl prestige_core::VectorSource for Given {
        fn embed(&self, _: &[&str]) -> prestige_core::Result<prestige_core::embed::Embeddings> {
            panic!("embeddings are given")
        }
    }
    let own = Put {
        embedding: Some(&[0.0, 1.0]),
        ..Put::new("question", &response)
    };
    cache.put(&scope, &own, &Given).unwrap();
    let found = hit(
        &running,
        json!({"query": "q", "scope": {"tenant": 5}, "embedding": [0.1, 1.0], "model_id": "m"}),
    );
    assert_eq!(found["response"], "answer");
    put(
        &running,
        json!({"query": "more", "scope": {"tenant": 5}, "embedding": [1.0, 0.0], "model_id": "m", "response": "yes"}),
    );
    let lookup = Lookup {
        threshold: None,
        embedding: Some(&[1.0, 0.05]),
    };
    let found = cache.get(&scope, "other", lookup, &Given).unwrap().unwrap();
    assert_eq!(found.response.bytes, b"yes");
}
