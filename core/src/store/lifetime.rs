//! The time that single keys have left.

use super::Store;
use crate::error::Result;
use std::time::Duration;

impl Store {
    /// The time until `key` expires; `None`: it does not expire.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the key is absent or has expired; otherwise as [`Store::get`].
    pub fn ttl(&self, key: &[u8]) -> Result<Option<Duration>> {
        let engine = self.engine()?;
        engine.ttl(&*self.namespace_of(&engine)?, key)
    }

    /// Sets the time until `key` expires anew, and counts as a use of the key. Value and put time stay.
    /// `ttl_seconds`: as for [`Store::put`], seconds from now, 0 never, `None` as `default_ttl_seconds` says.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the key is absent or has expired; otherwise as [`Store::put`].
    pub fn touch(&self, key: &[u8], ttl_seconds: Option<u64>) -> Result<()> {
        let engine = self.writer()?;
        engine.touch(&*self.namespace_of(&engine)?, key, ttl_seconds)
    }

    /// Lets `key` expire at `expires_us`, microseconds since the Unix epoch. A moment that is not in the future removes
    /// the key at once, 0 among them. Value, put time and access time stay.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the key is absent or has expired; otherwise as [`Store::put`].
    pub fn expire_at(&self, key: &[u8], expires_us: u64) -> Result<()> {
        let engine = self.writer()?;
        engine.expire_at(&*self.namespace_of(&engine)?, key, expires_us)
    }
}
