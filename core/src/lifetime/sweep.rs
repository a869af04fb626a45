//! Sweep: expired keys and objects without a key.

use super::Due;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::locks::{StripeNumbers, digest_stripe};
use crate::mutation::Mutation;
use crate::record::ObjectMeta;
use crate::schema::{OBJECT_META, ORPHANS, numbered_key};
use crate::store::remove::REMOVE_BATCH;
use smallvec::smallvec;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

impl Engine {
    /// Removes expired keys and unreferenced objects. Returns the number of objects deleted.
    pub(crate) fn sweep(&self, namespace: &Namespace) -> Result<u64> {
        let now_us = self.now_us();
        let expired = self.remove_due(namespace, &Due::expired(now_us, true))?;
        let orphans = self.remove_orphans(namespace)?;
        namespace.last_sweep_us.store(now_us, Ordering::Relaxed);
        Ok(expired.objects + orphans)
    }

    /// Deletes the objects that no key points at. Returns their number.
    pub(crate) fn remove_orphans(&self, namespace: &Namespace) -> Result<u64> {
        let (mut deleted, mut cursor) = (0, Vec::new());
        loop {
            let mut ids = Vec::new();
            self.scan_ordered(namespace, ORPHANS, &cursor, u64::MAX, |id, _| {
                ids.push(id);
                Ok(if ids.len() < REMOVE_BATCH {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                })
            })?;
            let Some(last) = ids.last() else {
                return Ok(deleted);
            };
            cursor = numbered_key(namespace.id, last.saturating_add(1)).to_vec();
            deleted += self.remove_orphan_batch(namespace, &ids)?;
        }
    }

    fn remove_orphan_batch(&self, namespace: &Namespace, ids: &[u64]) -> Result<u64> {
        namespace.semantic(self)?;
        // No key is involved: any one key stripe serves for the counters.
        let mut keys = self.key_locks.lock(smallvec![0])?;
        let digest_of = |id: &u64| -> Result<Option<ObjectMeta>> {
            let meta = self.db.get(OBJECT_META, &numbered_key(namespace.id, *id))?;
            meta.map(|encoded| ObjectMeta::decode(&encoded)).transpose()
        };
        let mut stripes = StripeNumbers::with_capacity(ids.len());
        for id in ids {
            stripes.extend(digest_of(id)?.map(|meta| digest_stripe(&meta.digest)));
        }
        let mut digests = self.digest_locks.lock(stripes)?;
        let mut mutation = Mutation::new(self, namespace);
        for id in ids {
            // A put may have taken the object up again, or another sweep deleted it, before the stripes were ours.
            if digest_of(id)?.is_some_and(|meta| meta.refcount == 0) {
                mutation.visit_object(*id)?;
            }
        }
        Ok(mutation
            .commit(&mut keys, &mut digests, true, None)?
            .objects)
    }
}
