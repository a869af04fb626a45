//! Eviction: least recently used keys go until the store is small enough.

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::lifetime::Listed;
use crate::record::KeyRecord;
use crate::schema::{ACCESS, numbered_key};
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

/// Keys of one namespace, as `access` lists them.
type Victims = (Arc<Namespace>, Vec<Listed>);

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
            let first = numbered_key(namespace.id, 0);
            let wanted = keys_for(excess, namespace.total_bytes(), namespace.totals.get().keys);
            let (victims, _) = self.oldest_keys(namespace, ACCESS, &first, u64::MAX, wanted)?;
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
        let namespaces = self.namespaces.all();
        for namespace in &namespaces {
            // Otherwise dropped since the list was made.
            if let Err(error) = self.remove_dead(namespace)
                && namespace.check_exists().is_ok()
            {
                return Err(error);
            }
        }
        loop {
            let excess = self.total_bytes().saturating_sub(target);
            if excess == 0 {
                break;
            }
            let keys = namespaces.iter().map(|one| one.totals.get().keys).sum();
            let victims = self.oldest_of_all(keys_for(excess, self.total_bytes(), keys))?;
            if victims.is_empty() {
                break;
            }
            for (namespace, victims) in victims {
                match self.evict_keys(&namespace, &victims) {
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
        Ok(self
            .remove_keys(namespace, victims, true, unused_since)?
            .keys)
    }

    /// At most `wanted` least recently used keys of all namespaces. The most recently used of all is never among them:
    /// it is the one whose put is waiting.
    fn oldest_of_all(&self, wanted: usize) -> Result<Vec<Victims>> {
        let namespaces = self.namespaces.all();
        let mut queue = BinaryHeap::new();
        for (number, namespace) in namespaces.iter().enumerate() {
            if let Some(time_us) = self.first_time(namespace, ACCESS)? {
                queue.push(Reverse((time_us, number)));
            }
        }
        let mut taken: BTreeMap<usize, (Vec<Listed>, Vec<u8>)> = BTreeMap::new();
        let mut left = wanted;
        // The namespace with the oldest key gives the keys that are no newer than the oldest of the others.
        while let Some(Reverse((_, number))) = queue.pop() {
            let Some(namespace) = namespaces.get(number) else {
                break;
            };
            let (keys, cursor) = taken
                .entry(number)
                .or_insert_with(|| (Vec::new(), numbered_key(namespace.id, 0).to_vec()));
            let others = queue.peek().map(|Reverse((time_us, _))| *time_us);
            let before_us = others.map_or(u64::MAX, |time_us| time_us.saturating_add(1));
            // One more than wanted: where no other namespace has a newer key, the last is too much or the newest of all.
            let (mut listed, last) =
                self.oldest_keys(namespace, ACCESS, cursor, before_us, left + 1)?;
            if listed.len() > left || others.is_none() {
                listed.pop();
                keys.append(&mut listed);
                break;
            }
            left -= listed.len();
            keys.append(&mut listed);
            if let Some(last) = last {
                *cursor = last;
            }
            if let Some(next_us) = self.next_time(namespace, ACCESS, cursor)? {
                queue.push(Reverse((next_us, number)));
            }
        }
        Ok(taken
            .into_iter()
            .filter(|(_, (keys, _))| !keys.is_empty())
            .filter_map(|(number, (keys, _))| Some((Arc::clone(namespaces.get(number)?), keys)))
            .collect())
    }

    /// What nobody can read any more goes before what somebody could.
    fn remove_dead(&self, namespace: &Namespace) -> Result<()> {
        self.remove_expired(namespace, self.now_us(), true)?;
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
