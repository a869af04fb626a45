//! The routes of keys, values, caches and vectors, over real sockets and a real store. Every test ends in `verify`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod bad_input;
mod batches;
mod cache;
#[path = "../service/client.rs"]
#[allow(dead_code, reason = "shared with tests that use the rest of it")]
mod client;
mod concurrency;
mod conditions;
mod idempotency;
mod keys;
mod listing;
mod model;
mod namespaces;
mod outcomes;
mod page;
mod values;
mod vectors;

use client::Answer;
use prestige_core::embed::{Embedder, HashEmbedder};
use prestige_core::{DedupMode, Options, Store};
use prestige_http::{Config, Server};
use serde_json::Value;
use std::sync::Arc;
use tempfile::TempDir;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const LINES: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// A store and a server over it.
struct Running {
    server: Server,
    store: Arc<Store>,
    _directory: TempDir,
}

impl Running {
    fn start() -> Self {
        Self::with(Options::default(), Config::default())
    }

    fn with(options: Options, config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path(), options).unwrap());
        let server = Server::start(Arc::clone(&store), config).unwrap();
        Self {
            server,
            store,
            _directory: directory,
        }
    }

    /// Over a semantic store; texts with equal words are similar.
    fn semantic() -> Self {
        Self::with(
            Options {
                dedup_mode: Some(DedupMode::Semantic),
                embedder: Some(Arc::new(|| {
                    Ok(Arc::new(HashEmbedder::new(64)) as Arc<dyn Embedder>)
                })),
                ..Options::default()
            },
            Config::default(),
        )
    }

    fn ask(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut answer = client::ask(&self.server, request, headers, body);
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = whole(&answer.body);
        }
        answer
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], b"")
    }

    fn put(&self, key: &[u8], body: &[u8]) -> Answer {
        self.ask(&format!("PUT {}", path_of(key)), &[], body)
    }

    fn delete(&self, key: &[u8]) -> Answer {
        self.ask(&format!("DELETE {}", path_of(key)), &[], b"")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(
            &format!("POST {path}"),
            &[JSON],
            body.to_string().as_bytes(),
        )
    }

    /// The JSON of an answer that must be 200.
    fn posted(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.stop();
        if !std::thread::panicking() && !self.store.is_closed() {
            assert!(self.store.verify().unwrap().is_empty());
        }
    }
}

/// The path of a key, with everything but letters and digits encoded.
fn path_of(key: &[u8]) -> String {
    format!("/api/v1/kv/{}", encoded(key))
}

fn encoded(bytes: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    bytes.iter().map(encode).collect()
}

/// The chunks of a body, which must end as such bodies do, joined.
fn whole(chunked: &[u8]) -> Vec<u8> {
    let (mut rest, mut body) = (chunked, Vec::new());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        rest = &rest[end + 2..];
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[..length]);
        assert_eq!(&rest[length..length + 2], b"\r\n");
        rest = &rest[length + 2..];
    }
}

/// Standard Base64, to look at what the server writes with other eyes than its own.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = group
            .iter()
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let number = number << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = number >> (18 - 6 * place) & 63;
            text.push(match place > group.len() {
                true => '=',
                false => char::from(ALPHABET[digit as usize]),
            });
        }
    }
    text
}

/// Bytes as a member of JSON.
fn json_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => serde_json::json!({ "base64": base64(bytes) }),
    }
}
