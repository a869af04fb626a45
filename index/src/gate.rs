//! A counting gate: at most so many threads inside at once, the others wait.

use parking_lot::{Condvar, Mutex};

/// Hands out a fixed number of permits.
///
/// usearch keeps one scratch space per reserved thread and refuses a search when all are taken,
/// instead of waiting; hence nobody calls it without a permit.
pub struct Gate {
    /// Permits left. Held for a few instructions only; never while another lock is being taken.
    free: Mutex<usize>,
    returned: Condvar,
}

impl Gate {
    pub const fn new(permits: usize) -> Self {
        Self {
            free: Mutex::new(permits),
            returned: Condvar::new(),
        }
    }

    /// Waits for a permit. It returns when dropped.
    pub fn enter(&self) -> Permit<'_> {
        let mut free = self.free.lock();
        while *free == 0 {
            self.returned.wait(&mut free);
        }
        *free -= 1;
        Permit { gate: self }
    }
}

/// The right to be inside.
pub struct Permit<'a> {
    gate: &'a Gate,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.gate.free.lock() += 1;
        self.gate.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )]
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn never_more_inside_than_permits_and_nobody_is_left_outside() {
        let gate = Gate::new(3);
        let inside = AtomicUsize::new(0);
        let entered = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let permit = gate.enter();
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        entered.fetch_add(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(entered.load(Ordering::SeqCst), 16 * 200);
        assert_eq!(*gate.free.lock(), 3);
    }
}
