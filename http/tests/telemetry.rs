//! Log and traces of a process that is a server: what they say, and what they never say. A test binary of its own, since
//! a process has one subscriber.
#![allow(clippy::unwrap_used)]

use prestige_core::{Options, Store};
use prestige_http::{Config, LogFormat, Otlp, Secret, Server, TelemetryConfig, start_telemetry};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// A collector on this machine: hands over head and body of every request.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            while let Some(request) = read_message(&mut connection) {
                connection
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .unwrap();
                if sender.send(request).is_err() {
                    return;
                }
            }
        }
    });
    (url, receiver)
}

/// The next message of a connection; `None` at its end.
fn read_message(connection: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    Some((head, body))
}

fn ask(server: &Server, request: &str) -> String {
    let mut connection = TcpStream::connect(server.address().unwrap()).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let (head, _) = read_message(&mut connection).unwrap();
    head
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

#[test]
fn requests_are_traced_by_route_and_nothing_else() {
    let (url, requests) = collector();
    for (filter, endpoint) in [("info", "no url"), ("=", "http://127.0.0.1:1")] {
        let config = TelemetryConfig {
            filter: filter.to_owned(),
            otlp: Some(Otlp::new(endpoint)),
            ..TelemetryConfig::default()
        };
        start_telemetry(&config).unwrap_err();
    }
    let config = TelemetryConfig {
        filter: "off".to_owned(),
        format: LogFormat::Json,
        otlp: Some(Otlp {
            headers: vec![("x-key".to_owned(), Secret::new("collector-key"))],
            service_name: "cache of the test".to_owned(),
            ..Otlp::new(url)
        }),
    };
    assert!(!format!("{config:?}").contains("collector-key"));
    let telemetry = start_telemetry(&config).unwrap();
    // A process has one subscriber.
    start_telemetry(&config).unwrap_err();

    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let server = Server::start(store.into(), Config::default()).unwrap();
    let trace = "0123456789abcdef0123456789abcdef";
    let head = ask(
        &server,
        &format!(
            "GET /livez?secret=query HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer secret-token\r\n\
             traceparent: 00-{trace}-0123456789abcdef-01\r\n\r\n"
        ),
    );
    assert!(head.starts_with("http/1.1 200"));
    let head = ask(
        &server,
        "GET /secret-path HTTP/1.1\r\nhost: localhost\r\n\r\n",
    );
    assert!(head.starts_with("http/1.1 404"));
    server.stop();
    // Sends what is still to be sent.
    drop(telemetry);

    let (head, body) = requests.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"));
    assert!(head.contains("x-key: collector-key"));
    for text in [
        "cache of the test",
        "GET /livez",
        "GET unmatched",
        "http.request.method",
        "http.route",
        "http.response.status_code",
    ] {
        assert!(contains(&body, text.as_bytes()), "{text}");
    }
    // The trace goes on that the caller has begun.
    let id: Vec<u8> = (0..16)
        .map(|place| u8::from_str_radix(trace.get(2 * place..2 * place + 2).unwrap(), 16).unwrap())
        .collect();
    assert!(contains(&body, &id));
    for text in ["secret", ".rs", "livez?", "thread"] {
        assert!(!contains(&body, text.as_bytes()), "{text}");
    }
}
