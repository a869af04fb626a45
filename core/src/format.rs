//! Version of the on-disk format, and what the directory must look like before RocksDB sees it.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::manifest;
use crate::options::DedupMode;
use crate::schema::{ADDED_FAMILIES, FAMILIES, KEYS, OBJECTS, SYSTEM};
use crate::wal::{self, TornTail};
use rocksdb::WriteBatch;
use std::ops::ControlFlow;
use std::path::Path;

/// Version that this code writes.
pub(crate) const VERSION: u32 = 1;

const VERSION_RECORD: &[u8] = b"format";
const MODE_RECORD: &[u8] = b"dedup_mode";

/// Makes sure that a store can be opened or created in the directory `path`.
///
/// `existed`: a store was created here before, so all of it must be found.
/// `unfinished`: the creation of a store was begun here; it may have left a MANIFEST, but RocksDB writes CURRENT before
/// any table or log, so those are data even then.
pub(crate) fn check_directory(path: &Path, existed: bool, unfinished: bool) -> Result<()> {
    for torn in check_files(path, existed, unfinished)? {
        torn.cut()?;
    }
    Ok(())
}

/// As [`check_directory`], without changing anything: returns the logs that have a torn tail.
pub(crate) fn check_files(path: &Path, existed: bool, unfinished: bool) -> Result<Vec<TornTail>> {
    let entries = std::fs::read_dir(path)
        .map_err(|error| Error::io("read the store directory", path, &error))?;
    if path.join("CURRENT").is_file() {
        return check_families(path, existed);
    }
    // RocksDB would take a store that has lost its CURRENT file for a new one, and delete its table files.
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("read the store directory", path, &error))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let data = name.ends_with(".sst") || name.ends_with(".blob") || wal::is_log(&name);
        if existed || data || (name.starts_with("MANIFEST-") && !unfinished) {
            return Err(Error::Corruption(format!(
                "{} holds files of a store ({name}) but its CURRENT file is missing; restore the store from a backup",
                path.display()
            )));
        }
    }
    Ok(Vec::new())
}

/// Refuses a RocksDB database that is not a store, before any family is added to it.
fn check_families(path: &Path, existed: bool) -> Result<Vec<TornTail>> {
    let oldest_log = manifest::check(path)?;
    let found = Db::families(path).map_err(|error| opening(path, error))?;
    let foreign = found
        .iter()
        .find(|name| *name != "default" && !FAMILIES.contains(&name.as_str()));
    let lost =
        |name: &&str| !ADDED_FAMILIES.contains(name) && !found.iter().any(|found| found == name);
    if foreign.is_none() && existed && FAMILIES.iter().any(lost) {
        return Err(lost_writes(path));
    }
    if foreign.is_none() {
        match wal::check(path, oldest_log) {
            // All checks are done: from here on this is a store, and may be changed.
            Ok(torn) if found.len() > 1 => return Ok(torn),
            // A crash while the store was created may have left it without families, and then without data.
            Ok(torn) if torn.is_empty() && Db::default_family_is_empty(path)? => return Ok(torn),
            // Without families, logs that a store would not have written are not damaged but another database's.
            Ok(_) => {}
            Err(Error::Corruption(_)) if found.len() == 1 => {}
            Err(error) => return Err(error),
        }
    }
    let foreign = foreign.map_or("default", String::as_str);
    Err(Error::InvalidArgument(format!(
        "{} is a RocksDB database but no Prestige store: it has data in the column family `{foreign}`; choose another \
         directory",
        path.display()
    )))
}

/// Checks the version record and returns the mode the store was created with; a new store gets both records.
pub(crate) fn check(db: &Db, path: &Path, wanted: Option<DedupMode>) -> Result<DedupMode> {
    if let Some(mode) = existing(db, path, wanted)? {
        return Ok(mode);
    }
    let mode = wanted.unwrap_or(DedupMode::Exact);
    create(db, mode)?;
    Ok(mode)
}

/// As [`check`], without creating anything: `None` for a database without records.
pub(crate) fn existing(
    db: &Db,
    path: &Path,
    wanted: Option<DedupMode>,
) -> Result<Option<DedupMode>> {
    let Some(version) = db.get(SYSTEM, VERSION_RECORD)? else {
        if !is_empty(db)? {
            return Err(Error::Corruption(format!(
                "{} has keys but no format record; restore the store from a backup",
                path.display()
            )));
        }
        return Ok(None);
    };
    let version = version.as_ref().try_into().map(u32::from_be_bytes);
    let version = version.map_err(|_| Error::record(SYSTEM, 4, 0))?;
    if version > VERSION {
        return Err(Error::InvalidArgument(format!(
            "the store at {} has format version {version} and this release reads version {VERSION}; open it with a \
             newer release",
            path.display()
        )));
    }
    // Upgrades belong here: each rewrites the records of one version into those of the next, in batches that can be
    // repeated after a crash, and writes the version record last. The first version has none before it.
    if version < VERSION {
        return Err(Error::Corruption(format!(
            "the store at {} has format version {version}, which no release has written; restore it from a backup",
            path.display()
        )));
    }
    let mode = match db.get(SYSTEM, MODE_RECORD)?.as_deref() {
        Some([0]) => DedupMode::Exact,
        Some([1]) => DedupMode::Semantic,
        other => return Err(Error::record(SYSTEM, 1, other.map_or(0, <[u8]>::len))),
    };
    match wanted {
        Some(wanted) if wanted != mode => Err(Error::InvalidArgument(format!(
            "the store at {} was created with dedup_mode {mode} and cannot be opened with {wanted}: leave dedup_mode \
             unset, or copy its keys and values into a new store",
            path.display()
        ))),
        _ => Ok(Some(mode)),
    }
}

fn create(db: &Db, mode: DedupMode) -> Result<()> {
    let mut batch = WriteBatch::default();
    let system = db.family(SYSTEM)?;
    batch.put_cf(system, VERSION_RECORD, VERSION.to_be_bytes());
    let mode = match mode {
        DedupMode::Exact => 0,
        DedupMode::Semantic => 1,
    };
    batch.put_cf(system, MODE_RECORD, [mode]);
    db.write_synced(batch)
}

fn is_empty(db: &Db) -> Result<bool> {
    let mut empty = true;
    for family in [KEYS, OBJECTS] {
        db.scan(family, b"", &[0xff; 5], None, |_, _| {
            empty = false;
            Ok(ControlFlow::Break(()))
        })?;
    }
    Ok(empty)
}

/// The store has less than it is known to have had.
pub(crate) fn lost_writes(path: &Path) -> Error {
    Error::Corruption(format!(
        "the store at {} has come further than its files tell: some of them are missing, cut short, or were replaced \
         by older ones; restore the whole directory, its store.lock included, from a backup",
        path.display()
    ))
}

/// What a failure of RocksDB to open means to the user.
pub(crate) fn opening(path: &Path, error: Error) -> Error {
    let message = error.to_string();
    if message.contains("LOCK")
        && (message.contains("lock hold by") || message.contains("While lock file"))
    {
        return crate::owner::busy(path);
    }
    // A store whose own files are gone or cut short is damaged, whatever the operating system calls it.
    let damaged = [".sst", ".blob", ".log", "MANIFEST-", "CURRENT"]
        .iter()
        .any(|file| message.contains(file));
    if damaged
        && (message.contains("No such file")
            || message.contains("truncated")
            || message.contains("too short"))
    {
        return Error::Corruption(format!(
            "{message}; files of the store at {} are missing or cut short, restore them from a backup",
            path.display()
        ));
    }
    error
}
