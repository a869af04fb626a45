//! Text in, unit vectors out: the embedding stage of Prestige.
//!
//! # Layout
//!
//! | module | what it does |
//! |---|---|
//! | `embeddings` | [`Embeddings`]: n × d rows of `f32`, checked and normalised |
//! | `fingerprint` | [`Fingerprint`]: which model a vector came from |
//! | `spec` | [`ModelSpec`]: the files of a model and how to use them |
//! | `preset` | [`Preset`]: models known by name |
//! | `hub` | [`ModelQuery`]: finds them on this machine |
//! | `runtime` | [`RuntimeLibrary`]: finds the ONNX Runtime shared library |
//! | `tokenizer` | text to token ids (feature `onnx`) |
//! | `session` | the only file that touches `ort` (feature `onnx`) |
//! | `pooling` | [`Pooling`]: token vectors to one text vector |
//! | `onnx` | [`OnnxEmbedder`]: all of the above put together (feature `onnx`) |
//! | `micro_batch` | how many texts the model computes at once (feature `onnx`) |
//! | `load` | [`EmbedderLoad`]: how busy an embedder is |
//! | `batch` | merges concurrent callers into one batch (feature `onnx`) |
//! | `testing` | [`HashEmbedder`]: a deterministic embedder without a model, for tests |
//! | `error` | [`EmbedError`] |
//!
//! # Example
//!
//! ```
//! use prestige_embed::{Embedder, HashEmbedder};
//!
//! let embedder = HashEmbedder::new(64);
//! let rows = embedder.embed(&["a red apple", "a green apple"])?;
//! assert_eq!((rows.len(), rows.dimension()), (2, 64));
//! # Ok::<(), prestige_embed::EmbedError>(())
//! ```
//!
//! With a model on disk (feature `onnx`, on by default):
//!
//! ```no_run
//! # #[cfg(feature = "onnx")] {
//! use prestige_embed::{Embedder, ModelSpec, OnnxEmbedder, RuntimeLibrary};
//! use std::path::Path;
//!
//! let spec = ModelSpec::from_path(Path::new("models/all-MiniLM-L6-v2"))?;
//! let runtime = RuntimeLibrary::find(None)?; // ORT_DYLIB_PATH
//! let embedder = OnnxEmbedder::open(&spec, &runtime)?;
//! let rows = embedder.embed(&["a red apple"])?;
//! assert_eq!(rows.dimension(), 384);
//! # }
//! # Ok::<(), prestige_embed::EmbedError>(())
//! ```

#[cfg(feature = "onnx")]
mod batch;
mod embeddings;
mod error;
mod fingerprint;
mod hub;
mod load;
#[cfg(feature = "onnx")]
mod micro_batch;
#[cfg(feature = "onnx")]
mod onnx;
mod parts;
mod pooling;
mod preset;
mod runtime;
#[cfg(feature = "onnx")]
mod session;
mod spec;
mod testing;
#[cfg(feature = "onnx")]
mod tokenizer;

pub use embeddings::Embeddings;
pub use error::{CallbackError, EmbedError};
pub use fingerprint::Fingerprint;
pub use hub::{ModelQuery, cache_folder, is_offline};
pub use load::{EmbedderLoad, ROUND_SIZES};
#[cfg(feature = "onnx")]
pub use onnx::OnnxEmbedder;
pub use parts::{Turns, beside, in_parts, spare_threads};
pub use pooling::Pooling;
pub use preset::{PRESETS, Preset, repository_files};
pub use runtime::RuntimeLibrary;
pub use spec::ModelSpec;
pub use testing::HashEmbedder;

use std::sync::Arc;

/// Turns texts into vectors of unit length.
///
/// A text's vector depends on the text and the [`Fingerprint`] alone: not on the other texts of the
/// call, not on the thread. Implementations are shared between threads and called through `&self`.
pub trait Embedder: Send + Sync + std::fmt::Debug {
    /// Length of every vector this embedder returns; at least 1.
    fn dimension(&self) -> usize;

    /// Names the model. Vectors of different fingerprints must not be compared.
    fn fingerprint(&self) -> &Fingerprint;

    /// Embeds `n` texts into `n` rows of unit length, in the order of the texts. No texts give no
    /// rows.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Inference`] when the model fails, [`EmbedError::InvalidInput`] when a text
    /// cannot be embedded. A failed call leaves nothing behind; the embedder stays usable.
    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError>;

    /// Whether the model reads all of `text`. A longer text is embedded by its beginning alone, so its vector must not
    /// decide that two texts are the same.
    fn fits(&self, _text: &str) -> bool {
        true
    }

    /// Tokens of `text` that the model reads, special ones included; `None` if it does not know.
    fn count_tokens(&self, _text: &str) -> Option<u64> {
        None
    }

    /// How busy it is; zeros if it does not know.
    fn load(&self) -> EmbedderLoad {
        EmbedderLoad::default()
    }

    /// The same for threads that the caller knows nothing of; `None` if it runs code of the caller's, which belongs on
    /// the caller's own thread.
    fn in_background(&self) -> Option<&dyn BackgroundEmbedder> {
        None
    }
}

/// Asked by a long call whether it is to go on; an error ends the call.
pub type Check<'a> = &'a dyn Fn() -> Result<(), EmbedError>;

/// An [`Embedder`] that any thread may call, and that gives up when it is told to.
pub trait BackgroundEmbedder: Send + Sync {
    /// As [`Embedder::embed`]. `begin` is called once, when texts are ready for the model and before it runs, and may
    /// wait; `check` several times a second from then on. Both by this thread, without any lock.
    ///
    /// # Errors
    ///
    /// As [`Embedder::embed`], and those of `begin` and `check`, which end the call.
    fn embed_while(
        &self,
        texts: &[&str],
        begin: Check<'_>,
        check: Check<'_>,
    ) -> Result<Embeddings, EmbedError>;
}

impl<E: Embedder + ?Sized> Embedder for Arc<E> {
    fn dimension(&self) -> usize {
        (**self).dimension()
    }

    fn fingerprint(&self) -> &Fingerprint {
        (**self).fingerprint()
    }

    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        (**self).embed(texts)
    }

    fn fits(&self, text: &str) -> bool {
        (**self).fits(text)
    }

    fn count_tokens(&self, text: &str) -> Option<u64> {
        (**self).count_tokens(text)
    }

    fn load(&self) -> EmbedderLoad {
        (**self).load()
    }

    fn in_background(&self) -> Option<&dyn BackgroundEmbedder> {
        (**self).in_background()
    }
}
