//! Another model for a store: its texts are embedded anew beside what is in use, and one write makes the switch.
//!
//! The new vectors go to the family that is not in use, page by page; puts and searches go on with the old model. An object
//! that gets its new vector says so in its record, so after a crash or an interrupt the next call goes on where this one
//! was. What is put meanwhile is caught up with, and at last put with both vectors. Then, with every key stripe held, one
//! write names the new model and its family in every namespace, and the stages are exchanged. The old vectors are removed
//! afterwards; what a crash leaves of them is removed in the background when the store is opened next.

mod leftovers;
mod page;
mod record;

pub(crate) use record::{Reembedding, recorded_reembedding};

use super::successor::{Installed, Successor};
use super::{ModelRecord, put_model, recorded_model, recover};
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::options::DedupMode;
use crate::schema::{INDEX_LOG, SYSTEM, namespace_end, numbered_key, system_key};
use prestige_embed::Embedder;
use rocksdb::WriteBatch;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the claim is asked for, and how long between two of these.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// The right to embed the texts of a store anew; of one call at a time.
pub(crate) struct Claim(Arc<AtomicBool>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Texts being embedded anew.
pub(crate) struct Job {
    pub embedder: Arc<dyn Embedder>,
    /// Of the new model; its slot says nothing, each namespace has its own.
    pub model: ModelRecord,
    /// The namespaces whose texts are embedded.
    pub installed: Vec<Installed>,
    /// The last to go.
    _claim: Claim,
}

impl Job {
    pub(crate) fn new(claim: Claim, embedder: Arc<dyn Embedder>) -> Self {
        Self {
            model: ModelRecord::of(embedder.as_ref()),
            embedder,
            installed: Vec::new(),
            _claim: claim,
        }
    }

    /// From now on puts bring vectors of both models.
    pub(crate) fn embed_puts(&self) {
        for installed in &self.installed {
            installed.successor.embed_puts();
        }
    }
}

impl Engine {
    pub(super) fn claim_reembedding(&self) -> Result<Claim> {
        let claim = Arc::clone(&self.reembedding);
        if claim.swap(true, Ordering::AcqRel) {
            return Err(Error::Busy(
                "the texts of this store are being embedded anew already; wait until that has ended".to_owned(),
            ));
        }
        Ok(Claim(claim))
    }

    /// Refuses to embed texts where none have vectors.
    pub(crate) fn check_has_model(&self) -> Result<()> {
        if self.mode == DedupMode::Exact {
            return Err(Error::InvalidArgument(
                "an exact store has no embeddings; only a store that was created with dedup_mode semantic has a model"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// The claim, which the background holds for a moment at most.
    pub(crate) fn wait_for_claim(&self) -> Result<Claim> {
        for _ in 1..ATTEMPTS {
            if let Ok(claim) = self.claim_reembedding() {
                return Ok(claim);
            }
            std::thread::sleep(PAUSE);
        }
        self.claim_reembedding()
    }

    /// Whether vectors are left behind that are not of the model of `job`: to be removed first.
    pub(crate) fn has_leftovers(&self, job: &Job) -> Result<bool> {
        let recorded = recorded_reembedding(&self.db)?;
        let Some(recorded) = recorded else {
            return Ok(false);
        };
        let own = recorded
            .model()
            .is_some_and(|model| model.is_of(&job.model));
        // Of this model there is nothing to do where it is in use everywhere: what is on record was given up.
        Ok(!own || self.outdated(&job.model)?.is_empty())
    }

    /// The namespaces whose vectors are not of `model`, with the model they are of.
    fn outdated(&self, model: &ModelRecord) -> Result<Vec<(Arc<Namespace>, ModelRecord)>> {
        let mut outdated = Vec::new();
        for namespace in self.namespaces.all() {
            if namespace.cache.is_none()
                && let Some(recorded) = recorded_model(&self.db, namespace.id)?
                && !recorded.is_of(model)
            {
                outdated.push((namespace, recorded));
            }
        }
        Ok(outdated)
    }

    /// Prepares the namespaces that are not prepared yet. Returns the places of the new ones in `job.installed`.
    pub(crate) fn prepare_namespaces(&self, job: &mut Job) -> Result<std::ops::Range<usize>> {
        let before = job.installed.len();
        if before == 0 && !self.outdated(&job.model)?.is_empty() {
            let mut batch = WriteBatch::default();
            Reembedding::by(&job.model).put(&self.db, &mut batch)?;
            self.db.write_synced(batch)?;
        }
        let _nobody_writes = self.stop_writers()?;
        for (namespace, recorded) in self.outdated(&job.model)? {
            if !job
                .installed
                .iter()
                .any(|one| one.namespace.id == namespace.id)
            {
                let model = ModelRecord {
                    slot: recorded.slot.other(),
                    ..job.model.clone()
                };
                let successor = Successor::new(model, Some(Arc::clone(&job.embedder)));
                job.installed.push(Installed::new(&namespace, successor)?);
            }
        }
        Ok(before..job.installed.len())
    }

    /// Begins the index of a namespace that needs one and has none yet. Whether it did: its vectors are to be linked.
    pub(crate) fn begin_index(&self, installed: &Installed) -> Result<bool> {
        let (namespace, successor) = (&installed.namespace, &installed.successor);
        if successor.index().is_some() || namespace.loaded_semantic().is_none() {
            return Ok(false);
        }
        let _nobody_writes = self.stop_writers()?;
        let parameters = recover::parameters(successor.model.dimension, &self.options);
        successor.begin_index(parameters)?;
        Ok(true)
    }

    /// Puts the new model in use, if nothing is left to be done. Whether it did.
    pub(crate) fn switch_model(&self, job: &Job) -> Result<bool> {
        let mut formers = Vec::new();
        let switched = {
            let _nobody_writes = self.stop_writers()?;
            let outdated = self.outdated(&job.model)?;
            let mut ready = Vec::with_capacity(outdated.len());
            for (namespace, _) in &outdated {
                let mut installed = job.installed.iter();
                let Some(installed) = installed.find(|one| one.namespace.id == namespace.id) else {
                    return Ok(false);
                };
                let successor = &installed.successor;
                successor.check_followed()?;
                let needs_index = namespace.loaded_semantic().is_some();
                if successor.has_unseen() || (needs_index && successor.index().is_none()) {
                    return Ok(false);
                }
                ready.push(installed);
            }
            self.db.write_synced(self.switch_of(&ready)?)?;
            for installed in &ready {
                let stage = installed.namespace.loaded_semantic();
                let stage = stage.map(|stage| stage.succeeded_by(&installed.successor));
                formers.push(installed.namespace.succeed(stage.flatten()));
            }
            *self.embedder.write() = Some(Arc::clone(&job.embedder));
            self.leftovers.store(true, Ordering::Release);
            true
        };
        // Freed without a lock: a large graph takes a while.
        drop(formers);
        Ok(switched)
    }

    /// The write that makes the switch: whoever opens the store finds all of it or nothing.
    fn switch_of(&self, ready: &[&Installed]) -> Result<WriteBatch> {
        let mut batch = WriteBatch::default();
        for installed in ready {
            let id = installed.namespace.id;
            put_model(&self.db, &mut batch, id, &installed.successor.model)?;
            // The file and the log are those of the old index.
            batch.delete_cf(self.db.family(SYSTEM)?, system_key("checkpoint", id));
            let (first, end) = (numbered_key(id, 0).to_vec(), namespace_end(id));
            batch.delete_range_cf(self.db.family(INDEX_LOG)?, first, end);
        }
        Reembedding::done().put(&self.db, &mut batch)?;
        Ok(batch)
    }

    /// Writes the first checkpoints of the new indexes.
    pub(crate) fn checkpoint_new_indexes(&self, job: &Job) -> Result<()> {
        for installed in &job.installed {
            self.checkpoint_successor(&installed.namespace)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
