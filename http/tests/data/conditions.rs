//! Requests that depend on what a key has.

use crate::Running;
use prestige_core::Digest;

fn etag(value: &[u8]) -> String {
    format!("\"{}\"", Digest::of(value).to_hex())
}

#[test]
fn puts_depend_on_what_is_there() {
    let running = Running::start();
    let (one, two) = (etag(b"one"), etag(b"two"));
    let put =
        |headers: &[(&str, &str)], value: &[u8]| running.ask("PUT /api/v1/kv/key", headers, value);
    assert_eq!(
        put(&[("If-Match", "*")], b"one").code(),
        "precondition_failed"
    );
    assert_eq!(put(&[("If-Match", &one)], b"one").status, 412);
    assert!(!running.store.contains(b"key").unwrap());
    assert_eq!(put(&[("If-None-Match", "*")], b"one").status, 201);
    let refused = put(&[("If-None-Match", "*")], b"two");
    assert_eq!(
        (refused.status, refused.header("etag")),
        (412, Some(one.as_str()))
    );
    assert_eq!(refused.json()["digest"], Digest::of(b"one").to_hex());
    assert_eq!(put(&[("If-Match", &two)], b"two").status, 412);
    // A weak tag is the same as none where bytes matter.
    assert_eq!(
        put(&[("If-Match", &format!("W/{one}"))], b"two").status,
        412
    );
    assert_eq!(
        put(&[("If-Match", &one.to_uppercase())], b"two").status,
        412
    );
    assert_eq!(put(&[("If-None-Match", &one)], b"two").status, 412);
    assert_eq!(
        put(&[("If-Match", &one), ("If-None-Match", &one)], b"two").status,
        412
    );
    assert_eq!(running.get("/api/v1/kv/key").body, b"one");
    let several = format!("{two}, \"other\", {one}");
    assert_eq!(
        put(&[("If-Match", &several), ("If-None-Match", &two)], b"two").status,
        200
    );
    assert_eq!(running.get("/api/v1/kv/key").body, b"two");
    for bad in ["one", "\"one", "*, \"one\"", "\"a\" \"b\""] {
        let refused = put(&[("If-Match", bad)], b"three");
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "invalid_argument"),
            "{bad}"
        );
    }
}

#[test]
fn deletions_depend_on_what_is_there() {
    let running = Running::start();
    let delete = |headers: &[(&str, &str)]| running.ask("DELETE /api/v1/kv/key", headers, b"");
    assert_eq!(delete(&[("If-Match", "*")]).status, 412);
    running.put(b"key", b"one");
    assert_eq!(delete(&[("If-Match", &etag(b"two"))]).status, 412);
    assert_eq!(delete(&[("If-None-Match", &etag(b"one"))]).status, 412);
    assert!(running.store.contains(b"key").unwrap());
    assert_eq!(delete(&[("If-Match", &etag(b"one"))]).status, 204);
    assert!(!running.store.contains(b"key").unwrap());
    let elsewhere = running.ask(
        "DELETE /api/v1/kv/key?namespace=none",
        &[("If-Match", "*")],
        b"",
    );
    assert_eq!(elsewhere.status, 412);
    assert_eq!(
        running
            .ask("DELETE /api/v1/kv/key?namespace=none", &[], b"")
            .status,
        404
    );
    assert!(running.store.namespaces().unwrap().is_empty());
}

#[test]
fn a_client_that_has_the_value_is_told_so() {
    let running = Running::start();
    running.put(b"key", b"one");
    let (one, two) = (etag(b"one"), etag(b"two"));
    for method in ["GET", "HEAD"] {
        let request = format!("{method} /api/v1/kv/key");
        for known in [
            one.clone(),
            "*".to_owned(),
            format!("W/{one}"),
            format!("{two}, {one}"),
        ] {
            let answer = running.ask(&request, &[("If-None-Match", &known)], b"");
            assert_eq!(
                (answer.status, answer.body.len()),
                (304, 0),
                "{method} {known}"
            );
            assert_eq!(answer.header("etag"), Some(one.as_str()));
        }
        assert_eq!(
            running
                .ask(&request, &[("If-None-Match", &two)], b"")
                .status,
            200
        );
        assert_eq!(
            running.ask(&request, &[("If-Match", &one)], b"").status,
            200
        );
        assert_eq!(
            running.ask(&request, &[("If-Match", &two)], b"").status,
            412
        );
        let absent = format!("{method} /api/v1/kv/other");
        assert_eq!(running.ask(&absent, &[("If-Match", "*")], b"").status, 412);
        assert_eq!(
            running.ask(&absent, &[("If-None-Match", "*")], b"").status,
            404
        );
    }
    let other = running.ask("GET /api/v1/kv/key", &[("If-None-Match", &two)], b"");
    assert_eq!(other.body, b"one");
}

#[test]
fn what_a_client_accepts_is_sent_or_nothing() {
    let running = Running::start();
    running.put(b"key", b"value");
    for (accept, kind) in [
        ("*/*", "application/octet-stream"),
        ("application/octet-stream", "application/octet-stream"),
        ("application/json", "application/json"),
        (
            "text/html, application/json;q=0.9, */*;q=0.8",
            "application/json",
        ),
    ] {
        let answer = running.ask("GET /api/v1/kv/key", &[("Accept", accept)], b"");
        assert_eq!(answer.header("content-type"), Some(kind), "{accept}");
        assert_eq!(answer.header("vary"), Some("accept"));
    }
    for request in ["GET /api/v1/kv/key", "GET /api/v1/kv"] {
        let refused = running.ask(request, &[("Accept", "text/html")], b"");
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (406, "not_acceptable")
        );
    }
}
