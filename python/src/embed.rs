//! A loaded model, as Python programs can use it: Ctrl-C is heard while it computes, and a fork does not break it.

use crate::aio::check_exit;
use crate::embedder::raised;
use prestige_core::embed::{
    BackgroundEmbedder, Check, EmbedError, Embedder, EmbedderLoad, Embeddings, Fingerprint,
    OnnxEmbedder,
};
use pyo3::prelude::*;
use std::sync::OnceLock;
use std::thread::{self, ThreadId};

/// A model, and the process that loaded it.
///
/// While a long list is computed, and while others are waited for, the interpreter runs its signal handlers now and then,
/// and the exception of one, `KeyboardInterrupt` for example, ends the call. Nobody holds a lock of a store meanwhile, so
/// handlers may use one.
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
        let begin = || Ok(());
        self.model()?
            .embed_while(texts, &begin, &run_signal_handlers)
    }

    fn fits(&self, text: &str) -> bool {
        // Reads no more than the tokenizer, which has no threads.
        self.model.as_ref().is_some_and(|model| model.fits(text))
    }

    fn count_tokens(&self, text: &str) -> Option<u64> {
        self.model.as_ref()?.count_tokens(text)
    }

    fn load(&self) -> EmbedderLoad {
        match &self.model {
            Some(model) if self.is_ours() => model.load(),
            _ => EmbedderLoad::default(),
        }
    }

    fn in_background(&self) -> Option<&dyn BackgroundEmbedder> {
        Some(self)
    }
}

impl BackgroundEmbedder for LoadedModel {
    fn embed_while(
        &self,
        texts: &[&str],
        begin: Check<'_>,
        check: Check<'_>,
    ) -> Result<Embeddings, EmbedError> {
        self.model()?.embed_while(texts, begin, check)
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

/// Runs what Python has to run for signals that came meanwhile, and ends the call if the interpreter exits and waits for
/// this thread. Signals concern its main thread alone, so other threads need not wait for the GIL.
fn run_signal_handlers() -> Result<(), EmbedError> {
    check_exit().map_err(raised)?;
    if MAIN_THREAD
        .get()
        .is_some_and(|main| *main != thread::current().id())
    {
        return Ok(());
    }
    match Python::try_attach(|py| py.check_signals()) {
        Some(Err(error)) => Err(raised(error)),
        Some(Ok(())) | None => Ok(()),
    }
}

/// The main thread of the interpreter; not set if the package was imported by another one.
static MAIN_THREAD: OnceLock<ThreadId> = OnceLock::new();

/// Notes the main thread, if this is it. Called when the module is imported.
pub(crate) fn note_main_thread(py: Python<'_>) -> PyResult<()> {
    let threading = py.import("threading")?;
    let current = threading.call_method0("current_thread")?;
    if current.is(&threading.call_method0("main_thread")?) {
        // A second import, of a reloaded module, has nothing new to say.
        let _ = MAIN_THREAD.set(thread::current().id());
    }
    Ok(())
}
