//! Listing keys, with and without values, as pages and as lines.

use crate::{Running, encoded, json_bytes};
use serde_json::{Value, json};

const LINES: (&str, &str) = ("Accept", "application/x-ndjson");

fn filled(keys: usize) -> (Running, Vec<Vec<u8>>) {
    let running = Running::start();
    let mut all: Vec<Vec<u8>> = (0..keys)
        .map(|number| format!("key/{number:04}").into_bytes())
        .collect();
    all.extend([b"other".to_vec(), b"\xff".to_vec(), b"".to_vec()]);
    for key in &all {
        running
            .store
            .put(key, &[b"value of ", key.as_slice()].concat(), None)
            .unwrap();
    }
    running
        .store
        .put(b"key/expired", b"value", Some(3600))
        .unwrap();
    running.store.expire_at(b"key/expired", 1).unwrap();
    all.sort_unstable();
    (running, all)
}

/// All pages, each with at most `limit` keys.
fn pages(running: &Running, query: &str, limit: usize) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/kv?limit={limit}&{query}{cursor}");
        let answer = running.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let page = answer.json();
        let listed = page.get("keys").or_else(|| page.get("items")).unwrap();
        assert!(listed.as_array().unwrap().len() <= limit);
        found.extend(listed.as_array().unwrap().iter().cloned());
        match &page["next_cursor"] {
            Value::Null => return found,
            next => cursor = format!("&cursor={}", next.as_str().unwrap()),
        }
        assert!(!listed.as_array().unwrap().is_empty());
    }
}

#[test]
fn pages_have_every_key_once_in_order() {
    let (running, all) = filled(300);
    let expected: Vec<_> = all.iter().map(|key| json_bytes(key)).collect();
    for limit in [1, 7, 303, 304, 10_000] {
        assert_eq!(pages(&running, "", limit), expected, "{limit}");
    }
    let under = |prefix: &[u8]| -> Vec<Value> {
        let keys = all.iter().filter(|key| key.starts_with(prefix));
        keys.map(|key| json_bytes(key)).collect()
    };
    for prefix in [&b"key/"[..], b"key/00", b"\xff", b"none", b"o"] {
        let query = format!("prefix={}", encoded(prefix));
        assert_eq!(pages(&running, &query, 13), under(prefix), "{prefix:?}");
    }
    let from: Vec<_> = all
        .iter()
        .filter(|key| key.as_slice() >= &b"key/0290"[..])
        .map(|key| json_bytes(key))
        .collect();
    assert_eq!(pages(&running, "start=key%2F0290", 3), from);
    assert_eq!(
        pages(&running, "start=key%2F0290&prefix=key%2F", 3),
        from[..10]
    );
    // By default a thousand.
    let page = running.get("/api/v1/kv").json();
    assert_eq!(page["keys"].as_array().unwrap().len(), 303);
    // What comes after the cursor is listed although it was put after the page.
    let first = running.get("/api/v1/kv?limit=2").json();
    running.store.put(b"key/0000/new", b"value", None).unwrap();
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = running
        .get(&format!("/api/v1/kv?limit=1&cursor={cursor}"))
        .json();
    assert_eq!(next["keys"], json!(["key/0000/new"]));
}

#[test]
fn values_are_listed_with_their_keys() {
    let (running, all) = filled(50);
    let item = |key: &Vec<u8>| {
        let value = [b"value of ", key.as_slice()].concat();
        json!({"key": json_bytes(key), "value": json_bytes(&value)})
    };
    let expected: Vec<_> = all.iter().map(item).collect();
    assert_eq!(pages(&running, "values=true", 9), expected);
    let page = running
        .get("/api/v1/kv?values=true&encoding=base64&limit=2")
        .json();
    assert_eq!(
        page["items"][1]["value"],
        json!({"base64": crate::base64(b"value of key/0000")})
    );
    // Large values end a page early.
    for number in 0..12 {
        running
            .store
            .put(
                format!("large/{number:02}").as_bytes(),
                &vec![b'a' + number; 1 << 20],
                None,
            )
            .unwrap();
    }
    let page = running.get("/api/v1/kv?values=true&prefix=large").json();
    let listed = page["items"].as_array().unwrap().len();
    assert!((8..12).contains(&listed), "{listed}");
    assert_eq!(pages(&running, "values=true&prefix=large", 100).len(), 12);
}

#[test]
fn lines_are_streamed() {
    let (running, all) = filled(3000);
    let lines = |path: &str| -> Vec<Value> {
        let answer = running.ask(&format!("GET {path}"), &[LINES], b"");
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        let lines = answer
            .body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    };
    let expected: Vec<_> = all.iter().map(|key| json_bytes(key)).collect();
    assert_eq!(lines("/api/v1/kv"), expected);
    assert_eq!(lines("/api/v1/kv?limit=5"), expected[..5]);
    assert_eq!(lines("/api/v1/kv?namespace=none"), Vec::<Value>::new());
    for number in 0..40 {
        running
            .store
            .put(
                format!("large/{number:02}").as_bytes(),
                &vec![number; 300_000],
                None,
            )
            .unwrap();
    }
    let items = lines("/api/v1/kv?values=true&prefix=large");
    assert_eq!(items.len(), 40);
    for (number, item) in (0_u8..).zip(&items) {
        assert_eq!(item["value"], json_bytes(&vec![number; 300_000]));
    }
}

#[test]
fn bad_parameters_are_named() {
    let (running, _) = filled(3);
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("cursor=", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("cursor=%FF", "cursor"),
        ("values=yes", "values"),
        ("encoding=hex", "encoding"),
        ("prefix=%", "hexadecimal"),
        ("start=%0", "hexadecimal"),
    ] {
        let answer = running.get(&format!("/api/v1/kv?{query}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_argument"),
            "{query}"
        );
        assert!(answer.text().contains(word), "{}", answer.text());
    }
}
