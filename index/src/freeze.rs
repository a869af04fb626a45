//! A set of vectors that stands still while it is written to a file, and what happens to the
//! changes meanwhile.

use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLockWriteGuard};
use tracing::warn;

use crate::checkpoint::{self, CheckpointFile};
use crate::error::IndexError;
use crate::exact::Rows;
use crate::form::Form;
use crate::index::{Phase, State, VectorIndex, Writer};

/// The vectors of an index at the moment of [`VectorIndex::freeze`].
///
/// While it lives, adds go to a buffer that searches scan, removed ids are hidden at once, and
/// nobody waits for the file. Its dropper pays for carrying the changes over into the main form:
/// one vector at a time (about a millisecond each into a graph), letting others in between. So keep
/// it no longer than the save takes, and drop it outside of any lock of your own.
pub struct Frozen<'a> {
    index: &'a VectorIndex,
    main: Arc<Form>,
    version: u64,
    /// Held through a save: two of the same name would share a temporary file. Taken before no
    /// other lock.
    saving: Mutex<()>,
}

impl VectorIndex {
    /// Marks the current set as what a checkpoint will hold. Copies nothing, takes microseconds (up
    /// to a few milliseconds when it has to wait for another writer's turn), and may be called
    /// under the caller's own lock, so that the set matches the caller's position in its log.
    ///
    /// # Errors
    ///
    /// [`IndexError::AlreadyFrozen`] while another [`Frozen`] lives or is being merged.
    /// [`IndexError::Graph`] when changes left over from an earlier one still cannot be merged
    /// because memory is short.
    pub fn freeze(&self) -> Result<Frozen<'_>, IndexError> {
        let mut writer = self.writer.lock();
        if writer.phase != Phase::Open {
            return Err(IndexError::AlreadyFrozen);
        }
        // Nothing to do, unless the merge after the last checkpoint failed.
        while !self.merge_step(&mut writer)? {}
        writer.phase = Phase::Frozen;
        let state = self.state.read();
        Ok(Frozen {
            index: self,
            main: Arc::clone(&state.main),
            version: state.version,
            saving: Mutex::new(()),
        })
    }

    /// Ends the freeze: carries the buffered changes over, in turns with the other writers.
    fn thaw(&self) {
        let mut writer = self.writer.lock();
        writer.phase = Phase::Merging;
        // No other writer may come between the new phase and the first step, which applies the
        // removals: the main form would refuse an id that is still hidden in it.
        loop {
            match self.merge_step(&mut writer) {
                Ok(false) => self.grow(&mut writer),
                Ok(true) => break,
                Err(error) => {
                    // Nothing is lost: searches go on scanning the buffer, the next freeze tries
                    // again.
                    warn!(%error, "changes stay in the buffer of the vector index for now");
                    break;
                }
            }
            MutexGuard::bump(&mut writer);
        }
        writer.phase = Phase::Open;
    }

    /// Carries over all removals, or else one vector. Returns whether the buffer was empty.
    fn merge_step(&self, writer: &mut Writer) -> Result<bool, IndexError> {
        let mut state = self.state.write();
        let State { main, buffer, .. } = &mut *state;
        let newest = buffer
            .added
            .last()
            .map(|(id, vector)| (id, vector.to_vec()));
        if buffer.hidden.is_empty() && newest.is_none() {
            return Ok(true);
        }
        let Some(main) = Arc::get_mut(main) else {
            return Err(IndexError::AlreadyFrozen);
        };
        // Removals first: an id of the buffer may still be hidden in the main form.
        for id in buffer.hidden.drain() {
            main.remove(id);
            writer.note_removed(id);
        }
        if let Some((id, vector)) = newest {
            main.add(id, &vector)?;
            buffer.added.remove(id);
            writer.note_added(id);
        }
        RwLockWriteGuard::unlock_fair(state);
        Ok(false)
    }
}

impl Frozen<'_> {
    /// Writes the set to `directory`/`file_name`, replacing a file of that name.
    ///
    /// The bytes go to `file_name` with `.tmp` appended, which is synced, renamed, and the
    /// directory synced. When that fails, the temporary file is removed and a file of that name is
    /// as it was; a crash may leave the temporary file behind, for the next save of the same name
    /// to replace.
    ///
    /// # Errors
    ///
    /// [`IndexError::InvalidFileName`]; [`IndexError::PathNotUtf8`] (a graph only);
    /// [`IndexError::Io`] and [`IndexError::Graph`] when the file cannot be written.
    pub fn save(&self, directory: &Path, file_name: &str) -> Result<CheckpointFile, IndexError> {
        let _saving = self.saving.lock();
        checkpoint::save(&self.main, &self.index.parameters, directory, file_name)
    }

    /// Number of vectors in the set.
    pub fn count(&self) -> usize {
        self.main.len()
    }

    /// [`VectorIndex::version`] at the moment of the freeze.
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Our share of the main form goes first: it can be changed only when it is not shared.
        self.main = Arc::new(Form::Exact(Rows::new(self.index.parameters.dimension)));
        self.index.thaw();
    }
}
