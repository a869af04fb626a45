//! The monitoring page: files that are part of the binary, and the headers that confine them. It holds no data, so it is
//! open to everyone; what it shows it asks of the API, with the token that its user enters.

use super::unknown;
use crate::error::Answer;
use crate::etag::{self, Comparison, Tags};
use crate::state::Context;
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prestige_core::Digest;
use std::sync::LazyLock;

/// Scripts, styles and requests of this server alone, nothing inline, nothing evaluated, and no text that becomes markup.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file of the page.
struct Asset {
    /// Its name below `assets/`; the document itself has none.
    name: &'static str,
    content_type: &'static str,
    body: &'static str,
    digest: Digest,
}

macro_rules! asset {
    ($name:literal, $content_type:expr, $file:literal) => {
        Asset::new(
            $name,
            $content_type,
            include_str!(concat!("../page/", $file)),
        )
    };
}

static DOCUMENT: LazyLock<Asset> = LazyLock::new(|| asset!("", HTML, "index.html"));

static ASSETS: LazyLock<[Asset; 14]> = LazyLock::new(|| {
    [
        asset!("api.js", SCRIPT, "api.js"),
        asset!("charts.js", SCRIPT, "charts.js"),
        asset!("dom.js", SCRIPT, "dom.js"),
        asset!("figures.js", SCRIPT, "figures.js"),
        asset!("format.js", SCRIPT, "format.js"),
        asset!("history.js", SCRIPT, "history.js"),
        asset!("icon.svg", PICTURE, "icon.svg"),
        asset!("main.js", SCRIPT, "main.js"),
        asset!("namespaces.js", SCRIPT, "namespaces.js"),
        asset!("operations.js", SCRIPT, "operations.js"),
        asset!("page.css", STYLE, "page.css"),
        asset!("similarity.js", SCRIPT, "similarity.js"),
        asset!("uplot.css", STYLE, "uplot/uPlot.min.css"),
        asset!("uplot.js", SCRIPT, "uplot/uPlot.iife.min.js"),
    ]
});

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/", get(document))
        .route("/assets/{name}", get(asset))
}

/// `GET /`.
async fn document(headers: HeaderMap) -> Response {
    DOCUMENT.answer(&headers)
}

/// `GET /assets/{name}`.
async fn asset(uri: Uri, headers: HeaderMap) -> Answer<Response> {
    let name = uri.path().trim_start_matches("/assets/");
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(found) => Ok(found.answer(&headers)),
        None => Err(unknown::route(uri).await),
    }
}

impl Asset {
    fn new(name: &'static str, content_type: &'static str, body: &'static str) -> Self {
        Self {
            name,
            content_type,
            body,
            digest: Digest::of(body.as_bytes()),
        }
    }

    /// The file, or 304 if the client has it. A browser asks each time: another version of the server may answer.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let etag = format!("\"{}\"", self.digest.to_hex());
        // Hexadecimal digits in quotes are a header.
        let etag = HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\""));
        let same_origin = HeaderValue::from_static("same-origin");
        let common = [
            (header::ETAG, etag),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (OPENER_POLICY, same_origin.clone()),
            (RESOURCE_POLICY, same_origin),
        ];
        let lines = headers.get_all(header::IF_NONE_MATCH).iter();
        // What is no list of tags names none.
        let known = match etag::parse(lines.map(HeaderValue::as_bytes), Comparison::Weak) {
            Ok(Some(Tags::Any)) => true,
            Ok(Some(Tags::Digests(digests))) => digests.contains(&self.digest.0),
            _ => false,
        };
        if known {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let content_type = HeaderValue::from_static(self.content_type);
        (common, [(header::CONTENT_TYPE, content_type)], self.body).into_response()
    }
}
