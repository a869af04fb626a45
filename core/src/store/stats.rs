//! What has happened since the store was opened.

use super::Store;
use crate::error::Result;
use crate::stats::Stats;

impl Store {
    /// Counts and latencies of the operations on the namespace of this handle since the store was opened, or by
    /// [`Store::refresh`] opened anew.
    ///
    /// # Errors
    /// Only [`crate::Error::Closed`] and [`crate::Error::Forked`], and [`crate::Error::InvalidArgument`] if the
    /// namespace was dropped.
    pub fn stats(&self) -> Result<Stats> {
        let engine = self.engine()?;
        Ok(self.namespace_of(&engine)?.stats.stats())
    }
}

#[cfg(test)]
mod tests;
