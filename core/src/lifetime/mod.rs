//! How keys end: TTL, sweep, prune, eviction; and the access times that order eviction.
//!
//! Everything here works through the time-ordered families in bounded batches: cost grows with what is removed, not
//! with the store, other threads come between the batches, and a crash between two leaves a valid store.

pub(crate) mod access;
pub(crate) mod evict;
mod prune;
mod sweep;
mod ttl;

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::mutation::Removed;
use crate::record::KeyRecord;
use crate::schema::{numbered_key, split_number, time_key};
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

impl Engine {
    /// Removes every key that `family` lists with a time before `before_us` and whose record, with the time it is listed
    /// under, satisfies `condition`. They are counted as `count`.
    fn remove_before(
        &self,
        namespace: &Namespace,
        family: &'static str,
        before_us: u64,
        delete_orphans: bool,
        count: Count,
        condition: impl Fn(&KeyRecord, u64) -> bool,
    ) -> Result<Removed> {
        let mut removed = Removed::default();
        let mut cursor = numbered_key(namespace.id, 0).to_vec();
        loop {
            let (batch, last) =
                self.oldest_keys(namespace, family, &cursor, before_us, REMOVE_BATCH)?;
            let Some(last) = last else { return Ok(removed) };
            let part = self.remove_keys(namespace, &batch, delete_orphans, &condition)?;
            namespace.stats.add(count, part.keys);
            removed.keys += part.keys;
            removed.objects += part.objects;
            cursor = last;
            cursor.push(0);
        }
    }

    /// At most `limit` keys that `family` lists from `cursor` on with a time before `before_us`, oldest first, and
    /// the last entry read.
    pub(crate) fn oldest_keys(
        &self,
        namespace: &Namespace,
        family: &'static str,
        cursor: &[u8],
        before_us: u64,
        limit: usize,
    ) -> Result<(Vec<Listed>, Option<Vec<u8>>)> {
        let end = time_key(namespace.id, before_us, b"");
        let (mut keys, mut last) = (Vec::new(), None);
        self.db.scan(family, cursor, &end, None, |entry, _| {
            let (time_us, key) = split_number(family, entry)?;
            keys.push(Listed {
                time_us,
                key: key.to_vec(),
            });
            if keys.len() < limit {
                return Ok(ControlFlow::Continue(()));
            }
            last = Some(entry.to_vec());
            Ok(ControlFlow::Break(()))
        })?;
        if last.is_none() && !keys.is_empty() {
            last = Some(end);
        }
        Ok((keys, last))
    }
}
