//! What the log says of requests, and what it must not say. One test in a process: the subscriber is that of the process.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use prestige_core::{Options, Store};
use prestige_http::{Config, Server, Tokens};
use std::io::{self, Read as _, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(written.clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ask(server: &Server, request: &str, token: &str) -> String {
    let mut connection = TcpStream::connect(server.address().unwrap()).unwrap();
    connection
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(
        connection,
        "{request} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn requests_are_logged_without_keys_tokens_and_paths() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        // What hyper says of the bytes it reads is the affair of who asks for it.
        .with_env_filter("trace,hyper=off,hyper_util=off")
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let directory = tempfile::Builder::new()
        .prefix("hidden-place")
        .tempdir()
        .unwrap();
    let store = Arc::new(Store::open(directory.path(), Options::default()).unwrap());
    let config = Config {
        tokens: Tokens::admin("hidden-token").unwrap(),
        ..Config::default()
    };
    let server = Server::start(Arc::clone(&store), config).unwrap();
    let mut answers = String::new();
    for (request, token) in [
        ("GET /health", "hidden-token"),
        ("GET /health", "hidden-guess"),
        (
            "GET /api/v1/kv/hidden-key?namespace=hidden-space",
            "hidden-token",
        ),
        ("GET /hidden-path?hidden-query", "hidden-token"),
        (
            "POST /api/v1/admin/sweep?namespace=hidden-space",
            "hidden-token",
        ),
    ] {
        answers += &ask(&server, request, token);
    }
    store.close().unwrap();
    answers += &ask(&server, "GET /health", "hidden-token");
    answers += &ask(&server, "POST /api/v1/admin/flush", "hidden-token");
    server.stop();

    let text = log.text();
    for part in [
        "method=\"GET\" route=\"/health\" status=200",
        "method=\"GET\" route=\"/health\" status=401",
        "method=\"GET\" route=\"unmatched\" status=404",
        "method=\"POST\" route=\"/api/v1/admin/sweep\" status=200",
        "method=\"GET\" route=\"/health\" status=503",
    ] {
        assert!(text.contains(part), "{part} is not in the log:\n{text}");
    }
    assert!(!text.contains("hidden"), "{text}");
    for word in ["hidden-place", "hidden-token", "hidden-guess"] {
        assert!(!answers.contains(word), "{answers}");
    }
}
