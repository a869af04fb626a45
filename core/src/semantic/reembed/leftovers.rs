//! Removing vectors of a model that is none of the store's: the former one, or one that was given up half-way.

use super::record::{Reembedding, recorded_reembedding};
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::locks::{StripeNumbers, digest_stripe};
use crate::mutation::Mutation;
use crate::record::ObjectMeta;
use crate::schema::{OBJECT_META, namespace_end, numbered_key, split_number};
use crate::semantic::{Slot, recorded_model};
use rocksdb::WriteBatch;
use smallvec::smallvec;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

/// Vectors removed in one write.
const AT_ONCE: usize = 256;

impl Engine {
    /// Removes what a call of `reembed` that was cut short has left behind, until `stop` says so. For the background.
    pub(crate) fn remove_leftovers(&self, stop: impl Fn() -> bool) -> Result<()> {
        let mut namespaces = self.namespaces.all().into_iter();
        let (mut current, mut after) = (None, None);
        while self.leftovers.load(Ordering::Acquire) && !stop() {
            // Anew for each page, so that a call of `reembed` need not wait; it removes the rest itself.
            let Ok(_claim) = self.claim_reembedding() else {
                return Ok(());
            };
            let recorded = recorded_reembedding(&self.db)?;
            if recorded.is_some_and(|recorded| !recorded.is_done()) {
                return Ok(());
            }
            if current.is_none() {
                current = namespaces.next();
            }
            let Some(namespace) = &current else {
                return self.end_leftovers();
            };
            after = self.remove_other_vectors(namespace, after)?;
            if after.is_none() {
                current = None;
            }
        }
        Ok(())
    }

    /// Nothing is left behind any more.
    pub(crate) fn end_leftovers(&self) -> Result<()> {
        if recorded_reembedding(&self.db)?.is_some() {
            let mut batch = WriteBatch::default();
            Reembedding::delete(&self.db, &mut batch)?;
            self.db.write(batch)?;
        }
        self.leftovers.store(false, Ordering::Release);
        Ok(())
    }

    /// Removes some vectors after the object `after` from the family that is not in use. Returns the last object that was
    /// looked at; `None`: there are no more. Only for who has the claim to embed texts anew.
    pub(crate) fn remove_other_vectors(
        &self,
        namespace: &Namespace,
        after: Option<u64>,
    ) -> Result<Option<u64>> {
        if namespace.cache.is_some() || namespace.check_exists().is_err() {
            return Ok(None);
        }
        let model = recorded_model(&self.db, namespace.id)?;
        let slot = model.map_or_else(Slot::default, |model| model.slot).other();
        let first = after.map_or(0, |after| after.saturating_add(1));
        let mut ids = Vec::new();
        self.db.scan(
            slot.family(),
            &numbered_key(namespace.id, first),
            &namespace_end(namespace.id),
            None,
            |key, _| {
                ids.push(split_number(slot.family(), key)?.0);
                Ok(if ids.len() < AT_ONCE {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                })
            },
        )?;
        if !ids.is_empty() {
            match Self::patiently(|| self.remove_from(namespace, slot, &ids)) {
                // Dropped meanwhile.
                Err(_) if namespace.check_exists().is_err() => return Ok(None),
                ended => ended?,
            }
        }
        Ok(ids.last().copied())
    }

    fn remove_from(&self, namespace: &Namespace, slot: Slot, ids: &[u64]) -> Result<()> {
        let names: Vec<_> = ids
            .iter()
            .map(|id| numbered_key(namespace.id, *id))
            .collect();
        let metas = || -> Result<Vec<Option<ObjectMeta>>> {
            let found = self.db.multi_get(OBJECT_META, &names)?.into_iter();
            found
                .map(|meta| meta.map(|meta| ObjectMeta::decode(&meta)).transpose())
                .collect()
        };
        let mut keys = self.key_locks.lock(smallvec![0])?;
        let stripes: StripeNumbers = metas()?
            .iter()
            .flatten()
            .map(|meta| digest_stripe(&meta.digest))
            .collect();
        let mut digests = self.digest_locks.lock(stripes)?;
        let mut mutation = Mutation::new(self, namespace);
        for (id, meta) in ids.iter().zip(metas()?) {
            if meta.is_some_and(|meta| meta.vectors.has(slot)) {
                mutation.visit_object(*id)?;
                mutation.remove_other_vector(*id, slot)?;
            }
        }
        mutation
            .commit(&mut keys, &mut digests, false, None)
            .map(drop)
    }
}
