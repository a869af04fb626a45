//! What an open store is made of. [`crate::Store`] is the handle; the engine exists between open and close.

use crate::cache::ReadCache;
use crate::caches::Flights;
use crate::counters::Counters;
use crate::db::Db;
use crate::error::Result;
use crate::known::Known;
use crate::lifetime::access::AccessBuffer;
use crate::lifetime::evict::EvictionSignal;
use crate::lock_order::{Ordered, Rank};
use crate::locks::Stripes;
pub(crate) use crate::namespace::Namespace;
use crate::namespace::Namespaces;
use crate::object_ids::ObjectIds;
use crate::options::{DedupMode, Options};
use crate::owner::Owner;
use crate::record::{KeyRecord, ObjectMeta, decode_object_id};
use crate::schema::{DIGESTS, KEYS, NamespaceId, OBJECT_META, digest_key, numbered_key, user_key};
use crate::snapshot::Snapshots;
use crate::stats::CacheRecorder;
use crate::{digest::Digest, error::Error};
use parking_lot::{RwLock, RwLockReadGuard};
use prestige_embed::Embedder;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The key stripes; each holds its share of the counters of every namespace.
pub(crate) type KeyLocks = Stripes<HashMap<NamespaceId, Counters>>;

/// The digest stripes.
pub(crate) type DigestLocks = Stripes<Known>;

/// An open store.
pub(crate) struct Engine {
    pub path: PathBuf,
    pub options: Options,
    pub mode: DedupMode,
    /// First in the lock order. Guards the records of the keys of its stripe, and the stripe's counters.
    pub key_locks: KeyLocks,
    /// Second in the lock order. Guards which object a digest names, and the refcount of that object; each stripe holds
    /// what is known of the objects of its digests.
    pub digest_locks: DigestLocks,
    pub object_ids: ObjectIds,
    pub accesses: AccessBuffer,
    /// Hot keys and values; `None`: off.
    pub cache: Option<ReadCache>,
    pub eviction: EvictionSignal,
    pub namespaces: Namespaces,
    /// Look-ups of its caches.
    pub cache_stats: CacheRecorder,
    /// What its caches compute now.
    pub flights: Flights,
    /// Present in semantic mode, unless the store was opened read-only. Another one takes its place with every key stripe
    /// held. Held for a few instructions.
    pub embedder: RwLock<Option<Arc<dyn Embedder>>>,
    /// Whether texts are being embedded anew: by one call at a time.
    pub reembedding: Arc<AtomicBool>,
    /// Whether vectors may be left behind of a model that is none of the store's: `reembed` was cut short after the switch.
    pub leftovers: AtomicBool,
    /// Snapshots of running scans.
    pub snapshots: Snapshots,
    /// Index files are replaced under the shared side; a backup takes the other and so finds those that the copied
    /// records name. Before the checkpoint lock, taken by nobody who holds a lock but the store handle.
    pub index_files: RwLock<()>,
    /// Dropped after everything that may still write to it. Shared with the snapshots only.
    pub db: Arc<Db>,
    /// Last: the directory is given up when RocksDB is closed. None of a store that was opened read-only.
    pub owner: Option<Owner>,
}

impl Engine {
    /// Bytes of the keys and of the unique values of all namespaces: what `max_store_bytes` bounds.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.namespaces.total_bytes()
    }

    /// For whoever replaces or removes index files: no backup copies them meanwhile.
    pub(crate) fn keep_index_files(&self) -> Ordered<RwLockReadGuard<'_, ()>> {
        Ordered::wait(Rank::IndexFiles, || self.index_files.read())
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

    pub(crate) fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.embedder.read().clone()
    }

    pub(crate) fn has_embedder(&self) -> bool {
        self.embedder.read().is_some()
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

    /// The records of `keys`, in their order. Many are looked up at once in half the time that they take one by one.
    pub(crate) fn key_records<'k>(
        &self,
        namespace: &Namespace,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
    ) -> Result<SmallVec<[Option<KeyRecord>; 1]>> {
        if keys.len() < 2 {
            return keys.map(|key| self.key_record(namespace, key)).collect();
        }
        let names: Vec<_> = keys.map(|key| user_key(namespace.id, key)).collect();
        let records = self.db.multi_get(KEYS, &names)?.into_iter();
        records
            .map(|record| record.as_deref().map(KeyRecord::decode).transpose())
            .collect()
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

    /// The objects whose values have these digests, in their order.
    pub(crate) fn objects_of_digests<'d>(
        &self,
        namespace: &Namespace,
        digests: impl ExactSizeIterator<Item = &'d Digest>,
    ) -> Result<SmallVec<[Option<u64>; 1]>> {
        if digests.len() < 2 {
            let object = |digest| self.object_of_digest(namespace, digest);
            return digests.map(object).collect();
        }
        let names: Vec<_> = digests.map(|one| digest_key(namespace.id, one)).collect();
        let ids = self.db.multi_get(DIGESTS, &names)?.into_iter();
        ids.map(|id| id.map(|id| decode_object_id(DIGESTS, &id)).transpose())
            .collect()
    }
}
