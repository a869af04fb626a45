//! Reading values. Reads take no lock of the store and never write in the caller's path.

use super::{EngineGuard, Store};
use crate::cached_bytes::{CachedBytes, LentBytes};
use crate::db::Snapshot;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::record::KeyRecord;
use crate::schema::{OBJECTS, numbered_key};
use crate::stats::{Count, SAMPLED, Timed, sampled_start};
use rocksdb::DBPinnableSlice;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

/// The bytes of a value where the store holds them.
pub struct Value<'a>(Place<'a>);

enum Place<'a> {
    Cached(CachedBytes),
    /// Where RocksDB holds the bytes of the object of this id.
    Pinned(DBPinnableSlice<'a>, u64),
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Cached(value) => value,
            Place::Pinned(value, _) => value,
        }
    }
}

impl Value<'_> {
    /// The bytes, shared with the read cache where they are in it; otherwise a copy.
    #[must_use]
    pub fn into_shared(self) -> CachedBytes {
        match self.0 {
            Place::Cached(value) => value,
            Place::Pinned(value, _) => CachedBytes::from(&*value),
        }
    }

    /// As they are in the read cache, if they are.
    #[must_use]
    pub fn cached(&self) -> Option<&CachedBytes> {
        match &self.0 {
            Place::Cached(value) => Some(value),
            Place::Pinned(..) => None,
        }
    }

    pub(super) fn of_cache(value: CachedBytes) -> Self {
        Self(Place::Cached(value))
    }
}

impl<'a> Value<'a> {
    /// The bytes of the object `id` where RocksDB holds them.
    pub(super) fn pinned(value: DBPinnableSlice<'a>, id: u64) -> Self {
        Self(Place::Pinned(value, id))
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Value({} bytes)", self.len())
    }
}

/// The store kept open for some reads, whose values may be used where they lie as long as this lives. Closing the
/// store waits for it.
pub struct Reader<'a> {
    pub(super) engine: EngineGuard<'a>,
    pub(super) namespace: Arc<Namespace>,
}

impl Store {
    /// Keeps the store open for some reads. Never waits.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Forked`], and [`Error::InvalidArgument`] if the namespace was dropped.
    pub fn reader(&self) -> Result<Reader<'_>> {
        let engine = self.engine()?;
        let namespace = self.namespace_of(&engine)?;
        Ok(Reader { engine, namespace })
    }
}

impl Reader<'_> {
    /// The value of `key` if it can be had without a look at the disk; `None` says nothing about the key.
    #[must_use]
    pub fn get_cached(&self, key: &[u8]) -> Option<Value<'_>> {
        self.engine.cached(&self.namespace, key)
    }

    /// The value of `key`; `None` if the key is absent or has expired.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.engine.get(&self.namespace, key)
    }

    /// As [`Reader::get`], but a value that the read cache does not hold is left out of it: [`Reader::keep`] takes it
    /// there, once there are bytes of the caller's to be held.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get_unkept(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.engine.get_unkept(&self.namespace, key)
    }

    /// The values of `keys`, in their order.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Value<'_>>>> {
        self.engine.get_many(&self.namespace, keys)
    }

    /// To [`Reader::get_many`] as [`Reader::get_unkept`] to [`Reader::get`].
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get_many_unkept(&self, keys: &[&[u8]]) -> Result<Vec<Option<Value<'_>>>> {
        self.engine.get_many_unkept(&self.namespace, keys)
    }

    /// The value as the read cache holds it, if somebody has brought it there since `value` was read.
    #[must_use]
    pub fn kept_meanwhile(&self, value: &Value<'_>) -> Option<Value<'_>> {
        match value.0 {
            Place::Cached(_) => None,
            Place::Pinned(_, id) => self.engine.cached_object(id),
        }
    }

    /// Has the read cache hold a value that it does not hold yet, if it is not too long: as `lent`, which must be the same
    /// bytes, or as a copy.
    pub fn keep(&self, value: &Value<'_>, lent: Option<&Arc<dyn LentBytes>>) {
        self.engine.keep(value, lent);
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reader")
            .field("path", &self.engine.path)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// The value of `key` from memory alone.
    fn cached(&self, namespace: &Namespace, key: &[u8]) -> Option<Value<'_>> {
        let cache = self.cache.as_ref()?;
        let start = sampled_start();
        let record = cache.record(namespace.id, key)?;
        if self.is_expired(&record) {
            return None;
        }
        let value = cache.value(record.object_id)?;
        self.count_cached(namespace, key, &record, value.len(), start);
        Some(Value(Place::Cached(value)))
    }

    /// To be called when a value of so many bytes was found in memory.
    pub(super) fn count_cached(
        &self,
        namespace: &Namespace,
        key: &[u8],
        record: &KeyRecord,
        bytes: usize,
        start: Option<Instant>,
    ) {
        self.note_access(namespace, key, record);
        namespace.stats.add_hit(true, bytes);
        if let Some(start) = start {
            let stats = &namespace.stats;
            stats.add_time(Timed::Get, start.elapsed(), SAMPLED);
        }
    }

    /// The value of `key`; `None` if the key is absent or expired.
    pub(crate) fn get(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Value<'_>>> {
        let found = self.get_unkept(namespace, key)?;
        Ok(found.map(|value| self.kept(value)))
    }

    /// As [`Self::get`]; what the read cache does not hold is left out of it.
    fn get_unkept(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Value<'_>>> {
        if let Some(value) = self.cached(namespace, key) {
            return Ok(Some(value));
        }
        let start = Instant::now();
        let found = self.find(namespace, key)?.map(|(_, value)| value);
        if found.is_none() {
            namespace.stats.add(Count::Misses, 1);
        }
        let stats = &namespace.stats;
        stats.add_time(Timed::Get, start.elapsed(), 1);
        Ok(found)
    }

    /// The record and the value of a key, whether they are in memory or not.
    pub(crate) fn load(
        &self,
        namespace: &Namespace,
        key: &[u8],
    ) -> Result<Option<(KeyRecord, Value<'_>)>> {
        let found = self.find(namespace, key)?;
        Ok(found.map(|(record, value)| (record, self.kept(value))))
    }

    /// As [`Self::load`]; what the read cache does not hold is left out of it.
    fn find(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<(KeyRecord, Value<'_>)>> {
        let mut missing = None;
        let mut next = self.live_record(namespace, key)?;
        // Between the reads of record and object another thread may replace the value and delete its object. Ids are
        // never used twice, so the same id again means that the object is really missing. The record is read anew past
        // the cache, where one that was just replaced, or belongs to a namespace that was just dropped, may still be.
        while let Some(record) = next {
            if missing == Some(record.object_id) {
                return Err(missing_object(record.object_id));
            }
            if let Some((value, cached)) = self.find_object(namespace, record.object_id)? {
                namespace.stats.add_hit(cached, value.len());
                self.note_access(namespace, key, &record);
                return Ok(Some((record, value)));
            }
            missing = Some(record.object_id);
            let again = self.key_record(namespace, key)?;
            next = again.filter(|record| !self.is_expired(record));
        }
        Ok(None)
    }

    /// The bytes of an object, and whether they were in memory. The caller counts the hit, if it is one.
    pub(crate) fn uncounted_object(
        &self,
        namespace: &Namespace,
        id: u64,
    ) -> Result<Option<(Value<'_>, bool)>> {
        let found = self.find_object(namespace, id)?;
        Ok(found.map(|(value, cached)| (self.kept(value), cached)))
    }

    /// As [`Self::uncounted_object`]; what the read cache does not hold is left out of it.
    fn find_object(&self, namespace: &Namespace, id: u64) -> Result<Option<(Value<'_>, bool)>> {
        if let Some(value) = self.cached_object(id) {
            return Ok(Some((value, true)));
        }
        let found = self.db.get(OBJECTS, &numbered_key(namespace.id, id))?;
        Ok(found.map(|pinned| (Value::pinned(pinned, id), false)))
    }

    /// The bytes of an object from memory alone.
    pub(crate) fn cached_object(&self, id: u64) -> Option<Value<'_>> {
        let value = self.cache.as_ref()?.value(id)?;
        Some(Value(Place::Cached(value)))
    }

    /// The bytes of an object that a key of `snapshot` points at. Goes past the cache.
    pub(crate) fn object_in<'a>(
        &'a self,
        snapshot: &'a Snapshot<'_>,
        namespace: &Namespace,
        id: u64,
    ) -> Result<DBPinnableSlice<'a>> {
        let name = numbered_key(namespace.id, id);
        let found = snapshot.get_pinned_cf(self.db.family(OBJECTS)?, name)?;
        found.ok_or_else(|| missing_object(id))
    }

    /// The value as it is in the read cache, into which it comes if it fits.
    pub(crate) fn kept<'a>(&self, value: Value<'a>) -> Value<'a> {
        let kept = self.keep(&value, None);
        kept.map_or(value, |kept| Value(Place::Cached(kept)))
    }

    /// Puts a value into the read cache that it does not hold yet, if it fits.
    fn keep(&self, value: &Value<'_>, lent: Option<&Arc<dyn LentBytes>>) -> Option<CachedBytes> {
        let Place::Pinned(pinned, id) = &value.0 else {
            return None;
        };
        self.cache.as_ref()?.keep_value(*id, pinned, lent)
    }

    /// The record of a key that exists and has not expired.
    pub(crate) fn live_record(
        &self,
        namespace: &Namespace,
        key: &[u8],
    ) -> Result<Option<KeyRecord>> {
        let record = match &self.cache {
            None => self.key_record(namespace, key)?,
            Some(cache) => match cache.record(namespace.id, key) {
                Some(record) => Some(record),
                None => {
                    let version = cache.version(namespace.id, key);
                    let record = self.key_record(namespace, key)?;
                    if let Some(record) = record {
                        cache.keep_record(namespace.id, key, record, version);
                    }
                    record
                }
            },
        };
        Ok(record.filter(|record| !self.is_expired(record)))
    }

    pub(crate) fn is_expired(&self, record: &KeyRecord) -> bool {
        record.expires_us != 0 && record.is_expired(self.now_us())
    }

    pub(crate) fn note_access(&self, namespace: &Namespace, key: &[u8], record: &KeyRecord) {
        if self.options.track_access_time {
            self.note_access_at(namespace, key, record, self.now_us());
        }
    }

    /// To be called when the value of `key` was read at `now_us`, where `track_access_time` is on.
    pub(crate) fn note_access_at(
        &self,
        namespace: &Namespace,
        key: &[u8],
        record: &KeyRecord,
        now_us: u64,
    ) {
        let due = crate::clock::after_seconds(
            record.accessed_us,
            self.options.lru_update_interval_seconds,
        );
        if now_us >= due {
            self.accesses.note(namespace.id, key, now_us);
        }
    }
}

pub(crate) fn missing_object(id: u64) -> Error {
    Error::Corruption(format!(
        "a key points at object {id}, which does not exist; run verify() for the extent of the damage"
    ))
}

#[cfg(test)]
mod tests;
