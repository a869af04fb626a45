//! Paths and methods that there are not.

use crate::error::{Code, Problem};
use axum::http::{Method, Uri};

pub(super) async fn route(uri: Uri) -> Problem {
    Problem::new(
        Code::NoSuchRoute,
        format!("nothing is served at {}", uri.path()),
    )
}

pub(super) async fn method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not possible at {}", uri.path());
    Problem::new(Code::MethodNotAllowed, detail)
}
