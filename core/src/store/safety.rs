//! Copies of a store, records in and out, and reading beside an owner.

use super::{EngineGuard, Open, Store};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::store::export::Record;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;

impl Store {
    /// Makes a copy of the store in the new directory `path` while the store is in use: a store by itself, with
    /// everything acknowledged before the call and perhaps some of what came during it. It is durable when the call
    /// returns; a failure leaves nothing at `path`. On one file system the copy shares the table files, which never
    /// change, and takes next to no space at first. Checkpoints of the vector index wait meanwhile, nothing else does.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if something is at `path` (an empty directory may be) or it lies in the store;
    /// [`Error::Io`] if it cannot be written; [`Error::ReadOnly`].
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<()> {
        self.writer()?.backup(path.as_ref())
    }

    /// Calls `visit` with every key that begins with `prefix` and has not expired, in byte order, as they all were
    /// when the call began, until it breaks. Returns the number of calls.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corruption`] if the store cannot be read, and what `visit` returns.
    pub fn export_records<F>(&self, prefix: &[u8], visit: F) -> Result<u64>
    where
        F: FnMut(Record<'_>) -> Result<std::ops::ControlFlow<()>>,
    {
        let engine = self.engine()?;
        engine.export_records(&*self.namespace_of(&engine)?, prefix, visit)
    }

    /// Puts `records` with the times they have, in order and in batches that are atomic each; the expired are left
    /// out. Otherwise these are ordinary puts: values are normalised and deduplicated as the store is opened, and
    /// `max_store_bytes` holds. Returns the number of records put.
    ///
    /// # Errors
    /// As [`Store::put_many`]; batches before the one that failed stay.
    pub fn import_records(&self, records: &[Record<'_>]) -> Result<u64> {
        let engine = self.writer()?;
        engine.import_records(&*self.namespace_of(&engine)?, records)
    }

    /// Writes every key that begins with `prefix` to the file `path` (which it replaces), one JSON object a line; see
    /// `docs/operations.md` for its fields. The file is complete and durable when it appears. Returns the number of
    /// keys.
    ///
    /// # Errors
    /// As [`Store::export_records`]; [`Error::InvalidArgument`] if `path` is a directory or lies in the store.
    pub fn export_jsonl(&self, path: impl AsRef<Path>, prefix: &[u8]) -> Result<u64> {
        let engine = self.engine()?;
        engine.export_jsonl(&*self.namespace_of(&engine)?, path.as_ref(), prefix)
    }

    /// Puts the keys of a file that [`Store::export_jsonl`] wrote, as [`Store::import_records`] does. Returns the
    /// number of lines put.
    ///
    /// # Errors
    /// As [`Store::import_records`]; [`Error::InvalidArgument`] naming file and line if a line is no record: what
    /// stands before it stays imported.
    pub fn import_jsonl(&self, path: impl AsRef<Path>) -> Result<u64> {
        let engine = self.writer()?;
        engine.import_jsonl(&*self.namespace_of(&engine)?, path.as_ref())
    }

    /// Makes a store that was opened read-only show what its owner has written since; waits for running operations.
    /// A store that is open for writing shows everything anyway. After an error it shows what it did before.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn refresh(&self) -> Result<()> {
        let (path, options) = {
            let engine = self.engine()?;
            (engine.path.clone(), engine.options.clone())
        };
        if !self.shared.read_only {
            return Ok(());
        }
        let engine = Arc::new(Engine::open(&path, options)?);
        let mut slot = self.shared.open.write();
        let Some(open) = slot.as_mut() else {
            return Err(Error::closed(&path));
        };
        // Another thread may have refreshed later and come here first.
        if open.engine.db.sequence() <= engine.db.sequence() {
            let old = std::mem::replace(
                open,
                ManuallyDrop::new(Open {
                    _workers: None,
                    engine,
                }),
            );
            drop(slot);
            drop(ManuallyDrop::into_inner(old));
        }
        Ok(())
    }

    /// Whether this handle can be read, for calls that may turn out to read nothing.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Forked`], and [`Error::InvalidArgument`] if the namespace was dropped.
    pub fn check_readable(&self) -> Result<()> {
        let engine = self.engine()?;
        self.namespace_of(&engine).map(drop)
    }

    /// Whether this handle can be written, for calls that may turn out to write nothing.
    ///
    /// # Errors
    /// As [`Store::check_readable`], and [`Error::ReadOnly`].
    pub fn check_writable(&self) -> Result<()> {
        let engine = self.writer()?;
        self.namespace_of(&engine).map(drop)
    }

    /// The engine of a store that may be changed.
    pub(crate) fn writer(&self) -> Result<EngineGuard<'_>> {
        let engine = self.engine()?;
        if self.shared.read_only {
            return Err(Error::ReadOnly(self.shared.path.clone()));
        }
        Ok(engine)
    }
}
