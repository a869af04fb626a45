//! Access times: noted in memory by readers, written by the background thread.

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::lock_order::{Ordered, Rank};
use crate::locks::key_stripe;
use crate::mutation::Mutation;
use crate::record::KeyRecord;
use crate::schema::NamespaceId;
use crate::store::remove::REMOVE_BATCH;
use parking_lot::Mutex;
use smallvec::smallvec;
use std::collections::HashMap;

/// Most accesses kept for the background thread. Beyond it notes are dropped: eviction order is approximate, memory
/// is not.
const CAPACITY: usize = 65_536;

/// Accesses not yet written.
///
/// A mutex, not a lock-free map: a key is noted at most once in `lru_update_interval_seconds`, so readers meet here
/// rarely.
#[derive(Debug, Default)]
pub(crate) struct AccessBuffer {
    notes: Mutex<HashMap<(NamespaceId, Vec<u8>), u64>>,
    /// Held while notes are written: who folds next, to evict in their order, must not find them gone from the buffer
    /// and not yet in the store.
    folding: Mutex<()>,
}

impl AccessBuffer {
    pub(crate) fn note(&self, namespace: NamespaceId, key: &[u8], now_us: u64) {
        let mut notes = Ordered::wait(Rank::Last, || self.notes.lock());
        if notes.len() < CAPACITY {
            notes.insert((namespace, key.to_vec()), now_us);
        }
    }

    fn take(&self) -> HashMap<(NamespaceId, Vec<u8>), u64> {
        std::mem::take(&mut *Ordered::wait(Rank::Last, || self.notes.lock()))
    }
}

impl Engine {
    /// Writes the noted access times into the key records and the `access` family.
    ///
    /// A batch that fails is noted again for the next time, and the others are written; the first error is returned.
    pub(crate) fn fold_accesses(&self) -> Result<()> {
        let _one_at_a_time = Ordered::wait(Rank::Folding, || self.accesses.folding.lock());
        let mut result = Ok(());
        let mut notes: Vec<_> = self.accesses.take().into_iter().collect();
        notes.sort_unstable();
        let namespaces = self.namespaces.all();
        let namespaces: HashMap<_, _> = namespaces.iter().map(|one| (one.id, one)).collect();
        for own in notes.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
            // A namespace that is not listed has been dropped.
            let id = own.first().map(|((id, _), _)| id);
            let Some(namespace) = id.and_then(|id| namespaces.get(id)) else {
                continue;
            };
            let own: Vec<_> = own
                .iter()
                .map(|((_, key), time_us)| (key.as_slice(), *time_us))
                .collect();
            for batch in own.chunks(REMOVE_BATCH) {
                if let Err(error) = self.refresh_access_times(namespace, batch) {
                    if namespace.check_exists().is_err() {
                        // Dropped since the list was made.
                        break;
                    }
                    batch
                        .iter()
                        .for_each(|(key, time_us)| self.accesses.note(namespace.id, key, *time_us));
                    result = result.and(Err(error));
                }
            }
        }
        result
    }

    /// As [`Self::fold_accesses`], where the order of eviction may suffer rather than the eviction fail.
    pub(crate) fn fold_accesses_or_log(&self) {
        if let Err(error) = self.fold_accesses() {
            tracing::warn!(%error, "access times are behind");
        }
    }

    fn refresh_access_times(&self, namespace: &Namespace, accesses: &[(&[u8], u64)]) -> Result<()> {
        let stripes = accesses
            .iter()
            .map(|(key, _)| key_stripe(namespace.id, key))
            .collect();
        let mut guards = self.key_locks.lock(stripes)?;
        let mut mutation = Mutation::new(self, namespace);
        for (key, time_us) in accesses {
            if let Some(old) = self
                .key_record(namespace, key)?
                .filter(|old| old.accessed_us < *time_us)
            {
                mutation.put_key(
                    key,
                    Some(&old),
                    &KeyRecord {
                        accessed_us: *time_us,
                        ..old
                    },
                )?;
            }
        }
        mutation
            .commit(&mut guards, &mut smallvec![], false, None)
            .map(drop)
    }
}
