//! What is known of a key and its object besides the value, read in one consistent look.
//!
//! Object id and expiry come from one key record; digest and size of an object never change. Its metadata is that of some
//! moment during the call, and never that of another object. What was read is kept with the value in the read cache, so
//! that a hot key costs no look into RocksDB.

use super::get::{Value, missing_object};
use super::{Reader, Store};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::metadata::{self, Metadata};
use crate::record::{KeyRecord, ObjectMeta};
use crate::schema::{OBJECT_META, numbered_key};
use crate::stats::{Count, Timed, sampled_start};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is known of an object, whoever points at it.
#[derive(Debug)]
pub(crate) struct About {
    digest: Digest,
    size: u64,
    metadata: Metadata,
}

impl About {
    /// Bytes that it takes in memory, about.
    pub(crate) fn bytes(&self) -> u64 {
        (size_of::<Self>() + metadata::encoded_len(&self.metadata)) as u64
    }

    #[cfg(test)]
    pub(crate) fn of_value(value: &[u8]) -> Self {
        Self {
            digest: Digest::of(value),
            size: value.len() as u64,
            metadata: Metadata::new(),
        }
    }
}

/// What is known of a key and of the value it points at.
#[derive(Clone, Debug)]
pub struct Details {
    object_id: u64,
    ttl: Option<Duration>,
    created_us: u64,
    expires_us: Option<u64>,
    about: Arc<About>,
}

impl Details {
    /// The object that the key points at.
    #[must_use]
    pub fn object_id(&self) -> u64 {
        self.object_id
    }

    /// The time until the key expires; `None`: it does not expire.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// When the key was put last, in microseconds since the Unix epoch.
    #[must_use]
    pub fn created_us(&self) -> u64 {
        self.created_us
    }

    /// When the key expires, in microseconds since the Unix epoch; `None`: it does not expire.
    #[must_use]
    pub fn expires_us(&self) -> Option<u64> {
        self.expires_us
    }

    /// SHA-256 of the value as it is stored.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.about.digest
    }

    /// Length of the value in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.about.size
    }

    /// Metadata of the value; empty if it has none.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.about.metadata
    }
}

impl Store {
    /// What is known of `key` and its value, without reading the value and without being a use of the key; `None` if the key
    /// is absent or has expired.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn details(&self, key: &[u8]) -> Result<Option<Details>> {
        let engine = self.engine()?;
        engine.details(&*self.namespace_of(&engine)?, key)
    }
}

impl Reader<'_> {
    /// The value of `key` and what is known of both, if they can be had without a look at the disk; `None` says nothing
    /// about the key. Of a value in the read cache they can from the second call of [`Self::get_with_details`] on.
    #[must_use]
    pub fn get_cached_with_details(&self, key: &[u8]) -> Option<(Value<'_>, Details)> {
        self.engine.cached_with_details(&self.namespace, key)
    }

    /// The value of `key` and what is known of both; `None` if the key is absent or has expired.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get_with_details(&self, key: &[u8]) -> Result<Option<(Value<'_>, Details)>> {
        self.engine.get_with_details(&self.namespace, key)
    }
}

impl Engine {
    fn cached_with_details(
        &self,
        namespace: &Namespace,
        key: &[u8],
    ) -> Option<(Value<'_>, Details)> {
        let cache = self.cache.as_ref()?;
        let start = sampled_start();
        let record = cache.record(namespace.id, key)?;
        if self.is_expired(&record) {
            return None;
        }
        let held = cache.held(record.object_id)?;
        let details = self.details_of(&record, held.about?);
        self.count_cached(namespace, key, &record, held.value.len(), start);
        Some((Value::of_cache(held.value), details))
    }

    fn get_with_details(
        &self,
        namespace: &Namespace,
        key: &[u8],
    ) -> Result<Option<(Value<'_>, Details)>> {
        if let Some(found) = self.cached_with_details(namespace, key) {
            return Ok(Some(found));
        }
        let start = Instant::now();
        let found = self.each_object(namespace, key, |id| {
            let Some((value, cached)) = self.uncounted_object(namespace, id)? else {
                return Ok(None);
            };
            let cache = self.cache.as_ref();
            let version = cache.and_then(|cache| cache.metadata_version(id));
            let Some(about) = self.about(namespace, id)? else {
                return Ok(None);
            };
            if let (Some(cache), Some(shared)) = (cache, value.cached()) {
                cache.keep_about(id, shared, &about, version);
            }
            Ok(Some((value, cached, about)))
        })?;
        let stats = &namespace.stats;
        stats.add_time(Timed::Get, start.elapsed(), 1);
        let Some((record, (value, cached, about))) = found else {
            stats.add(Count::Misses, 1);
            return Ok(None);
        };
        self.note_access(namespace, key, &record);
        stats.add_hit(cached, value.len());
        Ok(Some((value, self.details_of(&record, about))))
    }

    pub(super) fn details(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Details>> {
        let found = self.each_object(namespace, key, |id| self.about(namespace, id))?;
        Ok(found.map(|(record, about)| self.details_of(&record, about)))
    }

    /// What `read` finds of the object of `key`. As with values: the object may be replaced between the reads, and the same
    /// id again means that it is missing.
    fn each_object<T>(
        &self,
        namespace: &Namespace,
        key: &[u8],
        read: impl Fn(u64) -> Result<Option<T>>,
    ) -> Result<Option<(KeyRecord, T)>> {
        let mut missing = None;
        let mut next = self.live_record(namespace, key)?;
        while let Some(record) = next {
            let id = record.object_id;
            if missing == Some(id) {
                return Err(missing_object(id));
            }
            if let Some(found) = read(id)? {
                return Ok(Some((record, found)));
            }
            missing = Some(id);
            let again = self.key_record(namespace, key)?;
            next = again.filter(|record| !self.is_expired(record));
        }
        Ok(None)
    }

    /// What is known of an object; `None` if it is gone.
    fn about(&self, namespace: &Namespace, id: u64) -> Result<Option<Arc<About>>> {
        let Some(meta) = self.db.get(OBJECT_META, &numbered_key(namespace.id, id))? else {
            return Ok(None);
        };
        let meta = ObjectMeta::decode(&meta)?;
        let metadata = match meta.has_metadata {
            true => self.object_metadata(namespace, id)?,
            false => Some(Metadata::new()),
        };
        // Metadata goes with its object alone.
        Ok(metadata.map(|metadata| {
            Arc::new(About {
                digest: meta.digest,
                size: meta.size,
                metadata,
            })
        }))
    }

    fn details_of(&self, record: &KeyRecord, about: Arc<About>) -> Details {
        let left_us = record.expires_us.saturating_sub(self.now_us());
        Details {
            object_id: record.object_id,
            ttl: (record.expires_us != 0).then(|| Duration::from_micros(left_us)),
            created_us: record.created_us,
            expires_us: (record.expires_us != 0).then_some(record.expires_us),
            about,
        }
    }
}

#[cfg(test)]
mod tests;
