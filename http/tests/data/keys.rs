//! Keys and values: raw and as JSON, with what belongs to them.

use crate::{JSON, Running, json_bytes, path_of};
use prestige_core::Digest;
use serde_json::json;

#[test]
fn a_value_comes_back_as_it_was_put() {
    let running = Running::start();
    let value: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let digest = Digest::of(&value).to_hex();
    let put = running.put(b"key", &value);
    assert_eq!(put.status, 201);
    let answer = put.json();
    assert_eq!(answer["digest"], digest);
    assert_eq!(answer["dedup"], "new");
    assert!(answer.get("similarity").is_none());
    let etag = format!("\"{digest}\"");
    assert_eq!(put.header("etag"), Some(etag.as_str()));
    let id = answer["object_id"].to_string();
    assert_eq!(put.header("prestige-object-id"), Some(id.as_str()));

    // From RocksDB or memory, and then from memory alone.
    for _ in 0..3 {
        let got = running.get("/api/v1/kv/key");
        assert_eq!((got.status, &got.body), (200, &value));
        assert_eq!(got.header("content-type"), Some("application/octet-stream"));
        assert_eq!(got.header("content-length"), Some("5000"));
        assert_eq!(got.header("etag"), Some(etag.as_str()));
        assert_eq!(got.header("prestige-object-id"), Some(id.as_str()));
        assert_eq!(got.header("prestige-ttl-seconds"), None);
        assert_eq!(got.header("prestige-metadata"), None);
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        let head = running.ask("HEAD /api/v1/kv/key", &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in [
            "content-type",
            "content-length",
            "etag",
            "prestige-object-id",
        ] {
            assert_eq!(head.header(name), got.header(name), "{name}");
        }
    }
    let other = running.put(b"other", &value).json();
    assert_eq!(
        (&other["dedup"], &other["object_id"]),
        (&json!("identical"), &answer["object_id"])
    );
    let again = running.put(b"key", &value);
    assert_eq!(
        (again.status, &again.json()["dedup"]),
        (200, &json!("identical"))
    );

    assert_eq!(running.delete(b"key").status, 204);
    assert_eq!(running.delete(b"key").code(), "not_found");
    assert_eq!(running.get("/api/v1/kv/key").code(), "not_found");
    let head = running.ask("HEAD /api/v1/kv/key", &[], b"");
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(running.get("/api/v1/kv/other").body, value);
}

#[test]
fn any_bytes_are_a_key() {
    let running = Running::start();
    let keys: [&[u8]; 16] = [
        b"",
        b"a/b",
        b"a//b",
        b"/",
        b"//",
        b"..",
        b"../../etc",
        b"_count",
        b"_count/approx",
        b"\0",
        b"\xff\xfe",
        b"a b+c?d#e%f",
        b"a\r\nb",
        "schlüssel".as_bytes(),
        b"{key}",
        b"*",
    ];
    for key in keys {
        assert_eq!(running.put(key, key).status, 201, "{key:?}");
    }
    assert_eq!(running.store.count_keys(false).unwrap(), keys.len() as u64);
    for key in keys {
        assert_eq!(running.store.get(key).unwrap().unwrap(), key);
        let got = running.get(&path_of(key));
        assert_eq!((got.status, got.body.as_slice()), (200, key));
        let json = running.ask(
            &format!("GET {}", path_of(key)),
            &[("Accept", "application/json")],
            b"",
        );
        assert_eq!(json.json()["key"], json_bytes(key));
        assert_eq!(json.json()["value"], json_bytes(key));
    }
    // Slashes need not be encoded, and nothing is taken out of a path.
    for (path, key) in [
        ("a/b", &b"a/b"[..]),
        ("a//b", b"a//b"),
        ("/", b"/"),
        ("..", b".."),
        ("%2e%2E", b".."),
        ("../../etc", b"../../etc"),
        ("_count%2fapprox", b"_count/approx"),
        ("", b""),
    ] {
        assert_eq!(
            running.get(&format!("/api/v1/kv/{path}")).body,
            key,
            "{path}"
        );
    }
    assert_eq!(
        running.get("/api/v1/kv/_count").json(),
        json!({"count": keys.len()})
    );
    assert_eq!(
        running.get("/api/v1/kv/_count/approx").json(),
        json!({"count": keys.len()})
    );
    assert_eq!(
        running.get("/api/v1/unique").json(),
        json!({"count": keys.len()})
    );
    for key in keys {
        assert_eq!(running.delete(key).status, 204, "{key:?}");
    }
}

#[test]
fn json_goes_in_and_out() {
    let running = Running::start();
    let document = json!({
        "value": {"base64": "/wBh"}, "ttl_seconds": 1000, "metadata": {"Ünï": "c\u{f6}de\n\u{1f600}", "a": "b"},
    });
    let put = running.ask(
        "PUT /api/v1/kv/key",
        &[JSON],
        document.to_string().as_bytes(),
    );
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(running.store.get(b"key").unwrap().unwrap(), b"\xff\0a");
    let got = running.ask("GET /api/v1/kv/key", &[("Accept", "application/json")], b"");
    assert_eq!(got.header("content-type"), Some("application/json"));
    let json = got.json();
    assert_eq!(json["value"], document["value"]);
    assert_eq!(json["metadata"], document["metadata"]);
    assert_eq!(json["digest"], Digest::of(b"\xff\0a").to_hex());
    let left = json["ttl_seconds"].as_f64().unwrap();
    assert!((900.0..=1000.0).contains(&left), "{left}");
    // The same in headers, in ASCII.
    let got = running.get("/api/v1/kv/key");
    let metadata = got.header("prestige-metadata").unwrap();
    assert!(metadata.is_ascii());
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(metadata).unwrap(),
        document["metadata"]
    );
    let left: f64 = got.header("prestige-ttl-seconds").unwrap().parse().unwrap();
    assert!((900.0..=1000.0).contains(&left), "{left}");

    running.put(b"text", "Grüße".as_bytes());
    let accept = [("Accept", "application/json")];
    let text = running.ask("GET /api/v1/kv/text", &accept, b"").json();
    assert_eq!(text["value"], "Grüße");
    assert_eq!(text["ttl_seconds"], json!(null));
    assert_eq!(text["metadata"], json!({}));
    let text = running
        .ask("GET /api/v1/kv/text?encoding=base64", &accept, b"")
        .json();
    assert_eq!(text["value"], json!({"base64": "R3LDvMOfZQ=="}));
    assert_eq!(text["key"], "text");
    // Other kinds of JSON are values.
    let kind = [("Content-Type", "application/geo+json")];
    running.ask("PUT /api/v1/kv/geo", &kind, b"{}");
    assert_eq!(running.get("/api/v1/kv/geo").body, b"{}");
    // A form, as curl sends without being told otherwise, is one, too.
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    running.ask("PUT /api/v1/kv/form", &kind, b"a=b");
    assert_eq!(running.get("/api/v1/kv/form").body, b"a=b");
}

#[test]
fn ttl_and_metadata_are_given_by_header_or_query() {
    let running = Running::start();
    let metadata = json!({"task": "faq"}).to_string();
    let headers = [
        ("Prestige-TTL-Seconds", "500"),
        ("Prestige-Metadata", metadata.as_str()),
    ];
    assert_eq!(
        running.ask("PUT /api/v1/kv/header", &headers, b"1").status,
        201
    );
    let request = "PUT /api/v1/kv/query?ttl_seconds=500&metadata=%7B%22task%22%3A%22faq%22%7D";
    assert_eq!(running.ask(request, &[], b"2").status, 201);
    for key in [&b"header"[..], b"query"] {
        assert_eq!(running.store.metadata(key).unwrap()["task"], "faq");
        let left = running.store.ttl(key).unwrap().unwrap().as_secs();
        assert!((400..=500).contains(&left));
    }
    for (request, headers, body) in [
        (
            "PUT /api/v1/kv/x?ttl_seconds=1",
            &[("Prestige-TTL-Seconds", "1")][..],
            "v",
        ),
        (
            "PUT /api/v1/kv/x?ttl_seconds=1",
            &[JSON],
            "{\"value\": \"v\", \"ttl_seconds\": 1}",
        ),
        ("PUT /api/v1/kv/x", &[("Prestige-TTL-Seconds", "-1")], "v"),
        ("PUT /api/v1/kv/x", &[("Prestige-TTL-Seconds", "1.5")], "v"),
        ("PUT /api/v1/kv/x?ttl_seconds=", &[], "v"),
        ("PUT /api/v1/kv/x", &[("Prestige-Metadata", "[]")], "v"),
        (
            "PUT /api/v1/kv/x",
            &[("Prestige-Metadata", "{\"a\": 1}")],
            "v",
        ),
        (
            "PUT /api/v1/kv/x",
            &[("Prestige-Metadata", "{\"\": \"a\"}")],
            "v",
        ),
        ("PUT /api/v1/kv/x?metadata=%FF", &[], "v"),
        ("PUT /api/v1/kv/x?metadata=%7", &[], "v"),
    ] {
        let refused = running.ask(request, headers, body.as_bytes());
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "invalid_argument"),
            "{request} {headers:?}"
        );
    }
    assert!(!running.store.contains(b"x").unwrap());
    // More than fits into a header: the document has it, and the header says so.
    let text = "x".repeat(4000);
    let document = json!({"value": "v", "metadata": {"a": text, "b": text, "c": text}});
    assert_eq!(
        running
            .ask(
                "PUT /api/v1/kv/long",
                &[JSON],
                document.to_string().as_bytes()
            )
            .status,
        201
    );
    let got = running.get("/api/v1/kv/long");
    assert_eq!(got.header("prestige-metadata"), None);
    assert!(
        got.header("prestige-metadata-bytes")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 12_000
    );
    let got = running.ask(
        "GET /api/v1/kv/long",
        &[("Accept", "application/json")],
        b"",
    );
    assert_eq!(got.json()["metadata"], document["metadata"]);
}

#[test]
fn expiry_is_changed_with_patch() {
    let running = Running::start();
    running.put(b"key", b"value");
    let patch = |body: serde_json::Value| {
        running.ask("PATCH /api/v1/kv/key", &[JSON], body.to_string().as_bytes())
    };
    let left = || running.store.ttl(b"key").unwrap().map(|ttl| ttl.as_secs());
    assert_eq!(patch(json!({"ttl_seconds": 100})).status, 204);
    assert!((50..=100).contains(&left().unwrap()));
    assert_eq!(patch(json!({"ttl_seconds": 0})).status, 204);
    assert_eq!(left(), None);
    let in_an_hour = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
        + 3600.0;
    assert_eq!(patch(json!({"expires_at": in_an_hour})).status, 204);
    assert!((3500..=3600).contains(&left().unwrap()));
    assert_eq!(patch(json!({"ttl_seconds": null})).status, 204);
    assert_eq!(left(), None);
    for body in [json!({}), json!({"ttl_seconds": 1, "expires_at": 1.0})] {
        assert_eq!(patch(body).code(), "invalid_argument");
    }
    for body in [
        json!({"ttl_seconds": -1}),
        json!({"ttl_seconds": 1.5}),
        json!({"expires_at": null}),
        json!({"expires_at": "soon"}),
        json!({"other": 1}),
        json!([]),
        json!(null),
    ] {
        assert_eq!(patch(body).code(), "malformed_body");
    }
    let conditional = running.ask(
        "PATCH /api/v1/kv/key",
        &[JSON, ("If-Match", "*")],
        b"{\"ttl_seconds\": 1}",
    );
    assert_eq!(conditional.code(), "invalid_argument");
    assert_eq!(left(), None);
    // A moment that is past removes the key.
    assert_eq!(patch(json!({"expires_at": -5.0})).status, 204);
    assert!(!running.store.contains(b"key").unwrap());
    assert_eq!(patch(json!({"ttl_seconds": 1})).code(), "not_found");
    assert_eq!(patch(json!({"expires_at": in_an_hour})).code(), "not_found");
}

#[test]
fn similar_texts_merge_and_the_answer_says_with_what() {
    let running = Running::semantic();
    let first = running.put(b"a", b"how do I reset my password").json();
    let second = running.put(b"b", b"how do I reset my password ").json();
    assert_eq!(second["dedup"], "similar", "{second}");
    assert!(second["similarity"].as_f64().unwrap() > 0.9);
    assert_eq!(second["object_id"], first["object_id"]);
    assert_eq!(second["digest"], first["digest"]);
    let etag = format!("\"{}\"", first["digest"].as_str().unwrap());
    let got = running.get("/api/v1/kv/b");
    assert_eq!(got.header("etag"), Some(etag.as_str()));
    assert_eq!(got.body, b"how do I reset my password");
}
