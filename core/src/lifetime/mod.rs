//! How keys end: TTL, sweep, prune, eviction; and the access times that order eviction.
//!
//! Everything here works through the time-ordered families in bounded batches: cost grows with what is removed, not
//! with the store, other threads come between the batches, and a crash between two leaves a valid store.

pub(crate) mod access;
pub(crate) mod evict;
pub(crate) mod expired;
pub(crate) mod frontier;
mod prune;
pub(crate) mod reap;
mod sweep;
mod ttl;

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::mutation::Removed;
use crate::record::KeyRecord;
use crate::schema::{EXPIRY, time_key};
use crate::stats::Count;
use crate::store::remove::REMOVE_BATCH;
use std::ops::ControlFlow;

/// A key as a time-ordered family lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// The time it is listed under; the key may have moved on since.
    pub time_us: u64,
    pub key: Vec<u8>,
}

/// A time of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    Created,
    Accessed,
    Expires,
}

/// Which keys of a namespace are to be removed: those that `family` lists, with this time of theirs before `before_us`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub family: &'static str,
    pub time: Time,
    pub before_us: u64,
    /// Whether objects left without a key go in the same write.
    pub delete_orphans: bool,
    /// What the keys are counted as.
    pub count: Count,
}

impl Due {
    /// What has expired at `now_us`.
    pub(crate) fn expired(now_us: u64, delete_orphans: bool) -> Self {
        Self {
            family: EXPIRY,
            time: Time::Expires,
            before_us: now_us.saturating_add(1),
            delete_orphans,
            count: Count::Expirations,
        }
    }

    /// Whether it still holds of a key: it may have been put or used since it was listed.
    fn holds(&self, record: &KeyRecord) -> bool {
        let time_us = match self.time {
            Time::Created => Some(record.created_us),
            Time::Accessed => Some(record.accessed_us),
            Time::Expires => Some(record.expires_us).filter(|expires_us| *expires_us != 0),
        };
        time_us.is_some_and(|time_us| time_us < self.before_us)
    }
}

impl Engine {
    /// Removes every key that is due.
    pub(crate) fn remove_due(&self, namespace: &Namespace, due: &Due) -> Result<Removed> {
        let mut removed = Removed::default();
        let mut cursor = Vec::new();
        while let Some(part) = self.remove_batch(namespace, due, &mut cursor)? {
            removed.keys += part.keys;
            removed.objects += part.objects;
        }
        Ok(removed)
    }

    /// Removes the keys of one batch that are due, from `cursor` on, and moves it on. `None`: there is none left. An
    /// empty cursor: from the beginning.
    pub(crate) fn remove_batch(
        &self,
        namespace: &Namespace,
        due: &Due,
        cursor: &mut Vec<u8>,
    ) -> Result<Option<Removed>> {
        let batch = self.oldest_keys(namespace, due.family, cursor, due.before_us, REMOVE_BATCH)?;
        let Some(last) = batch.last() else {
            return Ok(None);
        };
        *cursor = place_after(namespace, last);
        let holds = |record: &KeyRecord, _| due.holds(record);
        let removed = self.remove_keys(namespace, &batch, due.delete_orphans, holds)?;
        namespace.stats.add(due.count, removed.keys);
        Ok(Some(removed))
    }

    /// At most `limit` keys that `family` lists from `cursor` on with a time before `before_us`, oldest first.
    pub(crate) fn oldest_keys(
        &self,
        namespace: &Namespace,
        family: &'static str,
        cursor: &[u8],
        before_us: u64,
        limit: usize,
    ) -> Result<Vec<Listed>> {
        let mut keys = Vec::new();
        self.scan_ordered(namespace, family, cursor, before_us, |time_us, key| {
            keys.push(Listed {
                time_us,
                key: key.to_vec(),
            });
            Ok(if keys.len() < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(keys)
    }

    /// The earliest time that a time-ordered family lists from `cursor` on. An empty cursor: from the beginning.
    pub(crate) fn next_time(
        &self,
        namespace: &Namespace,
        family: &'static str,
        cursor: &[u8],
    ) -> Result<Option<u64>> {
        let next = self.oldest_keys(namespace, family, cursor, u64::MAX, 1)?;
        Ok(next.first().map(|listed| listed.time_us))
    }
}

/// Where a time-ordered family goes on after `listed`.
fn place_after(namespace: &Namespace, listed: &Listed) -> Vec<u8> {
    let mut cursor = time_key(namespace.id, listed.time_us, &listed.key);
    cursor.push(0);
    cursor.into_vec()
}
