//! Removing keys in bounded batches: the one routine behind delete, sweep, prune and evict.

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::lifetime::Listed;
use crate::locks::{StripeNumbers, digest_stripe, key_stripe};
use crate::mutation::{Mutation, Removed};
use crate::record::KeyRecord;

/// Most keys removed in one write: bounds how long the locks of a batch are held.
pub(crate) const REMOVE_BATCH: usize = 256;

impl Engine {
    /// Removes those of `keys` that exist and satisfy `condition` at the moment they are locked, in one write.
    /// At most [`REMOVE_BATCH`] keys a call, each once. `delete_orphans`: objects left without a key go in the same write.
    pub(crate) fn remove_keys(
        &self,
        namespace: &Namespace,
        keys: &[Listed],
        delete_orphans: bool,
        condition: impl Fn(&KeyRecord, u64) -> bool,
    ) -> Result<Removed> {
        namespace.semantic(self)?;
        let stripes = keys
            .iter()
            .map(|listed| key_stripe(namespace.id, &listed.key))
            .collect();
        let mut key_guards = self.key_locks.lock(stripes)?;
        let mut doomed = Vec::with_capacity(keys.len());
        let mut digest_stripes = StripeNumbers::with_capacity(keys.len());
        let records = keys.iter().map(|listed| &*listed.key);
        let records = self.key_records(namespace, records)?;
        for (Listed { time_us, key }, record) in keys.iter().zip(records) {
            if let Some(record) = record.filter(|record| condition(record, *time_us)) {
                let meta = self.object_meta(namespace, record.object_id)?;
                digest_stripes.push(digest_stripe(&meta.digest));
                doomed.push((key, record));
            }
        }
        if doomed.is_empty() {
            return Ok(Removed::default());
        }
        let mut digests = self.digest_locks.lock(digest_stripes)?;
        let mut mutation = Mutation::new(self, namespace);
        for (key, record) in doomed {
            mutation.remove_key(key, &record)?;
        }
        mutation.commit(&mut key_guards, &mut digests, delete_orphans, None)
    }
}
