//! The operations of a store, each on the namespace of its handle.

use super::{Condition, Embedded, Entry, PutOutcome, Store};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::health::Health;
use crate::schema::NamespaceId;
use crate::stats::{Count, Timed};
use crate::verify::Violation;
use std::time::Instant;

impl Store {
    /// Puts `value` under `key`, replacing what was there. `ttl_seconds`: seconds until the key expires, 0 never,
    /// `None` as `default_ttl_seconds` says.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a key or value that is too long; [`Error::TimedOut`] if another thread held the
    /// key or value for `lock_timeout_ms`; [`Error::Io`] if the write failed. The store is then as it was.
    pub fn put(&self, key: &[u8], value: &[u8], ttl_seconds: Option<u64>) -> Result<PutOutcome> {
        let entry = Entry {
            key,
            value,
            ttl_seconds,
            metadata: None,
            lent: None,
        };
        self.put_entry(&entry)
    }

    /// As [`Store::put`], with metadata: its pairs are added to those of the value, in place of those of the same names.
    ///
    /// # Errors
    /// As [`Store::put`], and [`Error::InvalidArgument`] for metadata beyond the limits.
    pub fn put_entry(&self, entry: &Entry<'_>) -> Result<PutOutcome> {
        self.put_entry_if(entry, &[])
    }

    /// Puts all of `entries` in one atomic write; of several with one key the last wins. Returns an outcome for each
    /// distinct key, in order of its first appearance.
    ///
    /// # Errors
    /// As [`Store::put`]; then nothing of the batch is stored.
    pub fn put_many(&self, entries: &[Entry<'_>]) -> Result<Vec<PutOutcome>> {
        self.put_timed(entries, &[], Timed::PutMany)
    }

    /// Refuses what every put of `entry` refuses, whatever the store holds: so the entry at fault of several is found
    /// after they were refused.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] as [`Store::put_entry`]; [`Error::Closed`] and [`Error::Forked`].
    pub fn check_entry(&self, entry: &Entry<'_>) -> Result<()> {
        self.engine()?.check_entry(entry)
    }

    pub(super) fn put_timed(
        &self,
        entries: &[Entry<'_>],
        conditions: &[Condition<'_>],
        timed: Timed,
    ) -> Result<Vec<PutOutcome>> {
        let engine = self.writer()?;
        let namespace = self.namespace_of(&engine)?;
        let start = Instant::now();
        let outcomes = engine.put_many(&namespace, entries, conditions, Embedded::default())?;
        namespace.stats.add_time(timed, start.elapsed(), 1);
        Ok(outcomes)
    }

    /// A copy of the value of `key`; `None` if the key is absent or has expired.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corruption`] if the value cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_with(key, <[u8]>::to_vec)
    }

    /// Calls `read` with the value of `key`, still in the store's memory; `None` if the key is absent or has expired.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn get_with<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let engine = self.engine()?;
        let value = engine.get(&*self.namespace_of(&engine)?, key)?;
        Ok(value.map(|value| read(&value)))
    }

    /// Whether each of `keys` exists and has not expired, in their order.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn contains_many(&self, keys: &[&[u8]]) -> Result<Vec<bool>> {
        let engine = self.engine()?;
        engine.contains_many(&*self.namespace_of(&engine)?, keys)
    }

    /// Removes `keys`, in bounded writes. Returns the number that existed and had not expired.
    ///
    /// # Errors
    /// As [`Store::put`]; writes finished before the error stay.
    pub fn delete_many(&self, keys: &[&[u8]]) -> Result<u64> {
        let engine = self.writer()?;
        engine.remove_live(&*self.namespace_of(&engine)?, keys, Count::Deletes)
    }

    /// Whether `key` exists and has not expired.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        let engine = self.engine()?;
        Ok(engine
            .live_record(&*self.namespace_of(&engine)?, key)?
            .is_some())
    }

    /// The id of the object that `key` points at: the same for keys that share a value, never used for another.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn object_id(&self, key: &[u8]) -> Result<Option<u64>> {
        let engine = self.engine()?;
        Ok(engine
            .live_record(&*self.namespace_of(&engine)?, key)?
            .map(|record| record.object_id))
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the key is absent or has expired; otherwise as [`Store::put`].
    pub fn delete(&self, key: &[u8]) -> Result<()> {
        let engine = self.writer()?;
        let namespace = self.namespace_of(&engine)?;
        match engine.remove_live(&namespace, &[key], Count::Deletes)? {
            0 => Err(Error::not_found(key)),
            _ => Ok(()),
        }
    }

    /// At most `limit` keys that begin with `prefix`, in byte order; given `after`, those that come after it.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corruption`] if the keys cannot be read.
    pub fn list_keys(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let engine = self.engine()?;
        engine.list_keys(&*self.namespace_of(&engine)?, prefix, after, limit)
    }

    /// The number of keys. `approximate`: with the expired that are not removed yet, at the cost of reading a
    /// counter; otherwise without them, at the cost of a look at each that has expired since the last such call.
    ///
    /// # Errors
    /// As [`Store::list_keys`].
    pub fn count_keys(&self, approximate: bool) -> Result<u64> {
        let engine = self.engine()?;
        engine.count_keys(&*self.namespace_of(&engine)?, approximate)
    }

    /// The number of distinct values, at the cost of reading a counter.
    ///
    /// # Errors
    /// Only [`Error::Closed`] and [`Error::Forked`].
    pub fn count_unique_values(&self) -> Result<u64> {
        let engine = self.engine()?;
        Ok(u64::try_from(self.namespace_of(&engine)?.totals.get().objects).unwrap_or(0))
    }

    /// Bytes of all keys and all distinct values, before compression.
    ///
    /// # Errors
    /// Only [`Error::Closed`] and [`Error::Forked`].
    pub fn total_bytes(&self) -> Result<u64> {
        let engine = self.engine()?;
        Ok(self.namespace_of(&engine)?.total_bytes())
    }

    /// Figures of the store.
    ///
    /// # Errors
    /// As [`Store::list_keys`].
    pub fn health(&self) -> Result<Health> {
        let engine = self.engine()?;
        engine.health(&*self.namespace_of(&engine)?)
    }

    /// Removes expired keys and unreferenced objects. Returns the number of objects deleted.
    ///
    /// # Errors
    /// As [`Store::put`]; batches finished before the error stay removed.
    pub fn sweep(&self) -> Result<u64> {
        let engine = self.writer()?;
        engine.sweep(&*self.namespace_of(&engine)?)
    }

    /// Removes expired keys; given `max_age_seconds`, keys put longer ago; given `max_idle_seconds`, keys neither put
    /// nor read for so long. 0: no such bound. Returns the number of keys removed.
    ///
    /// # Errors
    /// As [`Store::sweep`].
    pub fn prune(&self, max_age_seconds: u64, max_idle_seconds: u64) -> Result<u64> {
        let engine = self.writer()?;
        engine.prune(
            &*self.namespace_of(&engine)?,
            max_age_seconds,
            max_idle_seconds,
        )
    }

    /// Evicts least recently used keys until [`Store::total_bytes`] is at most `target_bytes`. Returns the number of
    /// keys evicted.
    ///
    /// # Errors
    /// As [`Store::sweep`].
    pub fn evict_lru(&self, target_bytes: u64) -> Result<u64> {
        let engine = self.writer()?;
        engine.evict_lru(&*self.namespace_of(&engine)?, target_bytes)
    }

    /// Makes everything put so far durable against power loss, and checkpoints the vector index.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk refuses.
    pub fn flush(&self) -> Result<()> {
        let engine = self.writer()?;
        engine.checkpoint_indexes()?;
        engine.sync()?;
        engine.db.flush()
    }

    /// Rewrites the files of the store so that removed data takes no space.
    ///
    /// # Errors
    /// Only [`Error::Closed`], [`Error::Forked`] and [`Error::ReadOnly`].
    pub fn compact(&self) -> Result<()> {
        self.writer()?.db.compact()
    }

    /// Checks every invariant against a full scan and lists what does not hold; empty when all is well. The store checks
    /// all its namespaces, a view its own. Writers wait only while a snapshot is taken.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corruption`] if the store cannot be read to its end.
    pub fn verify(&self) -> Result<Vec<Violation>> {
        let engine = self.engine()?;
        if self.view.is_some() {
            return engine.verify(&*self.namespace_of(&engine)?);
        }
        let mut violations = Vec::new();
        for namespace in engine.namespaces.all() {
            let found = engine.verify_part(&namespace, namespace.id == NamespaceId::DEFAULT);
            // Otherwise dropped since the list was made.
            if namespace.check_exists().is_ok() {
                violations.extend(found?);
            }
        }
        Ok(violations)
    }

    /// The digest by which `value` would be found: SHA-256 of its normalised form.
    ///
    /// # Errors
    /// Only [`Error::Closed`] and [`Error::Forked`].
    pub fn digest(&self, value: &[u8]) -> Result<Digest> {
        let engine = self.engine()?;
        let options = &engine.options;
        Ok(Digest::of(
            &options
                .normalization_mode
                .apply(value, options.normalization_max_bytes),
        ))
    }
}
