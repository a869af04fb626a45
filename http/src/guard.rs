//! Requests that a browser sends for another site: refused, whatever they ask for.
//!
//! A page of another site can make a browser send requests to servers that only this machine reaches. Two things tell
//! them apart. Browsers say where a request comes from (`Origin`, `Sec-Fetch-Site`). And a name of the attacker's that
//! resolves to a loopback address (DNS rebinding) stands in `Host`.

use crate::auth::is_open;
use crate::config::Config;
use crate::error::{Answer, Code, Problem};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use std::net::IpAddr;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    /// No browser connects to Unix sockets.
    Unix,
}

/// Refuses requests that a browser sends for another site.
///
/// # Errors
/// `forbidden`.
pub(crate) fn check_sender(config: &Config, request: &Request) -> Answer<()> {
    let path = request.uri().path();
    let headers = request.headers();
    let open = is_open(request.method(), path);
    if open && matches!(path, "/livez" | "/readyz") {
        // Probes come by address and under any name, and tell nothing.
        return Ok(());
    }
    let authority = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => header(headers, HOST.as_str())?,
    };
    let by_tcp = request.extensions().get::<Transport>() != Some(&Transport::Unix);
    if config.tokens.is_empty()
        && by_tcp
        && let Some(authority) = authority
        && !is_loopback(authority)
        && !is_allowed(config, authority)
    {
        return Err(Problem::new(
            Code::Forbidden,
            "without tokens this server answers under loopback names alone, such as localhost; the `Host` header has \
             another one",
        ));
    }
    if let Some(origin) = header(headers, ORIGIN.as_str())? {
        let from = origin.split_once("://").map(|(_, authority)| authority);
        let own = from.is_some_and(|from| {
            authority.is_some_and(|own| own.eq_ignore_ascii_case(from)) || is_allowed(config, from)
        });
        if !own {
            return Err(another_site());
        }
    } else if !open && header(headers, "sec-fetch-site")? == Some("cross-site") {
        // Without an origin: an image, a frame, or a link that somebody has followed. The page may be linked to.
        return Err(another_site());
    }
    Ok(())
}

fn another_site() -> Problem {
    Problem::new(
        Code::Forbidden,
        "the request comes from a page of another site",
    )
}

/// The one value of a header.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Answer<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str());
    match (first.transpose(), values.next()) {
        (Ok(value), None) => Ok(value),
        _ => Err(Problem::invalid(format!(
            "the header {name} must come once, in ASCII"
        ))),
    }
}

/// The host of `HOST[:PORT]`, without the brackets of IPv6.
fn host_of(authority: &str) -> &str {
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

fn is_loopback(authority: &str) -> bool {
    let host = host_of(authority).trim_end_matches('.');
    host.parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback())
        || host.eq_ignore_ascii_case("localhost")
        || host
            .len()
            .checked_sub(".localhost".len())
            .and_then(|at| host.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(".localhost"))
}

/// Whether the operator has named it, with its port or without.
fn is_allowed(config: &Config, authority: &str) -> bool {
    config.allowed_hosts.iter().any(|allowed| {
        allowed.eq_ignore_ascii_case(authority) || allowed.eq_ignore_ascii_case(host_of(authority))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tokens::Tokens;
    use axum::body::Body;

    fn allowed(config: &Config, path: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check_sender(config, &request.body(Body::empty()).unwrap()).is_ok()
    }

    #[test]
    fn without_tokens_the_name_must_be_loopback() {
        let mut config = Config::default();
        for host in [
            "localhost",
            "LocalHost:8080",
            "app.localhost:1",
            "localhost.",
            "127.0.0.1:5",
            "127.1.2.3",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(allowed(&config, "/metrics", &[("host", host)]), "{host}");
        }
        for host in [
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "notlocalhost",
            "10.0.0.1:80",
            "[::2]",
            "",
            "[",
        ] {
            assert!(!allowed(&config, "/metrics", &[("host", host)]), "{host}");
            assert!(!allowed(&config, "/", &[("host", host)]), "{host}");
            assert!(allowed(&config, "/livez", &[("host", host)]), "{host}");
        }
        assert!(!allowed(
            &config,
            "http://example.com/x",
            &[("host", "localhost")]
        ));
        assert!(!allowed(
            &config,
            "/x",
            &[("host", "localhost"), ("host", "localhost")]
        ));
        config.allowed_hosts = vec!["example.com".to_owned()];
        assert!(allowed(&config, "/x", &[("host", "example.com:8080")]));
        config.allowed_hosts.clear();
        config.tokens = Tokens::admin("secret").unwrap();
        assert!(allowed(&config, "/x", &[("host", "example.com")]));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let mut config = Config::default();
        let from = |config: &Config, path: &str, name: &str, value: &str| {
            allowed(config, path, &[("host", "localhost:80"), (name, value)])
        };
        assert!(from(&config, "/x", "origin", "http://localhost:80"));
        assert!(from(&config, "/x", "sec-fetch-site", "same-origin"));
        assert!(from(&config, "/x", "sec-fetch-site", "none"));
        for (name, value) in [
            ("origin", "http://localhost:81"),
            ("origin", "https://example.com"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert!(!from(&config, "/x", name, value), "{value}");
            assert!(from(&config, "/livez", name, value), "{value}");
        }
        // A link to the page may be followed from anywhere.
        assert!(from(&config, "/", "sec-fetch-site", "cross-site"));
        config.allowed_hosts = vec!["example.com".to_owned()];
        assert!(from(&config, "/x", "origin", "https://example.com"));
        assert!(!from(&config, "/x", "origin", "https://other.example.com"));
    }
}
