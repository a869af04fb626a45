//! Many keys at once.

use crate::{JSON, LINES, Running, json_bytes};
use prestige_http::{Config, Limits};
use serde_json::{Value, json};

#[test]
fn batches_put_read_find_and_delete() {
    let running = Running::start();
    let items: Vec<Value> = (0..2500_u32)
        .map(|number| {
            let key = [b"key\xff", &number.to_be_bytes()[..]].concat();
            json!({"key": json_bytes(&key), "value": format!("value {}", number % 100)})
        })
        .collect();
    let keys: Vec<Value> = items.iter().map(|item| item["key"].clone()).collect();
    assert_eq!(
        running.posted("/api/v1/kv:batchPut", &json!({"items": items})),
        json!({"stored": 2500})
    );
    assert_eq!(running.store.count_keys(false).unwrap(), 2500);
    assert_eq!(running.store.count_unique_values().unwrap(), 100);

    let mut asked = keys.clone();
    asked.insert(1, json!("absent"));
    let mut values: Vec<Value> = items.iter().map(|item| item["value"].clone()).collect();
    values.insert(1, Value::Null);
    assert_eq!(
        running.posted("/api/v1/kv:batchGet", &json!({"keys": asked})),
        json!({"values": values})
    );
    let encoded = running.posted(
        "/api/v1/kv:batchGet",
        &json!({"keys": [keys[5]], "encoding": "base64"}),
    );
    assert_eq!(
        encoded,
        json!({"values": [{"base64": crate::base64(b"value 5")}]})
    );
    let found = running.posted(
        "/api/v1/kv:batchContains",
        &json!({"keys": [keys[0], "absent", keys[1]]}),
    );
    assert_eq!(found, json!({"found": [true, false, true]}));
    let deleted = running.posted("/api/v1/kv:batchDelete", &json!({"keys": asked}));
    assert_eq!(deleted, json!({"deleted": 2500}));
    assert_eq!(running.store.count_unique_values().unwrap(), 0);
    for (operation, answer) in [
        ("Get", json!({"values": []})),
        ("Contains", json!({"found": []})),
        ("Delete", json!({"deleted": 0})),
    ] {
        let path = format!("/api/v1/kv:batch{operation}?namespace=none");
        assert_eq!(running.posted(&path, &json!({"keys": []})), answer);
    }
    assert_eq!(
        running.posted("/api/v1/kv:batchPut", &json!({"items": []})),
        json!({"stored": 0})
    );
    assert_eq!(
        running.posted(
            "/api/v1/kv:batchGet?namespace=none",
            &json!({"keys": ["a"]})
        ),
        json!({"values": [null]})
    );
    assert!(running.store.namespaces().unwrap().is_empty());
}

#[test]
fn items_have_ttl_and_metadata_and_the_last_of_a_key_wins() {
    let running = Running::start();
    let items = json!({"items": [
        {"key": "a", "value": "first"},
        {"key": "b", "value": {"base64": "/w=="}, "ttl_seconds": 500, "metadata": {"task": "faq"}},
        {"key": "a", "value": "last", "ttl_seconds": null, "metadata": null},
    ]});
    assert_eq!(
        running.posted("/api/v1/kv:batchPut?namespace=n", &items),
        json!({"stored": 3})
    );
    let store = running.store.namespace("n").unwrap();
    assert_eq!(store.get(b"a").unwrap().unwrap(), b"last");
    assert_eq!(store.get(b"b").unwrap().unwrap(), b"\xff");
    assert_eq!(store.metadata(b"b").unwrap()["task"], "faq");
    assert!(store.ttl(b"b").unwrap().unwrap().as_secs() <= 500);
    assert!(!running.store.contains(b"a").unwrap());
}

#[test]
fn values_are_streamed_in_order_whatever_their_length() {
    let running = Running::start();
    let values: Vec<Vec<u8>> = (0..400_usize)
        .map(|number| match number % 20 {
            19 => vec![b'x'; 700_000],
            _ => vec![u8::try_from(number % 128).unwrap(); number],
        })
        .collect();
    for (number, value) in values.iter().enumerate() {
        running
            .store
            .put(&number.to_be_bytes(), value, None)
            .unwrap();
    }
    let keys: Vec<Value> = (0..400_usize)
        .map(|number| json_bytes(&number.to_be_bytes()))
        .collect();
    let body = json!({"keys": keys});
    let expected: Vec<Value> = values.iter().map(|value| json_bytes(value)).collect();
    assert_eq!(
        running.posted("/api/v1/kv:batchGet", &body),
        json!({"values": expected})
    );
    let accept = ("Accept", "application/x-ndjson");
    let answer = running.ask(
        "POST /api/v1/kv:batchGet",
        &[JSON, accept],
        body.to_string().as_bytes(),
    );
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = answer
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn lines_are_stored_while_they_come() {
    // Far more in all than a body may have.
    let running = Running::with(
        prestige_core::Options::default(),
        Config {
            limits: Limits {
                body_bytes: 1 << 20,
                batch_items: 10,
                ..Limits::default()
            },
            ..Config::default()
        },
    );
    let line = |number: usize| {
        format!(
            "{{\"key\": \"{number}\", \"value\": \"{}\"}}\r\n\n",
            number.to_string().repeat(2000)
        )
    };
    let body: String = (0..1500).map(line).collect();
    assert!(body.len() > 4 << 20);
    let answer = running.ask("POST /api/v1/kv:batchPut", &[LINES], body.as_bytes());
    assert_eq!(answer.json(), json!({"stored": 1500}));
    assert_eq!(running.store.count_keys(false).unwrap(), 1500);
    assert_eq!(
        running.store.get(b"77").unwrap().unwrap(),
        "77".repeat(2000).as_bytes()
    );
    // As chunks, and without an end of the last line.
    let body = "5\r\n{\"key\r\n13\r\n\": \"last\", \"value\":\r\n6\r\n \"of\"}\r\n0\r\n\r\n";
    let chunked = [LINES, ("Transfer-Encoding", "chunked")];
    assert_eq!(
        running
            .ask("POST /api/v1/kv:batchPut", &chunked, body.as_bytes())
            .json(),
        json!({"stored": 1})
    );
    assert_eq!(running.store.get(b"last").unwrap().unwrap(), b"of");
    // A document of the same is too large, or has too many items.
    let item = json!({"key": "a", "value": "b"});
    let refused = running.post("/api/v1/kv:batchPut", &json!({"items": vec![item; 11]}));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (413, "too_large")
    );
    assert_eq!(refused.json()["limit"], 10);
    let refused = running.post("/api/v1/kv:batchGet", &json!({"keys": vec!["a"; 11]}));
    assert_eq!(refused.code(), "too_large");
    let refused = running.ask(
        "POST /api/v1/kv:batchPut",
        &[LINES],
        "x".repeat(2 << 20).as_bytes(),
    );
    assert_eq!(
        (refused.status, refused.json()["line"].clone()),
        (413, json!(1))
    );
}

#[test]
fn an_error_says_how_much_is_stored() {
    let running = Running::start();
    let good = |number: usize| format!("{{\"key\": \"{number}\", \"value\": \"v\"}}\n");
    for (bad, code) in [
        ("{\"key\": \"bad\"}\n", "malformed_body"),
        ("{\"key\": \"bad\", \"value\": 5}\n", "malformed_body"),
        (
            "{\"key\": \"bad\", \"value\": {\"base64\": \"?\"}}\n",
            "malformed_body",
        ),
        (
            "{\"key\": \"bad\", \"value\": \"\", \"ttl\": 5}\n",
            "malformed_body",
        ),
        ("not json\n", "malformed_body"),
        (
            "{\"key\": \"bad\", \"value\": \"\", \"metadata\": {\"\": \"\"}}\n",
            "invalid_argument",
        ),
    ] {
        let body: String = (0..1200)
            .map(good)
            .chain([bad.to_owned()])
            .chain((1200..1210).map(good))
            .collect();
        let refused = running.ask("POST /api/v1/kv:batchPut", &[LINES], body.as_bytes());
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, code),
            "{bad}"
        );
        let problem = refused.json();
        assert_eq!(problem["stored"], 1000, "{problem}");
        if code == "malformed_body" {
            assert_eq!(problem["line"], 1201, "{problem}");
        }
        assert_eq!(running.store.count_keys(false).unwrap(), 1000);
        assert!(
            running.store.contains(b"999").unwrap() && !running.store.contains(b"1000").unwrap()
        );
        running.posted(
            "/api/v1/kv:batchDelete",
            &json!({"keys": (0..1000).map(|n| n.to_string()).collect::<Vec<_>>()}),
        );
    }
    // A line that is cut off: the connection ends before the body does.
    let headers = [LINES, ("Content-Length", "100")];
    let mut connection = crate::client::connect(running.server.address().unwrap());
    crate::client::send(
        &mut connection,
        "POST /api/v1/kv:batchPut",
        &headers,
        good(1).as_bytes(),
    );
    drop(connection);
    // A document is looked at as a whole before anything is stored.
    let refused = running.post(
        "/api/v1/kv:batchPut",
        &json!({"items": [
            {"key": "a", "value": "v"}, {"key": "b", "value": 5},
        ]}),
    );
    assert_eq!(refused.code(), "malformed_body");
    assert!(
        refused.text().contains("items[1].value"),
        "{}",
        refused.text()
    );
    let refused = running.ask(
        "POST /api/v1/kv:batchPut",
        &[("Content-Type", "text/plain")],
        b"{}",
    );
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (415, "unsupported_media_type")
    );
    assert!(!running.store.contains(b"a").unwrap());
}
