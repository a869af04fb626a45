//! The put of the caches: bytes as they are, without normalisation, and with a vector that is given and never merges.

use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::locks::{StripeNumbers, digest_stripe, key_stripe};
use crate::mutation::Mutation;
use crate::record::KeyRecord;
use crate::stats::Count;
use crate::store::put::{MAX_VALUE_BYTES, check_key, check_length};

/// One key and its value.
pub(super) struct CacheEntry<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// Seconds until it expires; 0: never; `None`: `default_ttl_seconds`.
    pub ttl_seconds: Option<u64>,
    /// Of a namespace with a semantic stage: the unit vector by which the value is found. Values of equal bytes have
    /// equal vectors.
    pub vector: Option<&'a [f32]>,
}

impl CacheEntry<'_> {
    /// About what is written for a new one.
    fn bytes_written(&self) -> usize {
        let vector = self.vector.map_or(0, |vector| 2 * vector.len() + 50);
        self.value.len() + 3 * self.key.len() + 400 + vector
    }
}

impl Engine {
    /// Puts `entries`, of different keys, in one write.
    pub(super) fn put_entries(
        &self,
        namespace: &Namespace,
        entries: &[CacheEntry<'_>],
    ) -> Result<()> {
        for entry in entries {
            self.check_sizes(entry.key, entry.value)?;
        }
        // Before the stripes, as the order of locks has it: removing a replaced object needs it.
        namespace.semantic(self)?;
        let values: Vec<_> = entries.iter().map(|entry| entry.value).collect();
        let digests = Digest::of_all(&values);
        let new = self.write_entries(namespace, entries, &digests)?;
        let stats = &namespace.stats;
        let bytes: usize = values.iter().map(|value| value.len()).sum();
        stats.add(Count::Puts, entries.len() as u64);
        stats.add(Count::BytesWritten, bytes as u64);
        stats.add(Count::DedupHits, (entries.len() - new) as u64);
        self.enforce_size_limit()
    }

    /// Refuses what is longer than a key or a value may be, or than the whole store.
    pub(super) fn check_sizes(&self, key: &[u8], value: &[u8]) -> Result<()> {
        check_key(key)?;
        check_length("value", value, MAX_VALUE_BYTES)?;
        self.check_fits(key, value, None)
    }

    /// Returns how many objects were made.
    fn write_entries(
        &self,
        namespace: &Namespace,
        entries: &[CacheEntry<'_>],
        digests: &[Digest],
    ) -> Result<usize> {
        let stripes = entries.iter();
        let stripes = stripes.map(|entry| key_stripe(namespace.id, entry.key));
        let mut keys = self.key_locks.lock(stripes.collect())?;
        let olds = self.key_records(namespace, entries.iter().map(|entry| entry.key))?;
        let mut stripes: StripeNumbers = digests.iter().map(digest_stripe).collect();
        for old in olds.iter().flatten() {
            let meta = self.object_meta(namespace, old.object_id)?;
            stripes.push(digest_stripe(&meta.digest));
        }
        let mut objects = self.digest_locks.lock(stripes)?;
        let bytes = entries.iter().map(CacheEntry::bytes_written).sum();
        let mut mutation = Mutation::with_capacity(self, namespace, bytes, entries.len());
        let mut new = 0;
        let stored = mutation.stored_objects(&mut objects, digests.iter())?;
        let values = digests.iter().zip(stored);
        for ((entry, (digest, stored)), old) in entries.iter().zip(values).zip(&olds) {
            let now_us = self.now_us();
            let object_id = match mutation.created_object(digest).or(stored) {
                Some(id) => id,
                None => {
                    new += 1;
                    let vector = entry.vector.map(<[f32]>::to_vec);
                    mutation.create_object(
                        *digest,
                        entry.value.into(),
                        vector.map(|vector| (vector, None)),
                        now_us,
                    )?
                }
            };
            let record = KeyRecord {
                object_id,
                created_us: now_us,
                expires_us: self.expiry_after(now_us, entry.ttl_seconds),
                accessed_us: now_us,
            };
            mutation.put_key(entry.key, old.as_ref(), &record)?;
        }
        let delete_orphans = self.options.enable_gc;
        mutation.commit(&mut keys, &mut objects, delete_orphans, None)?;
        Ok(new)
    }
}
