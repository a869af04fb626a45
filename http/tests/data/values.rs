//! Values by what they are.

use crate::Running;
use prestige_core::Digest;
use serde_json::{Value, json};

#[test]
fn an_exact_store_knows_the_identical_value() {
    let running = Running::start();
    let metadata = json!({"task": "faq"});
    let put = running.ask(
        "PUT /api/v1/kv/key",
        &[crate::JSON],
        json!({"value": {"base64": "/w=="}, "metadata": metadata})
            .to_string()
            .as_bytes(),
    );
    let id = put.json()["object_id"].clone();
    let value = json!({"base64": "/w=="});
    let digest = Digest::of(b"\xff").to_hex();
    assert_eq!(
        running.posted("/api/v1/digest", &json!({"value": value})),
        json!({"digest": digest})
    );
    let found = running.posted(
        "/api/v1/candidates",
        &json!({"query": value, "include_values": true}),
    );
    let candidate = &found["candidates"][0];
    assert_eq!(candidate["object_id"], id);
    assert_eq!(candidate["digest"], digest);
    assert_eq!(candidate["metadata"], metadata);
    assert_eq!(candidate["value"], value);
    assert_eq!(
        (
            &candidate["rank"],
            &candidate["similarity"],
            &candidate["size_bytes"]
        ),
        (&json!(0), &json!(1.0), &json!(1))
    );
    assert!(candidate["created_at_us"].as_u64().unwrap() > 1_000_000_000_000_000);
    assert_eq!(candidate["reranker_score"], Value::Null);
    assert_eq!(
        running.posted("/api/v1/candidates", &json!({"query": "other"})),
        json!({"candidates": []})
    );
    let several = running.posted("/api/v1/candidates", &json!({"queries": ["other", value]}));
    assert_eq!(several["results"][0], json!([]));
    assert!(several["results"][1][0].get("value").is_none());
    let filtered = json!({"query": value, "filter": {"task": ["other", "faq"]}});
    assert_eq!(
        running.posted("/api/v1/candidates", &filtered)["candidates"][0]["object_id"],
        id
    );
    let filtered = json!({"query": value, "filter": {"task": "other"}});
    assert_eq!(
        running.posted("/api/v1/candidates", &filtered),
        json!({"candidates": []})
    );
    let explained = running.posted("/api/v1/explain", &json!({"value": value}));
    assert_eq!(
        explained,
        json!({
            "verdict": "identical", "object_id": id, "digest": digest, "threshold": null, "candidates": [], "gates": [],
        })
    );
    let explained = running.posted("/api/v1/explain", &json!({"value": "other"}));
    assert_eq!(
        (&explained["verdict"], &explained["object_id"]),
        (&json!("new"), &Value::Null)
    );
    assert_eq!(
        running
            .post("/api/v1/explain?namespace=none", &json!({"value": "a"}))
            .code(),
        "not_found"
    );
    assert_eq!(
        running.posted(
            "/api/v1/candidates?namespace=none",
            &json!({"queries": ["a", "b"]})
        ),
        json!({"results": [[], []]})
    );
}

#[test]
fn a_semantic_store_finds_what_is_near() {
    let running = Running::semantic();
    for (key, text) in [
        ("a", "how do I reset my password"),
        ("b", "where is my parcel today"),
        ("c", "what does it cost"),
    ] {
        running.put(key.as_bytes(), text.as_bytes());
    }
    let query = "how do I reset my old password";
    let found = running.posted(
        "/api/v1/candidates",
        &json!({"query": query, "k": 2, "include_values": true}),
    );
    let found = found["candidates"].as_array().unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["value"], "how do I reset my password");
    assert!(found[0]["similarity"].as_f64() > found[1]["similarity"].as_f64());
    let near = json!({"query": query, "min_similarity": 0.5, "k": 10});
    assert_eq!(
        running.posted("/api/v1/candidates", &near)["candidates"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let explained = running.posted("/api/v1/explain", &json!({"value": query}));
    assert!(["merge", "new"].contains(&explained["verdict"].as_str().unwrap()));
    assert_eq!(explained["gates"][0]["name"], "threshold");
    assert_eq!(
        explained["candidates"][0]["value"],
        "how do I reset my password"
    );
    let embedding: Vec<f32> = (0..64)
        .map(|number| if number == 0 { 1.0 } else { 0.0 })
        .collect();
    let found = running.posted(
        "/api/v1/candidates",
        &json!({"embedding": embedding, "k": 1}),
    );
    assert_eq!(found["candidates"].as_array().unwrap().len(), 1);
    let found = running.posted(
        "/api/v1/candidates",
        &json!({"embeddings": [embedding, embedding]}),
    );
    assert_eq!(found["results"].as_array().unwrap().len(), 2);
    for (body, status) in [
        (json!({}), 400),
        (json!({"query": "a", "queries": ["a"]}), 400),
        (json!({"query": "a", "k": 0}), 400),
        (json!({"query": "a", "k": 10_001}), 400),
        (json!({"query": "a", "k": u64::MAX}), 400),
        (json!({"query": "a", "k": -1}), 400),
        (json!({"query": "a", "min_similarity": 2}), 400),
        (json!({"query": "a", "filter": {"a": 5}}), 400),
        (json!({"query": 5}), 400),
        (json!({"embedding": [1.0]}), 400),
        (json!({"embedding": vec![1e39; 64]}), 400),
        (json!({"queries": vec!["a"; 10_001]}), 413),
        (json!({"queries": vec!["a"; 10_000], "k": 100}), 413),
        (
            json!({"queries": vec!["a"; 1_000], "k": 100, "include_values": true}),
            413,
        ),
    ] {
        let refused = running.post("/api/v1/candidates", &body);
        assert_eq!(
            refused.status,
            status,
            "{} {}",
            body.to_string().chars().take(80).collect::<String>(),
            refused.text()
        );
        refused.code();
    }
}
