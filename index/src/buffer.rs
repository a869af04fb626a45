//! What changes while the main form is frozen: newcomers, and ids taken out of it.

use std::collections::HashSet;
use std::mem::size_of;

use crate::exact::Rows;

/// The difference between the frozen main form and the index as everybody sees it.
///
/// Invariants: `hidden` holds only ids that are in the main form. An id of `added` is not in the
/// main form, or is hidden there (removed and added again while frozen).
pub struct Buffer {
    /// Vectors that are not in the main form yet.
    pub added: Rows,
    /// Ids of the main form that have been removed.
    pub hidden: HashSet<u64>,
}

impl Buffer {
    pub fn new(dimension: usize) -> Self {
        Self {
            added: Rows::new(dimension),
            hidden: HashSet::new(),
        }
    }

    pub fn memory_bytes(&self) -> usize {
        self.added.memory_bytes() + self.hidden.capacity() * size_of::<u64>()
    }
}
