//! What an open store is made of. [`crate::Store`] is the handle; the engine exists between open and close.

use crate::counters::Counters;
use crate::counters::Totals;
use crate::db::Db;
use crate::error::Result;
use crate::lifetime::access::AccessBuffer;
use crate::lifetime::evict::EvictionSignal;
use crate::locks::Stripes;
use crate::object_ids::ObjectIds;
use crate::options::{DedupMode, Options};
use crate::owner::Owner;
use crate::record::{KeyRecord, ObjectMeta, decode_object_id};
use crate::schema::{DIGESTS, KEYS, NamespaceId, OBJECT_META, digest_key, numbered_key, user_key};
use crate::semantic::Semantic;
use crate::{digest::Digest, error::Error};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

/// An open store.
pub(crate) struct Engine {
    pub path: PathBuf,
    pub options: Options,
    pub mode: DedupMode,
    /// First in the lock order. Guards the records of the keys of its stripe, and the stripe's counters.
    pub key_locks: Stripes<HashMap<NamespaceId, Counters>>,
    /// Second in the lock order. Guards which object a digest names, and the refcount of that object.
    pub digest_locks: Stripes<()>,
    pub object_ids: ObjectIds,
    pub accesses: AccessBuffer,
    pub eviction: EvictionSignal,
    pub default_namespace: Namespace,
    /// Index files are replaced under the shared side; a backup takes the other and so finds those that the copied
    /// records name. Before the checkpoint lock, taken by nobody who holds a lock but the store handle.
    pub index_files: RwLock<()>,
    /// Dropped after everything that may still write to it.
    pub db: Db,
    /// Last: the directory is given up when RocksDB is closed. None of a store that was opened read-only.
    pub owner: Option<Owner>,
}

/// A hard partition of the store: its own keys, digests, vectors, counters and model.
pub(crate) struct Namespace {
    pub id: NamespaceId,
    pub totals: Totals,
    /// Present in semantic mode.
    pub semantic: Option<Semantic>,
    /// When `sweep` last finished, microseconds since the epoch; 0: not since the store was opened.
    pub last_sweep_us: AtomicU64,
}

impl Engine {
    /// Every namespace that is loaded.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        std::iter::once(&self.default_namespace)
    }

    /// Bytes of the keys and of the unique values of all namespaces: what `max_store_bytes` bounds.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.namespaces().map(Namespace::total_bytes).sum()
    }

    /// Makes every write so far durable, and marks it as such.
    pub(crate) fn sync(&self) -> Result<()> {
        let Some(owner) = &self.owner else {
            return Err(Error::ReadOnly(self.path.clone()));
        };
        let sequence = self.db.sequence();
        self.db.sync_log()?;
        owner.mark(&self.path, sequence)
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.options.clock.now_us()
    }

    pub(crate) fn key_record(
        &self,
        namespace: &Namespace,
        key: &[u8],
    ) -> Result<Option<KeyRecord>> {
        let record = self.db.get(KEYS, &user_key(namespace.id, key))?;
        record
            .map(|encoded| KeyRecord::decode(&encoded))
            .transpose()
    }

    /// The meta record of an object that a key or digest names.
    pub(crate) fn object_meta(&self, namespace: &Namespace, id: u64) -> Result<ObjectMeta> {
        let encoded = self
            .db
            .get(OBJECT_META, &numbered_key(namespace.id, id))?
            .ok_or_else(|| {
                Error::Corruption(format!(
                    "object {id} is named by a key but has no record; run verify() for the extent"
                ))
            })?;
        ObjectMeta::decode(&encoded)
    }

    /// The object whose value has this digest.
    pub(crate) fn object_of_digest(
        &self,
        namespace: &Namespace,
        digest: &Digest,
    ) -> Result<Option<u64>> {
        let id = self.db.get(DIGESTS, &digest_key(namespace.id, digest))?;
        id.map(|encoded| decode_object_id(DIGESTS, &encoded))
            .transpose()
    }
}

impl Namespace {
    pub(crate) fn total_bytes(&self) -> u64 {
        let totals = self.totals.get();
        u64::try_from(totals.key_bytes.saturating_add(totals.object_bytes)).unwrap_or(0)
    }
}
