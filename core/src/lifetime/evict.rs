//! Eviction: least recently used keys go until the store is small enough.

use super::Due;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::record::KeyRecord;
use crate::schema::ACCESS;
use crate::stats::Count;
use crate::store::remove::REMOVE_BATCH;
use parking_lot::{Condvar, Mutex};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Wakes the background thread, and lets puts wait until it has made room.
#[derive(Debug, Default)]
pub(crate) struct EvictionSignal {
    /// Guards the request flag and the count of finished rounds; a condition variable needs a mutex.
    state: Mutex<EvictionState>,
    progress: Condvar,
}

#[derive(Debug, Default)]
struct EvictionState {
    requested: bool,
    /// Eviction runs finished since open.
    finished: u64,
    /// The background thread is gone: nobody will answer a request.
    ended: bool,
}

/// How far one eviction goes.
#[derive(Clone, Copy, PartialEq)]
enum Spare {
    /// Everything may go.
    Nothing,
    /// The most recently used key of the store stays: it is the one whose put is waiting. Another namespace has one
    /// that was used at this time or later, if any has one.
    Newest { elsewhere_us: Option<u64> },
}

impl Engine {
    /// Evicts least recently used keys of `namespace` until its keys and values take at most `target_bytes`.
    /// Returns the number of keys evicted.
    pub(crate) fn evict_lru(&self, namespace: &Namespace, target_bytes: u64) -> Result<u64> {
        self.fold_accesses_or_log();
        let mut evicted = 0;
        if namespace.total_bytes() > target_bytes {
            self.remove_dead(namespace)?;
        }
        loop {
            let excess = namespace.total_bytes().saturating_sub(target_bytes);
            if excess == 0 {
                break;
            }
            match self.evict_round(namespace, excess, Spare::Nothing)? {
                Some(round) => evicted += round,
                None => break,
            }
        }
        Ok(evicted)
    }

    /// Called after every put: returns once `total_bytes` is within `max_store_bytes`. The background thread then goes
    /// on to `eviction_target_ratio` while others put and get.
    pub(crate) fn enforce_size_limit(&self) -> Result<()> {
        let limit = self.options.max_store_bytes;
        if limit == 0 || self.total_bytes() <= limit {
            return Ok(());
        }
        let mut state = self.eviction.state.lock();
        // A run in progress may have read the size before our put: wait for the one after it at most.
        let enough = state.finished + 2;
        while self.total_bytes() > limit && state.finished < enough && !state.ended {
            if !state.requested {
                state.requested = true;
                self.eviction.progress.notify_all();
            }
            self.eviction.progress.wait(&mut state);
        }
        Ok(())
    }

    /// The automatic eviction, on the background thread.
    pub(crate) fn evict_to_target_ratio(&self) -> Result<u64> {
        let limit = self.options.max_store_bytes;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a byte count: validated to be positive, and rounding to a few bytes is harmless"
        )]
        let target = (limit as f64 * self.options.eviction_target_ratio) as u64;
        let mut evicted = 0;
        if limit == 0 || self.total_bytes() <= limit {
            return Ok(0);
        }
        self.fold_accesses_or_log();
        let namespaces = self.namespaces.all();
        let mut queue = BinaryHeap::with_capacity(namespaces.len());
        for (number, namespace) in namespaces.iter().enumerate() {
            self.remove_dead(namespace)?;
            let first_us = self.first_time(namespace, ACCESS)?;
            queue.extend(first_us.map(|time_us| Reverse((time_us, number))));
        }
        // The namespace with the oldest key is on top. What the others did meanwhile is seen when their turn comes:
        // a batch looks at one namespace, however many there are.
        while let Some(Reverse((_, number))) = queue.pop() {
            let excess = self.total_bytes().saturating_sub(target);
            let Some(namespace) = namespaces.get(number).filter(|_| excess > 0) else {
                break;
            };
            let Some(first_us) = self.first_time(namespace, ACCESS)? else {
                continue;
            };
            let elsewhere_us = queue.peek().map(|Reverse((time_us, _))| *time_us);
            if elsewhere_us.is_some_and(|time_us| time_us < first_us) {
                queue.push(Reverse((first_us, number)));
                continue;
            }
            match self.evict_round(namespace, excess, Spare::Newest { elsewhere_us }) {
                Ok(Some(round)) => {
                    evicted += round;
                    queue.push(Reverse((first_us, number)));
                }
                // Nothing is left but the newest key; the other namespaces go on.
                Ok(None) => {}
                Err(_) if namespace.check_exists().is_err() => {}
                Err(error) => return Err(error),
            }
            self.eviction.wake();
        }
        Ok(evicted)
    }

    /// Evicts about as many keys as make up `excess` bytes, at most one batch, oldest first. `None`: there is nothing
    /// to evict; fewer than listed, even none: other threads have used or removed them meanwhile.
    fn evict_round(&self, namespace: &Namespace, excess: u64, spare: Spare) -> Result<Option<u64>> {
        let keys = u64::try_from(namespace.totals.get().keys).unwrap_or(0);
        let average = (namespace.total_bytes() / keys.max(1)).max(1);
        let wanted = usize::try_from(excess.div_ceil(average)).unwrap_or(usize::MAX);
        let wanted = wanted.clamp(1, REMOVE_BATCH);
        let listed = wanted.saturating_add(1);
        let mut victims = self.oldest_keys(namespace, ACCESS, b"", u64::MAX, listed)?;
        if victims.len() > wanted {
            victims.truncate(wanted);
        } else if let (Spare::Newest { elsewhere_us }, Some(last)) = (spare, victims.last())
            && elsewhere_us.is_none_or(|time_us| time_us < last.time_us)
        {
            // These are all keys of the namespace, and the last of them may be the newest of the store.
            victims.pop();
        }
        if victims.is_empty() {
            return Ok(None);
        }
        // A key that was put or read since it was listed is not among the oldest any more.
        let unused_since = |record: &KeyRecord, listed_us| record.accessed_us == listed_us;
        let removed = self.remove_keys(namespace, &victims, true, unused_since)?;
        namespace.stats.add(Count::Evictions, removed.keys);
        Ok(Some(removed.keys))
    }

    /// What nobody can read any more goes before what somebody could.
    fn remove_dead(&self, namespace: &Namespace) -> Result<()> {
        self.remove_due(namespace, &Due::expired(self.now_us(), true))?;
        self.remove_orphans(namespace).map(drop)
    }
}

impl EvictionSignal {
    /// Waits up to `timeout` for work; true if an eviction was requested.
    pub(crate) fn wait(&self, timeout: std::time::Duration) -> bool {
        let mut state = self.state.lock();
        if !state.requested {
            self.progress.wait_for(&mut state, timeout);
        }
        std::mem::take(&mut state.requested)
    }

    /// Tells waiting puts that a run has ended, however it ended.
    pub(crate) fn finish(&self) {
        self.state.lock().finished += 1;
        self.progress.notify_all();
    }

    /// Tells waiting puts that there will be no further run.
    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.progress.notify_all();
    }

    /// Wakes the background thread and every waiting put.
    pub(crate) fn wake(&self) {
        // Whoever has looked at the state under the lock is waiting by now, so the wake-up cannot be lost.
        drop(self.state.lock());
        self.progress.notify_all();
    }
}
