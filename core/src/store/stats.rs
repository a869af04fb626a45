//! What has happened since the store was opened.

use super::Store;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::schema::NamespaceId;
use crate::stats::{Stats, StatsSum};

impl Store {
    /// Counts and latencies of the operations on the namespace of this handle since the store was opened, or by
    /// [`Store::refresh`] opened anew.
    ///
    /// # Errors
    /// Only [`crate::Error::Closed`] and [`crate::Error::Forked`], and [`crate::Error::InvalidArgument`] if the
    /// namespace was dropped.
    pub fn stats(&self) -> Result<Stats> {
        let engine = self.engine()?;
        let namespace = self.namespace_of(&engine)?;
        let mut sum = StatsSum::default();
        engine.add_stats(&namespace, &mut sum);
        Ok(sum.stats())
    }
}

impl Engine {
    /// Adds what has happened in a namespace. Look-ups of caches are the store's own.
    pub(crate) fn add_stats(&self, namespace: &Namespace, sum: &mut StatsSum) {
        namespace.stats.add_to(sum);
        if namespace.id == NamespaceId::DEFAULT {
            sum.caches = self.cache_stats.counts();
        }
    }
}

#[cfg(test)]
mod tests;
