//! The RocksDB instance: how it is opened, and the few calls the rest of the crate makes.

use crate::error::{Error, Result};
use crate::options::Options;
use crate::schema::{self, ADDED_FAMILIES, FAMILIES, NamespaceId};
use prestige_embed::spare_threads;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BottommostLevelCompaction, ColumnFamily, CompactOptions, DB, DBPinnableSlice, DBRecoveryMode,
    FlushOptions, ReadOptions, WriteBatch, WriteOptions,
};
use self_cell::self_cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tuning::{BLOB_GC_AGE_CUTOFF, database_options, descriptors, usize_of};

mod multi_get;
mod tuning;

self_cell!(
    /// RocksDB with the handles of the families of the schema, in the order of [`FAMILIES`]; `None` where one is missing.
    /// RocksDB finds them by name, which takes longer than comparing with a few names.
    struct Opened {
        owner: DB,
        #[covariant]
        dependent: Handles,
    }
);

type Handles<'a> = [Option<&'a ColumnFamily>; FAMILIES.len()];

/// Open RocksDB with the column families of the schema.
pub(crate) struct Db {
    opened: Opened,
    write_options: WriteOptions,
    sync_options: WriteOptions,
    /// A write has failed since the log was last synced.
    write_failed: AtomicBool,
}

/// The store at one moment; writes that come later are not seen through it.
pub(crate) type Snapshot<'a> = rocksdb::Snapshot<'a>;

impl Db {
    /// Opens or creates the database in the existing directory `path`.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self> {
        let database = database_options(options);
        let db = DB::open_cf_descriptors(&database, path, descriptors(options, |_| true)?)?;
        Ok(Self::of(db, options))
    }

    /// Opens the database at `path` as it is now, without its lock and without changing a file.
    pub(crate) fn open_read_only(path: &Path, options: &Options) -> Result<Self> {
        let mut database = database_options(options);
        database.create_if_missing(false);
        database.create_missing_column_families(false);
        // An owner may be in the middle of a write: what is there of it is left out.
        database.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        // Every table is opened now and kept open: whoever owns the store may delete its file later.
        database.set_max_open_files(-1);
        // Nothing can be added to the store: what it does not have yet counts as empty.
        let found = Self::families(path)?;
        let opened = descriptors(options, |name| {
            !ADDED_FAMILIES.contains(&name) || found.iter().any(|found| found == name)
        })?;
        let db = DB::open_cf_descriptors_read_only(&database, path, opened, false)?;
        Ok(Self::of(db, options))
    }

    fn of(db: DB, options: &Options) -> Self {
        let mut write_options = WriteOptions::default();
        write_options.set_sync(options.sync_writes);
        let mut sync_options = WriteOptions::default();
        sync_options.set_sync(true);
        Self {
            opened: Opened::new(db, |db| FAMILIES.map(|name| db.cf_handle(name))),
            write_options,
            sync_options,
            write_failed: AtomicBool::new(false),
        }
    }

    fn db(&self) -> &DB {
        self.opened.borrow_owner()
    }

    /// Names of the column families in `path`, without opening the database.
    pub(crate) fn families(path: &Path) -> Result<Vec<String>> {
        Ok(DB::list_cf(&rocksdb::Options::default(), path)?)
    }

    /// Whether the only family of the database at `path`, `default`, holds nothing.
    pub(crate) fn default_family_is_empty(path: &Path) -> Result<bool> {
        let db = DB::open_for_read_only(&rocksdb::Options::default(), path, false)?;
        let mut iterator = db.raw_iterator();
        iterator.seek_to_first();
        iterator.status()?;
        Ok(!iterator.valid())
    }

    /// The handle of a family of the schema.
    #[inline]
    pub(crate) fn family(&self, name: &str) -> Result<&ColumnFamily> {
        let handles = self.opened.borrow_dependent();
        let named = FAMILIES.iter().zip(handles).find(|(own, _)| **own == name);
        named.and_then(|(_, handle)| *handle).ok_or_else(|| {
            Error::Corruption(format!(
                "the column family `{name}` is missing; restore the store from a backup"
            ))
        })
    }

    /// The handle of a family to be read; `None` if the store is of before there was this family, and opened read-only.
    fn readable(&self, name: &str) -> Result<Option<&ColumnFamily>> {
        match self.family(name) {
            Err(_) if ADDED_FAMILIES.contains(&name) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The value of `key`, pinned where RocksDB holds it: no copy.
    pub(crate) fn get(&self, family: &str, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>> {
        let Some(family) = self.readable(family)? else {
            return Ok(None);
        };
        Ok(self.db().get_pinned_cf(family, key)?)
    }

    /// Writes everything in `batch`, or nothing.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<()> {
        self.noted(self.db().write_opt(batch, &self.write_options))
    }

    /// As [`Self::write`], durable against power loss when it returns.
    pub(crate) fn write_synced(&self, batch: WriteBatch) -> Result<()> {
        self.noted(self.db().write_opt(batch, &self.sync_options))
    }

    /// Remembers that a write failed.
    fn noted(&self, written: std::result::Result<(), rocksdb::Error>) -> Result<()> {
        if written.is_err() {
            self.write_failed.store(true, Ordering::Release);
        }
        Ok(written?)
    }

    /// Calls `visit` with every entry of `family` from `start` on and before `end`, in order, until it breaks.
    pub(crate) fn scan<F>(
        &self,
        family: &str,
        start: &[u8],
        end: &[u8],
        snapshot: Option<&Snapshot<'_>>,
        mut visit: F,
    ) -> Result<()>
    where
        F: FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    {
        let Some(family) = self.readable(family)? else {
            return Ok(());
        };
        let mut options = in_order();
        options.set_iterate_upper_bound(end);
        if let Some(snapshot) = snapshot {
            options.set_snapshot(snapshot);
        }
        let mut iterator = self.db().raw_iterator_cf_opt(family, options);
        iterator.seek(start);
        while let Some((key, value)) = iterator.item() {
            if visit(key, value)?.is_break() {
                return Ok(());
            }
            iterator.next();
        }
        Ok(iterator.status()?)
    }

    /// The last key of `family` at or after `start` and before `end`.
    pub(crate) fn last_key(
        &self,
        family: &str,
        start: &[u8],
        end: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let mut options = in_order();
        options.set_iterate_range(start..end);
        let mut iterator = self.db().raw_iterator_cf_opt(self.family(family)?, options);
        iterator.seek_to_last();
        iterator.status()?;
        Ok(iterator.key().map(<[u8]>::to_vec))
    }

    /// Every later read through the result sees the store as it is now.
    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        self.db().snapshot()
    }

    /// Moves every write so far from the log to table files.
    pub(crate) fn flush(&self) -> Result<()> {
        let families = FAMILIES
            .iter()
            .map(|name| self.family(name))
            .collect::<Result<Vec<_>>>()?;
        Ok(self
            .db()
            .flush_cfs_opt(&families, &FlushOptions::default())?)
    }

    /// Makes every write so far durable against power loss.
    pub(crate) fn sync_log(&self) -> Result<()> {
        // After a failed write RocksDB may wait for space on the disk. To sync the log it could not write would turn
        // that error into one that lasts until the store is opened anew; an empty write only repeats it.
        if self.write_failed.swap(false, Ordering::AcqRel) {
            self.write_synced(WriteBatch::default())?;
        }
        self.noted(self.db().flush_wal(true))
    }

    /// Makes a copy of the database in the new directory `path`, with every write so far.
    pub(crate) fn checkpoint(&self, path: &Path) -> Result<()> {
        Ok(Checkpoint::new(self.db())?.create_checkpoint(path)?)
    }

    /// Sequence number of the last write.
    pub(crate) fn sequence(&self) -> u64 {
        self.db().latest_sequence_number()
    }

    /// Ends background flushes and compactions; nothing acknowledged is lost by it.
    pub(crate) fn stop_background_work(&self) {
        self.db().cancel_all_background_work(true);
    }

    /// Flushes and compactions that run now, each on a thread of its own. RocksDB takes its lock to tell, for a moment.
    fn running_jobs(&self) -> usize {
        let names = [
            c"rocksdb.num-running-flushes",
            c"rocksdb.num-running-compactions",
        ];
        let numbers = names.map(|name| self.db().property_int_value(name));
        let numbers = numbers
            .into_iter()
            .filter_map(|number| number.ok().flatten());
        numbers.map(usize_of).sum()
    }

    /// How many threads to start for work of which `useful` threads could each do a part, besides the calling one.
    pub(crate) fn spare_threads(&self, useful: usize) -> usize {
        if useful < 2 {
            return 0;
        }
        spare_threads(useful, self.running_jobs())
    }

    /// Rewrites every family so that removed data no longer takes space.
    pub(crate) fn compact(&self) -> Result<()> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        let compact = |name| -> Result<()> {
            let (from, to) = (None::<&[u8]>, None::<&[u8]>);
            let family = self.family(name)?;
            self.db().compact_range_cf_opt(family, from, to, &options);
            Ok(())
        };
        // With each change of options RocksDB writes them all down, in 90 KB.
        if self.blob_bytes()? == 0 {
            return FAMILIES.into_iter().try_for_each(compact);
        }
        // Background compaction leaves the younger blob files alone, whatever is garbage in them.
        self.set_blob_gc_age_cutoff("1.0")?;
        let compacted = FAMILIES.into_iter().try_for_each(compact);
        self.set_blob_gc_age_cutoff(BLOB_GC_AGE_CUTOFF)?;
        compacted
    }

    /// Bytes of the blob files of `objects`.
    fn blob_bytes(&self) -> Result<u64> {
        let objects = self.family(schema::OBJECTS)?;
        let property = c"rocksdb.total-blob-file-size";
        let bytes = self.db().property_int_value_cf(objects, property)?;
        Ok(bytes.unwrap_or(0))
    }

    /// Sets which share of the blob files, the oldest first, compaction writes anew where they hold garbage.
    fn set_blob_gc_age_cutoff(&self, share: &str) -> Result<()> {
        let objects = self.family(schema::OBJECTS)?;
        let option = [("blob_garbage_collection_age_cutoff", share)];
        Ok(self.db().set_options_cf(objects, &option)?)
    }

    /// Deletes files of every family but `system` that hold only keys of `namespace`, all of which are deleted already.
    ///
    /// Where there are blob files, those of `objects` are left to compaction: only that counts what becomes garbage in
    /// the blob files that they refer to, and a blob file of which nobody counts it stays for ever.
    pub(crate) fn delete_files(&self, namespace: NamespaceId) -> Result<()> {
        let start = namespace.prefix();
        // RocksDB takes a file whose last key is `end` too. The first key of the next namespace, the empty one, would be
        // such an end; this one lies within the namespace, after all keys that do not begin with so many 0xff.
        let end = [&start[..], &[0xff; 64]].concat();
        let blob_bytes = self.blob_bytes()?;
        for name in FAMILIES {
            if name != schema::SYSTEM && (name != schema::OBJECTS || blob_bytes == 0) {
                self.db()
                    .delete_file_in_range_cf(self.family(name)?, &start[..], &end[..])?;
            }
        }
        Ok(())
    }

    /// A counter of RocksDB's statistics, which `enable_statistics` turns on.
    #[cfg(test)]
    pub(crate) fn statistic(&self, name: &str) -> u64 {
        let all = self.db().property_value(c"rocksdb.options-statistics");
        let all = all.ok().flatten().unwrap_or_default();
        let line = all.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_default()
    }

    /// Bytes of table and blob files of all families.
    pub(crate) fn bytes_on_disk(&self) -> Result<u64> {
        let mut bytes = 0;
        for name in FAMILIES {
            let Some(family) = self.readable(name)? else {
                continue;
            };
            for property in [
                c"rocksdb.total-sst-files-size",
                c"rocksdb.total-blob-file-size",
            ] {
                bytes += self
                    .db()
                    .property_int_value_cf(family, property)?
                    .unwrap_or(0);
            }
        }
        Ok(bytes)
    }
}

/// Removes families from the closed store at `path`, to make it one of before there were these.
#[cfg(test)]
pub(crate) fn drop_families(path: &Path, families: &[&str]) -> Result<()> {
    let options = Options::default();
    let descriptors = descriptors(&options, |_| true)?;
    let mut db = DB::open_cf_descriptors(&database_options(&options), path, descriptors)?;
    for family in families {
        db.drop_cf(family)?;
    }
    Ok(())
}

/// To read one entry after another, also where the write buffer is hashed.
fn in_order() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    options
}
