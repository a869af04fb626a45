//! Records out of a store and into it: keys with their values and times.

use super::list::prefix_range;
use crate::db::Snapshot;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::metadata::{self, Metadata};
use crate::schema::{METADATA, namespace_end, numbered_key};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Most records put in one write.
pub(crate) const IMPORT_RECORDS: usize = 256;
/// Most bytes of keys and values put in one write, unless a single record has more.
pub(crate) const IMPORT_BYTES: usize = 4 << 20;

/// A key with its value and its times, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// When it was put; `None`, which is never exported: when it is imported.
    pub created_us: Option<u64>,
    /// When it expires; `None`: never.
    pub expires_us: Option<u64>,
    /// Metadata of the value; imported, it is added to what the value has.
    pub metadata: Option<&'a Metadata>,
}

impl Record<'_> {
    /// Bytes of key, value and metadata.
    pub(crate) fn len(&self) -> usize {
        self.key.len() + self.value.len() + self.metadata.map_or(0, metadata::encoded_len)
    }
}

impl Engine {
    pub(crate) fn export_records<F>(
        &self,
        namespace: &Namespace,
        prefix: &[u8],
        mut visit: F,
    ) -> Result<u64>
    where
        F: FnMut(Record<'_>) -> Result<ControlFlow<()>>,
    {
        let (start, end) = prefix_range(namespace.id, prefix);
        let snapshot = self.db.snapshot();
        let (now_us, view) = (self.now_us(), Some(&snapshot));
        let mut visited = 0;
        let with_metadata = self.has_metadata(namespace, &snapshot)?;
        self.scan_live(namespace, &start, &end, now_us, view, |key, record| {
            let value = self.object_in(&snapshot, namespace, record.object_id)?;
            let metadata = match with_metadata {
                true => self.metadata_in(&snapshot, namespace, record.object_id)?,
                false => None,
            };
            visited += 1;
            visit(Record {
                key,
                value: &value,
                created_us: Some(record.created_us),
                expires_us: (record.expires_us != 0).then_some(record.expires_us),
                metadata: metadata.as_ref(),
            })
        })?;
        Ok(visited)
    }

    /// Whether any object of the namespace has metadata: one that has none should not be asked for it key by key.
    fn has_metadata(&self, namespace: &Namespace, snapshot: &Snapshot<'_>) -> Result<bool> {
        let (start, end) = (namespace.id.prefix(), namespace_end(namespace.id));
        let mut found = false;
        self.db
            .scan(METADATA, &start, &end, Some(snapshot), |_, _| {
                found = true;
                Ok(ControlFlow::Break(()))
            })?;
        Ok(found)
    }

    fn metadata_in(
        &self,
        snapshot: &Snapshot<'_>,
        namespace: &Namespace,
        id: u64,
    ) -> Result<Option<Metadata>> {
        let name = numbered_key(namespace.id, id);
        let encoded = snapshot.get_pinned_cf(self.db.family(METADATA)?, name)?;
        encoded
            .map(|encoded| metadata::decode(&encoded))
            .transpose()
    }

    pub(crate) fn import_records(
        &self,
        namespace: &Namespace,
        records: &[Record<'_>],
    ) -> Result<u64> {
        let now_us = self.now_us();
        let mut imported = 0;
        let mut batch = Vec::new();
        let mut keys = HashSet::new();
        let mut bytes = 0;
        let live = |record: &&Record<'_>| record.expires_us.is_none_or(|expires| expires > now_us);
        for record in records.iter().filter(live) {
            let full = batch.len() >= IMPORT_RECORDS || bytes + record.len() > IMPORT_BYTES;
            // A key that comes again is put again: the last one wins, and each record of a batch has its own times.
            if (full && !batch.is_empty()) || keys.contains(record.key) {
                imported += self.put_records(namespace, &batch)?;
                batch.clear();
                keys.clear();
                bytes = 0;
            }
            batch.push(*record);
            keys.insert(record.key);
            bytes += record.len();
        }
        if !batch.is_empty() {
            imported += self.put_records(namespace, &batch)?;
        }
        Ok(imported)
    }
}
