//! Prune: expired keys, and on request old and idle ones.

use crate::clock::before_seconds;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::schema::{ACCESS, CREATED};
use crate::stats::Count;

impl Engine {
    /// Removes expired keys; given `max_age_seconds`, keys put longer ago; given `max_idle_seconds`, keys neither put
    /// nor read for so long. 0 means no such bound. Returns the number of keys removed.
    pub(crate) fn prune(
        &self,
        namespace: &Namespace,
        max_age_seconds: u64,
        max_idle_seconds: u64,
    ) -> Result<u64> {
        let now_us = self.now_us();
        let gc = self.options.enable_gc;
        let mut keys = self.remove_expired(namespace, now_us, gc)?.keys;
        if max_age_seconds > 0 {
            let before_us = before_seconds(now_us, max_age_seconds);
            keys += self
                .remove_before(namespace, CREATED, before_us, gc, Count::Pruned, |r, _| {
                    r.created_us < before_us
                })?
                .keys;
        }
        if max_idle_seconds > 0 {
            self.fold_accesses()?;
            let before_us = before_seconds(now_us, max_idle_seconds);
            keys += self
                .remove_before(namespace, ACCESS, before_us, gc, Count::Pruned, |r, _| {
                    r.accessed_us < before_us
                })?
                .keys;
        }
        Ok(keys)
    }
}
