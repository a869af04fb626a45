//! An embedder that runs an ONNX model.

use std::fmt;
use std::fs;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{self, available_parallelism};

use parking_lot::Mutex;

use crate::batch::{Batched, Stages};
use crate::micro_batch::{micro_batches, round_length};
use crate::session::{Batch, ModelSession, Output};
use crate::tokenizer::{TextTokenizer, Tokens};
use crate::{
    BackgroundEmbedder, Check, EmbedError, Embedder, EmbedderLoad, Embeddings, Fingerprint,
    ModelSpec, Pooling, RuntimeLibrary,
};

/// An [`Embedder`] that runs an ONNX model on the CPU.
///
/// Texts are tokenised, sorted by length, computed in micro-batches padded to their longest text,
/// pooled and scaled to unit length. Concurrent callers share batches: whoever finds the model busy leaves its texts for
/// the next round of computation. Opening loads the model and runs it once.
pub struct OnnxEmbedder(Batched<OnnxModel>);

impl OnnxEmbedder {
    /// Opens the model that `spec` describes in the given runtime. A process has one runtime
    /// library: the first that was opened stays.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Model`] or [`EmbedError::Tokenizer`] for files that are missing, damaged or do
    /// not fit the spec, [`EmbedError::Runtime`] for a library that cannot be used,
    /// [`EmbedError::InvalidInput`] for a `max_tokens` that leaves no room for text or is more than
    /// the model can read, [`EmbedError::Inference`] when the first run fails.
    pub fn open(spec: &ModelSpec, runtime: &RuntimeLibrary) -> Result<Self, EmbedError> {
        Ok(Self(Batched::new(OnnxModel::open(spec, runtime)?)))
    }
}

impl BackgroundEmbedder for OnnxEmbedder {
    /// Calls `check` about twice a second while it computes, and ten times while it waits for others.
    fn embed_while(
        &self,
        texts: &[&str],
        begin: Check<'_>,
        check: Check<'_>,
    ) -> Result<Embeddings, EmbedError> {
        self.0.embed(texts, begin, check)
    }
}

impl Embedder for OnnxEmbedder {
    fn dimension(&self) -> usize {
        self.0.stages().dimension
    }

    fn fingerprint(&self) -> &Fingerprint {
        &self.0.stages().fingerprint
    }

    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        self.0.embed(texts, &|| Ok(()), &|| Ok(()))
    }

    fn fits(&self, text: &str) -> bool {
        self.0.stages().tokenizer.fits(text)
    }

    fn count_tokens(&self, text: &str) -> Option<u64> {
        let tokens = self.0.stages().tokenizer.encode(text).ok()?;
        Some(tokens.ids.len() as u64)
    }

    fn load(&self) -> EmbedderLoad {
        self.0.load()
    }

    fn in_background(&self) -> Option<&dyn BackgroundEmbedder> {
        Some(self)
    }
}

impl fmt::Debug for OnnxEmbedder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.stages().fmt(formatter)
    }
}

/// The model by itself; [`Batched`] around it merges callers.
struct OnnxModel {
    tokenizer: TextTokenizer,
    /// Running a session needs `&mut`. The lock is never contended, since `Batched` lets one caller
    /// through at a time; it is what makes that safe by type. parking_lot's, because a panic must
    /// not poison the model for good.
    session: Mutex<ModelSession>,
    pooling: Pooling,
    dimension: usize,
    fingerprint: Fingerprint,
}

impl OnnxModel {
    fn open(spec: &ModelSpec, runtime: &RuntimeLibrary) -> Result<Self, EmbedError> {
        let error = |expected: String, found: String| EmbedError::Model {
            path: spec.model_path.clone(),
            expected,
            found,
            remedy: "build or download the model again".to_owned(),
        };
        let metadata = fs::metadata(&spec.model_path)
            .map_err(|e| error("an ONNX model".to_owned(), e.to_string()))?;
        if !metadata.is_file() || metadata.len() == 0 {
            let found = if metadata.is_file() {
                "an empty file"
            } else {
                "a folder"
            };
            return Err(error("an ONNX model".to_owned(), found.to_owned()));
        }
        spec.check_max_tokens()?;
        let tokenizer = TextTokenizer::open(spec)?;
        let threads = match spec.threads {
            0 => available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        // Hashing the files takes about as long as loading them: both at once.
        let (session, fingerprint) = thread::scope(|scope| {
            let fingerprint = scope.spawn(|| spec.fingerprint());
            (
                ModelSession::open(&spec.model_path, threads, runtime),
                fingerprint.join(),
            )
        });
        let session = session?;
        let fingerprint = fingerprint.unwrap_or_else(|panic| resume_unwind(panic))?;
        let mut model = Self {
            tokenizer,
            session: Mutex::new(session),
            pooling: spec.pooling,
            dimension: 0,
            fingerprint,
        };
        model.dimension = model.probe()?;
        match spec.dimension {
            Some(expected) if expected != model.dimension => Err(error(
                format!("vectors of dimension {expected}"),
                format!("dimension {}", model.dimension),
            )),
            _ => Ok(model),
        }
    }

    /// Runs the model once, which tells the dimension, finds out whether it works at all and warms
    /// it up.
    fn probe(&self) -> Result<usize, EmbedError> {
        let tokens = self.prepare("warm up")?;
        let batch = self.batch(&[&tokens]);
        self.session
            .lock()
            .run(&batch, |_, dimension| dimension)
            .map_err(|e| self.failed(e))
    }

    fn failed(&self, reason: impl Into<String>) -> EmbedError {
        EmbedError::Inference {
            model: self.fingerprint.model.clone(),
            reason: reason.into(),
        }
    }

    /// Lays out texts, longest first, as the model's input.
    fn batch(&self, texts: &[&Tokens]) -> Batch {
        let width = texts
            .iter()
            .map(|tokens| tokens.ids.len())
            .max()
            .unwrap_or(0);
        let mut batch = Batch {
            rows: texts.len(),
            width,
            ..Batch::default()
        };
        for tokens in texts {
            // Arrays that grow in step, one row a text: first the tokens, then the padding.
            let end = batch.mask.len() + width;
            batch.ids.extend(tokens.ids.iter().map(|&id| i64::from(id)));
            batch.ids.resize(end, i64::from(self.tokenizer.pad_id()));
            batch
                .type_ids
                .extend(tokens.type_ids.iter().map(|&id| i64::from(id)));
            batch.type_ids.resize(end, 0);
            batch.mask.resize(end - width + tokens.ids.len(), 1);
            batch.mask.resize(end, 0);
            batch.positions.extend((0_i64..).take(width));
        }
        batch
    }

    /// Computes one micro-batch and adds each text's vector to `data`.
    fn compute_batch(&self, texts: &[&Tokens], data: &mut Vec<f32>) -> Result<(), EmbedError> {
        let batch = self.batch(texts);
        let write = |output: Output<'_>, dimension: usize| {
            if dimension != self.dimension {
                return Err(format!(
                    "expected vectors of dimension {}, found {dimension}",
                    self.dimension
                ));
            }
            // Values of one text: all its tokens, padding included, or its vector.
            let stride = match output {
                Output::Tokens(_) => batch.width * dimension,
                Output::Texts(_) => dimension,
            };
            let (Output::Tokens(values) | Output::Texts(values)) = output;
            for (tokens, values) in texts.iter().zip(values.chunks_exact(stride)) {
                match output {
                    Output::Texts(_) => data.extend_from_slice(values),
                    Output::Tokens(_) => {
                        let start = data.len();
                        data.resize(start + dimension, 0.0);
                        if let Some(out) = data.get_mut(start..) {
                            self.pooling.pool(values, tokens.ids.len(), out);
                        }
                    }
                }
            }
            Ok(())
        };
        let written = self.session.lock().run(&batch, write);
        // What the runtime says of a text that is too long does not tell that it is.
        let written = written.map_err(|reason| {
            format!(
                "it could not read texts of {} tokens; if that is more than the model is made for, lower max_tokens \
                 ({reason})",
                batch.width
            )
        });
        written
            .and_then(|written| written)
            .map_err(|reason| self.failed(reason))
    }
}

impl Stages for OnnxModel {
    type Input = Tokens;

    fn model(&self) -> &str {
        &self.fingerprint.model
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn prepare(&self, text: &str) -> Result<Tokens, EmbedError> {
        self.tokenizer
            .encode(text)
            .map_err(|reason| self.failed(reason))
    }

    fn size(&self, tokens: &Tokens) -> usize {
        tokens.ids.len()
    }

    fn round_length(&self, sizes: &[usize]) -> usize {
        round_length(sizes)
    }

    fn compute(&self, texts: &[&Tokens]) -> Result<Embeddings, EmbedError> {
        let sizes: Vec<usize> = texts.iter().map(|tokens| tokens.ids.len()).collect();
        let mut data = Vec::with_capacity(texts.len() * self.dimension);
        let mut rest = texts;
        for length in micro_batches(&sizes) {
            let (batch, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            self.compute_batch(batch, &mut data)?;
            rest = after;
        }
        Embeddings::new_checked(data, texts.len(), self.dimension)
            .map_err(|error| self.failed(error.to_string()))
    }
}

impl fmt::Debug for OnnxModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OnnxEmbedder")
            .field("model", &self.fingerprint.model)
            .field("dimension", &self.dimension)
            .field("pooling", &self.pooling)
            .finish_non_exhaustive()
    }
}
