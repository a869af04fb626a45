//! A loaded model, as Python programs can use it: Ctrl-C is heard while it computes, and a fork does not break it.

use crate::embedder::raised;
use prestige_core::embed::{EmbedError, Embedder, Embeddings, Fingerprint, OnnxEmbedder};
use pyo3::prelude::*;

/// Bytes of text in a part: some 2,000 tokens, which two cores compute in about half a second.
const PART_BYTES: usize = 8192;

/// Most bytes of a text that count: models read little more of it, 256 tokens being the usual bound.
const COUNTED_BYTES: usize = 1024;

/// Texts that the model computes at once; parts of that many and more hold a multiple of it, so that none of them ends
/// in a small batch.
const BATCH_TEXTS: usize = 32;

/// A model, and the process that loaded it.
///
/// A long list is embedded part by part, the longest texts first, and those of like length together, as the model's own
/// batches have them: little of a part is padding. Every distinct text is computed once. Between two parts the
/// interpreter runs its signal handlers, and the exception of one, `KeyboardInterrupt` for example, ends the call. Nobody
/// holds a lock of a store meanwhile, so handlers may use one.
#[derive(Debug)]
pub(crate) struct LoadedModel {
    /// `None` only while it is dropped.
    model: Option<OnnxEmbedder>,
    dimension: usize,
    fingerprint: Fingerprint,
    /// A forked child has this memory but not the threads of the model.
    process: u32,
}

impl LoadedModel {
    pub(crate) fn new(model: OnnxEmbedder) -> Self {
        Self {
            dimension: model.dimension(),
            fingerprint: model.fingerprint().clone(),
            model: Some(model),
            process: std::process::id(),
        }
    }

    /// Whether this process loaded it.
    pub(crate) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    /// The model, unless its threads are those of the parent process, for which a call would wait for ever.
    fn model(&self) -> Result<&OnnxEmbedder, EmbedError> {
        self.model
            .as_ref()
            .filter(|_| self.is_ours())
            .ok_or_else(|| EmbedError::Inference {
                model: self.fingerprint.model.clone(),
                reason: format!(
                    "it was loaded by process {} and cannot be used in its forked child; load it in the child, or use \
                     the `spawn` start method of multiprocessing",
                    self.process
                ),
            })
    }
}

impl Embedder for LoadedModel {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        let model = self.model()?;
        if part_length(texts) >= texts.len() {
            return model.embed(texts);
        }
        let (distinct, rows) = longest_first(texts);
        let mut vectors: Vec<f32> = Vec::with_capacity(distinct.len() * self.dimension);
        let mut rest = distinct.as_slice();
        while !rest.is_empty() {
            let (part, others) = rest
                .split_at_checked(part_length(rest))
                .unwrap_or((rest, &[]));
            vectors.extend_from_slice(model.embed(part)?.as_slice());
            rest = others;
            if !rest.is_empty() {
                run_signal_handlers()?;
            }
        }
        let mut ordered = Vec::with_capacity(texts.len() * self.dimension);
        for row in rows {
            let start = row * self.dimension;
            let vector = vectors.get(start..start + self.dimension);
            ordered.extend_from_slice(vector.unwrap_or_default());
        }
        Embeddings::new(ordered, self.dimension)
    }

    fn fits(&self, text: &str) -> bool {
        // Reads no more than the tokenizer, which has no threads.
        self.model.as_ref().is_some_and(|model| model.fits(text))
    }
}

impl Drop for LoadedModel {
    fn drop(&mut self) {
        if !self.is_ours() {
            // Ending it would wait for threads that the child does not have.
            std::mem::forget(self.model.take());
        }
    }
}

/// Runs what Python has to run for signals that came meanwhile; only on its main thread is there anything to do.
fn run_signal_handlers() -> Result<(), EmbedError> {
    match Python::try_attach(|py| py.check_signals()) {
        Some(Err(error)) => Err(raised(error)),
        Some(Ok(())) | None => Ok(()),
    }
}

/// The distinct texts, longest first, and for each of `texts` the place of its equal among them.
fn longest_first<'a>(texts: &[&'a str]) -> (Vec<&'a str>, Vec<usize>) {
    let mut sorted: Vec<(usize, &str)> = texts.iter().copied().enumerate().collect();
    sorted.sort_by(|(_, one), (_, other)| other.len().cmp(&one.len()).then(one.cmp(other)));
    let mut distinct: Vec<&str> = Vec::new();
    let mut rows = vec![0; texts.len()];
    for (place, text) in sorted {
        if distinct.last() != Some(&text) {
            distinct.push(text);
        }
        if let Some(row) = rows.get_mut(place) {
            *row = distinct.len() - 1;
        }
    }
    (distinct, rows)
}

/// How many of `texts` make up the next part; at least one.
fn part_length(texts: &[&str]) -> usize {
    let mut bytes = 0;
    let fitting = texts.iter().take_while(|text| {
        bytes += text.len().min(COUNTED_BYTES);
        bytes <= PART_BYTES
    });
    let count = fitting.count().max(1);
    if count < texts.len() && count > BATCH_TEXTS {
        return count - count % BATCH_TEXTS;
    }
    count
}
