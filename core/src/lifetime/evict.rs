//! Eviction: least recently used keys go until the store is small enough.

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::schema::{ACCESS, CREATED, numbered_key, split_number};
use crate::store::remove::REMOVE_BATCH;
use parking_lot::{Condvar, Mutex};
use std::ops::ControlFlow;

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
}

/// How far one eviction goes.
#[derive(Clone, Copy, PartialEq)]
enum Spare {
    /// Everything may go.
    Nothing,
    /// The most recently used key stays: it is the one whose put is waiting.
    Newest,
}

impl Engine {
    /// Evicts least recently used keys of `namespace` until its keys and values take at most `target_bytes`.
    /// Returns the number of keys evicted.
    pub(crate) fn evict_lru(&self, namespace: &Namespace, target_bytes: u64) -> Result<u64> {
        self.fold_accesses()?;
        let mut evicted = 0;
        if namespace.total_bytes() > target_bytes {
            self.remove_dead(namespace)?;
        }
        while namespace.total_bytes() > target_bytes {
            let round = self.evict_round(
                namespace,
                namespace.total_bytes() - target_bytes,
                Spare::Nothing,
            )?;
            if round == 0 {
                break;
            }
            evicted += round;
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
        while self.total_bytes() > limit && state.finished < enough {
            state.requested = true;
            self.eviction.progress.notify_all();
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
        self.fold_accesses()?;
        for namespace in self.namespaces() {
            self.remove_dead(namespace)?;
        }
        while self.total_bytes() > target {
            let Some(namespace) = self.namespace_of_oldest_key()? else {
                break;
            };
            let excess = self.total_bytes().saturating_sub(target);
            let round = self.evict_round(namespace, excess, Spare::Newest)?;
            if round == 0 {
                break;
            }
            evicted += round;
            self.eviction.wake();
        }
        Ok(evicted)
    }

    /// Evicts about as many keys as make up `excess` bytes, at most one batch, oldest first.
    fn evict_round(&self, namespace: &Namespace, excess: u64, spare: Spare) -> Result<u64> {
        let keys = u64::try_from(namespace.totals.get().keys).unwrap_or(0);
        let average = (namespace.total_bytes() / keys.max(1)).max(1);
        let wanted = usize::try_from(excess.div_ceil(average))
            .unwrap_or(usize::MAX)
            .clamp(1, REMOVE_BATCH);
        let spared = usize::from(spare == Spare::Newest);
        for family in [ACCESS, CREATED] {
            let first = numbered_key(namespace.id, 0);
            let (mut victims, _) =
                self.oldest_keys(namespace, family, &first, u64::MAX, wanted + spared)?;
            if victims.len() <= wanted && keys <= victims.len() as u64 {
                victims.truncate(victims.len().saturating_sub(spared));
            }
            victims.truncate(wanted);
            if !victims.is_empty() {
                return Ok(self.remove_keys(namespace, &victims, true, |_| true)?.keys);
            }
        }
        Ok(0)
    }

    /// What nobody can read any more goes before what somebody could.
    fn remove_dead(&self, namespace: &Namespace) -> Result<()> {
        self.remove_expired(namespace, self.now_us(), true)?;
        self.remove_orphans(namespace).map(drop)
    }

    fn namespace_of_oldest_key(&self) -> Result<Option<&Namespace>> {
        let mut oldest = None;
        for namespace in self.namespaces() {
            let mut head = None;
            for family in [ACCESS, CREATED] {
                let end = crate::schema::namespace_end(namespace.id);
                self.db.scan(
                    family,
                    &numbered_key(namespace.id, 0),
                    &end,
                    None,
                    |entry, _| {
                        head = Some(split_number(family, entry)?.0);
                        Ok(ControlFlow::Break(()))
                    },
                )?;
                if head.is_some() {
                    break;
                }
            }
            if let Some(time_us) = head
                && oldest.is_none_or(|(oldest_us, _)| time_us < oldest_us)
            {
                oldest = Some((time_us, namespace));
            }
        }
        Ok(oldest.map(|(_, namespace)| namespace))
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

    /// Wakes the background thread and every waiting put.
    pub(crate) fn wake(&self) {
        // Whoever has looked at the state under the lock is waiting by now, so the wake-up cannot be lost.
        drop(self.state.lock());
        self.progress.notify_all();
    }
}
