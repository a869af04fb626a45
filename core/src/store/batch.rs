//! Reading and removing many keys at once.

use super::get::{Value, missing_object};
use super::remove::REMOVE_BATCH;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::lifetime::Listed;
use crate::record::KeyRecord;
use crate::schema::{OBJECTS, numbered_key};
use crate::stats::{Count, Timed};
use std::collections::HashSet;
use std::time::Instant;

impl Engine {
    /// The values of `keys`, in their order: one `multi_get` for the records that are not cached, one for the objects.
    pub(crate) fn get_many(
        &self,
        namespace: &Namespace,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Value<'_>>>> {
        let found = self.get_many_unkept(namespace, keys)?;
        let kept = found.into_iter();
        Ok(kept.map(|value| Some(self.kept(value?))).collect())
    }

    /// As [`Self::get_many`]; what the read cache does not hold is left out of it.
    pub(super) fn get_many_unkept(
        &self,
        namespace: &Namespace,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Value<'_>>>> {
        let start = Instant::now();
        let records = self.live_records(namespace, keys)?;
        let (mut cached_hits, mut cache_misses, mut bytes) = (0, 0, 0);
        let mut values: Vec<Option<Value<'_>>> = Vec::with_capacity(keys.len());
        let (mut wanted, mut names) = (Vec::new(), Vec::new());
        for (position, record) in records.iter().enumerate() {
            let Some(record) = record else {
                values.push(None);
                continue;
            };
            let cached = self.cached_object(record.object_id);
            match &cached {
                Some(value) => {
                    cached_hits += 1;
                    bytes += value.len();
                }
                None => {
                    wanted.push((position, record.object_id));
                    names.push(numbered_key(namespace.id, record.object_id));
                }
            }
            values.push(cached);
        }
        for ((position, id), found) in wanted.iter().zip(self.db.multi_get(OBJECTS, &names)?) {
            let value = match (found, keys.get(*position)) {
                (Some(pinned), _) => {
                    cache_misses += 1;
                    bytes += pinned.len();
                    Some(Value::pinned(pinned, *id))
                }
                // Replaced or deleted between the two reads: the careful way, which counts for itself.
                (None, Some(key)) => self.get(namespace, key)?,
                (None, None) => return Err(missing_object(*id)),
            };
            if let Some(slot) = values.get_mut(*position) {
                *slot = value;
            }
        }
        if self.options.track_access_time {
            let now_us = self.now_us();
            for (key, record) in keys.iter().zip(&records) {
                if let Some(record) = record {
                    self.note_access_at(namespace, key, record, now_us);
                }
            }
        }
        let absent = records.iter().filter(|record| record.is_none()).count();
        for (count, change) in [
            (Count::CacheHits, cached_hits),
            (Count::CacheMisses, cache_misses),
            (Count::Misses, absent),
            (Count::BytesRead, bytes),
        ] {
            namespace.stats.add(count, change as u64);
        }
        namespace.stats.add_time(Timed::GetMany, start.elapsed(), 1);
        Ok(values)
    }

    /// Whether each of `keys` exists and has not expired.
    pub(crate) fn contains_many(&self, namespace: &Namespace, keys: &[&[u8]]) -> Result<Vec<bool>> {
        let records = self.live_records(namespace, keys)?;
        Ok(records.iter().map(Option::is_some).collect())
    }

    /// Removes `keys`, in writes of at most [`REMOVE_BATCH`] keys, and counts them as `count`. Returns the number that
    /// existed and had not expired.
    pub(crate) fn remove_live(
        &self,
        namespace: &Namespace,
        keys: &[&[u8]],
        count: Count,
    ) -> Result<u64> {
        let (now_us, gc) = (self.now_us(), self.options.enable_gc);
        let mut seen = HashSet::with_capacity(keys.len());
        let wanted: Vec<_> = keys
            .iter()
            .filter(|key| seen.insert(**key))
            .map(|key| Listed {
                time_us: now_us,
                key: key.to_vec(),
            })
            .collect();
        let mut deleted = 0;
        for batch in wanted.chunks(REMOVE_BATCH) {
            let live = |record: &KeyRecord, _| !record.is_expired(now_us);
            let removed = self.remove_keys(namespace, batch, gc, live)?;
            namespace.stats.add(count, removed.keys);
            deleted += removed.keys;
        }
        Ok(deleted)
    }

    fn live_records(
        &self,
        namespace: &Namespace,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<KeyRecord>>> {
        let mut records: Vec<Option<KeyRecord>> = match &self.cache {
            Some(cache) => keys
                .iter()
                .map(|key| cache.record(namespace.id, key))
                .collect(),
            None => vec![None; keys.len()],
        };
        let mut wanted = Vec::new();
        for (position, (key, record)) in keys.iter().zip(&records).enumerate() {
            if record.is_none() {
                let cache = self.cache.as_ref();
                let version = cache.and_then(|cache| cache.version(namespace.id, key));
                wanted.push((position, *key, version));
            }
        }
        let found = self.key_records(namespace, wanted.iter().map(|(_, key, _)| *key))?;
        for ((position, key, version), record) in wanted.iter().zip(found) {
            let Some(record) = record else { continue };
            if let Some(cache) = &self.cache {
                cache.keep_record(namespace.id, key, record, *version);
            }
            if let Some(slot) = records.get_mut(*position) {
                *slot = Some(record);
            }
        }
        for slot in &mut records {
            *slot = slot.filter(|record| !self.is_expired(record));
        }
        Ok(records)
    }
}
