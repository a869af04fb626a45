//! Authentication of every request, and what its token allows.

use crate::error::{Answer, Code, Problem};
use crate::state::Context;
use crate::tokens::{Reach, Role};
use axum::extract::{FromRequestParts, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use std::sync::{Arc, LazyLock};

/// What the sender of a request may do; an extractor of every handler that is not open to all.
#[derive(Clone, Debug)]
pub(crate) struct Access(Arc<Granted>);

#[derive(Debug)]
struct Granted {
    role: Role,
    reach: Reach,
}

impl Access {
    /// Everything: of servers without tokens.
    pub(crate) fn full() -> Self {
        static FULL: LazyLock<Access> = LazyLock::new(|| {
            Access(Arc::new(Granted {
                role: Role::Admin,
                reach: Reach::All,
            }))
        });
        FULL.clone()
    }

    /// Refuses unless the token has `role` in `namespace`.
    ///
    /// # Errors
    /// `forbidden`, in the same words whether the namespace exists or not.
    pub(crate) fn require(&self, role: Role, namespace: &str) -> Answer<()> {
        if !self.reaches(namespace) {
            return Err(Problem::new(
                Code::Forbidden,
                "the token does not reach this namespace",
            ));
        }
        self.require_role(role)
    }

    /// Refuses unless the token has `role` in all namespaces: for what spans them.
    ///
    /// # Errors
    /// `forbidden`.
    pub(crate) fn require_everywhere(&self, role: Role) -> Answer<()> {
        if !self.spans_all() {
            return Err(Problem::new(
                Code::Forbidden,
                "this spans all namespaces, and the token is for some of them",
            ));
        }
        self.require_role(role)
    }

    /// Refuses unless the token has `role`, wherever it reaches.
    ///
    /// # Errors
    /// `forbidden`.
    pub(crate) fn require_role(&self, role: Role) -> Answer<()> {
        if self.0.role < role {
            let detail = format!(
                "the role of the token is {}, this needs {}",
                self.0.role.name(),
                role.name()
            );
            return Err(Problem::new(Code::Forbidden, detail));
        }
        Ok(())
    }

    /// Whether the token reaches `namespace`: for lists.
    pub(crate) fn reaches(&self, namespace: &str) -> bool {
        self.0.reach.includes(namespace)
    }

    /// Whether the token reaches all namespaces, and so may see what is of the whole store.
    pub(crate) fn spans_all(&self) -> bool {
        self.0.reach == Reach::All
    }

    /// The namespaces that the token reaches.
    pub(crate) fn reach(&self) -> &Reach {
        &self.0.reach
    }

    /// The role of the token.
    pub(crate) fn role(&self) -> Role {
        self.0.role
    }
}

impl FromRequestParts<Context> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Answer<Self> {
        // Every way to a handler leads through `authenticate`; if not, nothing is allowed.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(unauthorized)
    }
}

/// Lets requests to what is open to all pass, and others with a known token. So a handler without [`Access`] is not open
/// by mistake.
///
/// # Errors
/// `unauthorized`.
pub(crate) fn authenticate(context: &Context, request: &mut Request) -> Answer<()> {
    if let Some(access) = access(context, request.headers()) {
        request.extensions_mut().insert(access);
    } else if !is_open(request.method(), request.uri().path()) {
        return Err(unauthorized());
    }
    Ok(())
}

fn access(context: &Context, headers: &HeaderMap) -> Option<Access> {
    let tokens = &context.config.tokens;
    if tokens.is_empty() {
        return Some(Access::full());
    }
    let (role, reach) = tokens.find(bearer(headers)?)?;
    Some(Access(Arc::new(Granted {
        role,
        reach: reach.clone(),
    })))
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// What needs no token: probes, the page and the description of the interface.
pub(crate) fn is_open(method: &Method, path: &str) -> bool {
    let reading = method == Method::GET || method == Method::HEAD;
    reading
        && (matches!(path, "/" | "/livez" | "/readyz" | "/openapi.json")
            || path.starts_with("/assets/"))
}

fn unauthorized() -> Problem {
    Problem::new(
        Code::Unauthorized,
        "a token is needed, and none or an unknown one came: send `Authorization: Bearer TOKEN`",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::HeaderValue;

    fn token(values: &[&'static str]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer(&headers).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_token_is_read_from_one_header_alone() {
        assert_eq!(token(&["Bearer abc"]).unwrap(), b"abc");
        assert_eq!(token(&["bEARER  abc "]).unwrap(), b"abc");
        assert_eq!(token(&["Basic abc"]), None);
        assert_eq!(token(&["Bearer"]), None);
        assert_eq!(token(&[]), None);
        assert_eq!(token(&["Bearer abc", "Bearer abc"]), None);
    }

    #[test]
    fn little_is_open() {
        for path in ["/", "/livez", "/readyz", "/openapi.json", "/assets/page.js"] {
            assert!(is_open(&Method::GET, path));
            assert!(is_open(&Method::HEAD, path));
            assert!(!is_open(&Method::POST, path));
        }
        for path in [
            "/health",
            "/health/ready",
            "/metrics",
            "/api/v1/kv/a",
            "/assets",
            "/livez/",
            "//livez",
        ] {
            assert!(!is_open(&Method::GET, path));
        }
    }
}
