//! Requests of browsers for other sites.

use crate::Running;
use crate::client::{ask, get};
use prestige_http::{Config, Tokens};

#[test]
fn a_name_of_another_site_is_refused_without_tokens() {
    let running = Running::start(Config::default());
    let status = |path: &str, host: &str| {
        ask(
            &running.server,
            &format!("GET {path}"),
            &[("Host", host)],
            b"",
        )
        .status
    };
    let port = running.server.address().unwrap().port();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        assert_eq!(status("/health", &format!("{host}:{port}")), 200);
    }
    assert_eq!(status("/health", "rebound.example.com"), 403);
    assert_eq!(status("/livez", "rebound.example.com"), 200);
}

#[test]
fn with_a_token_any_name_will_do() {
    let running = Running::start(Config {
        tokens: Tokens::admin("secret").unwrap(),
        ..Config::default()
    });
    let headers = [
        ("Host", "cache.example.com"),
        ("Authorization", "Bearer secret"),
    ];
    let answer = ask(&running.server, "GET /health", &headers, b"");
    assert_eq!(answer.status, 200);
    let headers = [headers[0], headers[1], ("Origin", "https://evil.example")];
    let answer = ask(&running.server, "GET /health", &headers, b"");
    assert_eq!(answer.code(), "forbidden");
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let running = Running::start(Config::default());
    running.store.put(b"key", b"value", None).unwrap();
    for header in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        let body = b"{\"target_bytes\": 0}";
        let headers = [header, ("Content-Type", "application/json")];
        let answer = ask(&running.server, "POST /api/v1/admin/evict", &headers, body);
        assert_eq!(answer.code(), "forbidden");
    }
    // What a form can send.
    let answer = ask(
        &running.server,
        "POST /api/v1/admin/evict",
        &[("Content-Type", "text/plain")],
        b"{\"target_bytes\": 0}",
    );
    assert_eq!(answer.code(), "unsupported_media_type");
    assert!(running.store.contains(b"key").unwrap());
}

#[test]
fn every_answer_keeps_browsers_from_guessing() {
    let running = Running::start(Config::default());
    for path in ["/livez", "/health", "/nothing", "/openapi.json"] {
        let answer = get(&running.server, path);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(
            answer
                .header("content-security-policy")
                .unwrap()
                .contains("default-src 'none'")
        );
        assert_eq!(answer.header("server"), None);
    }
}
