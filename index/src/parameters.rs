//! The options of an index: units, ranges, defaults, and which of them are built into a file.

use std::fmt;
use std::ops::RangeInclusive;

use crate::error::IndexError;
use crate::precision::Precision;

/// Longest vectors accepted. Embedding models of today stay below 8,192.
const MAX_DIMENSION: usize = 65_536;
/// Largest connectivity and expansions accepted; sensible values are far below.
const MAX_CONNECTIVITY: usize = 1_024;
const MAX_EXPANSION: usize = 65_536;

/// The options of a [`VectorIndex`](crate::VectorIndex).
///
/// `dimension`, `precision`, `connectivity` and `expansion_add` are built into a checkpoint file,
/// which loads only with the same four. `expansion_search` and `exact_limit` may change from one
/// opening to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexParameters {
    /// Values per vector, 1 to 65,536.
    pub dimension: usize,
    /// Bits kept per value.
    pub precision: Precision,
    /// Links per vector and level of the graph, 2 to 1,024, twice as many at the base level (`M` of
    /// the HNSW paper). More: better recall, more memory, slower adds.
    pub connectivity: usize,
    /// Candidates examined when a vector is linked into the graph, 1 to 65,536 (`efConstruction` of
    /// the paper).
    pub expansion_add: usize,
    /// Candidates examined by a search of the graph, 1 to 65,536 (`ef` of the paper). More: better
    /// recall, slower.
    pub expansion_search: usize,
    /// Up to this many vectors the index is an exact scan, above it a graph. 0 makes it a graph
    /// from the first vector, `usize::MAX` an exact scan for ever.
    pub exact_limit: usize,
}

impl IndexParameters {
    /// The defaults for vectors of `dimension` values: f16, connectivity 16, expansions 200 and
    /// 100, exact up to 16,384.
    ///
    /// At 16,384 vectors of 384 values the exact scan takes some two milliseconds, less than a model
    /// takes to embed the query, and is never wrong. Many queries at once, as a batch of puts has
    /// them, take a tenth of that each, and linking a vector into a graph would take as long as
    /// several of them.
    pub const fn new(dimension: usize) -> Self {
        Self {
            dimension,
            precision: Precision::F16,
            connectivity: 16,
            expansion_add: 200,
            expansion_search: 100,
            exact_limit: 16_384,
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    ///
    /// [`IndexError::InvalidParameter`] names the first field out of its range.
    pub fn validate(&self) -> Result<(), IndexError> {
        within("dimension", self.dimension, 1..=MAX_DIMENSION)?;
        within("connectivity", self.connectivity, 2..=MAX_CONNECTIVITY)?;
        within("expansion_add", self.expansion_add, 1..=MAX_EXPANSION)?;
        within("expansion_search", self.expansion_search, 1..=MAX_EXPANSION)
    }

    /// Checks that a file made with `found` serves an index that asks for `self`.
    pub(crate) fn must_match(&self, found: &Self) -> Result<(), IndexError> {
        same("dimension", self.dimension, found.dimension)?;
        same("precision", self.precision, found.precision)?;
        same("connectivity", self.connectivity, found.connectivity)?;
        same("expansion_add", self.expansion_add, found.expansion_add)
    }
}

fn within(
    name: &'static str,
    found: usize,
    range: RangeInclusive<usize>,
) -> Result<(), IndexError> {
    if range.contains(&found) {
        return Ok(());
    }
    Err(IndexError::InvalidParameter {
        name,
        expected: format!("{} to {}", range.start(), range.end()),
        found: found.to_string(),
    })
}

fn same<T: PartialEq + fmt::Display>(
    name: &'static str,
    expected: T,
    found: T,
) -> Result<(), IndexError> {
    if expected == found {
        return Ok(());
    }
    Err(IndexError::OtherParameters {
        name,
        expected: expected.to_string(),
        found: found.to_string(),
    })
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
    fn defaults_are_valid_and_every_range_is_checked() {
        let good = IndexParameters::new(384);
        good.validate().unwrap();
        IndexParameters {
            exact_limit: 0,
            ..good
        }
        .validate()
        .unwrap();
        let bad = [
            (
                "dimension",
                IndexParameters {
                    dimension: 0,
                    ..good
                },
            ),
            (
                "dimension",
                IndexParameters {
                    dimension: MAX_DIMENSION + 1,
                    ..good
                },
            ),
            (
                "connectivity",
                IndexParameters {
                    connectivity: 1,
                    ..good
                },
            ),
            (
                "connectivity",
                IndexParameters {
                    connectivity: usize::MAX,
                    ..good
                },
            ),
            (
                "expansion_add",
                IndexParameters {
                    expansion_add: 0,
                    ..good
                },
            ),
            (
                "expansion_search",
                IndexParameters {
                    expansion_search: usize::MAX,
                    ..good
                },
            ),
        ];
        for (expected, parameters) in bad {
            match parameters.validate() {
                Err(IndexError::InvalidParameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn only_what_is_built_into_a_file_must_match() {
        let asked = IndexParameters::new(8);
        let other_search = IndexParameters {
            expansion_search: 7,
            exact_limit: 1,
            ..asked
        };
        asked.must_match(&other_search).unwrap();
        for found in [
            IndexParameters {
                dimension: 9,
                ..asked
            },
            IndexParameters {
                precision: Precision::F32,
                ..asked
            },
            IndexParameters {
                connectivity: 8,
                ..asked
            },
            IndexParameters {
                expansion_add: 100,
                ..asked
            },
        ] {
            let error = asked.must_match(&found).unwrap_err();
            assert!(
                matches!(error, IndexError::OtherParameters { .. }),
                "{error}"
            );
        }
    }
}
