//! Writes under a condition: the key is looked at and written in one step, with its stripe held.

use super::Store;
use super::put::{Entry, PutOutcome};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::locks::{digest_stripe, key_stripe};
use crate::mutation::Mutation;
use crate::record::KeyRecord;
use crate::stats::{Count, Timed};
use smallvec::smallvec;

/// What must hold of a key for a write to happen. A key that has expired counts as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// The key is absent.
    Absent,
    /// The key is there, whatever its value.
    Present,
    /// The key is there, and its value has one of these digests.
    OneOf(&'a [Digest]),
    /// The key is absent, or its value has none of these digests.
    NoneOf(&'a [Digest]),
}

impl Condition<'_> {
    /// Whether it holds of a key whose value has the digest `current`; `None`: the key is absent.
    #[must_use]
    pub fn holds(&self, current: Option<&Digest>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Present => current.is_some(),
            Self::OneOf(digests) => current.is_some_and(|current| digests.contains(current)),
            Self::NoneOf(digests) => current.is_none_or(|current| !digests.contains(current)),
        }
    }
}

/// Refuses a write if one of `conditions` does not hold.
pub(super) fn check(conditions: &[Condition<'_>], current: Option<&Digest>) -> Result<()> {
    if conditions.iter().all(|condition| condition.holds(current)) {
        return Ok(());
    }
    Err(Error::ConditionFailed(current.copied()))
}

impl Store {
    /// As [`Store::put_entry`], if all of `conditions` hold of the key at the moment of the write.
    ///
    /// # Errors
    /// [`Error::ConditionFailed`] if one does not; the store is as it was. Otherwise as [`Store::put_entry`].
    pub fn put_entry_if(
        &self,
        entry: &Entry<'_>,
        conditions: &[Condition<'_>],
    ) -> Result<PutOutcome> {
        let outcomes = self.put_timed(std::slice::from_ref(entry), conditions, Timed::Put)?;
        outcomes
            .first()
            .copied()
            .ok_or_else(|| Error::Io("the put had no outcome".to_owned()))
    }

    /// Removes `key` if all of `conditions` hold of it at the moment of the write.
    ///
    /// # Errors
    /// [`Error::ConditionFailed`] if one does not; [`Error::NotFound`] if they hold of a key that is absent or has expired;
    /// otherwise as [`Store::put`]. The store is then as it was.
    pub fn delete_if(&self, key: &[u8], conditions: &[Condition<'_>]) -> Result<()> {
        let engine = self.writer()?;
        engine.delete_if(&*self.namespace_of(&engine)?, key, conditions)
    }
}

impl Engine {
    fn delete_if(
        &self,
        namespace: &Namespace,
        key: &[u8],
        conditions: &[Condition<'_>],
    ) -> Result<()> {
        namespace.semantic(self)?;
        let mut keys = self
            .key_locks
            .lock(smallvec![key_stripe(namespace.id, key)])?;
        let live = self.live_on_disk(namespace, key)?;
        check(conditions, live.as_ref().map(|(_, digest)| digest))?;
        let (record, digest) = live.ok_or_else(|| Error::not_found(key))?;
        let mut digests = self.digest_locks.lock(smallvec![digest_stripe(&digest)])?;
        let mut mutation = Mutation::new(self, namespace);
        mutation.remove_key(key, &record)?;
        let removed = mutation.commit(&mut keys, &mut digests, self.options.enable_gc, None)?;
        namespace.stats.add(Count::Deletes, removed.keys);
        Ok(())
    }

    /// The record of a key that exists and has not expired, and the digest of its value. The caller holds the stripe of the
    /// key, so that the object cannot go.
    fn live_on_disk(
        &self,
        namespace: &Namespace,
        key: &[u8],
    ) -> Result<Option<(KeyRecord, Digest)>> {
        let record = self.key_record(namespace, key)?;
        let Some(record) = record.filter(|record| !self.is_expired(record)) else {
            return Ok(None);
        };
        let digest = self.object_meta(namespace, record.object_id)?.digest;
        Ok(Some((record, digest)))
    }
}

#[cfg(test)]
mod tests;
