//! A stage in the making, which is to take the place of the one in use: with an index that is built anew, and perhaps
//! with vectors of another model.
//!
//! While there is one, every write of its namespace lets it follow. It is set and taken away with every key stripe held,
//! so a writer that looks for it under its stripes sees it until its write is done: nothing falls between what a scan of
//! the store finds and what writers tell.

use super::merged::Merged;
use super::{LogState, ModelRecord, Semantic, Slot, Vectors, embed, embeds};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::options::SemanticOptions;
use crate::record::encode_vector;
use parking_lot::Mutex;
use prestige_embed::Embedder;
use prestige_index::{IndexError, IndexParameters, VectorIndex};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The next stage of a namespace.
pub(crate) struct Successor {
    /// What its vectors are of, and where they are.
    pub(super) model: ModelRecord,
    /// What embeds texts anew; `None`: the vectors are those of the stage in use.
    pub(super) embedder: Option<Arc<dyn Embedder>>,
    /// Empty until vectors are to be linked; stays so where nobody has needed an index.
    index: OnceLock<Arc<VectorIndex>>,
    /// Objects that were put meanwhile without a vector of the new model.
    unseen: Mutex<Vec<u64>>,
    /// Whether puts embed their texts with both models, so that there is an end to what is unseen.
    embeds_puts: AtomicBool,
    /// Vectors of the new model, about: removed ones may be counted.
    pub(super) vectors: AtomicU64,
    /// Set when the index could not follow a write.
    failed: AtomicBool,
}

/// What a write has done, as its successor must follow it.
#[derive(Debug, Default)]
pub(crate) struct Followed<'a> {
    /// Objects that have got a vector of the successor's model.
    pub added: Vec<(u64, &'a [f32])>,
    /// Objects that were created without one.
    pub unseen: &'a [u64],
    /// Objects that have lost it.
    pub removed: &'a [u64],
}

impl Successor {
    pub(super) fn new(model: ModelRecord, embedder: Option<Arc<dyn Embedder>>) -> Self {
        Self {
            model,
            embedder,
            index: OnceLock::new(),
            unseen: Mutex::default(),
            embeds_puts: AtomicBool::new(false),
            vectors: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Where its vectors are.
    pub(crate) fn slot(&self) -> Slot {
        self.model.slot
    }

    /// Whether its vectors are other ones than those of the stage in use.
    pub(crate) fn embeds_anew(&self) -> bool {
        self.embedder.is_some()
    }

    /// Begins the index. Called with every key stripe held.
    pub(super) fn begin_index(&self, parameters: IndexParameters) -> Result<()> {
        if self.index.get().is_none() {
            let _ = self.index.set(Arc::new(VectorIndex::new(parameters)?));
        }
        Ok(())
    }

    pub(super) fn index(&self) -> Option<&VectorIndex> {
        self.index.get().map(AsRef::as_ref)
    }

    /// Follows a write that was done.
    pub(crate) fn follow(&self, followed: &Followed<'_>) {
        self.unseen.lock().extend_from_slice(followed.unseen);
        self.vectors
            .fetch_add(followed.added.len() as u64, Ordering::Relaxed);
        let Some(index) = self.index() else { return };
        let added = followed.added.iter();
        let mut added = added.map(|(id, vector)| link(index, *id, vector));
        let mut removed = followed
            .removed
            .iter()
            .map(|id| index.remove(*id).map(drop));
        if let Err(error) = added
            .try_for_each(|ended| ended)
            .and_then(|()| removed.try_for_each(|ended| ended))
        {
            self.failed.store(true, Ordering::Release);
            tracing::error!(%error, "the vector index in the making missed a change; it will not be used");
        }
    }

    /// Refuses to put an index in use that could not follow.
    pub(super) fn check_followed(&self) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Error::Io(
                "the vector index in the making could not take a change, most likely for want of memory; try again with \
                 more of it free"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    pub(super) fn has_unseen(&self) -> bool {
        !self.unseen.lock().is_empty()
    }

    /// From now on puts embed their texts with the new model as well.
    pub(super) fn embed_puts(&self) {
        self.embeds_puts.store(true, Ordering::Release);
    }

    /// Whether the new model gives this value an embedding, for which there is room.
    pub(super) fn embeds(&self, value: &[u8], options: &SemanticOptions) -> bool {
        let most = options.max_index_entries;
        (most == 0 || self.vectors.load(Ordering::Relaxed) < most)
            && self
                .embedder
                .as_ref()
                .is_some_and(|embedder| embeds(embedder.as_ref(), value, options))
    }

    /// The embeddings of `texts` by the new model, a row for each.
    pub(super) fn embed(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        texts: &[&str],
    ) -> Result<Option<prestige_embed::Embeddings>> {
        let embedder = self.embedder.as_ref();
        embedder
            .map(|embedder| embed(engine, namespace, embedder.as_ref(), texts))
            .transpose()
    }

    /// The embeddings that a put brings for the new model: of those of `values` that it reads. A failure of that model is
    /// none of the put's, whose texts are then embedded later; an interrupt is.
    pub(crate) fn embed_put(
        &self,
        engine: &Engine,
        namespace: &Namespace,
        values: &[(Digest, &[u8])],
        vectors: &mut Vectors,
    ) -> Result<()> {
        if !self.embeds_puts.load(Ordering::Acquire) {
            return Ok(());
        }
        let options = &engine.options.semantic;
        let (mut digests, mut texts) = (Vec::new(), Vec::new());
        for (digest, value) in values {
            if let Ok(text) = str::from_utf8(value)
                && self.embeds(value, options)
            {
                digests.push(*digest);
                texts.push(text);
            }
        }
        if texts.is_empty() {
            return Ok(());
        }
        match self.embed(engine, namespace, &texts) {
            Ok(Some(embeddings)) => {
                let rows = embeddings.rows().map(<[f32]>::to_vec);
                vectors.extend(digests.into_iter().zip(rows));
            }
            Err(Error::Callback(failure)) if failure.is_interrupt() => {
                return Err(Error::Callback(failure));
            }
            Ok(None) | Err(_) => {}
        }
        Ok(())
    }

    /// A vector as it is stored.
    pub(crate) fn encoded(&self, engine: &Engine, vector: &[f32]) -> Vec<u8> {
        encode_vector(vector, engine.options.semantic.vector_precision)
    }
}

/// Adds a vector; the scan and a writer may both come with it.
pub(super) fn link(
    index: &VectorIndex,
    id: u64,
    vector: &[f32],
) -> std::result::Result<(), IndexError> {
    match index.add(id, vector) {
        Err(IndexError::DuplicateId { .. }) => Ok(()),
        ended => ended,
    }
}

impl Semantic {
    /// The stage that takes the place of this one, with the index and the vectors of `successor`; `None` if that has no
    /// index. Its log goes on where this one's ends. Called with every key stripe held.
    pub(super) fn succeeded_by(&self, successor: &Successor) -> Option<Self> {
        let index = Arc::clone(successor.index.get()?);
        Some(Self {
            embedder: match &successor.embedder {
                Some(embedder) => Some(Arc::clone(embedder)),
                None => self.embedder.clone(),
            },
            model: successor.model.clone(),
            index,
            log: Mutex::new(LogState {
                // One is left out, so that its first file has another name than the last one of this stage.
                next_sequence: self.log().next_sequence + 1,
                // Everything counts as new, so that the next checkpoint writes a file.
                checkpointed: 0,
            }),
            checkpointing: Arc::clone(&self.checkpointing),
            stale: AtomicBool::new(false),
            checkpointed_us: AtomicU64::new(0),
            lock_timeout: self.lock_timeout,
            precision: self.precision,
            merged: Merged::new(),
        })
    }
}

/// A successor that its namespace knows of; forgotten when this is dropped, unless it has taken its place.
pub(crate) struct Installed {
    pub namespace: Arc<Namespace>,
    pub(super) successor: Arc<Successor>,
}

impl Installed {
    /// Makes `successor` known. The caller holds every key stripe.
    ///
    /// # Errors
    /// [`Error::Busy`] if there is another one.
    pub(super) fn new(namespace: &Arc<Namespace>, successor: Successor) -> Result<Self> {
        let successor = Arc::new(successor);
        if !namespace.begin_succession(&successor) {
            return Err(busy(&namespace.name));
        }
        Ok(Self {
            namespace: Arc::clone(namespace),
            successor,
        })
    }
}

impl Installed {
    /// How many steps it takes, about: one for each object, and one for each vector where there is an index.
    pub(crate) fn steps(&self) -> u64 {
        let objects = u64::try_from(self.namespace.totals.get().objects).unwrap_or(0);
        let stage = self.namespace.loaded_semantic();
        objects + stage.map_or(0, |stage| stage.vectors())
    }

    /// Takes the objects that were put meanwhile.
    pub(crate) fn take_unseen(&self) -> Vec<u64> {
        std::mem::take(&mut self.successor.unseen.lock())
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.namespace.end_succession(&self.successor);
    }
}

/// What the second of two calls is told that would build one index.
pub(super) fn busy(name: &str) -> Error {
    Error::Busy(format!(
        "the index of the namespace {name:?} is being rebuilt, or its texts are being embedded anew; wait until that has \
         ended"
    ))
}
