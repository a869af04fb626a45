//! The lock order of the store, and the check of it that the tests of this crate run with.
//!
//! A thread that waits for a lock must hold none of the same rank or a later one; then no circle of waiting threads
//! can form. Locks that are tried and not waited for may come in any order. In tests each thread keeps a list of what it
//! holds and panics when it is about to break the order; otherwise nothing of this costs anything.

use std::ops::{Deref, DerefMut};

/// Place of a lock in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// While access times are written.
    Folding,
    /// While index files are replaced, by whoever does so; by a backup alone.
    IndexFiles,
    /// While the index of a namespace is loaded, and while it is dropped.
    Loading,
    /// While a checkpoint is written.
    Checkpoint,
    /// A key stripe.
    Key(usize),
    /// A digest stripe.
    Digest(usize),
    /// The semantic lock of a namespace; the locks of the index come after it, in a crate of their own.
    Semantic,
    /// While expired keys are counted.
    Counting,
    /// Up to when they are counted; shared by writes to `expiry`.
    CountedUpTo,
    /// The list of namespaces.
    Namespaces,
    /// Held for a few instructions, or over one write, by whoever takes no other.
    Last,
}

/// The guard of a lock whose rank is on record while it is held.
#[derive(Debug)]
pub(crate) struct Ordered<G> {
    guard: G,
    _held: held::Held,
}

impl<G> Ordered<G> {
    /// Takes a lock by `wait`, which may wait for it.
    pub(crate) fn wait(rank: Rank, wait: impl FnOnce() -> G) -> Self {
        held::check(rank);
        Self::tried(rank, wait())
    }

    /// As [`Self::wait`], where `wait` may give up.
    pub(crate) fn wait_for(rank: Rank, wait: impl FnOnce() -> Option<G>) -> Option<Self> {
        held::check(rank);
        wait().map(|guard| Self::tried(rank, guard))
    }

    /// A lock that was free when it was tried.
    pub(crate) fn tried(rank: Rank, guard: G) -> Self {
        Self {
            guard,
            _held: held::Held::new(rank),
        }
    }
}

impl<G: Deref> Deref for Ordered<G> {
    type Target = G::Target;

    fn deref(&self) -> &Self::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Ordered<G> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.guard
    }
}

#[cfg(not(test))]
mod held {
    use super::Rank;

    #[derive(Debug)]
    pub(super) struct Held;

    impl Held {
        pub(super) fn new(_: Rank) -> Self {
            Self
        }
    }

    pub(super) fn check(_: Rank) {}
}

#[cfg(test)]
mod held {
    #![allow(clippy::panic)]
    use super::Rank;
    use std::cell::RefCell;

    thread_local! {
        static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
    }

    #[derive(Debug)]
    pub(super) struct Held(Rank);

    impl Held {
        pub(super) fn new(rank: Rank) -> Self {
            HELD.with_borrow_mut(|held| held.push(rank));
            Self(rank)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            HELD.with_borrow_mut(|held| {
                if let Some(position) = held.iter().rposition(|rank| *rank == self.0) {
                    held.swap_remove(position);
                }
            });
        }
    }

    /// Panics if this thread must not wait for a lock of `rank`.
    pub(super) fn check(rank: Rank) {
        HELD.with_borrow(|held| {
            if let Some(later) = held.iter().find(|held| **held >= rank) {
                // In the background threads a panic is only a line in the log.
                eprintln!("lock order broken: waits for {rank:?} and holds {later:?}");
                super::tests::BROKEN.store(true, std::sync::atomic::Ordering::SeqCst);
                panic!("lock order broken: waits for {rank:?} and holds {later:?}");
            }
        });
    }
}

#[cfg(test)]
pub(crate) mod tests;
