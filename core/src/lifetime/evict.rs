//! Eviction: least recently used keys go until the store is small enough.

use super::{Due, Listed, place_after};
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::record::KeyRecord;
use crate::schema::ACCESS;
use crate::stats::Count;
use crate::store::remove::REMOVE_BATCH;
use parking_lot::{Condvar, Mutex};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

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

/// The least recently used keys of all namespaces, oldest first.
struct LruQueue {
    namespaces: Vec<Arc<Namespace>>,
    /// A time before which the namespace of this number has no key. Namespaces without a key are left out. Kept over a
    /// whole run, so that a batch looks only at the namespaces whose keys it takes, however many there are. What has
    /// changed meanwhile is seen when a namespace's turn comes; keys that are put meanwhile are newer than all that goes.
    order: BinaryHeap<Reverse<(u64, usize)>>,
}

/// Keys of the namespace of this number, as `access` lists them.
type Victims = BTreeMap<usize, Vec<Listed>>;

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
            let wanted = keys_for(excess, namespace.total_bytes(), namespace.totals.get().keys);
            let victims = self.oldest_keys(namespace, ACCESS, b"", u64::MAX, wanted)?;
            if victims.is_empty() {
                break;
            }
            evicted += self.evict_keys(namespace, &victims)?;
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
        let mut queue = LruQueue {
            namespaces: self.namespaces.all(),
            order: BinaryHeap::new(),
        };
        for (number, namespace) in queue.namespaces.iter().enumerate() {
            // Otherwise dropped since the list was made.
            if let Err(error) = self.remove_dead(namespace)
                && namespace.check_exists().is_ok()
            {
                return Err(error);
            }
            let first_us = self.next_time(namespace, ACCESS, b"")?;
            queue
                .order
                .extend(first_us.map(|time_us| Reverse((time_us, number))));
        }
        loop {
            let excess = self.total_bytes().saturating_sub(target);
            if excess == 0 {
                break;
            }
            let keys = queue.namespaces.iter();
            let keys = keys.map(|one| one.totals.get().keys).sum();
            let victims =
                self.oldest_of_all(&mut queue, keys_for(excess, self.total_bytes(), keys))?;
            if victims.is_empty() {
                break;
            }
            for (number, victims) in victims {
                let Some(namespace) = queue.namespaces.get(number) else {
                    break;
                };
                match self.evict_keys(namespace, &victims) {
                    Ok(keys) => evicted += keys,
                    Err(_) if namespace.check_exists().is_err() => {}
                    Err(error) => return Err(error),
                }
            }
            self.eviction.wake();
        }
        Ok(evicted)
    }

    /// Evicts those of `victims` that nobody has used or removed since they were listed. Returns their number.
    fn evict_keys(&self, namespace: &Namespace, victims: &[Listed]) -> Result<u64> {
        let unused_since = |record: &KeyRecord, listed_us| record.accessed_us == listed_us;
        let removed = self.remove_keys(namespace, victims, true, unused_since)?;
        namespace.stats.add(Count::Evictions, removed.keys);
        Ok(removed.keys)
    }

    /// At most `wanted` least recently used keys of all namespaces. The most recently used of all is never among them:
    /// it is the one whose put is waiting.
    fn oldest_of_all(&self, queue: &mut LruQueue, wanted: usize) -> Result<Victims> {
        let mut victims = Victims::new();
        let mut left = wanted;
        // The namespace with the oldest key gives the keys that are no newer than the oldest of the others.
        while let Some(Reverse((oldest_us, number))) = queue.order.pop() {
            let Some(namespace) = queue.namespaces.get(number) else {
                break;
            };
            let taken = victims.get(&number).and_then(|keys| keys.last());
            let mut cursor = taken.map_or_else(Vec::new, |last| place_after(namespace, last));
            let others = queue.order.peek().map(|Reverse((time_us, _))| *time_us);
            let before_us = others.map_or(u64::MAX, |time_us| time_us.saturating_add(1));
            // One more than wanted: where no other namespace has a newer key, the last is too much or the newest of all.
            let mut listed = self.oldest_keys(namespace, ACCESS, &cursor, before_us, left + 1)?;
            let enough = listed.len() > left || others.is_none();
            if enough {
                listed.pop();
            }
            left -= listed.len();
            if let Some(last) = listed.last() {
                cursor = place_after(namespace, last);
                victims.entry(number).or_default().append(&mut listed);
            }
            if enough {
                queue.order.push(Reverse((oldest_us, number)));
                break;
            }
            let next_us = self.next_time(namespace, ACCESS, &cursor)?;
            queue
                .order
                .extend(next_us.map(|time_us| Reverse((time_us, number))));
        }
        Ok(victims)
    }

    /// What nobody can read any more goes before what somebody could.
    fn remove_dead(&self, namespace: &Namespace) -> Result<()> {
        self.remove_due(namespace, &Due::expired(self.now_us(), true))?;
        self.remove_orphans(namespace).map(drop)
    }
}

/// About as many keys of average size as make up `excess` bytes, at most one batch.
fn keys_for(excess: u64, total_bytes: u64, keys: i64) -> usize {
    let keys = u64::try_from(keys).unwrap_or(0);
    let average = (total_bytes / keys.max(1)).max(1);
    let wanted = usize::try_from(excess.div_ceil(average)).unwrap_or(usize::MAX);
    wanted.clamp(1, REMOVE_BATCH)
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
