#![allow(clippy::unwrap_used)]

use super::*;
use prestige_core::{Figure, Options, Store};
use std::collections::BTreeSet;
use text::Kind;

/// The page on which every metric is described.
const DOCUMENTED: &str = include_str!("../../../docs/metrics.md");

/// Every metric there can be.
fn names() -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let overview = store.overview(&|_| true).unwrap();
    let health = overview
        .health
        .figures()
        .into_iter()
        .filter(|(_, figure)| !matches!(figure, Figure::Text(_)))
        .map(|(name, _)| store::metric(name, Kind::Gauge).0);
    let stats = overview
        .stats
        .figures()
        .into_iter()
        .filter_map(|(name, figure)| match figure {
            Figure::Integer(_) => Some(store::metric(name, Kind::Counter).0),
            Figure::Float(_) => Some(store::metric(name, Kind::Gauge).0),
            _ => None,
        });
    let others = [
        store::OPERATIONS,
        store::RATIOS,
        store::SIMILARITY,
        store::NAMESPACES,
        store::BATCHES,
        store::WAITING,
        store::UPTIME,
        store::BUILD,
        store::MEMORY,
    ];
    let namespaces = store::OF_NAMESPACES.iter().map(|(name, ..)| *name);
    let counted = COUNTED.iter().map(|(name, _)| *name);
    let named = others.into_iter().chain(namespaces).chain(counted);
    health
        .chain(stats)
        .chain(named.map(str::to_owned))
        .collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() {
    let cells = DOCUMENTED
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<_> = cells
        .filter_map(|cell| cell.split_once('`'))
        .map(|(name, _)| name.split('{').next().unwrap_or(name).to_owned())
        // Spans are on the same page.
        .filter(|name| name.starts_with("prestige_") || name.starts_with("process_"))
        .collect();
    assert_eq!(documented, names());
}

#[test]
fn every_figure_says_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options::default()).unwrap();
    let text = Metrics::new().render(&store.overview(&|_| true).unwrap(), &[], Duration::ZERO);
    let helps: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("# HELP"))
        .collect();
    assert!(helps.len() > 60);
    for help in helps {
        let percentile = ["_p50_", "_p90_", "_p99_", "_max_"];
        let percentile = percentile.iter().any(|part| help.contains(part));
        assert_eq!(help.contains(" of the durations of "), percentile, "{help}");
    }
}

#[test]
fn requests_are_counted_once_in_their_route_and_status() {
    let metrics = Metrics::new();
    for status in [200, 200, 404] {
        let _in_flight = metrics.begin_request();
        metrics.count_request("GET", "/a", status, Duration::from_millis(2));
    }
    metrics.count_request("PUT", "/a", 200, Duration::from_secs(60));
    metrics.texts_embedded(3, 0);
    metrics.upstream_answered(None, Duration::ZERO);
    let _in_flight = metrics.begin_request();
    let text = metrics.handle.render();
    for line in [
        r#"prestige_http_requests_total{method="GET",path="/a",status="200"} 2"#,
        r#"prestige_http_requests_total{method="GET",path="/a",status="404"} 1"#,
        r#"prestige_http_request_duration_seconds_bucket{method="GET",path="/a",le="0.0025"} 3"#,
        r#"prestige_http_request_duration_seconds_bucket{method="PUT",path="/a",le="10"} 0"#,
        r#"prestige_http_request_duration_seconds_count{method="PUT",path="/a"} 1"#,
        "prestige_http_requests_in_flight 1",
        r#"prestige_embeddings_texts_total{result="hit"} 3"#,
        r#"prestige_upstream_requests_total{status="none"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert_eq!(metrics.answered(), 4);
}
