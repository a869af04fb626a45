//! Snapshots that outlive a call: what a scan reads from page to page.

use crate::db::{Db, Snapshot};
use crate::lock_order::{Ordered, Rank};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

self_cell::self_cell!(
    /// A snapshot together with the database it is of.
    pub(crate) struct OwnedSnapshot {
        owner: Arc<Db>,

        #[covariant]
        dependent: Snapshot,
    }
);

/// The snapshots of running scans. They belong to the engine and not to the scans, so that closing the store is not
/// put off by a scan that nobody ends.
#[derive(Default)]
pub(crate) struct Snapshots {
    /// By number. Held for moments only.
    open: Mutex<HashMap<u64, Arc<OwnedSnapshot>>>,
    next: AtomicU64,
}

impl Snapshots {
    fn open(&self) -> Ordered<MutexGuard<'_, HashMap<u64, Arc<OwnedSnapshot>>>> {
        Ordered::wait(Rank::Last, || self.open.lock())
    }

    /// Takes a snapshot and returns its number.
    pub(crate) fn take(&self, db: &Arc<Db>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let snapshot = OwnedSnapshot::new(Arc::clone(db), |db| db.snapshot());
        self.open().insert(number, Arc::new(snapshot));
        number
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<OwnedSnapshot>> {
        self.open().get(&number).map(Arc::clone)
    }

    /// Gives a snapshot back: from then on compaction may remove what only it could see.
    pub(crate) fn release(&self, number: u64) {
        // The last owner drops it after the lock is free.
        let released = self.open().remove(&number);
        drop(released);
    }
}
