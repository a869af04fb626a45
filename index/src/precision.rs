//! How many bits are kept of a value.

use std::fmt;
use std::str::FromStr;

use crate::error::IndexError;

/// How many bits the index keeps of each value of a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floats, 4 bytes per value.
    F32,
    /// 16-bit floats (IEEE 754 half precision), 2 bytes per value: similarities are off by at most
    /// about 0.0001.
    #[default]
    F16,
    /// 8-bit integers, each vector scaled by its largest value, 1 byte per value: similarities are
    /// off by at most about 0.002. Only the graph stores them; an index that is still small keeps
    /// 16-bit floats.
    I8,
}

impl Precision {
    /// The number by which files name this precision. Part of the on-disk format.
    pub const fn code(self) -> u8 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::I8 => 2,
        }
    }

    /// The precision of a [`code`](Self::code), `None` for an unknown one.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::F32),
            1 => Some(Self::F16),
            2 => Some(Self::I8),
            _ => None,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "i8",
        })
    }
}

impl FromStr for Precision {
    type Err = IndexError;

    /// Reads `f32`, `f16` or `i8`.
    fn from_str(name: &str) -> Result<Self, IndexError> {
        match name {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "i8" => Ok(Self::I8),
            _ => Err(IndexError::InvalidParameter {
                name: "precision",
                expected: "f32, f16 or i8".to_owned(),
                found: format!("{name:?}"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )]
    use super::*;

    #[test]
    fn precision_names_and_codes_round_trip() {
        for precision in [Precision::F32, Precision::F16, Precision::I8] {
            assert_eq!(Precision::from_code(precision.code()), Some(precision));
            assert_eq!(
                precision.to_string().parse::<Precision>().unwrap(),
                precision
            );
        }
        assert_eq!(Precision::from_code(3), None);
        assert!("F16".parse::<Precision>().is_err());
    }
}
