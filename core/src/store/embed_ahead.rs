//! Embedding the values of the next puts while this one is written.
//!
//! A put runs the model first and then searches, decides and writes, most of which one thread does. In a long row of puts
//! other threads run the model for the next ones meanwhile, so that no processor waits. What it finds is a help and
//! no more: a put makes for itself whatever is missing, and meets every error itself.

use super::put::MAX_VALUE_BYTES;
use super::{Entry, PutOutcome, Store};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::fork;
use crate::semantic::{Background, Semantic, Vectors};
use crate::stats::Timed;
use parking_lot::{Condvar, Mutex};
use prestige_embed::EmbedError;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a thread that waits for its turn asks whether it is to give up.
const PATIENCE: Duration = Duration::from_millis(100);

/// Embeddings of values, for [`Store::put_embedded`].
#[derive(Default)]
pub struct Embedded {
    /// The stage whose model they are by; `None`: there are none.
    stage: Option<Arc<Semantic>>,
    vectors: Vectors,
}

/// The values that one [`Store::embed_ahead`] is about, for those after it.
#[derive(Clone)]
pub struct TextSet(Arc<Texts>);

struct Texts {
    digests: HashSet<Digest>,
    /// Whether the model is done with them. The lock is held for a few instructions.
    done: Mutex<bool>,
    changed: Condvar,
}

/// Values that are being embedded. Dropping it gives up, within about a second.
pub struct EmbeddingAhead {
    /// A forked child has this memory, but not the thread.
    generation: u32,
    texts: TextSet,
    give_up: Arc<AtomicBool>,
    receiver: Receiver<Embedded>,
    received: Option<Embedded>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread does.
struct Work {
    store: Store,
    own: TextSet,
    /// As they will be stored.
    texts: Vec<(Digest, Vec<u8>)>,
    /// What need not be embedded, and has the model first: the put that comes first is waited for first.
    before: Vec<TextSet>,
    give_up: Arc<AtomicBool>,
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

    /// Begins to embed the values of `entries` on another thread, except those of `before`: of the puts that will have been
    /// made when these are put. `None` if it cannot be done, for which the put of the entries will have a reason to give,
    /// or a thread is not to be had. The store stays open until it has come to an end, which closing hastens.
    #[must_use]
    pub fn embed_ahead(
        &self,
        entries: &[Entry<'_>],
        before: Vec<TextSet>,
    ) -> Option<EmbeddingAhead> {
        let texts = self.writer().ok()?.texts_of(entries);
        let own = TextSet(Arc::new(Texts {
            digests: texts.iter().map(|(digest, _)| *digest).collect(),
            done: Mutex::new(false),
            changed: Condvar::new(),
        }));
        let give_up = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = sync_channel(1);
        let work = Work {
            store: self.another_handle(),
            own: own.clone(),
            texts,
            before,
            give_up: Arc::clone(&give_up),
        };
        let builder = std::thread::Builder::new().name("prestige-ahead".to_owned());
        let thread = builder.spawn(move || work.run(&sender)).ok()?;
        Some(EmbeddingAhead {
            generation: fork::generation(),
            texts: own,
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
        let outcomes = engine.put_many(&namespace, entries, &[], embedded)?;
        let stats = &namespace.stats;
        stats.add_time(Timed::PutMany, start.elapsed(), 1);
        Ok(outcomes)
    }
}

impl Work {
    fn run(&self, sender: &SyncSender<Embedded>) {
        let embedded = self.store.writer().and_then(|engine| {
            let namespace = self.store.namespace_of(&engine)?;
            self.embed(&engine, &namespace)
        });
        // The put comes upon the same error, if it lasts.
        let embedded = embedded.unwrap_or_else(|error| {
            tracing::debug!(%error, "values were not embedded ahead of their put");
            Embedded::default()
        });
        // Nobody may be waiting any more.
        let _ = sender.send(embedded);
    }

    /// The embeddings of what a put would embed.
    fn embed(&self, engine: &Engine, namespace: &Namespace) -> Result<Embedded> {
        let mut embedded = Embedded::default();
        let Some(stage) = namespace.semantic(engine)? else {
            return Ok(embedded);
        };
        // The function of a caller may have taken the place of a model.
        if !stage.has_background_embedder() {
            return Ok(embedded);
        }
        let semantic = &engine.options.semantic;
        let (mut seen, mut texts) = (HashSet::new(), Vec::with_capacity(self.texts.len()));
        for (digest, value) in &self.texts {
            if !seen.insert(digest)
                || self
                    .before
                    .iter()
                    .any(|before| before.0.digests.contains(digest))
                || !stage.has_room(semantic)
                || engine.object_of_digest(namespace, digest)?.is_some()
                || !stage.embeds(value, semantic)
            {
                continue;
            }
            if let Ok(text) = str::from_utf8(value) {
                texts.push((*digest, text));
            }
        }
        let background = Background {
            begin: &|| self.wait_for_turn(),
            check: &|| self.check(),
        };
        let vectors = &mut embedded.vectors;
        stage.embed_in_background(background, engine, namespace, texts, vectors)?;
        embedded.stage = Some(stage);
        Ok(embedded)
    }

    /// Meanwhile the texts are ready for the model.
    fn wait_for_turn(&self) -> std::result::Result<(), EmbedError> {
        for before in &self.before {
            let mut done = before.0.done.lock();
            while !*done {
                before.0.changed.wait_for(&mut done, PATIENCE);
                self.check()?;
            }
        }
        Ok(())
    }

    fn check(&self) -> std::result::Result<(), EmbedError> {
        if self.give_up.load(Ordering::Relaxed) || self.store.is_closed() {
            return Err(EmbedError::InvalidInput {
                expected: "somebody who waits for the embeddings".to_owned(),
                found: "nobody".to_owned(),
            });
        }
        Ok(())
    }
}

impl Drop for Work {
    /// However it ended.
    fn drop(&mut self) {
        *self.own.0.done.lock() = true;
        self.own.0.changed.notify_all();
    }
}

impl Engine {
    /// The values that may be embedded, as they are stored, with their digests. Of several entries with one key the last
    /// wins.
    fn texts_of(&self, entries: &[Entry<'_>]) -> Vec<(Digest, Vec<u8>)> {
        let (mode, most) = (
            self.options.normalization_mode,
            self.options.normalization_max_bytes,
        );
        let mut keys = HashSet::with_capacity(entries.len());
        let mut values: Vec<Vec<u8>> = entries
            .iter()
            .rev()
            .filter(|entry| keys.insert(entry.key) && entry.value.len() <= MAX_VALUE_BYTES)
            .map(|entry| mode.apply(entry.value, most))
            .filter(|value| {
                value.len() as u64 <= self.options.semantic.max_text_bytes
                    && str::from_utf8(value).is_ok()
            })
            .map(Cow::into_owned)
            .collect();
        values.reverse();
        let digests = Digest::of_all(&values);
        digests.into_iter().zip(values).collect()
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
    /// What is being embedded.
    #[must_use]
    pub fn texts(&self) -> TextSet {
        self.texts.clone()
    }

    /// Has it come to an end soon. Dropping it waits for that, too.
    pub fn give_up(&self) {
        self.give_up.store(true, Ordering::Relaxed);
    }

    fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Waits until it has come to an end, but no longer than `timeout`. Returns whether it has.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        if self.is_forked() {
            return true;
        }
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
        self.give_up();
        if self.is_forked() {
            std::mem::forget(self.thread.take());
        }
        if let Some(thread) = self.thread.take() {
            // What a panic says has been said where it arose.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
