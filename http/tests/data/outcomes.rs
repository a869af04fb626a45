//! Outcomes of candidates.

use crate::{Running, encoded};
use serde_json::{Value, json};

#[test]
fn outcomes_are_recorded_listed_and_summed_up() {
    let running = Running::start();
    let family = "a/b faq@v1 é";
    let path = format!("/api/v1/families/{}", encoded(family.as_bytes()));
    let digest = "0f".repeat(32);
    let mut full = json!({
        "verdict": "rejected", "reranker_score": -1.5, "threshold": 0.9, "tool_version": "1", "schema_version": "2",
        "reason": "wrong", "similarity": 0.93,
        "candidate": {"object_id": 7, "digest": digest, "rank": 2, "similarity": 0.5, "reranker_score": null, "metadata": {}},
    });
    assert_eq!(
        running.posted(&format!("{path}/outcomes"), &full),
        json!({"sequence": 1})
    );
    assert_eq!(
        running.posted(
            "/api/v1/families/other/outcomes",
            &json!({"verdict": "no_candidate"})
        ),
        json!({"sequence": 2})
    );
    assert_eq!(
        running.posted(&format!("{path}/outcomes"), &json!({"verdict": "accepted"})),
        json!({"sequence": 3})
    );
    assert_eq!(
        running.get("/api/v1/families").json(),
        json!({"families": [family, "other"]})
    );
    let more = full.as_object_mut().unwrap();
    more.remove("candidate");
    more.extend([
        ("candidate_object_id".to_owned(), json!(7)),
        ("candidate_digest".to_owned(), json!(digest)),
        ("rank".to_owned(), json!(2)),
    ]);
    let listed = running.get(&format!("{path}/outcomes")).json();
    let first = &listed["outcomes"][0];
    for (name, value) in full.as_object().unwrap() {
        assert_eq!(&first[name], value, "{name}");
    }
    assert_eq!(
        (&first["sequence"], &first["family_id"]),
        (&json!(1), &json!(family))
    );
    assert!(first["recorded_at_us"].as_u64().unwrap() > 1_000_000_000_000_000);
    assert_eq!(listed["outcomes"][1]["similarity"], Value::Null);
    let after = running
        .get(&format!("{path}/outcomes?after_sequence=1&limit=5"))
        .json();
    assert_eq!(after["outcomes"].as_array().unwrap().len(), 1);
    let report = running.get(&format!("{path}/report")).json();
    assert_eq!(
        (
            &report["accepted"],
            &report["rejected"],
            &report["false_accept_rate"]
        ),
        (&json!(1), &json!(1), &json!(0.5))
    );
    assert_eq!(report["rejected_similarity_hist"][18], 1);
    assert_eq!(report["rejected_rank_hist"].as_array().unwrap().len(), 16);
    assert_eq!(report["suggested_threshold"], Value::Null);
    assert_eq!(
        running.get("/api/v1/families/none/report").code(),
        "not_found"
    );
    assert_eq!(
        running
            .get("/api/v1/families/none/report?namespace=n")
            .code(),
        "not_found"
    );
    assert_eq!(
        running
            .get("/api/v1/families/none/outcomes?namespace=n")
            .json(),
        json!({"outcomes": []})
    );
    assert_eq!(
        running.get("/api/v1/families?namespace=n").json(),
        json!({"families": []})
    );
}

#[test]
fn bad_outcomes_are_refused() {
    let running = Running::start();
    for body in [
        json!({}),
        json!({"verdict": "maybe"}),
        json!({"verdict": "accepted", "similarity": 2.0}),
        json!({"verdict": "accepted", "rank": -1}),
        json!({"verdict": "accepted", "candidate": {"digest": "0f"}}),
        json!({"verdict": "accepted", "candidate": 7}),
        json!({"verdict": "accepted", "reason": "x".repeat(5000)}),
        json!({"verdict": "accepted", "other": 1}),
    ] {
        let refused = running.post("/api/v1/families/faq/outcomes", &body);
        assert_eq!(refused.status, 400, "{body}");
        refused.code();
    }
    for family in ["%00", "%FF", &"x".repeat(256)] {
        let refused = running.post(
            &format!("/api/v1/families/{family}/outcomes"),
            &json!({"verdict": "accepted"}),
        );
        assert_eq!(refused.code(), "invalid_argument", "{family}");
    }
    for query in ["limit=0", "limit=10001", "limit=x", "after_sequence=-1"] {
        let refused = running.get(&format!("/api/v1/families/faq/outcomes?{query}"));
        assert_eq!(refused.code(), "invalid_argument", "{query}");
    }
    assert!(running.store.list_families().unwrap().is_empty());
}
