//! HTTP by hand, so that a test can send what no client library would.

use prestige_http::Server;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than anything here takes: a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// `code` of a problem document.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// A connection that is closed after one answer.
pub fn ask(server: &Server, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut connection = connect(server.address().unwrap());
    send(&mut connection, request, headers, body);
    read_answer(&mut connection)
}

pub fn get(server: &Server, path: &str) -> Answer {
    ask(server, &format!("GET {path}"), &[], b"")
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// A request in progress: its handler has asked for the body, 19 bytes of JSON, and waits for them.
pub fn half_sent(server: &Server) -> TcpStream {
    let mut connection = connect(server.address().unwrap());
    let headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", "19"),
        ("Expect", "100-continue"),
    ];
    send(&mut connection, "POST /api/v1/admin/evict", &headers, b"");
    let mut interim = [0; 25];
    connection.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection
}

/// Sends a whole request; `Host: localhost` unless `headers` have one.
pub fn send(connection: &mut impl Write, request: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut head = format!("{request} HTTP/1.1\r\nConnection: close\r\n");
    let named = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !named("host") {
        head.push_str("Host: localhost\r\n");
    }
    if !named("content-length") && !named("transfer-encoding") && !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    // A server that refuses by the head alone may have hung up.
    let _ = connection.write_all(body);
}

/// Reads an answer to the end of the connection.
pub fn read_answer(connection: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match connection.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            // After a refusal the connection may be reset.
            Err(_) if !bytes.is_empty() => break,
            Err(error) => panic!("no answer: {error}"),
        }
    }
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no whole head: {:?}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: bytes[end + 4..].to_vec(),
    }
}
