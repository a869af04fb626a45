//! From one vector a token to one vector a text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::EmbedError;

/// How the vectors of a text's tokens become the vector of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean over all tokens of the text, special tokens included, padding not.
    #[default]
    Mean,
    /// The vector of the first token (`[CLS]`).
    Cls,
}

impl fmt::Display for Pooling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
        })
    }
}

impl FromStr for Pooling {
    type Err = EmbedError;

    fn from_str(text: &str) -> Result<Self, EmbedError> {
        match text.to_ascii_lowercase().as_str() {
            "mean" => Ok(Self::Mean),
            "cls" => Ok(Self::Cls),
            _ => Err(EmbedError::invalid(
                "pooling \"mean\" or \"cls\"",
                format!("{text:?}"),
            )),
        }
    }
}

#[cfg(feature = "onnx")]
impl Pooling {
    /// Pools one text into `out` (length d).
    ///
    /// `hidden` holds the text's token vectors, s × d, padding at the end; `tokens` of them, at
    /// least 1, are real. Taking the first `tokens` rows is the same as weighting with the
    /// attention mask, which is 1 there and 0 after.
    pub(crate) fn pool(self, hidden: &[f32], tokens: usize, out: &mut [f32]) {
        let mut vectors = hidden.chunks_exact(out.len().max(1)).take(tokens);
        if let Some(first) = vectors.next() {
            out.copy_from_slice(first);
        }
        if self == Self::Cls {
            return;
        }
        for vector in vectors {
            for (sum, x) in out.iter_mut().zip(vector) {
                *sum += x;
            }
        }
        let scale = 1.0 / tokens.max(1) as f32;
        for sum in out {
            *sum *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_round_trip() {
        for pooling in [Pooling::Mean, Pooling::Cls] {
            assert_eq!(pooling.to_string().parse::<Pooling>().unwrap(), pooling);
            let json = serde_json::to_string(&pooling).unwrap();
            assert_eq!(json, format!("\"{pooling}\""));
            assert_eq!(serde_json::from_str::<Pooling>(&json).unwrap(), pooling);
        }
        assert_eq!("CLS".parse::<Pooling>().unwrap(), Pooling::Cls);
        assert!(
            "max"
                .parse::<Pooling>()
                .unwrap_err()
                .to_string()
                .contains("\"max\"")
        );
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn padding_never_counts() {
        // Three real tokens and one of padding, d = 2.
        let hidden = [1.0, 10.0, 2.0, 20.0, 6.0, 60.0, 1e9, -1e9];
        let mut out = [0.0; 2];
        Pooling::Mean.pool(&hidden, 3, &mut out);
        assert_eq!(out, [3.0, 30.0]);
        Pooling::Cls.pool(&hidden, 3, &mut out);
        assert_eq!(out, [1.0, 10.0]);
    }
}
