//! Embedding the values of the next put while this one is written.
//!
//! A put runs the model first and then searches, decides and writes, most of which one thread does. In a long row of puts
//! a thread of its own runs the model for the next one meanwhile, so that no processor waits. What it finds is a help and
//! no more: a put makes for itself whatever is missing, and meets every error itself.

use super::put::MAX_VALUE_BYTES;
use super::{Entry, PutOutcome, Store};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::semantic::{Semantic, Vectors};
use crate::stats::Timed;
use prestige_embed::EmbedError;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Embeddings of values, for [`Store::put_embedded`].
#[derive(Default)]
pub struct Embedded {
    /// The stage whose model they are by; `None`: there are none.
    stage: Option<Arc<Semantic>>,
    vectors: Vectors,
    /// Of all the values, also of those that needed no embedding.
    digests: HashSet<Digest>,
}

/// Values that are being embedded. Dropping it gives up, within about a second.
pub struct EmbeddingAhead {
    give_up: Arc<AtomicBool>,
    receiver: Receiver<Embedded>,
    received: Option<Embedded>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Whether [`Self::embed_ahead`] spares time: in semantic mode, with a model that any thread may run.
    ///
    /// # Errors
    /// As [`Store::put_many`].
    pub fn embeds_ahead(&self) -> Result<bool> {
        let engine = self.writer()?;
        let stage = self.namespace_of(&engine)?.semantic(&engine)?;
        Ok(stage.is_some_and(|stage| stage.has_background_embedder()))
    }

    /// Begins to embed `values` on another thread, except those of `before`: the put that will have been made when these
    /// are put. `None` if there is no thread to be had.
    #[must_use]
    pub fn embed_ahead(&self, values: Vec<Vec<u8>>, before: &Embedded) -> Option<EmbeddingAhead> {
        let store = self.another_handle();
        let held = before.digests.clone();
        let give_up = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = sync_channel(1);
        let work = {
            let give_up = Arc::clone(&give_up);
            move || store.run_ahead(&values, &held, &give_up, &sender)
        };
        let builder = std::thread::Builder::new().name("prestige-ahead".to_owned());
        let thread = builder.spawn(work).ok()?;
        Some(EmbeddingAhead {
            give_up,
            receiver,
            received: None,
            thread: Some(thread),
        })
    }

    /// As [`Store::put_many`], with the embeddings that were made ahead of some of the values, or all. They count for
    /// nothing if they are not of the model that the store has now.
    ///
    /// # Errors
    /// As [`Store::put_many`].
    pub fn put_embedded(
        &self,
        entries: &[Entry<'_>],
        embedded: Embedded,
    ) -> Result<Vec<PutOutcome>> {
        let engine = self.writer()?;
        let namespace = self.namespace_of(&engine)?;
        let start = Instant::now();
        let outcomes = engine.put_embedded(&namespace, entries, embedded)?;
        let stats = &namespace.stats;
        stats.add_time(Timed::PutMany, start.elapsed(), 1);
        Ok(outcomes)
    }

    fn run_ahead(
        &self,
        values: &[Vec<u8>],
        held: &HashSet<Digest>,
        give_up: &AtomicBool,
        sender: &SyncSender<Embedded>,
    ) {
        let embedded = self.writer().and_then(|engine| {
            let namespace = self.namespace_of(&engine)?;
            engine.embed_values(&namespace, values, held, give_up)
        });
        // The put comes upon the same error, if it lasts.
        let embedded = embedded.unwrap_or_else(|error| {
            tracing::debug!(%error, "values were not embedded ahead of their put");
            Embedded::default()
        });
        // Nobody may be waiting any more.
        let _ = sender.send(embedded);
    }
}

impl Engine {
    /// The embeddings of those of `values` that a put would embed, except for what is `held`.
    fn embed_values(
        &self,
        namespace: &Namespace,
        values: &[Vec<u8>],
        held: &HashSet<Digest>,
        give_up: &AtomicBool,
    ) -> Result<Embedded> {
        let mut embedded = Embedded::default();
        let Some(stage) = namespace.semantic(self)? else {
            return Ok(embedded);
        };
        let (options, semantic) = (&self.options, &self.options.semantic);
        // A put refuses longer ones.
        let values: Vec<_> = values
            .iter()
            .filter(|value| value.len() <= MAX_VALUE_BYTES)
            .map(|value| {
                let mode = options.normalization_mode;
                mode.apply(value, options.normalization_max_bytes)
            })
            .collect();
        let mut texts = Vec::with_capacity(values.len());
        for (value, digest) in values.iter().zip(Digest::of_all(&values)) {
            if !embedded.digests.insert(digest)
                || held.contains(&digest)
                || !stage.has_room(semantic)
                || self.object_of_digest(namespace, &digest)?.is_some()
                || !stage.embeds(value, semantic)
            {
                continue;
            }
            if let Ok(text) = str::from_utf8(value) {
                texts.push((digest, text));
            }
        }
        let check = || match give_up.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(EmbedError::InvalidInput {
                expected: "somebody who waits for the embeddings".to_owned(),
                found: "nobody".to_owned(),
            }),
        };
        let vectors = &mut embedded.vectors;
        stage.embed_in_background(&check, self, namespace, texts, vectors)?;
        embedded.stage = Some(stage);
        Ok(embedded)
    }
}

impl Embedded {
    /// The embeddings, if they are by the model of `stage`.
    pub(super) fn of(self, stage: &Arc<Semantic>) -> Vectors {
        let own = self.stage.filter(|own| Arc::ptr_eq(own, stage));
        own.map(|_| self.vectors).unwrap_or_default()
    }
}

impl EmbeddingAhead {
    /// Waits until it has come to an end, but no longer than `timeout`. Returns whether it has.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        if self.received.is_none() {
            match self.receiver.recv_timeout(timeout) {
                Ok(embedded) => self.received = Some(embedded),
                Err(RecvTimeoutError::Timeout) => return false,
                // The thread has panicked; the put does its work.
                Err(RecvTimeoutError::Disconnected) => self.received = Some(Embedded::default()),
            }
        }
        true
    }

    /// What has been embedded; nothing, if it has not come to an end.
    #[must_use]
    pub fn embedded(mut self) -> Embedded {
        self.received.take().unwrap_or_default()
    }
}

impl Drop for EmbeddingAhead {
    fn drop(&mut self) {
        self.give_up.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What a panic says has been said where it arose.
            let _ = thread.join();
        }
    }
}
