//! Prune: expired keys, and on request old and idle ones.

use super::{Due, Time};
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
        let expired = Due::expired(now_us, self.options.enable_gc);
        let mut keys = self.remove_due(namespace, &expired)?.keys;
        let listed_before = |family, time, seconds| Due {
            family,
            time,
            before_us: before_seconds(now_us, seconds),
            count: Count::Pruned,
            ..expired
        };
        if max_age_seconds > 0 {
            // Keys that were not used since their put are listed in `access`, the others in `created`. In this order,
            // since a key that is used meanwhile goes from the first to the second.
            for family in [ACCESS, CREATED] {
                let old = listed_before(family, Time::Created, max_age_seconds);
                keys += self.remove_due(namespace, &old)?.keys;
            }
        }
        if max_idle_seconds > 0 {
            self.fold_accesses()?;
            let idle = listed_before(ACCESS, Time::Accessed, max_idle_seconds);
            keys += self.remove_due(namespace, &idle)?.keys;
        }
        Ok(keys)
    }
}
