//! The time that single keys have left: read, set anew, set to a moment.

use crate::clock::after_seconds;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::locks::key_stripe;
use crate::mutation::Mutation;
use crate::record::KeyRecord;
use crate::stats::Count;
use smallvec::smallvec;
use std::time::Duration;

impl Engine {
    /// The time until `key` expires; `None`: it does not expire.
    pub(crate) fn ttl(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Duration>> {
        let record = self.live_record(namespace, key)?;
        let expires_us = record.ok_or_else(|| Error::not_found(key))?.expires_us;
        let left_us = expires_us.saturating_sub(self.now_us());
        Ok((expires_us != 0).then(|| Duration::from_micros(left_us)))
    }

    /// Lets `key` expire `ttl_seconds` from now, as a put would, and counts as a use of it.
    pub(crate) fn touch(
        &self,
        namespace: &Namespace,
        key: &[u8],
        ttl_seconds: Option<u64>,
    ) -> Result<()> {
        let now_us = self.now_us();
        let expires_us = self.expiry_after(now_us, ttl_seconds);
        self.change_times(namespace, key, now_us, |old| KeyRecord {
            expires_us,
            accessed_us: now_us,
            ..old
        })
    }

    /// Lets `key` expire at a moment, microseconds since the epoch. A moment that is not in the future removes it.
    pub(crate) fn expire_at(
        &self,
        namespace: &Namespace,
        key: &[u8],
        expires_us: u64,
    ) -> Result<()> {
        let now_us = self.now_us();
        if expires_us > now_us {
            return self.change_times(namespace, key, now_us, |old| KeyRecord {
                expires_us,
                ..old
            });
        }
        match self.remove_live(namespace, &[key], Count::Expirations)? {
            0 => Err(Error::not_found(key)),
            _ => Ok(()),
        }
    }

    /// When a key expires that is put at `now_us`; 0: never. `ttl_seconds`: 0 never, `None` the default of the store.
    pub(crate) fn expiry_after(&self, now_us: u64, ttl_seconds: Option<u64>) -> u64 {
        match ttl_seconds.unwrap_or(self.options.default_ttl_seconds) {
            0 => 0,
            seconds => after_seconds(now_us, seconds),
        }
    }

    /// Writes the record of a live key with other times. Its object stays, so no digest stripe is needed.
    fn change_times(
        &self,
        namespace: &Namespace,
        key: &[u8],
        now_us: u64,
        change: impl FnOnce(KeyRecord) -> KeyRecord,
    ) -> Result<()> {
        let mut guards = self
            .key_locks
            .lock(smallvec![key_stripe(namespace.id, key)])?;
        let old = self.key_record(namespace, key)?;
        let old = old
            .filter(|old| !old.is_expired(now_us))
            .ok_or_else(|| Error::not_found(key))?;
        let mut mutation = Mutation::new(self, namespace);
        mutation.put_key(key, Some(&old), &change(old))?;
        mutation
            .commit(&mut guards, &mut smallvec![], false, None)
            .map(drop)
    }
}

#[cfg(test)]
mod tests;
