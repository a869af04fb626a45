//! `docs/http.md` describes what is served, and nothing else.

use std::collections::BTreeSet;

#[test]
fn the_page_names_every_operation_and_no_other() {
    let document: serde_json::Value = serde_json::from_str(&prestige_http::openapi_json()).unwrap();
    let mut served = BTreeSet::from(["GET /openapi.json".to_owned()]);
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if ["get", "put", "post", "delete", "head", "patch"].contains(&method.as_str()) {
                served.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/http.md");
    let page = std::fs::read_to_string(page).unwrap();
    // Operations are named as `METHOD /path`; a heading may name several.
    let mut described = BTreeSet::new();
    for quoted in page.split('`').skip(1).step_by(2) {
        let Some((method, path)) = quoted.split_once(' ') else {
            continue;
        };
        if ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"].contains(&method)
            && path.starts_with('/')
        {
            described.insert(format!("{method} {}", path.split('?').next().unwrap()));
        }
    }
    let missing: Vec<_> = served.difference(&described).collect();
    assert!(
        missing.is_empty(),
        "docs/http.md should describe {missing:?}"
    );
    let more: Vec<_> = described.difference(&served).collect();
    assert!(
        more.is_empty(),
        "docs/http.md describes what is not served: {more:?}"
    );
}
