//! The whole way through on the real model: text in, one object for what means the same, health over HTTP.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use prestige_core::{Dedup, Store};
use prestige_tests::{assert_sound, real_semantic_options};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn texts_that_mean_the_same_share_an_object_and_the_server_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = real_semantic_options();
    options.semantic.threshold = 0.85;
    let store = Arc::new(Store::open(directory.path(), options.clone()).unwrap());
    let first = store
        .put(b"a", b"How can I reset my password?", None)
        .unwrap();
    assert_eq!(first.dedup, Dedup::New);
    let second = store
        .put(b"b", b"How do I reset my password?", None)
        .unwrap();
    assert!(
        matches!(second.dedup, Dedup::Similar(similarity) if similarity > 0.85),
        "{second:?}"
    );
    assert_eq!(second.object_id, first.object_id);
    assert_eq!(
        store.get(b"b").unwrap().unwrap(),
        b"How can I reset my password?"
    );
    let third = store
        .put(b"c", b"The weather in Lisbon is mild in winter.", None)
        .unwrap();
    assert_eq!(third.dedup, Dedup::New);
    let fourth = store
        .put(b"d", b"How can I reset my password?", None)
        .unwrap();
    assert_eq!(fourth.dedup, Dedup::Identical);
    assert_sound(&store);

    let config = prestige_http::Config::default();
    let server = prestige_http::Server::start(Arc::clone(&store), config).unwrap();
    let address = server.address().unwrap();
    let (status, body) = get(address, "/health");
    let health: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &health["total_keys"], &health["total_objects"]),
        (200, &4.into(), &2.into())
    );
    let (status, metrics) = get(address, "/metrics");
    assert_eq!(status, 200);
    assert!(
        metrics.contains("prestige_keys_total 4") && metrics.contains("prestige_objects_total 2"),
        "{metrics}"
    );
    store.close().unwrap();
    assert_eq!(get(address, "/livez").0, 200);
    assert_eq!(get(address, "/readyz").0, 503);
    assert_eq!(get(address, "/health").0, 503);
    server.stop();

    let store = Store::open(directory.path(), options).unwrap();
    assert_eq!(
        store
            .put(b"e", b"How do I reset my password", None)
            .unwrap()
            .object_id,
        first.object_id
    );
    assert_sound(&store);
}
