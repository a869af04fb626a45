//! Many clients at once.

use crate::{JSON, Running, path_of};
use prestige_core::Digest;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn no_acknowledged_write_is_lost_and_no_value_is_another_ones() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 40;
    let running = Running::start();
    let created = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (running, created) = (&running, &created);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let own = format!("own/{client}/{round}");
                    let value = format!("value {}", round % 7);
                    assert_eq!(running.put(own.as_bytes(), value.as_bytes()).status, 201);
                    assert_eq!(running.get(&path_of(own.as_bytes())).text(), value);
                    // One of all clients makes it.
                    let shared = format!("PUT /api/v1/kv/shared%2F{round}");
                    match running.ask(&shared, &[("If-None-Match", "*")], own.as_bytes()).status {
                        201 => _ = created.fetch_add(1, Ordering::Relaxed),
                        status => assert_eq!(status, 412),
                    }
                    // A number that everybody raises by one.
                    loop {
                        let now = running.get("/api/v1/kv/number");
                        let (number, condition) = match now.status {
                            200 => {
                                let etag = now.header("etag").unwrap().to_owned();
                                assert_eq!(etag, format!("\"{}\"", Digest::of(&now.body).to_hex()));
                                (now.text().parse::<u64>().unwrap(), ("If-Match", etag))
                            }
                            _ => (0, ("If-None-Match", "*".to_owned())),
                        };
                        let headers = [(condition.0, condition.1.as_str())];
                        let next = (number + 1).to_string();
                        match running.ask("PUT /api/v1/kv/number", &headers, next.as_bytes()).status {
                            200 | 201 => break,
                            status => assert_eq!(status, 412),
                        }
                    }
                    if round % 8 == 0 {
                        let items: Vec<_> = (0..50)
                            .map(|item| json!({"key": format!("batch/{client}/{item}"), "value": format!("{round} {item}")}))
                            .collect();
                        running.posted("/api/v1/kv:batchPut", &json!({"items": items}));
                        let keys: Vec<_> = (0..25).map(|item| format!("batch/{client}/{item}")).collect();
                        assert_eq!(running.posted("/api/v1/kv:batchDelete", &json!({"keys": keys})), json!({"deleted": 25}));
                        running.ask("POST /api/v1/cache/put", &[JSON], json!({"query": own, "response": value}).to_string().as_bytes());
                    }
                }
            });
        }
    });
    assert_eq!(created.into_inner(), ROUNDS as u64);
    let total = (CLIENTS * ROUNDS).to_string();
    assert_eq!(running.get("/api/v1/kv/number").text(), total);
    let keys = CLIENTS * ROUNDS + ROUNDS + 1 + CLIENTS * 25;
    assert_eq!(
        running.get("/api/v1/kv/_count").json(),
        json!({"count": keys})
    );
}
