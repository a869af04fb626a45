//! The records of a change, as they go into its batch.

use super::{KeyGuards, Mutation, TouchedObject, WrittenKey, signed};
use crate::counters::{Counters, counters_key};
use crate::error::Result;
use crate::metadata;
use crate::record::KeyRecord;
use crate::schema::{
    ACCESS, CREATED, DIGESTS, EXPIRY, KEYS, METADATA, OBJECT_META, OBJECTS, ORPHANS, SYSTEM,
    digest_key, numbered_key, time_key, user_key,
};
use crate::semantic::Slot;
use smallvec::SmallVec;

impl Mutation<'_> {
    /// Lists `key` under the times of `new` in place of those of `old`. What both have stays as it is.
    pub(super) fn move_times(
        &mut self,
        key: &[u8],
        old: Option<&KeyRecord>,
        new: Option<&KeyRecord>,
    ) -> Result<()> {
        let db = &self.engine.db;
        let name = |time_us| time_key(self.namespace.id, time_us, key);
        let has = |record: Option<&KeyRecord>, entry| {
            record.is_some_and(|record| times(record).any(|other| other == entry))
        };
        for (family, time_us) in old.into_iter().flat_map(times) {
            if !has(new, (family, time_us)) {
                if family == EXPIRY {
                    self.expiries.push((time_us, -1));
                }
                self.batch.delete_cf(db.family(family)?, name(time_us));
            }
        }
        for (family, time_us) in new.into_iter().flat_map(times) {
            if !has(old, (family, time_us)) {
                if family == EXPIRY {
                    self.expiries.push((time_us, 1));
                }
                self.lowest.add(family, time_us);
                self.batch.put_cf(db.family(family)?, name(time_us), b"");
            }
        }
        Ok(())
    }

    /// Writes the records of the keys in the order of the keys: neighbours share most of the way to their places in the
    /// write buffer, and find it in the processor's caches.
    pub(super) fn write_keys(&mut self) -> Result<()> {
        let family = self.engine.db.family(KEYS)?;
        let mut keys: SmallVec<[_; 1]> = self.keys.iter().collect();
        // Stable: of several records of one key the last wins.
        keys.sort_by_key(|written| written.key);
        for WrittenKey { key, record, .. } in keys {
            let name = user_key(self.namespace.id, key);
            match record {
                Some(record) => self.batch.put_cf(family, name, record.encode()),
                None => self.batch.delete_cf(family, name),
            }
        }
        Ok(())
    }

    /// Writes the digests of new objects, in their order as well.
    pub(super) fn write_digests(&mut self) -> Result<()> {
        let family = self.engine.db.family(DIGESTS)?;
        for (digest, id) in std::mem::take(&mut self.created).into_sorted() {
            let name = digest_key(self.namespace.id, &digest);
            self.batch.put_cf(family, name, id.to_le_bytes());
        }
        Ok(())
    }

    /// `slot`: where the vectors in use are; the semantic stage deletes those.
    pub(super) fn delete_object(
        &mut self,
        id: u64,
        object: &TouchedObject,
        slot: Option<Slot>,
    ) -> Result<()> {
        let db = &self.engine.db;
        let key = numbered_key(self.namespace.id, id);
        for other in Slot::BOTH {
            if slot != Some(other) && object.meta.vectors.has(other) {
                self.batch.delete_cf(db.family(other.family())?, key);
            }
        }
        self.batch.delete_cf(db.family(OBJECTS)?, key);
        self.batch.delete_cf(db.family(OBJECT_META)?, key);
        self.batch.delete_cf(
            db.family(DIGESTS)?,
            digest_key(self.namespace.id, &object.meta.digest),
        );
        if object.refcount_before == Some(0) {
            self.batch.delete_cf(db.family(ORPHANS)?, key);
            self.change.orphans -= 1;
        }
        self.change.objects -= 1;
        self.change.object_bytes -= signed(object.meta.size);
        if object.meta.has_metadata {
            let length = match &object.metadata {
                Some(changed) => metadata::encoded_len(changed),
                None => db.get(METADATA, &key)?.map_or(0, |record| record.len()),
            };
            self.batch.delete_cf(db.family(METADATA)?, key);
            self.change.object_bytes -= signed(length as u64);
            self.change.logical_bytes -= signed(length as u64);
        }
        Ok(())
    }

    pub(super) fn write_object_meta(&mut self, id: u64, object: &TouchedObject) -> Result<()> {
        let recounted = object.refcount_before != Some(object.meta.refcount);
        let revectored = object.next_vector.is_some() || object.loses_vector;
        if !recounted && !revectored && object.metadata.is_none() {
            return Ok(());
        }
        let db = &self.engine.db;
        let key = numbered_key(self.namespace.id, id);
        self.batch
            .put_cf(db.family(OBJECT_META)?, key, object.meta.encode());
        if let Some(metadata) = &object.metadata {
            self.batch
                .put_cf(db.family(METADATA)?, key, metadata::encode(metadata));
        }
        if !recounted {
            return Ok(());
        }
        if object.meta.refcount == 0 {
            self.batch.put_cf(db.family(ORPHANS)?, key, b"");
            self.lowest.add(ORPHANS, id);
            self.change.orphans += 1;
        } else if object.refcount_before == Some(0) {
            self.batch.delete_cf(db.family(ORPHANS)?, key);
            self.change.orphans -= 1;
        }
        Ok(())
    }

    /// Puts the new counters of the lowest locked stripe into the batch.
    pub(super) fn add_counters(&mut self, keys: &KeyGuards<'_>) -> Result<Option<Counters>> {
        let Some((stripe, guard)) = keys.first() else {
            return Ok(None);
        };
        if self.change == Counters::default() {
            return Ok(None);
        }
        let counters = guard
            .get(&self.namespace.id)
            .copied()
            .unwrap_or_default()
            .plus(&self.change);
        let name = counters_key(self.namespace.id, *stripe);
        self.batch
            .put_cf(self.engine.db.family(SYSTEM)?, name, counters.encode());
        Ok(Some(counters))
    }
}

/// Families and times under which a key record is listed: invariant 5.
///
/// A key that was not used since its last put has one time for both, and `access` alone lists it.
pub(crate) fn times(record: &KeyRecord) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    let used = record.created_us != record.accessed_us;
    let created = used.then_some((CREATED, record.created_us));
    let expiry = (record.expires_us != 0).then_some((EXPIRY, record.expires_us));
    let access = (ACCESS, record.accessed_us);
    created.into_iter().chain([access]).chain(expiry)
}
