//! What is on record of the namespaces of caches: `cache/<namespace>` in `system`, as JSON.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::schema::{NamespaceId, SYSTEM, system_key};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::ControlFlow;

const RECORDS: &[u8] = b"cache/";
/// The first name after all that begin with [`RECORDS`]: `/` is followed by `0`.
const RECORDS_END: &[u8] = b"cache0";

/// What the namespace of a cache holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum CacheRecord {
    /// Vectors of texts.
    Embeddings {
        /// Which model they come from, as its user names it.
        model: String,
        /// Their length.
        dimension: usize,
    },
    /// Responses to queries.
    Responses {
        /// The scope, in canonical JSON.
        scope: String,
    },
}

impl CacheRecord {
    /// Adds the record of a new namespace to `batch`.
    pub(crate) fn put(
        &self,
        db: &Db,
        batch: &mut WriteBatch,
        namespace: NamespaceId,
    ) -> Result<()> {
        let record = serde_json::to_vec(self).map_err(damaged)?;
        batch.put_cf(db.family(SYSTEM)?, system_key("cache", namespace), record);
        Ok(())
    }
}

/// The records of all namespaces that have one.
pub(crate) fn records(db: &Db) -> Result<HashMap<NamespaceId, CacheRecord>> {
    let mut records = HashMap::new();
    db.scan(SYSTEM, RECORDS, RECORDS_END, None, |key, record| {
        let number = key.get(RECORDS.len()..).unwrap_or_default();
        let number = number
            .try_into()
            .map_err(|_| Error::record(SYSTEM, RECORDS.len() + 4, key.len()))?;
        let record = serde_json::from_slice(record).map_err(damaged)?;
        records.insert(NamespaceId(u32::from_be_bytes(number)), record);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(records)
}

fn damaged(error: serde_json::Error) -> Error {
    Error::Corruption(format!(
        "the record of a cache does not read: {error}; restore the store from a backup"
    ))
}
