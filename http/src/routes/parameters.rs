//! Parameters that many routes have, as the OpenAPI document describes them.

use utoipa::IntoParams;

/// What [`Namespace`](crate::extract::Namespace) reads.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a parameter that an extractor reads")]
pub(crate) struct NamespaceQuery {
    /// Name of the namespace; left out: the default one.
    #[param(max_length = 255)]
    namespace: Option<String>,
}
