//! Reading values. Reads take no lock and never write in the caller's path.

use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::record::KeyRecord;
use crate::schema::{OBJECTS, numbered_key};

impl Engine {
    /// Calls `read` with the value of `key`, still in RocksDB's memory; `None` if the key is absent or expired.
    pub(crate) fn get_with<R>(
        &self,
        namespace: &Namespace,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        let Some(mut record) = self.live_record(namespace, key)? else {
            return Ok(None);
        };
        loop {
            if let Some(value) = self
                .db
                .get(OBJECTS, &numbered_key(namespace.id, record.object_id))?
            {
                self.note_access(namespace, key, &record);
                return Ok(Some(read(&value)));
            }
            // Between the two reads another thread may have replaced the value and deleted its object. Ids are never
            // used twice, so the same id again means that the object is really missing.
            let Some(again) = self.live_record(namespace, key)? else {
                return Ok(None);
            };
            if again.object_id == record.object_id {
                return Err(Error::Corruption(format!(
                    "a key points at object {}, which does not exist; run verify() for the extent of the damage",
                    record.object_id
                )));
            }
            record = again;
        }
    }

    /// The record of a key that exists and has not expired.
    pub(crate) fn live_record(
        &self,
        namespace: &Namespace,
        key: &[u8],
    ) -> Result<Option<KeyRecord>> {
        let record = self.key_record(namespace, key)?;
        Ok(record.filter(|record| record.expires_us == 0 || !record.is_expired(self.now_us())))
    }

    fn note_access(&self, namespace: &Namespace, key: &[u8], record: &KeyRecord) {
        if !self.options.track_access_time {
            return;
        }
        let now_us = self.now_us();
        let due = crate::clock::after_seconds(
            record.accessed_us,
            self.options.lru_update_interval_seconds,
        );
        if now_us >= due {
            self.accesses.note(namespace.id, key, now_us);
        }
    }
}
