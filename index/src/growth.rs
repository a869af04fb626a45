//! Building the next form of an index bit by bit, beside the one in use.
//!
//! An exact scan that grew past its limit becomes a graph; a graph with more dead than living
//! vectors is built anew (as an exact scan when few are left). Linking some thousand vectors takes
//! seconds, so nobody does it in one go: each add or remove pays for a few, and the form in use
//! answers every search until the new one is complete.
//!
//! Amortised, an add costs two links instead of one while an index first becomes a graph, and a
//! removal at most one link later on. A growth that nobody feeds stays where it is: searches remain
//! correct, only the form is the old one.

use std::collections::VecDeque;

use crate::error::IndexError;
use crate::exact::Rows;
use crate::form::Form;
use crate::hnsw::Hnsw;
use crate::parameters::IndexParameters;

/// Vectors linked into a growing graph per add or remove. At about a millisecond each this is what
/// the caller waits for; fewer would leave the index an exact scan for longer (at 4, until a third
/// more than the limit are in).
const LINKS_PER_STEP: usize = 4;

/// A form under construction.
///
/// Invariant: every id of the main form is in `target`, with its current vector, or in `pending`;
/// no other id is in `target`. [`note_added`](Self::note_added) and
/// [`note_removed`](Self::note_removed) keep it so.
pub struct Growth {
    target: Form,
    /// Ids to copy. May name an id twice, or one that has been removed since: both are passed over.
    pending: VecDeque<u64>,
    per_step: usize,
}

impl Growth {
    /// Starts building when `main` has outgrown its form.
    ///
    /// # Errors
    ///
    /// [`IndexError::Graph`] when memory is short.
    pub fn start(main: &Form, parameters: &IndexParameters) -> Result<Option<Self>, IndexError> {
        let limit = parameters.exact_limit;
        let outgrown = match main {
            Form::Exact(rows) => rows.len() > limit,
            Form::Graph(graph) => graph.is_mostly_dead(),
        };
        if !outgrown {
            return Ok(None);
        }
        let pending = VecDeque::from(main.ids());
        let (target, per_step) = if pending.len() <= limit {
            // Copying this many rows takes a few milliseconds: done in one step.
            (Form::Exact(Rows::new(parameters.dimension)), usize::MAX)
        } else {
            let room = pending.len() + pending.len() / 2;
            (Form::Graph(Hnsw::new(parameters, room)?), LINKS_PER_STEP)
        };
        Ok(Some(Self {
            target,
            pending,
            per_step,
        }))
    }

    /// An id was added to the main form.
    pub fn note_added(&mut self, id: u64) {
        self.pending.push_back(id);
    }

    /// An id was removed from the main form.
    pub fn note_removed(&mut self, id: u64) {
        self.target.remove(id);
    }

    /// Copies a few vectors. Returns whether the target now holds all of `main`.
    ///
    /// # Errors
    ///
    /// [`IndexError::Graph`] when memory is short; the growth is of no further use.
    pub fn step(&mut self, main: &Form) -> Result<bool, IndexError> {
        let mut copied = 0;
        while copied < self.per_step {
            let Some(id) = self.pending.pop_front() else {
                break;
            };
            if let Some(vector) = main.get(id)?
                && self.target.add(id, &vector)?
            {
                copied += 1;
            }
        }
        Ok(self.pending.is_empty())
    }

    /// The finished form.
    pub fn into_form(self) -> Form {
        self.target
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.target.memory_bytes() + self.pending.capacity() * size_of::<u64>()
    }
}
