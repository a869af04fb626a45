//! Restoring: a store from a backup, which stays as it is.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::owner::Guest;
use crate::semantic::INDEX_FOLDER;
use crate::staging::StagedDirectory;
use crate::{fork, format};
use std::fs::File;
use std::path::Path;

/// Copies the store in the directory `backup`, which may be a backup or any store that is not open, to the new
/// directory `path`. Nothing of `backup` changes, so that it can be restored again; opened as a store it would change.
///
/// The copy is durable when the call returns. A failure leaves nothing behind.
///
/// # Errors
/// [`Error::InvalidArgument`] if `backup` is no store or of a newer format, if there is something at `path`, or if one
/// lies in the other; [`Error::Busy`] if `backup` is open as a store; [`Error::Corruption`] if its files are damaged;
/// [`Error::Io`] if it cannot be read or the copy not be written; [`Error::ForkedBeforeOpen`] in a forked child of a
/// process that has opened a store.
pub fn restore(backup: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<()> {
    let (backup, path) = (backup.as_ref(), path.as_ref());
    fork::watch();
    if fork::generation() != 0 {
        return Err(Error::ForkedBeforeOpen(path.to_path_buf()));
    }
    let backup = backup
        .canonicalize()
        .map_err(|error| Error::io("find the backup", backup, &error))?;
    let guest = Guest::of(&backup)?;
    let staged = StagedDirectory::at(path, &backup)?;
    check(&backup, &guest)?;
    copy_files(&backup, staged.path())?;
    if backup.join(INDEX_FOLDER).is_dir() {
        copy_files(
            &backup.join(INDEX_FOLDER),
            &staged.path().join(INDEX_FOLDER),
        )?;
    }
    staged.publish()
}

/// Opens the store for reading, which finds every table file and reads the log to its end.
fn check(backup: &Path, guest: &Guest) -> Result<()> {
    let marked = guest.marked();
    format::check_files(backup, marked.is_some(), false)?;
    if !backup.join("CURRENT").is_file() {
        return Err(not_a_store(backup));
    }
    let db = Db::open_read_only(backup, &Options::default())
        .map_err(|error| format::opening(backup, error))?;
    if marked.is_some_and(|sequence| db.sequence() < sequence) {
        return Err(format::lost_writes(backup));
    }
    match format::existing(&db, backup, None)? {
        Some(_) => Ok(()),
        None => Err(not_a_store(backup)),
    }
}

fn not_a_store(path: &Path) -> Error {
    Error::InvalidArgument(format!(
        "{} is no Prestige store; name the directory of a backup",
        path.display()
    ))
}

/// Copies the files of a directory, without its folders, into the new directory `to`. Without their permissions: a
/// backup may be kept from being written, a store may not.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to).map_err(|error| Error::io("create", to, &error))?;
    let entries = std::fs::read_dir(from).map_err(|error| Error::io("read", from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("read", from, &error))?;
        let source = entry.path();
        let name = entry.file_name();
        let name_text = name.to_string_lossy();
        // RocksDB's own lock and its journals of messages are of no use elsewhere.
        if !source.is_file() || name_text == "LOCK" || name_text.starts_with("LOG") {
            continue;
        }
        let copy = to.join(&name);
        File::open(&source)
            .and_then(|mut original| std::io::copy(&mut original, &mut File::create_new(&copy)?))
            .map_err(|error| {
                Error::Io(format!(
                    "cannot copy {} to {}: {error}",
                    source.display(),
                    copy.display()
                ))
            })?;
    }
    Ok(())
}
