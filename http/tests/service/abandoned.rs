//! Requests whose clients hang up, or are answered by the time-out, while their work goes on: they are in progress as long
//! as that.

use crate::Running;
use crate::client::{PATIENCE, ask, connect, get, read_answer, send};
use prestige_core::embed::{EmbedError, Embedder, Embeddings, Fingerprint, HashEmbedder};
use prestige_core::{DedupMode, Options};
use prestige_http::{Config, Limits, Timeouts};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const PUT: &str = "PUT /api/v1/kv/key";
const TEXT: &[u8] = b"some text";

/// A model that works as long as it is told to.
#[derive(Debug)]
struct Held {
    model: HashEmbedder,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    working: usize,
}

impl Held {
    fn hold(&self, held: bool) {
        self.state.lock().unwrap().held = held;
        self.changed.notify_all();
    }

    /// Waits until the model is at work for so many.
    fn wait(&self, working: usize) {
        let state = self.state.lock().unwrap();
        let wait = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.working != working);
        assert!(!wait.unwrap().1.timed_out());
    }
}

impl Embedder for Held {
    fn dimension(&self) -> usize {
        self.model.dimension()
    }

    fn fingerprint(&self) -> &Fingerprint {
        self.model.fingerprint()
    }

    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        let mut state = self.state.lock().unwrap();
        state.working += 1;
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| state.held).unwrap();
        state.working -= 1;
        self.changed.notify_all();
        drop(state);
        self.model.embed(texts)
    }
}

/// A server that answers one request at a time, and its model.
fn start(request: Duration) -> (Running, Arc<Held>) {
    let model = Arc::new(Held {
        model: HashEmbedder::new(16),
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    let embedder = Arc::clone(&model);
    let options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(move || {
            Ok(Arc::clone(&embedder) as Arc<dyn Embedder>)
        })),
        ..Options::default()
    };
    let config = Config {
        limits: Limits {
            requests: 1,
            ..Limits::default()
        },
        timeouts: Timeouts {
            request,
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let running = Running::with(options, config);
    model.hold(true);
    (running, model)
}

/// The work goes on, so there is no room for more; then it ends, and there is.
fn check(running: &Running, model: &Held) {
    model.wait(1);
    for _ in 0..20 {
        let answer = get(&running.server, "/api/v1/kv/other");
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        // Nothing was begun for it.
        model.wait(1);
    }
    assert_eq!(get(&running.server, "/readyz").status, 200);
    model.hold(false);
    model.wait(0);
    // What was begun is finished, though nobody has heard of it.
    let found = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(10));
        get(&running.server, "/api/v1/kv/key")
    });
    let found = found.take(1000).find(|answer| answer.status == 200);
    assert_eq!(found.unwrap().body, TEXT);
}

#[test]
fn a_client_that_hangs_up_makes_no_room_for_the_next_one() {
    for headers in [&[][..], &[("Idempotency-Key", "k")]] {
        let (running, model) = start(PATIENCE);
        let mut connection = connect(running.server.address().unwrap());
        send(&mut connection, PUT, headers, TEXT);
        model.wait(1);
        connection.shutdown(Shutdown::Both).unwrap();
        drop(connection);
        // The server notices.
        std::thread::sleep(Duration::from_millis(200));
        check(&running, &model);
    }
}

#[test]
fn neither_does_a_time_out() {
    for headers in [&[][..], &[("Idempotency-Key", "k")]] {
        let (running, model) = start(Duration::from_millis(200));
        let answer = ask(&running.server, PUT, headers, TEXT);
        assert_eq!((answer.status, answer.code().as_str()), (503, "timed_out"));
        check(&running, &model);
    }
}

/// A server that holds 1,000 bytes of bodies.
fn tight() -> Running {
    Running::start(Config {
        limits: Limits {
            body_bytes: 900,
            total_body_bytes: 1000,
            ..Limits::default()
        },
        ..Config::default()
    })
}

/// Whether a body of this length is wanted.
fn is_told_to_go_on(running: &Running, length: &str) -> bool {
    let mut connection = connect(running.server.address().unwrap());
    let headers = [("Content-Length", length), ("Expect", "100-continue")];
    send(&mut connection, "PUT /api/v1/kv/b", &headers, b"");
    let mut line = [0; 12];
    connection.read_exact(&mut line).unwrap();
    match &line {
        b"HTTP/1.1 100" => true,
        b"HTTP/1.1 503" => false,
        other => panic!("{}", String::from_utf8_lossy(other)),
    }
}

#[test]
fn bodies_of_all_requests_have_a_bound_together() {
    let running = tight();
    let address = running.server.address().unwrap();
    for (request, kind) in [
        ("PUT /api/v1/kv/a", "application/octet-stream"),
        ("POST /api/v1/kv:batchPut", "application/x-ndjson"),
    ] {
        let headers = [("Content-Type", kind), ("Content-Length", "600")];
        let mut first = connect(address);
        send(&mut first, request, &headers, &[b' '; 599]);
        // What is announced takes nothing.
        let mut idle = connect(address);
        send(
            &mut idle,
            "PUT /api/v1/kv/b",
            &[("Content-Length", "900")],
            b"",
        );
        let second = || ask(&running.server, "PUT /api/v1/kv/b", &[], &[b'b'; 500]);
        // Until the first one has been read. A body that is only announced takes no room from it.
        let has_room = || {
            std::thread::sleep(Duration::from_millis(10));
            is_told_to_go_on(&running, "500")
        };
        assert!(!(0..1000).all(|_| has_room()), "{request}");
        let refused = second();
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "overloaded")
        );
        assert_eq!(refused.json()["limit"], 1000);
        assert_eq!(refused.header("retry-after"), Some("1"));
        // One whose length is not known, too.
        let chunked = [("Transfer-Encoding", "chunked")];
        let chunk = format!("1f4\r\n{}\r\n0\r\n\r\n", "b".repeat(500));
        let refused = ask(
            &running.server,
            "PUT /api/v1/kv/b",
            &chunked,
            chunk.as_bytes(),
        );
        assert_eq!(refused.code(), "overloaded");
        assert!(ask(&running.server, "PUT /api/v1/kv/b", &[], b"short").status < 300);
        first.write_all(b" ").unwrap();
        assert!(read_answer(&mut first).status < 300);
        drop(idle);
        // All of it is given back, whatever has become of a request.
        for _ in 0..20 {
            assert!(second().status < 300);
        }
    }
    assert_eq!(get(&running.server, "/api/v1/kv/b").body, [b'b'; 500]);
}

#[test]
fn a_body_that_is_read_twice_counts_once() {
    let running = tight();
    for number in 0..3 {
        let key = format!("key-{number}");
        let headers = [
            ("Idempotency-Key", key.as_str()),
            ("Content-Type", "application/json"),
        ];
        let body = format!("{{\"keys\": [{:?}]}}", "k".repeat(800));
        let answer = ask(
            &running.server,
            "POST /api/v1/kv:batchDelete",
            &headers,
            body.as_bytes(),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}
