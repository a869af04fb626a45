//! How a server ends.

use crate::Running;
use crate::client::{connect, get, half_sent, read_answer};
use prestige_http::{Config, Timeouts};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any test may take: what waits for it has failed.
const FOREVER: Duration = Duration::from_secs(3600);

fn start(grace: Duration, drain: Duration) -> Running {
    Running::start(Config {
        timeouts: Timeouts {
            grace,
            drain,
            ..Timeouts::default()
        },
        ..Config::default()
    })
}

fn refuses(running: &Running) -> bool {
    TcpStream::connect(running.server.address().unwrap()).is_err()
}

#[test]
fn requests_in_progress_are_answered() {
    let running = start(FOREVER, Duration::ZERO);
    let mut request = half_sent(&running.server);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| running.server.stop());
        while !refuses(&running) {
            std::thread::yield_now();
        }
        assert!(!stopping.is_finished());
        request.write_all(b"{\"target_bytes\": 1}").unwrap();
        assert_eq!(read_answer(&mut request).status, 200);
    });
    assert!(running.server.is_stopped());
}

#[test]
fn whoever_has_asked_for_nothing_is_not_waited_for() {
    let running = start(FOREVER, Duration::ZERO);
    let address = running.server.address().unwrap();
    let silent = connect(address);
    let mut half_a_head = connect(address);
    half_a_head.write_all(b"GET /livez HT").unwrap();
    let mut idle = connect(address);
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    assert!(idle.read(&mut [0; 16]).unwrap() > 0);
    running.server.stop();
    drop((silent, half_a_head, idle));
    assert!(refuses(&running));
}

#[test]
fn grace_has_an_end() {
    let running = start(Duration::from_millis(200), Duration::ZERO);
    let mut request = half_sent(&running.server);
    running.server.stop();
    // Cut off, without an answer.
    assert!(matches!(request.read(&mut [0; 16]), Ok(0) | Err(_)));
}

#[test]
fn readiness_goes_first() {
    let running = start(FOREVER, FOREVER);
    assert_eq!(get(&running.server, "/readyz").text(), "ready\n");
    let verbose = get(&running.server, "/readyz?verbose");
    assert_eq!(verbose.text(), "[+]store ok\n[+]server ok\nready\n");
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| running.server.stop());
        let answer = loop {
            let answer = get(&running.server, "/readyz");
            if answer.status != 200 {
                break answer;
            }
        };
        assert_eq!((answer.status, answer.code().as_str()), (503, "closed"));
        let verbose = get(&running.server, "/readyz?verbose");
        assert_eq!(verbose.status, 503);
        assert_eq!(
            verbose.text(),
            "[+]store ok\n[-]server draining\nnot ready\n"
        );
        assert_eq!(get(&running.server, "/health/ready").status, 503);
        // All else goes on.
        assert_eq!(get(&running.server, "/livez").status, 200);
        assert_eq!(get(&running.server, "/health").status, 200);
        assert!(!stopping.is_finished());
        running.server.stop_now();
    });
    assert!(refuses(&running));
}

#[test]
fn stopping_now_cuts_off() {
    let running = start(FOREVER, FOREVER);
    let mut request = half_sent(&running.server);
    running.server.stop_now();
    assert!(matches!(request.read(&mut [0; 16]), Ok(0) | Err(_)));
    assert!(running.server.is_stopped());
    running.server.stop_now();
    running.server.stop();
}

#[test]
fn a_closed_store_is_not_ready() {
    let running = start(FOREVER, Duration::ZERO);
    running.store.close().unwrap();
    assert_eq!(get(&running.server, "/livez").status, 200);
    let answer = get(&running.server, "/readyz");
    assert_eq!((answer.status, answer.code().as_str()), (503, "closed"));
    assert_eq!(get(&running.server, "/health").code(), "closed");
}

#[test]
fn a_stopped_server_does_not_keep_the_store_open() {
    let running = start(FOREVER, Duration::ZERO);
    get(&running.server, "/health");
    running.server.stop();
    assert_eq!(std::sync::Arc::strong_count(&running.store), 1);
}
