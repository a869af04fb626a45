//! Vectors of the embedding cache.

use crate::Running;
use serde_json::{Value, json};

pub fn encoded(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    crate::base64(&bytes)
}

#[test]
fn vectors_are_kept_by_model_and_text() {
    let running = Running::start();
    let look = |model: &str, texts: Value| {
        running.posted(
            "/api/v1/embeddings:lookup",
            &json!({"model_id": model, "texts": texts}),
        )
    };
    assert_eq!(
        look("m", json!(["a", "b"])),
        json!({"dimension": null, "vectors": [null, null]})
    );
    let vectors: Vec<String> = (0..2500)
        .map(|number| encoded(&[number as f32, 0.5, -1.0]))
        .collect();
    let texts: Vec<String> = (0..2500).map(|number| format!("text {number}")).collect();
    let put = running.post(
        "/api/v1/embeddings:put",
        &json!({"model_id": "m", "texts": texts, "vectors": vectors}),
    );
    assert_eq!(put.status, 204, "{}", put.text());
    let mut asked = texts.clone();
    asked.insert(1, "absent".to_owned());
    let mut expected: Vec<Value> = vectors.iter().map(|vector| json!(vector)).collect();
    expected.insert(1, Value::Null);
    assert_eq!(
        look("m", json!(asked)),
        json!({"dimension": 3, "vectors": expected})
    );
    assert_eq!(look("other", json!(["text 0"]))["vectors"], json!([null]));
    let stats = running.posted("/api/v1/embeddings:stats", &json!({"model_id": "m"}));
    assert_eq!(
        (&stats["vectors"], &stats["dimension"]),
        (&json!(2500), &json!(3))
    );
    assert_eq!(
        (&stats["hits"], &stats["misses"]),
        (&json!(2500), &json!(3))
    );
    // What an application sees that has the store open itself.
    assert_eq!(running.store.namespaces().unwrap(), ["embeddings/m/3"]);

    let delete = |texts: Value| {
        running.posted(
            "/api/v1/embeddings:delete",
            &json!({"model_id": "m", "texts": texts}),
        )
    };
    assert_eq!(delete(json!(["text 5", "absent"])), json!({"deleted": 1}));
    assert_eq!(look("m", json!(["text 5"]))["vectors"], json!([null]));
    assert_eq!(
        running.posted("/api/v1/embeddings:clear", &json!({"model_id": "m"})),
        json!({"deleted": 2499})
    );
    // Those that come next may have another length.
    let put = running.post("/api/v1/embeddings:put", &json!({
        "model_id": "m", "texts": ["a", "a"], "vectors": [encoded(&[1.0]), encoded(&[1.5])], "dtype": "float16", "ttl_seconds": 500,
    }));
    assert_eq!(put.status, 204, "{}", put.text());
    assert_eq!(
        look("m", json!(["a"])),
        json!({"dimension": 1, "vectors": [encoded(&[1.5])]})
    );
    let view = running.store.namespace("embeddings/m/1").unwrap();
    assert_eq!(view.total_bytes().unwrap(), 32 + 2);
}

#[test]
fn a_long_vector_that_is_asked_for_often_is_answered_in_pieces() {
    let running = Running::start();
    let long = encoded(&vec![0.25; 65_536]);
    let put = running.post(
        "/api/v1/embeddings:put",
        &json!({"model_id": "m", "texts": ["a"], "vectors": [long]}),
    );
    assert_eq!(put.status, 204, "{}", put.text());
    let asked: Vec<_> = (0..40).map(|number| ["a", "absent"][number % 2]).collect();
    let answer = running.post(
        "/api/v1/embeddings:lookup",
        &json!({"model_id": "m", "texts": asked}),
    );
    // Not in one piece, which 10,000 texts would make 3 GB of.
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let expected = (0..40).map(|number| [json!(long), Value::Null][number % 2].clone());
    assert_eq!(
        answer.json(),
        json!({"dimension": 65_536, "vectors": expected.collect::<Vec<_>>()})
    );
}

#[test]
fn bad_vectors_are_refused() {
    let running = Running::start();
    let good = encoded(&[1.0, 2.0]);
    for (texts, vectors) in [
        (json!(["a"]), json!([])),
        (json!([]), json!([good])),
        (json!(["a", "b"]), json!([good, encoded(&[1.0])])),
        (json!(["a"]), json!([encoded(&[f32::NAN, 1.0])])),
        (json!(["a"]), json!([encoded(&[f32::INFINITY, 1.0])])),
        (json!(["a"]), json!([""])),
        (json!(["a"]), json!(["AAAA"])),
        (json!(["a"]), json!(["not base64"])),
        (json!(["a"]), json!([[1.0, 2.0]])),
        (json!([5]), json!([good])),
    ] {
        let refused = running.post(
            "/api/v1/embeddings:put",
            &json!({"model_id": "m", "texts": texts, "vectors": vectors}),
        );
        assert_eq!(refused.status, 400, "{texts} {vectors}");
        refused.code();
    }
    for body in [
        json!({"texts": ["a"]}),
        json!({"model_id": "", "texts": ["a"]}),
        json!({"model_id": "x".repeat(300), "texts": ["a"]}),
        json!({"model_id": "m", "texts": ["a"], "dimension": 0}),
        json!({"model_id": "m", "texts": "a"}),
    ] {
        let refused = running.post("/api/v1/embeddings:lookup", &body);
        assert_eq!(refused.status, 400, "{body}");
    }
    let refused = running.post(
        "/api/v1/embeddings:put",
        &json!({"model_id": "m", "texts": ["a"], "vectors": [good], "dtype": "int8"}),
    );
    assert_eq!(refused.code(), "malformed_body");
    let many = vec!["a"; 10_001];
    assert_eq!(
        running
            .post(
                "/api/v1/embeddings:lookup",
                &json!({"model_id": "m", "texts": many})
            )
            .status,
        413
    );
    assert!(running.store.namespaces().unwrap().is_empty());
}
