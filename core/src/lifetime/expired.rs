//! The number of keys that have expired and are not removed yet, exact at every moment.
//!
//! It changes with the clock as well as with writes, so it is no counter of `counters.rs`. Kept in memory is the
//! number of entries of `expiry` up to a moment, the one at which it was last asked for. Asking again looks at the
//! entries between that moment and the present: every key is looked at once, when it has expired. Writes that add or
//! remove entries before the moment correct the number. If the clock was set back, the entries in between are
//! taken off again. An opening begins at the epoch, before which nothing expires.

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::lock_order::{Ordered, Rank};
use crate::schema::{EXPIRY, numbered_key};
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};

/// The count of one namespace.
#[derive(Debug, Default)]
pub(crate) struct ExpiredCount {
    /// Held while the count is brought up to the present: one at a time. Before `counted_us` in the lock order.
    counting: Mutex<()>,
    /// Entries up to this moment, itself included, are counted. Shared by writes to `expiry` from before they write
    /// until they have corrected the count, so that a snapshot taken by the one who has it alone holds exactly the
    /// writes that were counted under the old moment. Taken after the semantic lock.
    counted_us: RwLock<u64>,
    count: AtomicI64,
}

/// The right to write to `expiry`.
pub(crate) struct ExpiryWrite<'a> {
    counted_us: Ordered<RwLockReadGuard<'a, u64>>,
    count: &'a AtomicI64,
}

impl ExpiredCount {
    /// To be held over a write that adds or removes entries of `expiry`.
    pub(crate) fn write(&self) -> ExpiryWrite<'_> {
        ExpiryWrite {
            counted_us: Ordered::wait(Rank::CountedUpTo, || self.counted_us.read()),
            count: &self.count,
        }
    }

    /// Waits for the writes that share it.
    fn alone(&self) -> Ordered<RwLockWriteGuard<'_, u64>> {
        Ordered::wait(Rank::CountedUpTo, || self.counted_us.write())
    }
}

impl ExpiryWrite<'_> {
    /// Lets the count follow what was written: times of entries, 1 for an added one, -1 for a removed one.
    pub(crate) fn done(self, changes: &[(u64, i64)]) {
        let counted = |(time_us, _): &&(u64, i64)| *time_us <= *self.counted_us;
        let change = changes.iter().filter(counted).map(|(_, by)| by).sum();
        self.count.fetch_add(change, Ordering::Relaxed);
    }
}

impl Engine {
    /// Expired keys that are still there. Costs a look at each that has expired since the last call.
    pub(crate) fn count_expired(&self, namespace: &Namespace) -> Result<u64> {
        let expired = &namespace.expired;
        let _one_at_a_time = Ordered::wait(Rank::Counting, || expired.counting.lock());
        let (snapshot, before_us, now_us) = {
            let mut counted_us = expired.alone();
            let now_us = self.now_us();
            let before_us = std::mem::replace(&mut *counted_us, now_us);
            (self.db.snapshot(), before_us, now_us)
        };
        let (from_us, to_us) = (before_us.min(now_us), before_us.max(now_us));
        let mut entries = 0;
        let counted = self.db.scan(
            EXPIRY,
            &numbered_key(namespace.id, from_us.saturating_add(1)),
            &numbered_key(namespace.id, to_us.saturating_add(1)),
            Some(&snapshot),
            |_, _| {
                entries += 1;
                Ok(ControlFlow::Continue(()))
            },
        );
        if let Err(error) = counted {
            // From the beginning the next time.
            let mut counted_us = expired.alone();
            *counted_us = 0;
            expired.count.store(0, Ordering::Relaxed);
            return Err(error);
        }
        let change = if now_us < before_us {
            -entries
        } else {
            entries
        };
        let count = expired.count.fetch_add(change, Ordering::Relaxed) + change;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
