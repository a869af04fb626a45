//! What can go wrong between a text and its vector.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

/// An error of this crate. Each says what was expected, what was found and, where a file is at
/// fault, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// A model file or a settings file beside it is missing, damaged or of a kind that cannot be
    /// used.
    #[error("model file {}: expected {expected}, found {found}; {remedy}", .path.display())]
    Model {
        /// The file at fault.
        path: PathBuf,
        /// What the file should have been or held.
        expected: String,
        /// What it was or held.
        found: String,
        /// What the user can do about it.
        remedy: String,
    },

    /// The tokenizer file is missing, damaged or does not go with the settings.
    #[error("tokenizer file {}: expected {expected}, found {found}; {remedy}", .path.display())]
    Tokenizer {
        /// The file at fault.
        path: PathBuf,
        /// What the file should have been or held.
        expected: String,
        /// What it was or held.
        found: String,
        /// What the user can do about it.
        remedy: String,
    },

    /// The ONNX Runtime shared library is missing or cannot be used.
    #[error("ONNX Runtime library {place}: {reason}; {}", RUNTIME_REMEDY)]
    Runtime {
        /// The file or folder looked at.
        place: String,
        /// Why it cannot be used.
        reason: String,
    },

    /// The model failed while it computed vectors.
    #[error("embedding with model {model} failed: {reason}")]
    Inference {
        /// Name of the model, as in its [`Fingerprint`](crate::Fingerprint).
        model: String,
        /// What it reported.
        reason: String,
    },

    /// The caller passed something that cannot be used.
    #[error("expected {expected}, found {found}")]
    InvalidInput {
        /// What the caller should have passed.
        expected: String,
        /// What was passed.
        found: String,
    },

    /// A function that the caller gave has failed.
    #[error("{0}")]
    Callback(CallbackError),
}

/// What a function of the caller has failed with, kept whole so that it reaches its owner as it was raised. Everyone who
/// waited for the same call gets the same one.
#[derive(Clone, Debug)]
pub struct CallbackError {
    error: Arc<dyn Error + Send + Sync>,
    interrupts: bool,
}

impl CallbackError {
    /// A failure of the function.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self {
            error: Arc::new(error),
            interrupts: false,
        }
    }

    /// The end of a call for reasons of its caller's alone, for example an interrupt from the keyboard. Whoever waited
    /// for the call makes it anew.
    pub fn interrupt(error: impl Error + Send + Sync + 'static) -> Self {
        Self {
            interrupts: true,
            ..Self::new(error)
        }
    }

    /// Whether it concerns the caller alone.
    #[must_use]
    pub fn is_interrupt(&self) -> bool {
        self.interrupts
    }

    /// What the function has failed with.
    #[must_use]
    pub fn inner(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }
}

/// The same failure, not one that reads the same.
impl PartialEq for CallbackError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.error, &other.error)
    }
}

impl Eq for CallbackError {}

impl fmt::Display for CallbackError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

/// The two ways to provide the library, part of every [`EmbedError::Runtime`] message.
const RUNTIME_REMEDY: &str = "install it with `pip install onnxruntime`, or set ORT_DYLIB_PATH to \
     a libonnxruntime shared library (version 1.20 or later)";

impl EmbedError {
    pub(crate) fn invalid(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::InvalidInput {
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// Runs code of others and turns a panic into its message: no panic may cross into the caller, who
/// may hold locks or be another language.
pub(crate) fn catch_panic<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    // What `run` borrows is either thrown away with the failed call or, like the runtime's session,
    // guards itself.
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        format!("it panicked: {message}")
    })
}
