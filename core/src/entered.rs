//! Which stores wait for a function that this thread is in.
//!
//! An embedder or a verifier of the caller's may use the store that has called it, but it cannot close it: closing waits
//! for the put, and the put for the function.

use crate::engine::Engine;
use std::cell::RefCell;

thread_local! {
    /// Addresses of the engines that have called a function which has not returned; the last call last.
    static CALLED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// A call of a function of the caller's by this engine, as long as it lives. The engine outlives it, so that its address
/// stays its own.
pub(crate) struct Entered;

impl Entered {
    pub(crate) fn new(engine: &Engine) -> Self {
        CALLED.with_borrow_mut(|called| called.push(std::ptr::from_ref(engine).addr()));
        Self
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CALLED.with_borrow_mut(Vec::pop);
    }
}

/// Whether this thread is in a function that the engine at this address has called.
pub(crate) fn is_inside(engine: usize) -> bool {
    CALLED.with_borrow(|called| called.contains(&engine))
}
