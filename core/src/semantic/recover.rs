//! Opening the semantic stage: load the checkpoint and replay the log, or rebuild from the vectors.

use super::checkpoint::{folder, recorded};
use super::merged::Merged;
use super::{LogState, ModelRecord, Semantic, model};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::record::{LogEntry, decode_vector};
use crate::schema::{INDEX_LOG, NamespaceId, namespace_end, numbered_key, split_number};
use parking_lot::Mutex;
use prestige_embed::Embedder;
use prestige_index::{IndexParameters, VectorIndex};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// The model of a namespace, and what embeds with it; nothing does where the vectors are given, or their model is another
/// one than that of the store, which is about to embed the texts anew.
pub(crate) struct Bound {
    embedder: Option<Arc<dyn Embedder>>,
    model: ModelRecord,
}

impl Bound {
    /// The model on record; without vectors, and with an embedder, that is made the one on record. The caller holds a key
    /// stripe, so that no other model takes the place of `embedder` meanwhile.
    pub(crate) fn of(
        db: &Db,
        namespace: NamespaceId,
        embedder: Option<Arc<dyn Embedder>>,
        options: &Options,
    ) -> Result<Self> {
        let Some(embedder) = embedder else {
            let model = model::recorded_model(db, namespace)?.ok_or_else(|| {
                Error::Corruption(
                    "a namespace should have a record of the model of its vectors and has none; restore the store from \
                     a backup"
                        .to_owned(),
                )
            })?;
            return Ok(Self {
                embedder: None,
                model,
            });
        };
        let model = model::bind(db, namespace, embedder.as_ref())?;
        let given = ModelRecord::of(embedder.as_ref());
        let own = model.is_of(&given);
        if !own && !options.reembed {
            return Err(model::other_model(&model, &given));
        }
        Ok(Self {
            embedder: own.then_some(embedder),
            model,
        })
    }
}

impl Semantic {
    /// The semantic stage of a namespace, its index equal to its vectors.
    pub(crate) fn open(
        db: &Db,
        path: &Path,
        namespace: NamespaceId,
        bound: Bound,
        options: &Options,
    ) -> Result<Self> {
        let Bound { embedder, model } = bound;
        let parameters = parameters(model.dimension, options);
        let checkpoint = recorded(db, namespace)?.filter(|record| record.is_of(&model));
        let included = checkpoint.as_ref().map_or(0, |record| record.sequence);
        let loaded = checkpoint.and_then(|record| {
            record
                .file(&parameters)
                .and_then(|file| Ok(VectorIndex::load(&folder(path), &file, parameters)?))
                .inspect_err(|error| tracing::warn!(%error, "rebuilding the vector index from the stored vectors"))
                .ok()
        });
        let (index, checkpointed) = match loaded {
            Some(index) => {
                replay(db, namespace, included, &index, &model)?;
                (index, included)
            }
            // Nothing on disk serves: everything counts as new, so that the next checkpoint writes a file.
            None => (rebuild(db, namespace, &model, parameters)?, 0),
        };
        let last = db.last_key(
            INDEX_LOG,
            &numbered_key(namespace, 0),
            &namespace_end(namespace),
        )?;
        let last = last
            .map(|key| split_number(INDEX_LOG, &key).map(|(sequence, _)| sequence))
            .transpose()?;
        let next_sequence = last.unwrap_or(0).max(included) + 1;
        Ok(Self {
            embedder,
            model,
            index: Arc::new(index),
            log: Mutex::new(LogState {
                next_sequence,
                checkpointed,
            }),
            checkpointing: Arc::default(),
            stale: AtomicBool::new(false),
            checkpointed_us: AtomicU64::new(0),
            lock_timeout: Duration::from_millis(options.lock_timeout_ms),
            precision: options.semantic.vector_precision,
            merged: Merged::new(),
        })
    }
}

/// How an index of vectors of this length is made.
pub(super) fn parameters(dimension: usize, options: &Options) -> IndexParameters {
    IndexParameters {
        connectivity: options.semantic.hnsw_m,
        expansion_add: options.semantic.hnsw_ef_construction,
        expansion_search: options.semantic.hnsw_ef_search,
        precision: options.semantic.vector_precision,
        ..IndexParameters::new(dimension)
    }
}

/// Applies the log entries after `checkpointed`. Entries may be there twice in effect (an object added and removed
/// again, a change the file includes already): each ends in the state the log leaves behind.
fn replay(
    db: &Db,
    namespace: NamespaceId,
    checkpointed: u64,
    index: &VectorIndex,
    model: &ModelRecord,
) -> Result<()> {
    let family = model.slot.family();
    let start = numbered_key(namespace, checkpointed.saturating_add(1));
    db.scan(
        INDEX_LOG,
        &start,
        &namespace_end(namespace),
        None,
        |_, entry| {
            match LogEntry::decode(entry)? {
                LogEntry::Add(id) => {
                    // No vector: a later entry removes the object.
                    if let Some(vector) = db.get(family, &numbered_key(namespace, id))?
                        && !index.contains(id)
                    {
                        index.add(id, &decode_vector(&vector, model.dimension)?)?;
                    }
                }
                LogEntry::Remove(id) => drop(index.remove(id)?),
            }
            Ok(ControlFlow::Continue(()))
        },
    )
}

/// A new index of every stored vector.
fn rebuild(
    db: &Db,
    namespace: NamespaceId,
    model: &ModelRecord,
    parameters: IndexParameters,
) -> Result<VectorIndex> {
    /// Vectors between two lines of progress in the log.
    const PROGRESS: usize = 10_000;
    let family = model.slot.family();
    let index = VectorIndex::new(parameters)?;
    db.scan(
        family,
        &numbered_key(namespace, 0),
        &namespace_end(namespace),
        None,
        |key, vector| {
            let (id, _) = split_number(family, key)?;
            index.add(id, &decode_vector(vector, model.dimension)?)?;
            if index.len().is_multiple_of(PROGRESS) {
                tracing::info!(vectors = index.len(), "rebuilding the vector index");
            }
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(index)
}
