//! Hot keys and values in memory, within a bound of bytes.
//!
//! Two caches: key records by key, and value bytes by object id. An object never changes and its id is never used
//! again, so an entry of the second is never out of date, and a value that many keys share is held once. A record
//! changes with every put of its key, so the first follows the writers, stripe by stripe: see [`ReadCache::begin_write`].
//! With the bytes lies what else is known of the object, if somebody has asked; its metadata can change, so that follows
//! the writers of metadata: see [`ReadCache::begin_metadata`].
//!
//! `quick_cache` evicts by a variant of S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP
//! 2023): what is read once, as by a scan, does not displace what is read often.

use crate::cached_bytes::{CachedBytes, LentBytes};
use crate::locks::{STRIPES, key_stripe};
use crate::record::KeyRecord;
use crate::schema::NamespaceId;
use crate::store::About;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Share of the bytes that key records may take.
const RECORDS_SHARE: u64 = 4;
/// Bytes an entry takes besides its key or value: the slot of the table, the allocation, the record.
const ENTRY_BYTES: u64 = 96;
/// A value that takes more than this share of the cache is not kept.
const LARGEST_SHARE: u64 = 64;

/// The caches of a store.
pub(crate) struct ReadCache {
    records: Cache<OwnedKey, KeyRecord, WeighRecord>,
    values: Cache<u64, Held, WeighValue>,
    /// By key stripe: twice the writes so far, and one more during a write. A mutex, not an atomic: a reader's "unchanged,
    /// so insert" must be one step.
    versions: [Mutex<u64>; STRIPES],
    /// By object id: who changes metadata now, and how often it was changed. Writers of objects that share an entry do not
    /// exclude each other, hence the number of them.
    metadata: [Mutex<MetadataVersion>; STRIPES],
    largest_value: u64,
}

/// What is held of an object.
#[derive(Clone)]
pub(crate) struct Held {
    pub value: CachedBytes,
    /// `None`: nobody has asked yet.
    pub about: Option<Arc<About>>,
}

/// The version of a key's stripe, and where it is. `None`, which does not occur, keeps nothing.
pub(crate) type RecordVersion<'a> = Option<(&'a Mutex<u64>, u64)>;

#[derive(Clone, Copy, Default)]
struct MetadataVersion {
    writers: u32,
    changes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnedKey {
    namespace: NamespaceId,
    key: Box<[u8]>,
}

/// As [`OwnedKey`], to look up without an allocation.
#[derive(Clone, Copy)]
struct KeyRef<'a> {
    namespace: NamespaceId,
    key: &'a [u8],
}

impl Hash for OwnedKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (namespace, key) = (self.namespace, &self.key);
        KeyRef { namespace, key }.hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.namespace.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<OwnedKey> for KeyRef<'_> {
    fn equivalent(&self, owned: &OwnedKey) -> bool {
        self.namespace == owned.namespace && *self.key == *owned.key
    }
}

#[derive(Clone)]
struct WeighRecord;

impl Weighter<OwnedKey, KeyRecord> for WeighRecord {
    fn weight(&self, owned: &OwnedKey, _: &KeyRecord) -> u64 {
        ENTRY_BYTES + owned.key.len() as u64
    }
}

#[derive(Clone)]
struct WeighValue;

impl Weighter<u64, Held> for WeighValue {
    fn weight(&self, _: &u64, held: &Held) -> u64 {
        let about = held.about.as_ref().map_or(0, |about| about.bytes());
        ENTRY_BYTES + held.value.memory() as u64 + about
    }
}

impl ReadCache {
    /// Caches that take at most `bytes`; `None` for 0.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        let (records, values) = (bytes / RECORDS_SHARE, bytes - bytes / RECORDS_SHARE);
        let entries = |bytes: u64, typical: u64| usize::try_from(bytes / typical).unwrap_or(0);
        (bytes > 0).then(|| Self {
            records: Cache::with_weighter(entries(records, ENTRY_BYTES + 32), records, WeighRecord),
            values: Cache::with_weighter(entries(values, ENTRY_BYTES + 1024), values, WeighValue),
            versions: std::array::from_fn(|_| Mutex::new(0)),
            metadata: std::array::from_fn(|_| Mutex::default()),
            largest_value: values / LARGEST_SHARE,
        })
    }

    pub(crate) fn record(&self, namespace: NamespaceId, key: &[u8]) -> Option<KeyRecord> {
        self.records.get(&KeyRef { namespace, key })
    }

    pub(crate) fn value(&self, object_id: u64) -> Option<CachedBytes> {
        self.held(object_id).map(|held| held.value)
    }

    pub(crate) fn held(&self, object_id: u64) -> Option<Held> {
        self.values.get(&object_id)
    }

    /// Keeps the bytes of an object and returns them; `None` if they are too many to be kept. `lent`: the same bytes, to
    /// be held in place of a copy.
    pub(crate) fn keep_value(
        &self,
        object_id: u64,
        value: &[u8],
        lent: Option<&Arc<dyn LentBytes>>,
    ) -> Option<CachedBytes> {
        if value.len() as u64 > self.largest_value {
            return None;
        }
        let value = lent.map_or_else(|| value.into(), |lent| Arc::clone(lent).into());
        let held = Held {
            value: CachedBytes::clone(&value),
            about: None,
        };
        self.values.insert(object_id, held);
        Some(value)
    }

    /// To be asked before what is known of an object is read, and given to [`Self::keep_about`] with it. `None`: its
    /// metadata may be changing now.
    pub(crate) fn metadata_version(&self, object_id: u64) -> Option<u64> {
        let version = *self.metadata_of(object_id)?.lock();
        (version.writers == 0).then_some(version.changes)
    }

    /// Keeps what is known of an object with its bytes, unless its metadata may have changed since `version`.
    pub(crate) fn keep_about(
        &self,
        object_id: u64,
        value: &CachedBytes,
        about: &Arc<About>,
        version: Option<u64>,
    ) {
        let Some(current) = self.metadata_of(object_id).map(Mutex::lock) else {
            return;
        };
        if current.writers == 0 && Some(current.changes) == version {
            let held = Held {
                value: CachedBytes::clone(value),
                about: Some(Arc::clone(about)),
            };
            self.values.insert(object_id, held);
        }
    }

    /// To be called before the metadata of objects is written. As long as the result lives nothing is kept of what is
    /// known of them.
    pub(crate) fn begin_metadata(&self, object_ids: &[u64]) -> MetadataWrite<'_> {
        let versions: SmallVec<_> = object_ids
            .iter()
            .filter_map(|id| self.metadata_of(*id))
            .inspect(|version| version.lock().writers += 1)
            .collect();
        object_ids.iter().for_each(|id| self.forget_value(*id));
        MetadataWrite { versions }
    }

    /// To be asked before a record is read from RocksDB, and given to [`Self::keep_record`] with what was read.
    pub(crate) fn version(&self, namespace: NamespaceId, key: &[u8]) -> RecordVersion<'_> {
        let slot = self.versions.get(key_stripe(namespace, key));
        slot.map(|slot| (slot, *slot.lock()))
    }

    /// Keeps a record, unless a key of its stripe was written since `version` or is being written: it may be older than
    /// that write.
    pub(crate) fn keep_record(
        &self,
        namespace: NamespaceId,
        key: &[u8],
        record: KeyRecord,
        version: RecordVersion<'_>,
    ) {
        let Some((slot, version)) = version else {
            return;
        };
        let current = slot.lock();
        if *current == version && version.is_multiple_of(2) {
            let key = key.into();
            self.records.insert(OwnedKey { namespace, key }, record);
        }
    }

    /// To be called before records are written, by whoever holds all of `stripes`, those of their keys among them;
    /// `replaced`: the keys that have a record already. As long as the result lives no record of these stripes is kept, so
    /// that what was read after the write is not followed by what was read before it.
    pub(crate) fn begin_write<'a>(
        &'a self,
        namespace: NamespaceId,
        replaced: impl Iterator<Item = &'a [u8]>,
        stripes: impl Iterator<Item = usize>,
    ) -> CacheWrite<'a> {
        let versions: SmallVec<_> = stripes
            .filter_map(|stripe| self.versions.get(stripe))
            .inspect(|version| step(version))
            .collect();
        for key in replaced {
            self.records.remove(&KeyRef { namespace, key });
        }
        CacheWrite {
            cache: self,
            namespace,
            versions,
        }
    }

    /// To be called when an object is deleted or could not be written, so that its bytes do not take the place of others.
    pub(crate) fn forget_value(&self, object_id: u64) {
        self.values.remove(&object_id);
    }

    fn metadata_of(&self, object_id: u64) -> Option<&Mutex<MetadataVersion>> {
        self.metadata.get(object_id as usize % STRIPES)
    }
}

/// A write of metadata in progress, successful or not until this is dropped.
pub(crate) struct MetadataWrite<'a> {
    versions: SmallVec<[&'a Mutex<MetadataVersion>; 1]>,
}

impl Drop for MetadataWrite<'_> {
    fn drop(&mut self) {
        for version in &self.versions {
            let mut version = version.lock();
            version.writers -= 1;
            version.changes = version.changes.wrapping_add(1);
        }
    }
}

/// A write in progress, successful or not until this is dropped.
pub(crate) struct CacheWrite<'a> {
    cache: &'a ReadCache,
    namespace: NamespaceId,
    versions: SmallVec<[&'a Mutex<u64>; 2]>,
}

impl CacheWrite<'_> {
    /// Keeps a record of the write, which has succeeded: what was just put is often read next. The writer still holds the
    /// key, and no reader keeps another record of it before this is dropped.
    pub(crate) fn keep(&self, key: &[u8], record: KeyRecord) {
        let (namespace, key) = (self.namespace, key.into());
        self.cache
            .records
            .insert(OwnedKey { namespace, key }, record);
    }
}

impl Drop for CacheWrite<'_> {
    fn drop(&mut self) {
        self.versions.iter().for_each(|version| step(version));
    }
}

fn step(version: &Mutex<u64>) {
    let mut version = version.lock();
    *version = version.wrapping_add(1);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NS: NamespaceId = NamespaceId::DEFAULT;

    fn record(object_id: u64) -> KeyRecord {
        KeyRecord {
            object_id,
            created_us: 1,
            expires_us: 0,
            accessed_us: 1,
        }
    }

    #[test]
    fn a_record_read_before_or_during_a_write_is_not_kept() {
        let cache = ReadCache::new(1 << 20).unwrap();
        let before = cache.version(NS, b"key");
        cache.keep_record(NS, b"key", record(1), before);
        assert_eq!(cache.record(NS, b"key").unwrap().object_id, 1);
        assert!(cache.record(NamespaceId(1), b"key").is_none());

        let stripe = key_stripe(NS, b"key");
        let writing = cache.begin_write(NS, [&b"key"[..]].into_iter(), [stripe].into_iter());
        assert!(cache.record(NS, b"key").is_none());
        let during = cache.version(NS, b"key");
        for version in [before, during] {
            cache.keep_record(NS, b"key", record(1), version);
            assert!(cache.record(NS, b"key").is_none());
        }
        drop(writing);
        for version in [before, during] {
            cache.keep_record(NS, b"key", record(1), version);
            assert!(cache.record(NS, b"key").is_none());
        }
        cache.keep_record(NS, b"key", record(2), cache.version(NS, b"key"));
        assert_eq!(cache.record(NS, b"key").unwrap().object_id, 2);
    }

    #[test]
    fn what_is_known_of_an_object_is_not_kept_across_a_change_of_its_metadata() {
        let cache = ReadCache::new(1 << 20).unwrap();
        let value = cache.keep_value(7, b"value", None).unwrap();
        let about = Arc::new(About::of_value(b"value"));
        let known = |id| cache.held(id).is_some_and(|held| held.about.is_some());
        let before = cache.metadata_version(7);
        cache.keep_about(7, &value, &about, before);
        assert!(known(7));

        let writing = cache.begin_metadata(&[7]);
        let beside = cache.begin_metadata(&[7 + STRIPES as u64]);
        assert!(!known(7) && cache.metadata_version(7).is_none());
        drop(writing);
        // The other one shares its entry and still writes.
        for version in [before, cache.metadata_version(7)] {
            cache.keep_about(7, &value, &about, version);
            assert!(!known(7));
        }
        drop(beside);
        cache.keep_about(7, &value, &about, before);
        assert!(!known(7));
        cache.keep_about(7, &value, &about, cache.metadata_version(7));
        assert!(known(7));
    }

    #[test]
    fn bytes_stay_within_the_bound_and_large_values_out() {
        let cache = ReadCache::new(1 << 20).unwrap();
        for id in 0..10_000 {
            cache.keep_value(id, &[7; 1000], None);
        }
        assert!(cache.values.weight() <= 3 << 18);
        assert!(cache.values.len() > 500);
        assert!(cache.keep_value(1, &[0; 1 << 14], None).is_none());
        assert!(ReadCache::new(0).is_none());
    }

    #[test]
    fn a_scan_does_not_displace_what_is_read_often() {
        let cache = ReadCache::new(1 << 20).unwrap();
        let hot = 0..200;
        for _ in 0..3 {
            for id in hot.clone() {
                if cache.value(id).is_none() {
                    cache.keep_value(id, &[1; 1000], None);
                }
            }
        }
        for id in 1000..20_000 {
            cache.keep_value(id, &[2; 1000], None);
        }
        let left = hot.filter(|id| cache.value(*id).is_some()).count();
        assert!(left > 150, "{left} of 200");
    }
}
