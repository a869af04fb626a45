//! Who may do what.

use crate::Running;
use crate::client::{ask, get};
use prestige_http::{Config, Tokens};

const FILE: &str = "read reader\nwrite writer\nadmin admin\nadmin scoped tenant-*\n";

fn start() -> Running {
    let mut tokens = Tokens::none();
    tokens.add_lines(FILE).unwrap();
    Running::start(Config {
        tokens,
        ..Config::default()
    })
}

fn status(running: &Running, request: &str, token: &str) -> u16 {
    let token = format!("Bearer {token}");
    ask(&running.server, request, &[("Authorization", &token)], b"").status
}

#[test]
fn without_a_known_token_only_probes_are_answered() {
    let running = start();
    for path in ["/livez", "/readyz", "/openapi.json"] {
        assert_eq!(get(&running.server, path).status, 200, "{path}");
    }
    for path in ["/health", "/metrics", "/api/v1/jobs", "/api/v1/nothing"] {
        let answer = get(&running.server, path);
        assert_eq!(answer.code(), "unauthorized", "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(status(&running, &format!("GET {path}"), "reade"), 401);
        assert_eq!(status(&running, &format!("GET {path}"), "readerr"), 401);
    }
    // The scheme matters, and one header must come once.
    for headers in [
        &[("Authorization", "Basic reader")][..],
        &[("Authorization", "reader")],
        &[
            ("Authorization", "Bearer reader"),
            ("Authorization", "Bearer admin"),
        ],
    ] {
        assert_eq!(
            ask(&running.server, "GET /health", headers, b"").status,
            401
        );
    }
}

#[test]
fn roles_include_the_ones_below() {
    let running = start();
    for token in ["reader", "writer", "admin"] {
        assert_eq!(status(&running, "GET /health", token), 200, "{token}");
        assert_eq!(status(&running, "GET /metrics", token), 200, "{token}");
    }
    for token in ["reader", "writer"] {
        assert_eq!(status(&running, "POST /api/v1/admin/sweep", token), 403);
        assert_eq!(status(&running, "GET /api/v1/jobs", token), 403);
    }
    assert_eq!(status(&running, "POST /api/v1/admin/sweep", "admin"), 200);
}

#[test]
fn a_token_of_some_namespaces_sees_no_figures_of_the_whole_store() {
    let mut tokens = Tokens::none();
    tokens
        .add_lines("read all\nread some tenant-*\nread own \"\"\n")
        .unwrap();
    let running = Running::start(Config {
        tokens,
        ..Config::default()
    });
    running
        .store
        .namespace("tenant-1")
        .unwrap()
        .put(b"k", b"v", None)
        .unwrap();
    let ask = |path: &str, token: &str| {
        let token = format!("Bearer {token}");
        let answer = ask(
            &running.server,
            &format!("GET {path}"),
            &[("Authorization", &token)],
            b"",
        );
        assert_eq!(answer.status, 200, "{path}");
        answer.json()
    };
    let health = ["bytes_on_disk", "embed_queue_texts"];
    let stats = [
        "embedding_cache_hits",
        "embedding_cache_misses",
        "semantic_cache_exact_hits",
        "semantic_cache_semantic_hits",
        "semantic_cache_misses",
    ];
    for (token, namespace) in [("all", "tenant-1"), ("some", "tenant-1")] {
        let own = ask(&format!("/api/v1/health?namespace={namespace}"), token);
        let counts = ask(&format!("/api/v1/stats?namespace={namespace}"), token);
        let monitor = ask("/api/v1/monitor", token);
        let restricted = token != "all";
        assert_eq!(monitor["restricted"], restricted);
        for (figures, names) in [
            (&own, &health[..]),
            (&monitor["health"], &health),
            (&counts, &stats),
            (&monitor["stats"], &stats),
        ] {
            for name in names {
                assert_eq!(figures.get(name).unwrap().is_null(), restricted, "{name}");
            }
        }
        assert_eq!(
            (&own["total_keys"], &counts["puts"]),
            (&1.into(), &1.into())
        );
    }
}

#[test]
fn a_token_of_some_namespaces_sees_those_alone() {
    let running = start();
    running.store.namespace("tenant-1").unwrap();
    for request in [
        "GET /health",
        "GET /metrics",
        "POST /api/v1/admin/flush",
        "POST /api/v1/admin/sweep",
        "POST /api/v1/admin/sweep?namespace=other",
        "POST /api/v1/admin/sweep?namespace=tenant",
        "POST /api/v1/admin/verify",
    ] {
        assert_eq!(status(&running, request, "scoped"), 403, "{request}");
    }
    let sweep = |namespace: &str, token| {
        let request = format!("POST /api/v1/admin/sweep?namespace={namespace}");
        assert_eq!(status(&running, &request, token), 200);
    };
    sweep("tenant-1", "scoped");
    sweep("ten%61nt-1", "scoped");
    sweep("tenant-none", "scoped");
    sweep("other", "admin");
    sweep("", "admin");
    // Maintenance makes no namespaces.
    assert_eq!(running.store.namespaces().unwrap(), ["tenant-1"]);
    let jobs = |token: &str| {
        let token = format!("Bearer {token}");
        let answer = ask(
            &running.server,
            "GET /api/v1/jobs",
            &[("Authorization", &token)],
            b"",
        );
        let jobs = answer.json()["jobs"].as_array().unwrap().clone();
        (jobs, token)
    };
    let (seen, token) = jobs("scoped");
    assert_eq!(seen.len(), 3);
    let (all, _) = jobs("admin");
    assert_eq!(all.len(), 5);
    let hidden = all.iter().find(|job| job["namespace"] == "other").unwrap();
    let path = format!("GET /api/v1/jobs/{}", hidden["id"].as_str().unwrap());
    let answer = ask(&running.server, &path, &[("Authorization", &token)], b"");
    assert_eq!(answer.code(), "not_found");
}

#[test]
fn no_answer_shows_a_token() {
    let running = start();
    for request in ["GET /health", "GET /secret-token", "BREW /", "POST /health"] {
        let answer = ask(
            &running.server,
            request,
            &[("Authorization", "Bearer secret-token-of-mine")],
            b"",
        );
        assert!(!answer.text().contains("token-of-mine"));
    }
}
