//! Reading and removing many keys at once.

use super::get::{Value, missing_object};
use super::remove::REMOVE_BATCH;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::lifetime::Listed;
use crate::record::KeyRecord;
use crate::schema::{KEYS, OBJECTS, numbered_key, user_key};
use std::collections::HashSet;

impl Engine {
    /// The values of `keys`, in their order: one `multi_get` for the records that are not cached, one for the objects.
    pub(crate) fn get_many(
        &self,
        namespace: &Namespace,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Value<'_>>>> {
        let records = self.live_records(namespace, keys)?;
        let mut values: Vec<Option<Value<'_>>> = Vec::with_capacity(keys.len());
        let (mut wanted, mut names) = (Vec::new(), Vec::new());
        for (position, record) in records.iter().enumerate() {
            let Some(record) = record else {
                values.push(None);
                continue;
            };
            let cached = self.cached_object(record.object_id);
            if cached.is_none() {
                wanted.push((position, record.object_id));
                names.push(numbered_key(namespace.id, record.object_id));
            }
            values.push(cached);
        }
        for ((position, id), found) in wanted.iter().zip(self.db.multi_get(OBJECTS, &names)?) {
            let value = match (found, keys.get(*position)) {
                (Some(pinned), _) => Some(self.keep(*id, pinned)),
                // Replaced or deleted between the two reads: the careful way.
                (None, Some(key)) => self.get(namespace, key)?,
                (None, None) => return Err(missing_object(*id)),
            };
            if let Some(slot) = values.get_mut(*position) {
                *slot = value;
            }
        }
        for (key, record) in keys.iter().zip(&records) {
            if let Some(record) = record {
                self.note_access(namespace, key, record);
            }
        }
        Ok(values)
    }

    /// Whether each of `keys` exists and has not expired.
    pub(crate) fn contains_many(&self, namespace: &Namespace, keys: &[&[u8]]) -> Result<Vec<bool>> {
        let records = self.live_records(namespace, keys)?;
        Ok(records.iter().map(Option::is_some).collect())
    }

    /// Removes `keys`, in writes of at most [`REMOVE_BATCH`] keys. Returns the number that existed and had not expired.
    pub(crate) fn delete_many(&self, namespace: &Namespace, keys: &[&[u8]]) -> Result<u64> {
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
            deleted += self.remove_keys(namespace, batch, gc, live)?.keys;
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
        let (mut wanted, mut names) = (Vec::new(), Vec::new());
        for (position, (key, record)) in keys.iter().zip(&records).enumerate() {
            if record.is_none() {
                let cache = self.cache.as_ref();
                let version = cache.map_or(0, |cache| cache.version(namespace.id, key));
                wanted.push((position, *key, version));
                names.push(user_key(namespace.id, key));
            }
        }
        for ((position, key, version), found) in wanted.iter().zip(self.db.multi_get(KEYS, &names)?)
        {
            let Some(encoded) = found else { continue };
            let record = KeyRecord::decode(&encoded)?;
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
