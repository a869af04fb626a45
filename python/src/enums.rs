//! The enumerations of the options.

use crate::numbers::shown;
use prestige_core as core;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// Which values share one object.
///
/// Attributes:
///     EXACT: Values of identical bytes, after normalisation, by SHA-256.
///     SEMANTIC: Also texts whose embeddings have a cosine similarity of at least
///         ``semantic_threshold``.
#[pyclass(module = "prestige", eq, hash, frozen)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::upper_case_acronyms, reason = "names as Python writes them")]
pub(crate) enum DedupMode {
    /// Identical bytes, by SHA-256.
    EXACT,
    /// Also texts of similar meaning, by the cosine similarity of their embeddings.
    SEMANTIC,
}

/// How values that are UTF-8 text are normalised before they are hashed and stored.
///
/// What is stored, and what ``get`` returns, is the normalised text. Values that are not UTF-8, or
/// longer than ``normalization_max_bytes``, are stored as they are.
///
/// Attributes:
///     NONE: Stored byte for byte.
///     LOWERCASE: Unicode lower case.
///     WHITESPACE: White space at both ends removed, every other run of it one space.
///     FULL: ``LOWERCASE`` and ``WHITESPACE``.
///     UNICODE: NFKC, full case folding and ``WHITESPACE``: one form for all variants of width and
///         case.
///     ASCII: Another name of ``FULL``.
#[pyclass(module = "prestige", eq, hash, frozen)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::upper_case_acronyms, reason = "names as Python writes them")]
pub(crate) enum NormalizationMode {
    /// Stored byte for byte.
    NONE,
    /// Unicode lower case.
    LOWERCASE,
    /// White space trimmed, and every run of it one space.
    WHITESPACE,
    /// Lower case and white space.
    FULL,
    /// NFKC, case folding and white space.
    UNICODE,
}

impl FromPyObject<'_, '_> for DedupMode {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.cast::<Self>() {
            Ok(mode) => Ok(*mode.get()),
            Err(_) => Err(PyTypeError::new_err(format!(
                "must be prestige.DedupMode.EXACT or prestige.DedupMode.SEMANTIC, not {}",
                shown(&object)
            ))),
        }
    }
}

impl FromPyObject<'_, '_> for NormalizationMode {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.cast::<Self>() {
            Ok(mode) => Ok(*mode.get()),
            Err(_) => Err(PyTypeError::new_err(format!(
                "must be prestige.NormalizationMode.NONE, LOWERCASE, WHITESPACE, FULL, UNICODE or ASCII, not {}",
                shown(&object)
            ))),
        }
    }
}

#[pymethods]
impl NormalizationMode {
    /// Another name of ``FULL``.
    #[classattr]
    #[pyo3(name = "ASCII")]
    const ASCII: Self = Self::FULL;
}

impl From<DedupMode> for core::DedupMode {
    fn from(mode: DedupMode) -> Self {
        match mode {
            DedupMode::EXACT => Self::Exact,
            DedupMode::SEMANTIC => Self::Semantic,
        }
    }
}

impl From<core::DedupMode> for DedupMode {
    fn from(mode: core::DedupMode) -> Self {
        match mode {
            core::DedupMode::Exact => Self::EXACT,
            core::DedupMode::Semantic => Self::SEMANTIC,
        }
    }
}

impl From<NormalizationMode> for core::NormalizationMode {
    fn from(mode: NormalizationMode) -> Self {
        match mode {
            NormalizationMode::NONE => Self::None,
            NormalizationMode::LOWERCASE => Self::Lowercase,
            NormalizationMode::WHITESPACE => Self::Whitespace,
            NormalizationMode::FULL => Self::Full,
            NormalizationMode::UNICODE => Self::Unicode,
        }
    }
}
