//! What requests about vectors say of them.

use crate::error::{Answer, Problem};
use prestige_core::EmbeddingPrecision;
use serde::Deserialize;
use utoipa::ToSchema;

/// How vectors are stored.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Dtype {
    /// As they are.
    #[default]
    Float32,
    /// In half the bytes, rounded.
    Float16,
}

impl From<Dtype> for EmbeddingPrecision {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Float32 => Self::F32,
            Dtype::Float16 => Self::F16,
        }
    }
}

/// Longest vector; the namespace of a model has its length in its name.
const MAX_DIMENSION: usize = 65_536;

pub(super) fn check_model(model: &str, dimension: Option<usize>) -> Answer<()> {
    if model.is_empty() {
        return Err(Problem::invalid("model_id must not be empty"));
    }
    if dimension.is_some_and(|dimension| !(1..=MAX_DIMENSION).contains(&dimension)) {
        return Err(Problem::invalid(format!(
            "the vectors of a model have 1 to {MAX_DIMENSION} components"
        )));
    }
    Ok(())
}
