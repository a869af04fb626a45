//! Which embedders this thread is in.
//!
//! An embedder of the caller's may use the store that it embeds for, but it cannot close it: closing waits for the put, and
//! the put for the embedder.

use std::cell::RefCell;

thread_local! {
    /// Addresses of the semantic stages whose embedder has been called and has not returned; the last call last.
    static CALLED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// A call of the embedder of a stage, as long as it lives. The stage outlives it, so that its address stays its own.
pub(super) struct Entered;

impl Entered {
    pub(super) fn new<T>(stage: &T) -> Self {
        CALLED.with_borrow_mut(|called| called.push(address(stage)));
        Self
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CALLED.with_borrow_mut(Vec::pop);
    }
}

/// Whether this thread is in a call of the embedder of this stage.
pub(super) fn is_inside<T>(stage: &T) -> bool {
    CALLED.with_borrow(|called| called.contains(&address(stage)))
}

fn address<T>(stage: &T) -> usize {
    std::ptr::from_ref(stage).addr()
}
