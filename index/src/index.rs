//! [`VectorIndex`]: locks, add, remove, search.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tracing::{debug, warn};

use crate::buffer::Buffer;
use crate::error::IndexError;
use crate::exact::Rows;
use crate::form::Form;
use crate::growth::Growth;
use crate::neighbour::{Neighbour, best};
use crate::parameters::IndexParameters;
use crate::vector::{to_store, to_unit};

/// Vectors by id, and the nearest of them to a query. `Send + Sync`, used through `&self`.
///
/// Similarity is the cosine. Vectors and queries need not have unit length: they are brought to it.
///
/// Searches run side by side. Adds and removes take turns. In the exact form and while the index is
/// frozen they hold up searches for microseconds only; linking a vector into the graph holds them
/// up for the time of the add (about a millisecond), because usearch cannot do both at once.
pub struct VectorIndex {
    pub(crate) parameters: IndexParameters,
    /// Held by every add, remove, freeze and merge step from beginning to end, so that there is one
    /// writer at a time, also while it reads `state` to build the next form. A mutex: nothing but
    /// turns is needed. Lock order: `writer`, then `state`. A search takes `state` alone.
    pub(crate) writer: Mutex<Writer>,
    /// What searches see. Read by searches for as long as they take and by the writer while it
    /// copies; written by the writer alone, for the moment of the change. A reader-writer lock, for
    /// searches must not wait for each other.
    pub(crate) state: RwLock<State>,
}

/// What only the writer needs.
pub(crate) struct Writer {
    pub phase: Phase,
    /// The next form of the index, while it is being built.
    pub growth: Option<Growth>,
}

/// What becomes of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Changes go to the main form.
    Open,
    /// A [`Frozen`](crate::Frozen) is alive: changes go to the buffer.
    Frozen,
    /// A [`Frozen`](crate::Frozen) is gone and its dropper empties the buffer: changes go to the
    /// main form.
    Merging,
}

/// The set of vectors: `main`, less `buffer.hidden`, plus `buffer.added`.
pub(crate) struct State {
    /// Shared with the [`Frozen`](crate::Frozen), if there is one; changed only when it is not.
    pub main: Arc<Form>,
    pub buffer: Buffer,
    pub version: u64,
}

impl VectorIndex {
    /// An empty index.
    ///
    /// # Errors
    ///
    /// [`IndexError::InvalidParameter`].
    pub fn new(parameters: IndexParameters) -> Result<Self, IndexError> {
        parameters.validate()?;
        Ok(Self::with_form(
            parameters,
            Form::Exact(Rows::new(parameters.dimension)),
        ))
    }

    pub(crate) fn with_form(parameters: IndexParameters, form: Form) -> Self {
        let buffer = Buffer::new(parameters.dimension);
        Self {
            parameters,
            writer: Mutex::new(Writer {
                phase: Phase::Open,
                growth: None,
            }),
            state: RwLock::new(State {
                main: Arc::new(form),
                buffer,
                version: 0,
            }),
        }
    }

    /// The options it was opened with.
    pub fn parameters(&self) -> &IndexParameters {
        &self.parameters
    }

    /// Adds a vector of `parameters().dimension` finite values, not all zero, under an id that is
    /// not present.
    ///
    /// # Errors
    ///
    /// [`IndexError::WrongLength`], [`IndexError::NotFinite`], [`IndexError::ZeroVector`],
    /// [`IndexError::DuplicateId`]; [`IndexError::Graph`] when memory is short.
    pub fn add(&self, id: u64, vector: &[f32]) -> Result<(), IndexError> {
        let vector = to_store(vector, &self.parameters)?;
        let mut writer = self.writer.lock();
        {
            let mut state = self.state.write();
            if state.contains(id) {
                return Err(IndexError::DuplicateId { id });
            }
            if let Some(main) = state.main_mut(writer.phase) {
                main.add(id, &vector)?;
                writer.note_added(id);
            } else {
                state.buffer.added.add(id, &vector);
            }
            state.version += 1;
        }
        self.grow(&mut writer);
        Ok(())
    }

    /// Removes a vector. Returns whether it was there.
    ///
    /// # Errors
    ///
    /// None today; the result leaves room for forms that have to read in order to remove.
    pub fn remove(&self, id: u64) -> Result<bool, IndexError> {
        let mut writer = self.writer.lock();
        {
            let mut state = self.state.write();
            if !state.contains(id) {
                return Ok(false);
            }
            if !state.buffer.added.remove(id) {
                if let Some(main) = state.main_mut(writer.phase) {
                    main.remove(id);
                    writer.note_removed(id);
                } else {
                    state.buffer.hidden.insert(id);
                }
            }
            state.version += 1;
        }
        self.grow(&mut writer);
        Ok(true)
    }

    /// The `k` vectors most similar to `query`, best first, equal ones by ascending id; all of them
    /// when there are fewer. Exact in the exact form. From a graph it is the best `k` that the walk
    /// came across, with similarities of the graph's precision: callers who decide by a threshold
    /// compare with their own vectors.
    ///
    /// # Errors
    ///
    /// [`IndexError::WrongLength`], [`IndexError::NotFinite`], [`IndexError::ZeroVector`];
    /// [`IndexError::Graph`] when memory is short.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<Neighbour>, IndexError> {
        let query = to_unit(query, self.parameters.dimension)?;
        let state = self.state.read();
        let mut found = state.main.search(&query, k, &state.buffer.hidden)?;
        if state.buffer.added.len() > 0 {
            found.extend(state.buffer.added.search(&query, k, &Default::default()));
            found = best(found, k);
        }
        Ok(found)
    }

    /// Whether a vector is present under `id`.
    pub fn contains(&self, id: u64) -> bool {
        self.state.read().contains(id)
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        let state = self.state.read();
        state.main.len() - state.buffer.hidden.len() + state.buffer.added.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All ids, ascending.
    pub fn ids(&self) -> Vec<u64> {
        let state = self.state.read();
        let mut ids = state.main.ids();
        ids.retain(|id| !state.buffer.hidden.contains(id));
        ids.extend_from_slice(state.buffer.added.ids());
        drop(state);
        ids.sort_unstable();
        ids
    }

    /// Bytes of memory held, to within a few percent.
    pub fn memory_bytes(&self) -> usize {
        let writer = self.writer.lock();
        let growing = writer.growth.as_ref().map_or(0, Growth::memory_bytes);
        let state = self.state.read();
        growing + state.main.memory_bytes() + state.buffer.memory_bytes()
    }

    /// Changes with every add and every removal, and with nothing else.
    pub fn version(&self) -> u64 {
        self.state.read().version
    }

    /// Whether searches walk a graph (and may miss a neighbour) rather than scan (and never do).
    pub fn is_graph(&self) -> bool {
        matches!(*self.state.read().main, Form::Graph(_))
    }

    /// Pays a share of building the next form, if one is due.
    ///
    /// The change that brought us here has succeeded, so a failure is logged, not returned: the
    /// form in use goes on serving, and the next change starts the building anew.
    pub(crate) fn grow(&self, writer: &mut Writer) {
        if let Err(error) = self.try_grow(writer) {
            warn!(%error, "giving up building the next form of the vector index for now");
            writer.growth = None;
        }
    }

    fn try_grow(&self, writer: &mut Writer) -> Result<(), IndexError> {
        if writer.phase == Phase::Frozen {
            return Ok(());
        }
        let complete = {
            let state = self.state.read();
            if writer.growth.is_none() {
                writer.growth = Growth::start(&state.main, &self.parameters)?;
            }
            match &mut writer.growth {
                Some(growth) => growth.step(&state.main)?,
                None => return Ok(()),
            }
        };
        if complete && let Some(growth) = writer.growth.take() {
            let form = Arc::new(growth.into_form());
            debug!(vectors = form.len(), "the vector index has a new form");
            let former = std::mem::replace(&mut self.state.write().main, form);
            // Freed here, after the lock: a large graph takes a while.
            drop(former);
        }
        Ok(())
    }
}

impl Writer {
    pub fn note_added(&mut self, id: u64) {
        if let Some(growth) = &mut self.growth {
            growth.note_added(id);
        }
    }

    pub fn note_removed(&mut self, id: u64) {
        if let Some(growth) = &mut self.growth {
            growth.note_removed(id);
        }
    }
}

impl State {
    fn contains(&self, id: u64) -> bool {
        self.buffer.added.contains(id)
            || (self.main.contains(id) && !self.buffer.hidden.contains(&id))
    }

    /// The main form, if changes may go there. Were it shared in spite of the phase, they would go
    /// to the buffer and be merged with the next checkpoint.
    fn main_mut(&mut self, phase: Phase) -> Option<&mut Form> {
        match phase {
            Phase::Frozen => None,
            Phase::Open | Phase::Merging => Arc::get_mut(&mut self.main),
        }
    }
}
