//! Backups: a copy of the store that opens as a store, made while it is in use.
//!
//! RocksDB makes the copy of its own files (a checkpoint): it flushes what is in memory, links the table files, which
//! never change, and copies the rest. Across file systems it copies them all. The index files are linked in the same
//! way, while none is replaced, and `store.lock` gets a mark of its own.

mod restore;

pub use restore::restore;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::lock_order::{Ordered, Rank};
use crate::owner;
use crate::semantic::INDEX_FOLDER;
use crate::staging::StagedDirectory;
use std::path::Path;

impl Engine {
    /// Makes a store at `target` with everything that was acknowledged before the call.
    pub(crate) fn backup(&self, target: &Path) -> Result<()> {
        let staged = StagedDirectory::at(target, &self.path)?;
        // Whatever is written meanwhile comes later, so the copy reaches at least here.
        let sequence = self.db.sequence();
        {
            let _no_index_file_is_replaced =
                Ordered::wait(Rank::IndexFiles, || self.index_files.write());
            self.db
                .checkpoint(staged.path())
                .map_err(|error| failed(target, error))?;
            link_files(
                &self.path.join(INDEX_FOLDER),
                &staged.path().join(INDEX_FOLDER),
            )?;
        }
        // Before the files are synced: nobody opens the copy under its temporary name.
        owner::write_mark(staged.path(), sequence)?;
        staged.publish()
    }
}

fn failed(target: &Path, error: Error) -> Error {
    match error {
        Error::Io(message) => {
            Error::Io(format!("cannot back up to {}: {message}", target.display()))
        }
        other => other,
    }
}

/// Links the index files of the folder `from`, if there is one, into the new folder `to`; copies them where they
/// cannot be linked.
fn link_files(from: &Path, to: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", from, &error)),
    };
    std::fs::create_dir(to).map_err(|error| Error::io("create", to, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("read", from, &error))?;
        // Left by a crash: a file that was never finished.
        if entry.path().extension().is_none_or(|end| end != "index") {
            continue;
        }
        let copy = to.join(entry.file_name());
        if std::fs::hard_link(entry.path(), &copy).is_err() {
            std::fs::copy(entry.path(), &copy)
                .map_err(|error| Error::io("copy an index file to", &copy, &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
