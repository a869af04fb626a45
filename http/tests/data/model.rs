//! Keys over HTTP beside a map.

use crate::{Running, encoded, json_bytes, path_of};
use prestige_core::Digest;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Put(usize, Vec<u8>, Asked),
    PutMany(Vec<(usize, Vec<u8>)>),
    Get(usize),
    GetMany(Vec<usize>),
    Delete(usize, Asked),
    DeleteMany(Vec<usize>),
    List(usize, usize),
}

#[derive(Clone, Debug)]
enum Asked {
    Nothing,
    Absent,
    Present,
    Current,
    Has(Vec<u8>),
    HasNot(Vec<u8>),
}

const KEYS: [&[u8]; 8] = [
    b"",
    b"a",
    b"a/b",
    b"a//",
    b"\0",
    b"\xff\xff",
    "é".as_bytes(),
    b"..",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        Just(b"same".to_vec()),
        any::<u8>().prop_map(|byte| vec![byte; 10_000]),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        4 => Just(Asked::Nothing),
        1 => Just(Asked::Absent),
        1 => Just(Asked::Present),
        1 => Just(Asked::Current),
        1 => value().prop_map(Asked::Has),
        1 => value().prop_map(Asked::HasNot),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS.len();
    let keys = || proptest::collection::vec(0..KEYS.len(), 0..6);
    prop_oneof![
        4 => (key(), value(), asked()).prop_map(|(key, value, asked)| Step::Put(key, value, asked)),
        1 => proptest::collection::vec((key(), value()), 0..6).prop_map(Step::PutMany),
        2 => key().prop_map(Step::Get),
        1 => keys().prop_map(Step::GetMany),
        2 => (key(), asked()).prop_map(|(key, asked)| Step::Delete(key, asked)),
        1 => keys().prop_map(Step::DeleteMany),
        1 => (key(), 1_usize..5).prop_map(|(prefix, limit)| Step::List(prefix, limit)),
    ]
}

fn etag(value: &[u8]) -> String {
    format!("\"{}\"", Digest::of(value).to_hex())
}

impl Asked {
    /// The header of a condition, and whether it holds.
    fn header(&self, current: Option<&Vec<u8>>) -> (Option<(&'static str, String)>, bool) {
        match self {
            Self::Nothing => (None, true),
            Self::Absent => (Some(("If-None-Match", "*".to_owned())), current.is_none()),
            Self::Present => (Some(("If-Match", "*".to_owned())), current.is_some()),
            Self::Current => match current {
                Some(value) => (Some(("If-Match", etag(value))), true),
                None => (Some(("If-None-Match", "*".to_owned())), true),
            },
            Self::Has(value) => (Some(("If-Match", etag(value))), current == Some(value)),
            Self::HasNot(value) => (Some(("If-None-Match", etag(value))), current != Some(value)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn requests_do_what_a_map_does(steps in proptest::collection::vec(step(), 1..40)) {
        let running = Running::start();
        let mut map: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(key, value, asked) => {
                    let key = KEYS[key];
                    let (header, holds) = asked.header(map.get(key));
                    let headers: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    let answer = running.ask(&format!("PUT {}", path_of(key)), &headers, &value);
                    let expected = match (holds, map.contains_key(key)) {
                        (false, _) => 412,
                        (true, false) => 201,
                        (true, true) => 200,
                    };
                    prop_assert_eq!(answer.status, expected);
                    if holds {
                        let tag = etag(&value);
                        prop_assert_eq!(answer.header("etag"), Some(tag.as_str()));
                        map.insert(key.to_vec(), value);
                    }
                }
                Step::PutMany(items) => {
                    let list: Vec<Value> = items
                        .iter()
                        .map(|(key, value)| json!({"key": json_bytes(KEYS[*key]), "value": json_bytes(value)}))
                        .collect();
                    let stored = running.posted("/api/v1/kv:batchPut", &json!({"items": list}));
                    prop_assert_eq!(&stored["stored"], &json!(items.len()));
                    map.extend(items.into_iter().map(|(key, value)| (KEYS[key].to_vec(), value)));
                }
                Step::Get(key) => {
                    let answer = running.get(&path_of(KEYS[key]));
                    match map.get(KEYS[key]) {
                        Some(value) => {
                            prop_assert_eq!((answer.status, &answer.body), (200, value));
                            let tag = etag(value);
                            prop_assert_eq!(answer.header("etag"), Some(tag.as_str()));
                        }
                        None => prop_assert_eq!(answer.status, 404),
                    }
                }
                Step::GetMany(keys) => {
                    let asked: Vec<_> = keys.iter().map(|key| json_bytes(KEYS[*key])).collect();
                    let expected: Vec<_> = keys.iter().map(|key| map.get(KEYS[*key]).map(|value| json_bytes(value))).collect();
                    let found = running.posted("/api/v1/kv:batchGet", &json!({"keys": asked}));
                    prop_assert_eq!(found, json!({"values": expected}));
                    let expected: Vec<_> = keys.iter().map(|key| map.contains_key(KEYS[*key])).collect();
                    let found = running.posted("/api/v1/kv:batchContains", &json!({"keys": asked}));
                    prop_assert_eq!(found, json!({"found": expected}));
                }
                Step::Delete(key, asked) => {
                    let key = KEYS[key];
                    let (header, holds) = asked.header(map.get(key));
                    let headers: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    let answer = running.ask(&format!("DELETE {}", path_of(key)), &headers, b"");
                    let expected = match (holds, map.contains_key(key)) {
                        (false, _) => 412,
                        (true, true) => 204,
                        (true, false) => 404,
                    };
                    prop_assert_eq!(answer.status, expected);
                    if holds {
                        map.remove(key);
                    }
                }
                Step::DeleteMany(keys) => {
                    let asked: Vec<_> = keys.iter().map(|key| json_bytes(KEYS[*key])).collect();
                    let before = map.len();
                    map.retain(|known, _| !keys.iter().any(|key| KEYS[*key] == known));
                    let deleted = running.posted("/api/v1/kv:batchDelete", &json!({"keys": asked}));
                    prop_assert_eq!(&deleted["deleted"], &json!(before - map.len()));
                }
                Step::List(prefix, limit) => {
                    let prefix = KEYS[prefix];
                    let expected: Vec<_> = map.keys().filter(|key| key.starts_with(prefix)).collect();
                    let path = format!("/api/v1/kv?prefix={}&limit={limit}", encoded(prefix));
                    let page = running.get(&path).json();
                    let shown: Vec<_> = expected.iter().take(limit).map(|key| json_bytes(key)).collect();
                    prop_assert_eq!(&page["keys"], &json!(shown));
                    prop_assert_eq!(page["next_cursor"].is_string(), expected.len() > limit);
                }
            }
        }
        let count = running.get("/api/v1/kv/_count").json();
        prop_assert_eq!(&count["count"], &json!(map.len()));
        let mut values: Vec<_> = map.values().collect();
        values.sort_unstable();
        values.dedup();
        prop_assert_eq!(&running.get("/api/v1/unique").json()["count"], &json!(values.len()));
    }
}
