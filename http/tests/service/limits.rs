//! Too much, too many, too slow.

use crate::Running;
use crate::client::{PATIENCE, ask, connect, get, half_sent, read_answer, send};
use prestige_http::{Config, Limits, Timeouts};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(200);
const EVICT: &str = "POST /api/v1/admin/evict";
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn large_bodies_are_refused_before_they_are_read() {
    let running = Running::start(Config {
        limits: Limits {
            body_bytes: 100,
            ..Limits::default()
        },
        ..Config::default()
    });
    let fitting = b"{\"target_bytes\":   1}";
    assert_eq!(ask(&running.server, EVICT, &[JSON], fitting).status, 200);
    let announced = [JSON, ("Content-Length", "1000000000000")];
    let answer = ask(&running.server, EVICT, &announced, b"");
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    assert_eq!(answer.json()["limit"], 100);
    let chunked = [JSON, ("Transfer-Encoding", "chunked")];
    let chunk = format!("c8\r\n{}\r\n", " ".repeat(200));
    let answer = ask(&running.server, EVICT, &chunked, chunk.as_bytes());
    assert_eq!(answer.code(), "too_large");
}

#[test]
fn malformed_bodies_name_the_place() {
    let running = Running::start(Config::default());
    for (body, line, column) in [
        (&b"{\n  \"target_bytes\": oops}"[..], 2, 19),
        (b"{\"target_bytes\": -1}", 1, 20),
        (b"{\"target_bytes\": 1, \"x\": 1}", 1, 23),
        (b"{}", 1, 2),
        (b"", 1, 0),
        (b"\xff", 1, 1),
        (b"{\"target_bytes\": 1} {}", 1, 21),
    ] {
        let answer = ask(&running.server, EVICT, &[JSON], body);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "malformed_body")
        );
        let problem = answer.json();
        assert_eq!(problem["line"], line, "{problem}");
        assert_eq!(problem["column"], column, "{problem}");
    }
    let chunked = [JSON, ("Transfer-Encoding", "chunked")];
    let answer = ask(&running.server, EVICT, &chunked, b"no chunk\r\n\r\n");
    assert_eq!(answer.status, 400);
}

#[test]
fn too_many_requests_at_once_are_told_to_come_again() {
    let running = Running::start(Config {
        limits: Limits {
            requests: 1,
            ..Limits::default()
        },
        ..Config::default()
    });
    let mut first = half_sent(&running.server);
    let answer = get(&running.server, "/health");
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    for probe in ["/livez", "/readyz"] {
        assert_eq!(get(&running.server, probe).status, 200);
    }
    first.write_all(b"{\"target_bytes\": 1}").unwrap();
    assert_eq!(read_answer(&mut first).status, 200);
    assert_eq!(get(&running.server, "/health").status, 200);
}

#[test]
fn further_connections_wait() {
    let running = Running::start(Config {
        limits: Limits {
            connections: 1,
            ..Limits::default()
        },
        ..Config::default()
    });
    let address = running.server.address().unwrap();
    let mut first = connect(address);
    // Served, so it was accepted; and kept alive.
    first
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    assert!(first.read(&mut [0; 16]).unwrap() > 0);
    let mut second = connect(address);
    send(&mut second, "GET /livez", &[], b"");
    second.set_read_timeout(Some(SHORT)).unwrap();
    assert!(second.read(&mut [0; 16]).is_err());
    drop(first);
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(read_answer(&mut second).status, 200);
}

fn impatient() -> Running {
    Running::start(Config {
        timeouts: Timeouts {
            header: SHORT,
            request: SHORT,
            write: SHORT,
            ..Timeouts::default()
        },
        ..Config::default()
    })
}

/// Reads until the server hangs up.
fn closed(connection: &mut TcpStream) -> bool {
    let mut piece = [0; 4096];
    loop {
        match connection.read(&mut piece) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn a_head_that_does_not_end_is_cut_off() {
    let running = impatient();
    for head in [
        "",
        "GET /live",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\n",
    ] {
        let mut connection = connect(running.server.address().unwrap());
        connection.write_all(head.as_bytes()).unwrap();
        assert!(closed(&mut connection), "{head:?}");
    }
    // A byte now and then is no better.
    let mut connection = connect(running.server.address().unwrap());
    let mut sent = connection.write_all(b"GET /livez HTTP/1.1\r\n");
    for _ in 0..1000 {
        if sent.is_err() {
            break;
        }
        std::thread::sleep(SHORT / 10);
        sent = connection.write_all(b"X-Name: value\r\n");
    }
    assert!(sent.is_err());
}

#[test]
fn a_body_that_trickles_is_cut_off() {
    let running = impatient();
    let mut connection = half_sent(&running.server);
    let answer = read_answer(&mut connection);
    assert_eq!((answer.status, answer.code().as_str()), (408, "timed_out"));

    let mut connection = connect(running.server.address().unwrap());
    let headers = [JSON, ("Content-Length", "1000000")];
    send(&mut connection, EVICT, &headers, b"{");
    let mut trickle = connection.try_clone().unwrap();
    let trickling = std::thread::spawn(move || {
        // Ends when the server hangs up.
        for _ in 0..1000 {
            std::thread::sleep(SHORT / 10);
            if trickle.write_all(b" ").is_err() {
                return;
            }
        }
        panic!("the server has taken a thousand pieces");
    });
    assert_eq!(read_answer(&mut connection).status, 408);
    drop(connection);
    trickling.join().unwrap();
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let running = Running::start(Config {
        limits: Limits {
            connections: 1,
            ..Limits::default()
        },
        timeouts: Timeouts {
            write: SHORT,
            ..Timeouts::default()
        },
        ..Config::default()
    });
    let address = running.server.address().unwrap();
    let mut deaf = connect(address);
    deaf.set_write_timeout(Some(PATIENCE)).unwrap();
    let asking = std::thread::spawn(move || {
        let request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // Until the server hangs up.
        while deaf.write_all(request).is_ok() {}
        deaf
    });
    let mut other = connect(address);
    send(&mut other, "GET /livez", &[], b"");
    assert_eq!(read_answer(&mut other).status, 200);
    asking.join().unwrap();
}

#[test]
fn a_long_head_is_refused() {
    let running = Running::start(Config::default());
    let long = "x".repeat(70_000);
    let answer = ask(&running.server, &format!("GET /{long}"), &[], b"");
    assert_eq!(answer.status, 414);
    let many: Vec<(String, &str)> = (0..200).map(|i| (format!("X-{i}"), "v")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    assert_eq!(ask(&running.server, "GET /livez", &many, b"").status, 431);
    assert_eq!(get(&running.server, "/livez").status, 200);
}

#[test]
fn unknown_paths_and_methods_are_problems() {
    let running = Running::start(Config::default());
    for path in ["/nothing", "/health/", "/%ff", "/api/v1/admin", "//livez"] {
        let answer = get(&running.server, path);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "no_such_route")
        );
    }
    for (request, allowed) in [
        ("DELETE /health", "GET"),
        ("GET /api/v1/admin/sweep", "POST"),
        ("OPTIONS /livez", "GET"),
    ] {
        let answer = ask(&running.server, request, &[], b"");
        assert_eq!(answer.code(), "method_not_allowed", "{request}");
        assert!(answer.header("allow").unwrap().contains(allowed));
    }
}
