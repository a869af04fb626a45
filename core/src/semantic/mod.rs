//! The semantic stage of a namespace: embeddings, the live index, and the log that ties it to RocksDB.
//!
//! RocksDB is the truth. Vectors and log entries are written in the same `WriteBatch` as the objects they belong to;
//! the live index follows. Checkpoint + log always yields exactly the set of `vectors` (invariant 6).

mod ahead;
mod checkpoint;
mod decide;
mod merged;
mod model;
mod pairs;
mod reading;
mod rebuild;
mod recover;
mod reembed;
mod score;
mod slot;
mod successor;

pub(crate) use ahead::{Ahead, NewText};
pub(crate) use checkpoint::FOLDER as INDEX_FOLDER;
pub(crate) use checkpoint::{remove_index_files, remove_stray_index_files};
pub use decide::Gate;
pub(crate) use decide::{Created, CreatedText, Decided, Decision, Merge, Near, Verdicts, best};
pub(crate) use model::{ModelRecord, put_model, recorded_model};
pub use rebuild::Progress;
#[cfg(test)]
pub(crate) use rebuild::rebuild_as_graph;
pub(crate) use recover::Bound;
pub(crate) use reembed::{Job, Reembedding, recorded_reembedding};
pub(crate) use score::dot;
pub(crate) use slot::{Slot, Slots};
pub(crate) use successor::{Followed, Installed, Successor};

use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::entered::Entered;
use crate::error::{Error, Result};
use crate::lock_order::{Ordered, Rank};
use crate::options::{SemanticOptions, VectorPrecision};
use crate::record::{LogEntry, encode_vector};
use crate::schema::{INDEX_LOG, NamespaceId, numbered_key};
use crate::stats::{Count, Timed};
use merged::Merged;
use parking_lot::{Mutex, MutexGuard};
use prestige_embed::{Check, Embedder, Embeddings};
use prestige_index::VectorIndex;
use rocksdb::WriteBatch;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Embeddings of texts, by the digest of the text.
pub(crate) type Vectors = HashMap<Digest, Vec<f32>>;

/// What a thread that embeds in the background asks, as [`prestige_embed::BackgroundEmbedder`] says.
#[derive(Clone, Copy)]
pub(crate) struct Background<'a> {
    pub begin: Check<'a>,
    pub check: Check<'a>,
}

/// The semantic stage of one namespace.
pub(crate) struct Semantic {
    /// `None`: the vectors are given with what they belong to, or their model is not at hand and its successor is about
    /// to embed the texts anew.
    embedder: Option<Arc<dyn Embedder>>,
    /// Which model the vectors are of, their length, and where they are.
    model: ModelRecord,
    /// Last in the lock order (it has locks of its own inside).
    pub(crate) index: Arc<VectorIndex>,
    /// The semantic lock, third in the lock order. It makes "search, decide, insert" one step, so that two concurrent
    /// near-duplicates cannot both be inserted, and it keeps the order of the log the order of the index. A mutex,
    /// since every holder inserts or removes.
    log: Mutex<LogState>,
    /// Held while a checkpoint is written: one at a time, also of a stage and of the one that has taken its place. Taken
    /// before the semantic lock, by nobody who holds one.
    checkpointing: Arc<Mutex<()>>,
    /// Set when the live index could not follow a write. It then lacks or has too much of something until the next
    /// open, which replays the log: checkpoints stop, so that the log is kept.
    stale: AtomicBool,
    /// When a checkpoint was last written, microseconds since the epoch; 0: not since the index was loaded.
    checkpointed_us: AtomicU64,
    lock_timeout: Duration,
    /// How new vectors are stored.
    precision: VectorPrecision,
    merged: Merged,
}

/// What the semantic lock guards.
#[derive(Debug)]
pub(crate) struct LogState {
    /// Sequence of the next log entry.
    next_sequence: u64,
    /// Sequence of the last entry that the checkpoint on disk includes.
    checkpointed: u64,
}

/// The semantic lock, held.
pub(crate) type SemanticGuard<'a> = Ordered<MutexGuard<'a, LogState>>;

impl Semantic {
    /// Whether this value can have an embedding: text that is not blank and that the model reads to its end. Counts the
    /// tokens of all but short texts.
    pub(crate) fn embeds(&self, value: &[u8], options: &SemanticOptions) -> bool {
        let embedder = self.embedder.as_ref();
        embedder.is_some_and(|embedder| embeds(embedder.as_ref(), value, options))
    }

    /// Whether the index takes another vector. Who does not hold the semantic lock may be told too much.
    pub(crate) fn has_room(&self, options: &SemanticOptions) -> bool {
        self.has_room_beside(options, || 0)
    }

    /// Whether the index takes another vector beside so many new ones. The caller holds the semantic lock.
    pub(crate) fn has_room_beside(
        &self,
        options: &SemanticOptions,
        new: impl FnOnce() -> usize,
    ) -> bool {
        let most = options.max_index_entries;
        most == 0 || ((self.index.len() + new()) as u64) < most
    }

    /// Adds the embeddings of `texts` to `vectors`, by the model unless they are known. Called without any lock.
    pub(crate) fn embed(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        texts: Vec<(Digest, &str)>,
        vectors: &mut Vectors,
    ) -> Result<()> {
        self.embed_by(None, engine, namespace, texts, vectors)
    }

    /// As [`Self::embed`], on a thread that the caller knows nothing of.
    pub(crate) fn embed_in_background(
        &self,
        background: Background<'_>,
        engine: &Engine,
        namespace: &Namespace,
        texts: Vec<(Digest, &str)>,
        vectors: &mut Vectors,
    ) -> Result<()> {
        self.embed_by(Some(background), engine, namespace, texts, vectors)
    }

    /// Whether [`Self::embed_in_background`] may be called.
    pub(crate) fn has_background_embedder(&self) -> bool {
        let embedder = self.embedder.as_ref();
        embedder.is_some_and(|embedder| embedder.in_background().is_some())
    }

    fn embed_by(
        &self,
        background: Option<Background<'_>>,
        engine: &Engine,
        namespace: &Namespace,
        mut texts: Vec<(Digest, &str)>,
        vectors: &mut Vectors,
    ) -> Result<()> {
        self.merged.take_known(&mut texts, vectors);
        if texts.is_empty() {
            return Ok(());
        }
        let (digests, texts): (Vec<Digest>, Vec<&str>) = texts.into_iter().unzip();
        let Some(embedder) = &self.embedder else {
            return Err(Error::Model(
                "the vectors of a cache are not made by the store; ask the cache".to_owned(),
            ));
        };
        let embeddings = embed_by(background, engine, namespace, embedder.as_ref(), &texts)?;
        for (digest, vector) in digests.into_iter().zip(embeddings.rows()) {
            vectors.insert(digest, vector.to_vec());
        }
        Ok(())
    }

    /// Keeps the embedding of a text that has merged with another one, for its next put.
    pub(crate) fn keep_merged(&self, digest: Digest, vector: &[f32]) {
        self.merged.keep(digest, vector);
    }

    /// Takes the semantic lock.
    pub(crate) fn lock(&self) -> Result<SemanticGuard<'_>> {
        let wait = || self.log.try_lock_for(self.lock_timeout);
        Ordered::wait_for(Rank::Semantic, wait).ok_or_else(|| {
            Error::TimedOut(format!(
                "another thread has held the semantic index for {} ms; try again, or raise lock_timeout_ms",
                self.lock_timeout.as_millis()
            ))
        })
    }

    /// As [`Self::lock`], for as long as it takes.
    fn log(&self) -> SemanticGuard<'_> {
        Ordered::wait(Rank::Semantic, || self.log.lock())
    }

    /// Writes `batch` together with the vectors and log entries of `changes`, then lets the live index follow.
    pub(crate) fn commit(
        &self,
        engine: &Engine,
        namespace: NamespaceId,
        mut guard: SemanticGuard<'_>,
        mut batch: WriteBatch,
        changes: &[(LogEntry, Vec<f32>)],
    ) -> Result<()> {
        let vectors = engine.db.family(self.slot().family())?;
        let log = engine.db.family(INDEX_LOG)?;
        let mut sequence = guard.next_sequence;
        for (entry, vector) in changes {
            match entry {
                LogEntry::Add(id) => {
                    batch.put_cf(vectors, numbered_key(namespace, *id), self.encoded(vector))
                }
                LogEntry::Remove(id) => batch.delete_cf(vectors, numbered_key(namespace, *id)),
            }
            batch.put_cf(log, numbered_key(namespace, sequence), entry.encode());
            sequence += 1;
        }
        engine.db.write(batch)?;
        guard.next_sequence = sequence;
        for (entry, vector) in changes {
            let followed = match entry {
                LogEntry::Add(id) => self.index.add(*id, vector),
                LogEntry::Remove(id) => self.index.remove(*id).map(drop),
            };
            if let Err(error) = followed {
                self.stale.store(true, Ordering::Release);
                tracing::error!(?entry, %error, "the vector index missed a change; reopening the store mends it");
            }
        }
        Ok(())
    }

    /// Log entries since the last checkpoint, and vectors in the index.
    pub(crate) fn log_and_index_len(&self) -> (u64, u64) {
        let state = self.log();
        (state.pending(), self.index.len() as u64)
    }

    /// When a checkpoint was last written, microseconds since the epoch; `None`: not since the index was loaded.
    pub(crate) fn checkpointed_us(&self) -> Option<u64> {
        match self.checkpointed_us.load(Ordering::Relaxed) {
            0 => None,
            time_us => Some(time_us),
        }
    }

    /// Whether the live index follows every write.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// No checkpoint is written while the guard lives.
    pub(crate) fn hold_checkpoints(&self) -> Ordered<MutexGuard<'_, ()>> {
        Ordered::wait(Rank::Checkpoint, || self.checkpointing.lock())
    }

    /// The namespace is gone, or another stage has taken the place of this one: no checkpoint is to be written any more.
    pub(crate) fn retire(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// A vector as `vectors` holds it.
    pub(crate) fn encoded(&self, vector: &[f32]) -> Vec<u8> {
        encode_vector(vector, self.precision)
    }

    /// Length of the vectors.
    pub(crate) fn dimension(&self) -> usize {
        self.model.dimension
    }

    /// Where the vectors are.
    pub(crate) fn slot(&self) -> Slot {
        self.model.slot
    }
}

/// Whether a model gives this value an embedding: text that is not blank and that it reads to its end. Counts the tokens
/// of all but short texts.
fn embeds(embedder: &dyn Embedder, value: &[u8], options: &SemanticOptions) -> bool {
    value.len() as u64 <= options.max_text_bytes
        && std::str::from_utf8(value)
            .is_ok_and(|text| !text.trim().is_empty() && embedder.fits(text))
}

/// The embeddings of `texts` of the namespace, a row for each. Called without any lock.
fn embed(
    engine: &Engine,
    namespace: &Namespace,
    embedder: &dyn Embedder,
    texts: &[&str],
) -> Result<Embeddings> {
    embed_by(None, engine, namespace, embedder, texts)
}

/// As [`embed`]; with `background` on a thread that the caller knows nothing of.
fn embed_by(
    background: Option<Background<'_>>,
    engine: &Engine,
    namespace: &Namespace,
    embedder: &dyn Embedder,
    texts: &[&str],
) -> Result<Embeddings> {
    let entered = Entered::new(engine);
    let start = Cell::new(Instant::now());
    let embeddings = match background {
        None => embedder.embed(texts)?,
        Some(Background { begin, check }) => {
            let embedder = embedder.in_background().ok_or_else(|| {
                Error::Model("the embedder is called by the thread of its caller alone".to_owned())
            })?;
            // Waiting for a turn is no part of embedding.
            let begin = || {
                begin()?;
                start.set(Instant::now());
                Ok(())
            };
            embedder.embed_while(texts, &begin, check)?
        }
    };
    let stats = &namespace.stats;
    stats.add_time(Timed::Embed, start.get().elapsed(), 1);
    stats.add(Count::TextsEmbedded, texts.len() as u64);
    drop(entered);
    if embeddings.len() != texts.len() {
        return Err(Error::Model(format!(
            "the model should return {} embeddings, one a text, and returned {}",
            texts.len(),
            embeddings.len()
        )));
    }
    Ok(embeddings)
}

impl LogState {
    /// Entries that the checkpoint on disk does not include.
    fn pending(&self) -> u64 {
        self.next_sequence
            .saturating_sub(1)
            .saturating_sub(self.checkpointed)
    }
}

#[cfg(test)]
mod tests;
