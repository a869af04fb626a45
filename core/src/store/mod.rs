//! The handle that applications hold.

mod export;
mod get;
mod jsonl;
mod list;
mod open;
mod put;
mod read_only;
pub(crate) mod remove;
mod safety;
#[cfg(test)]
mod tests;

pub use export::Record;
pub use put::{Dedup, Entry, MAX_KEY_BYTES, MAX_VALUE_BYTES, PutOutcome};

use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::fork;
use crate::health::Health;
use crate::lifetime::Listed;
use crate::options::{DedupMode, Options};
use crate::verify::Violation;
use crate::worker::Workers;
use parking_lot::{RwLock, RwLockReadGuard};
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open store: a directory that keeps one copy of every distinct value.
///
/// `Send + Sync`, used through `&self` by any number of threads. One process owns the directory at a time. Every
/// method returns [`Error::Closed`] after [`Store::close`], and [`Error::Forked`] in a forked child; those that change
/// something return [`Error::ReadOnly`] if the store was opened with [`Options::read_only`].
///
/// Dropping a store closes it.
pub struct Store {
    path: PathBuf,
    mode: DedupMode,
    read_only: bool,
    /// Operations share the lock, closing takes it alone: so closing waits for what runs, and what comes later finds
    /// nothing. Taken before every other lock.
    open: RwLock<Option<ManuallyDrop<Open>>>,
    /// Set when closing begins: whoever comes later is refused at once, so that a steady stream of operations cannot
    /// keep the closer waiting.
    closing: AtomicBool,
    process: u32,
    generation: u32,
}

/// What exists between open and close. Dropped in this order: the background threads end before their engine.
struct Open {
    /// None of a store that was opened read-only.
    _workers: Option<Workers>,
    engine: Arc<Engine>,
}

impl Store {
    /// Opens the store in the directory `path`, or creates it.
    ///
    /// With [`Options::read_only`] nothing is created or changed: [`Error::Io`] if there is no store. It may have an
    /// owner. Of a semantic store keys and values are read, and no model is needed.
    ///
    /// # Errors
    /// [`Error::Busy`] if the store is open already, [`Error::Io`] if the directory cannot be read and written,
    /// [`Error::Corruption`] if its files are damaged, [`Error::InvalidArgument`] for options out of range or that
    /// contradict the store, [`Error::Model`] if a semantic store's model is missing or another one.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        fork::watch();
        let path = path.as_ref().to_path_buf();
        if fork::generation() != 0 {
            return Err(Error::ForkedBeforeOpen(path));
        }
        // Absolute, so that the store stays where it is when the process changes its directory.
        let directory = std::path::absolute(&path)
            .map_err(|error| Error::io("find the store directory", &path, &error))?;
        let engine = Arc::new(Engine::open(&directory, options)?);
        fork::watch_exit();
        let (mode, read_only) = (engine.mode, engine.options.read_only);
        let open = Open {
            _workers: if read_only {
                None
            } else {
                Some(Workers::start(Arc::clone(&engine))?)
            },
            engine,
        };
        Ok(Self {
            path,
            mode,
            read_only,
            open: RwLock::new(Some(ManuallyDrop::new(open))),
            closing: AtomicBool::new(false),
            process: std::process::id(),
            generation: fork::generation(),
        })
    }

    /// Puts `value` under `key`, replacing what was there. `ttl_seconds`: seconds until the key expires, 0 never,
    /// `None` as `default_ttl_seconds` says.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a key or value that is too long; [`Error::TimedOut`] if another thread held the
    /// key or value for `lock_timeout_ms`; [`Error::Io`] if the write failed. The store is then as it was.
    pub fn put(&self, key: &[u8], value: &[u8], ttl_seconds: Option<u64>) -> Result<PutOutcome> {
        let outcomes = self.put_many(&[Entry {
            key,
            value,
            ttl_seconds,
        }])?;
        outcomes
            .first()
            .copied()
            .ok_or_else(|| Error::Io("the put had no outcome".to_owned()))
    }

    /// Puts all of `entries` in one atomic write; of several with one key the last wins. Returns an outcome for each
    /// distinct key, in order of its first appearance.
    ///
    /// # Errors
    /// As [`Store::put`]; then nothing of the batch is stored.
    pub fn put_many(&self, entries: &[Entry<'_>]) -> Result<Vec<PutOutcome>> {
        let engine = self.writer()?;
        engine.put_many(&engine.default_namespace, entries)
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
        engine.get_with(&engine.default_namespace, key, read)
    }

    /// Whether `key` exists and has not expired.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        let engine = self.engine()?;
        Ok(engine
            .live_record(&engine.default_namespace, key)?
            .is_some())
    }

    /// The id of the object that `key` points at: the same for keys that share a value, never used for another.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn object_id(&self, key: &[u8]) -> Result<Option<u64>> {
        let engine = self.engine()?;
        Ok(engine
            .live_record(&engine.default_namespace, key)?
            .map(|record| record.object_id))
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the key is absent or has expired; otherwise as [`Store::put`].
    pub fn delete(&self, key: &[u8]) -> Result<()> {
        let engine = self.writer()?;
        let (now_us, gc) = (engine.now_us(), engine.options.enable_gc);
        let wanted = [Listed {
            time_us: now_us,
            key: key.to_vec(),
        }];
        let removed = engine.remove_keys(&engine.default_namespace, &wanted, gc, |record, _| {
            !record.is_expired(now_us)
        })?;
        if removed.keys == 0 {
            Err(Error::not_found(key))
        } else {
            Ok(())
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
        engine.list_keys(&engine.default_namespace, prefix, after, limit)
    }

    /// The number of keys. `approximate`: with the expired that are not swept yet, at the cost of reading a counter;
    /// otherwise without them, at a cost that grows with their number.
    ///
    /// # Errors
    /// As [`Store::list_keys`].
    pub fn count_keys(&self, approximate: bool) -> Result<u64> {
        let engine = self.engine()?;
        engine.count_keys(&engine.default_namespace, approximate)
    }

    /// The number of distinct values, at the cost of reading a counter.
    ///
    /// # Errors
    /// Only [`Error::Closed`] and [`Error::Forked`].
    pub fn count_unique_values(&self) -> Result<u64> {
        let engine = self.engine()?;
        Ok(u64::try_from(engine.default_namespace.totals.get().objects).unwrap_or(0))
    }

    /// Bytes of all keys and all distinct values, before compression.
    ///
    /// # Errors
    /// Only [`Error::Closed`] and [`Error::Forked`].
    pub fn total_bytes(&self) -> Result<u64> {
        Ok(self.engine()?.default_namespace.total_bytes())
    }

    /// Figures of the store.
    ///
    /// # Errors
    /// As [`Store::list_keys`].
    pub fn health(&self) -> Result<Health> {
        let engine = self.engine()?;
        engine.health(&engine.default_namespace)
    }

    /// Removes expired keys and unreferenced objects. Returns the number of objects deleted.
    ///
    /// # Errors
    /// As [`Store::put`]; batches finished before the error stay removed.
    pub fn sweep(&self) -> Result<u64> {
        let engine = self.writer()?;
        engine.sweep(&engine.default_namespace)
    }

    /// Removes expired keys; given `max_age_seconds`, keys put longer ago; given `max_idle_seconds`, keys neither put
    /// nor read for so long. 0: no such bound. Returns the number of keys removed.
    ///
    /// # Errors
    /// As [`Store::sweep`].
    pub fn prune(&self, max_age_seconds: u64, max_idle_seconds: u64) -> Result<u64> {
        let engine = self.writer()?;
        engine.prune(&engine.default_namespace, max_age_seconds, max_idle_seconds)
    }

    /// Evicts least recently used keys until [`Store::total_bytes`] is at most `target_bytes`. Returns the number of
    /// keys evicted.
    ///
    /// # Errors
    /// As [`Store::sweep`].
    pub fn evict_lru(&self, target_bytes: u64) -> Result<u64> {
        let engine = self.writer()?;
        engine.evict_lru(&engine.default_namespace, target_bytes)
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

    /// Checks every invariant of the store against a full scan and lists what does not hold; empty when all is well.
    /// Writers wait only while a snapshot is taken.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corruption`] if the store cannot be read to its end.
    pub fn verify(&self) -> Result<Vec<Violation>> {
        let engine = self.engine()?;
        engine.verify(&engine.default_namespace)
    }

    /// Waits for running operations, writes what is pending and releases the directory. A second call does nothing.
    ///
    /// # Errors
    /// [`Error::Io`] if the last writes failed; the store is closed all the same.
    pub fn close(&self) -> Result<()> {
        if self.is_forked() {
            return Ok(());
        }
        self.closing.store(true, Ordering::Release);
        // Held to the end: a second call must not return before the directory is free.
        let mut slot = self.open.write();
        let Some(open) = slot.take() else {
            return Ok(());
        };
        let Open {
            _workers: workers,
            engine,
        } = ManuallyDrop::into_inner(open);
        drop(workers);
        if self.read_only {
            return Ok(());
        }
        let ended = engine
            .fold_accesses()
            .and(engine.checkpoint_indexes())
            .and(engine.sync());
        engine.db.stop_background_work();
        ended
    }

    /// Whether the store was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Whether the store was opened read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The directory of the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mode the store was created with.
    #[must_use]
    pub fn dedup_mode(&self) -> DedupMode {
        self.mode
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

    /// The engine, kept open until the guard is dropped.
    pub(crate) fn engine(&self) -> Result<parking_lot::MappedRwLockReadGuard<'_, Engine>> {
        if self.is_forked() {
            let (path, opened_by) = (self.path.clone(), self.process);
            return Err(Error::Forked {
                path,
                opened_by,
                child: std::process::id(),
            });
        }
        if self.is_closed() {
            return Err(Error::Closed(self.path.clone()));
        }
        // Recursive: a call inside a callback of another must not wait for a closer that waits for the first.
        RwLockReadGuard::try_map(self.open.read_recursive(), |open| {
            open.as_ref().map(|open| open.engine.as_ref())
        })
        .map_err(|_| Error::Closed(self.path.clone()))
    }

    fn is_forked(&self) -> bool {
        fork::generation() != self.generation
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // In a forked child this does nothing, and what was open stays: its threads and locks are the parent's.
        if let Err(error) = self.close() {
            tracing::error!(path = %self.path.display(), %error, "the store did not close cleanly");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Store")
            .field("path", &self.path)
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl Engine {
    /// Writes a checkpoint of every index that has changed.
    fn checkpoint_indexes(&self) -> Result<()> {
        self.namespaces()
            .filter_map(|namespace| {
                namespace
                    .semantic
                    .as_ref()
                    .map(|semantic| (namespace.id, semantic))
            })
            .try_for_each(|(id, semantic)| semantic.checkpoint(self, id))
    }
}
