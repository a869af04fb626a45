//! Requests that are sent again.

use crate::{JSON, Running};

#[test]
fn a_request_that_is_sent_again_gets_the_first_answer() {
    let running = Running::start();
    let key = ("Idempotency-Key", "first");
    let only_if_absent = ("If-None-Match", "*");
    let put = || running.ask("PUT /api/v1/kv/key", &[key, only_if_absent], b"value");
    let first = put();
    assert_eq!(
        (first.status, first.header("idempotency-replayed")),
        (201, None)
    );
    let again = put();
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (201, Some("true"))
    );
    assert_eq!(
        (again.header("etag"), &again.body),
        (first.header("etag"), &first.body)
    );
    assert_eq!(again.header("content-type"), Some("application/json"));
    // Without it the same request is another one.
    assert_eq!(
        running
            .ask("PUT /api/v1/kv/key", &[only_if_absent], b"value")
            .status,
        412
    );
    for (request, headers, body) in [
        (
            "PUT /api/v1/kv/key",
            &[key, only_if_absent][..],
            &b"other"[..],
        ),
        ("PUT /api/v1/kv/key", &[key], b"value"),
        ("PUT /api/v1/kv/other", &[key, only_if_absent], b"value"),
        (
            "PUT /api/v1/kv/key?namespace=n",
            &[key, only_if_absent],
            b"value",
        ),
        (
            "PUT /api/v1/kv/key",
            &[key, only_if_absent, ("Prestige-TTL-Seconds", "5")],
            b"value",
        ),
        ("DELETE /api/v1/kv/key", &[key], b""),
    ] {
        let refused = running.ask(request, headers, body);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (422, "invalid_argument"),
            "{request}"
        );
    }
    let second = ("Idempotency-Key", "second");
    assert_eq!(
        running.ask("DELETE /api/v1/kv/key", &[second], b"").status,
        204
    );
    running.put(b"key", b"put again");
    assert_eq!(
        running.ask("DELETE /api/v1/kv/key", &[second], b"").status,
        204
    );
    assert!(running.store.contains(b"key").unwrap());
    let long = "x".repeat(129);
    for bad in ["", "two words", &long] {
        let refused = running.ask("PUT /api/v1/kv/key", &[("Idempotency-Key", bad)], b"value");
        assert_eq!(refused.code(), "invalid_argument");
    }
}

#[test]
fn outcomes_are_recorded_once() {
    let running = Running::start();
    let record = |key: &str| {
        let headers = [JSON, ("Idempotency-Key", key)];
        let body = b"{\"verdict\": \"accepted\"}";
        running
            .ask("POST /api/v1/families/faq/outcomes", &headers, body)
            .json()["sequence"]
            .clone()
    };
    assert_eq!(record("a"), 1);
    assert_eq!(record("a"), 1);
    assert_eq!(record("b"), 2);
    assert_eq!(running.store.list_outcomes("faq", 10, 0).unwrap().len(), 2);
}
