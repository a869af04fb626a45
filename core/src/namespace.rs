//! Namespaces: hard partitions of a store, and the registry of those that exist.
//!
//! A namespace is a number in front of every key of every family. Numbers are never used twice, so whatever a dropped
//! namespace leaves in a file until compaction can never be seen through another one.
//!
//! ```text
//! system   "namespace/" ‖ name          namespace:4
//!          "next_namespace"             first number never handed out:4
//! ```

use crate::caches::CacheRecord;
use crate::counters::{Counters, Totals, counters_prefix};
use crate::db::Db;
use crate::engine::{Engine, KeyLocks};
use crate::error::{Error, Result};
use crate::lifetime::expired::ExpiredCount;
use crate::lifetime::frontier::Frontiers;
use crate::lock_order::{Ordered, Rank};
use crate::options::Options;
use crate::schema::{FAMILIES, NamespaceId, SYSTEM, namespace_end, system_key};
use crate::semantic::{Bound, ModelRecord, Semantic, Successor, put_model, recorded_model};
use crate::stats::Recorder;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use prestige_embed::Embedder;
use rocksdb::WriteBatch;
use smallvec::smallvec;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Longest name of a namespace, in bytes of UTF-8.
pub const MAX_NAMESPACE_BYTES: usize = 255;

const NAMES: &[u8] = b"namespace/";
/// The first name after all that begin with [`NAMES`]: `/` is followed by `0`.
const NAMES_END: &[u8] = b"namespace0";
const NEXT: &[u8] = b"next_namespace";

/// A hard partition of the store: its own keys, digests, vectors, counters and model.
pub(crate) struct Namespace {
    pub id: NamespaceId,
    pub name: String,
    /// What it holds as part of a cache. Others than the cache read and remove its keys, but put none.
    pub cache: Option<CacheRecord>,
    pub totals: Totals,
    /// Where its ordered families begin.
    pub frontiers: Frontiers,
    /// Time of the latest put or noted access that was written or read since the store was opened, of a key that is gone
    /// by now, too; 0: none.
    pub latest_use_us: AtomicU64,
    /// Whether the uses of before the opening are part of it.
    pub latest_use_read: AtomicBool,
    /// Its expired keys.
    pub expired: ExpiredCount,
    /// What has happened since the store was opened.
    pub stats: Recorder,
    /// The model of its vectors, of a cache; read when it is first needed.
    model: OnceLock<ModelRecord>,
    /// The semantic stage, loaded when it is first needed; stays empty in exact mode. Another one takes its place with every
    /// key stripe held, so a writer that has taken its stripes has one stage until it is done. Held for a few instructions.
    semantic: RwLock<Option<Arc<Semantic>>>,
    /// What is to take the place of the stage, while that is in the making; changed with every key stripe held, or taken
    /// away. Held for a few instructions.
    successor: RwLock<Option<Arc<Successor>>>,
    /// How often a stage was put in place of another, or what is on disk made another's; changed with every key stripe held.
    successions: AtomicU64,
    /// Held while the semantic stage is loaded, and while the namespace is dropped. Guards no data of its own.
    loading: Mutex<()>,
    /// Set once, with every key stripe held: no write comes after it.
    dropped: AtomicBool,
    /// When `sweep` last finished, microseconds since the epoch; 0: not since the store was opened.
    pub last_sweep_us: AtomicU64,
}

impl Namespace {
    pub(crate) fn new(id: NamespaceId, name: String, cache: Option<CacheRecord>) -> Self {
        Self {
            id,
            name,
            cache,
            totals: Totals::default(),
            frontiers: Frontiers::default(),
            latest_use_us: AtomicU64::new(0),
            latest_use_read: AtomicBool::new(false),
            expired: ExpiredCount::default(),
            stats: Recorder::new(),
            model: OnceLock::new(),
            semantic: RwLock::new(None),
            successor: RwLock::new(None),
            successions: AtomicU64::new(0),
            loading: Mutex::new(()),
            dropped: AtomicBool::new(false),
            last_sweep_us: AtomicU64::new(0),
        }
    }

    /// Bytes of the keys and of the unique values.
    pub(crate) fn total_bytes(&self) -> u64 {
        let totals = self.totals.get();
        u64::try_from(totals.key_bytes.saturating_add(totals.object_bytes)).unwrap_or(0)
    }

    /// Refuses whatever would work on a namespace that is gone.
    pub(crate) fn check_exists(&self) -> Result<()> {
        if self.dropped.load(Ordering::Acquire) {
            return Err(Self::dropped(&self.name));
        }
        Ok(())
    }

    /// What a view of a namespace that is gone is told.
    pub(crate) fn dropped(name: &str) -> Error {
        Error::InvalidArgument(format!(
            "the namespace {name:?} was dropped; take it anew from the store to begin an empty one"
        ))
    }

    /// Refuses a put that is not the cache's.
    pub(crate) fn check_no_cache(&self) -> Result<()> {
        match &self.cache {
            None => Ok(()),
            Some(_) => Err(Error::InvalidArgument(format!(
                "the namespace {:?} belongs to a cache, which alone puts entries into it; choose another name",
                self.name
            ))),
        }
    }

    /// The semantic stage; `None` in exact mode and of a cache without queries. The first call of one that has it loads
    /// the index.
    pub(crate) fn semantic(&self, engine: &Engine) -> Result<Option<Arc<Semantic>>> {
        if let Some(loaded) = self.loaded_semantic() {
            return Ok(Some(loaded));
        }
        match &self.cache {
            None if engine.has_embedder() => {}
            None | Some(CacheRecord::Embeddings { .. }) => return Ok(None),
            Some(CacheRecord::Responses { .. }) => {
                if self.model(&engine.db)?.is_none() {
                    return Ok(None);
                }
            }
        }
        let embedder = || match &self.cache {
            None => engine.embedder(),
            Some(_) => None,
        };
        let (db, path) = (&engine.db, &engine.path);
        self.load_semantic(db, path, &embedder, &engine.options, &engine.key_locks)
            .map(Some)
    }

    /// Whether values of the namespace may have vectors, now or later.
    pub(crate) fn may_embed(&self, engine: &Engine) -> bool {
        self.cache.is_some() || engine.has_embedder()
    }

    /// The model of the vectors of a cache, if it has any.
    pub(crate) fn model(&self, db: &Db) -> Result<Option<&ModelRecord>> {
        if let Some(known) = self.model.get() {
            return Ok(Some(known));
        }
        let recorded = recorded_model(db, self.id)?;
        Ok(recorded.map(|model| self.model.get_or_init(|| model)))
    }

    /// Makes `model` that of the vectors of a cache, if it has none, and returns the one it has.
    pub(crate) fn model_or(&self, engine: &Engine, model: &ModelRecord) -> Result<&ModelRecord> {
        if let Some(known) = self.model(&engine.db)? {
            return Ok(known);
        }
        let _one_at_a_time = Ordered::wait(Rank::Loading, || self.loading.lock());
        if let Some(known) = self.model(&engine.db)? {
            return Ok(known);
        }
        self.check_exists()?;
        let mut batch = WriteBatch::default();
        put_model(&engine.db, &mut batch, self.id, model)?;
        engine.db.write(batch)?;
        Ok(self.model.get_or_init(|| model.clone()))
    }

    /// Loads the semantic stage. `embedder`: the one of the store, asked for anew if it changes meanwhile.
    pub(crate) fn load_semantic(
        &self,
        db: &Db,
        path: &Path,
        embedder: &dyn Fn() -> Option<Arc<dyn Embedder>>,
        options: &Options,
        key_locks: &KeyLocks,
    ) -> Result<Arc<Semantic>> {
        let _one_at_a_time = Ordered::wait(Rank::Loading, || self.loading.lock());
        loop {
            if let Some(loaded) = self.loaded_semantic() {
                return Ok(loaded);
            }
            self.check_exists()?;
            // While a stripe is held, no other model takes the place of the store's.
            let (before, bound) = {
                let _no_succession = key_locks.lock(smallvec![0])?;
                let before = self.successions.load(Ordering::Acquire);
                (before, Bound::of(db, self.id, embedder(), options)?)
            };
            let opened = Semantic::open(db, path, self.id, bound, options);
            // What was read may be of before a succession and after it.
            let _no_succession = key_locks.lock(smallvec![0])?;
            if self.successions.load(Ordering::Acquire) == before {
                let stage = Arc::new(opened?);
                *self.semantic.write() = Some(Arc::clone(&stage));
                return Ok(stage);
            }
        }
    }

    /// The semantic stage if it has been needed so far.
    pub(crate) fn loaded_semantic(&self) -> Option<Arc<Semantic>> {
        self.semantic.read().clone()
    }

    /// Whether `stage` is the semantic stage still. With a stripe held it stays so.
    pub(crate) fn has_stage(&self, stage: Option<&Arc<Semantic>>) -> bool {
        match (self.semantic.read().as_ref(), stage) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }

    /// What is to take the place of the stage. Who holds a stripe sees it as long as that.
    pub(crate) fn successor(&self) -> Option<Arc<Successor>> {
        self.successor.read().clone()
    }

    /// Makes `successor` known, if there is no other; the caller holds every key stripe.
    pub(crate) fn begin_succession(&self, successor: &Arc<Successor>) -> bool {
        let mut slot = self.successor.write();
        if slot.is_some() {
            return false;
        }
        *slot = Some(Arc::clone(successor));
        true
    }

    /// Forgets `successor`, if it is the one.
    pub(crate) fn end_succession(&self, successor: &Arc<Successor>) {
        let mut slot = self.successor.write();
        if slot.as_ref().is_some_and(|own| Arc::ptr_eq(own, successor)) {
            *slot = None;
        }
    }

    /// Puts `stage` in place of the one there is, and forgets the successor; the caller holds every key stripe. `None`: it
    /// is loaded when it is needed next. Returns the former one.
    #[must_use = "it is large: to be dropped without a lock"]
    pub(crate) fn succeed(&self, stage: Option<Semantic>) -> Option<Arc<Semantic>> {
        let former = std::mem::replace(&mut *self.semantic.write(), stage.map(Arc::new));
        *self.successor.write() = None;
        self.successions.fetch_add(1, Ordering::AcqRel);
        if let Some(former) = &former {
            former.retire();
        }
        former
    }
}

/// Every namespace of the store.
pub(crate) struct Namespaces {
    pub default: Arc<Namespace>,
    /// The others by name. Written when one is made or dropped, read by everything that spans namespaces.
    named: RwLock<BTreeMap<String, Arc<Namespace>>>,
    /// Bytes of the keys and of the unique values of all of them.
    bytes: AtomicI64,
}

impl Namespaces {
    /// Reads names and counters of all namespaces.
    pub(crate) fn load(db: &Db, key_locks: &KeyLocks) -> Result<Self> {
        let mut named = BTreeMap::new();
        let mut caches = crate::caches::records(db)?;
        db.scan(SYSTEM, NAMES, NAMES_END, None, |key, id| {
            let name = key.get(NAMES.len()..).unwrap_or_default();
            let name = std::str::from_utf8(name).map_err(|_| damaged_name(name))?;
            let id = decode_id(id)?;
            let namespace = Namespace::new(id, name.to_owned(), caches.remove(&id));
            named.insert(name.to_owned(), Arc::new(namespace));
            Ok(ControlFlow::Continue(()))
        })?;
        let namespaces = Self {
            default: Arc::new(Namespace::new(NamespaceId::DEFAULT, String::new(), None)),
            named: RwLock::new(named),
            bytes: AtomicI64::new(0),
        };
        for namespace in namespaces.all() {
            load_counters(db, &namespace, key_locks)?;
            namespaces.count_bytes(&namespace.totals.get(), 1);
        }
        Ok(namespaces)
    }

    fn named(&self) -> Ordered<RwLockReadGuard<'_, BTreeMap<String, Arc<Namespace>>>> {
        Ordered::wait(Rank::Namespaces, || self.named.read())
    }

    fn change_named(&self) -> Ordered<RwLockWriteGuard<'_, BTreeMap<String, Arc<Namespace>>>> {
        Ordered::wait(Rank::Namespaces, || self.named.write())
    }

    /// All of them, the default one first.
    pub(crate) fn all(&self) -> Vec<Arc<Namespace>> {
        let named = self.named();
        std::iter::once(&self.default)
            .chain(named.values())
            .map(Arc::clone)
            .collect()
    }

    /// Bytes of the keys and of the unique values of all of them.
    pub(crate) fn total_bytes(&self) -> u64 {
        u64::try_from(self.bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Lets the figures follow a change that was written.
    pub(crate) fn add(&self, namespace: &Namespace, change: &Counters) {
        namespace.totals.add(change);
        self.count_bytes(change, 1);
    }

    fn count_bytes(&self, change: &Counters, sign: i64) {
        let bytes = change.key_bytes.wrapping_add(change.object_bytes);
        self.bytes
            .fetch_add(bytes.wrapping_mul(sign), Ordering::Relaxed);
    }
}

impl Engine {
    /// Names of all namespaces but the default one, sorted.
    pub(crate) fn namespace_names(&self) -> Vec<String> {
        self.namespaces.named().keys().cloned().collect()
    }

    /// The namespace of this name, made if it does not exist, unless the store was opened read-only. The empty name is
    /// that of the default namespace.
    pub(crate) fn namespace(&self, name: &str) -> Result<Arc<Namespace>> {
        self.namespace_or_new(name, None, |_, _| Ok(()))
    }

    /// The namespace of this name, if it exists.
    pub(crate) fn find_namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        if name.is_empty() {
            return Some(Arc::clone(&self.namespaces.default));
        }
        self.namespaces.named().get(name).map(Arc::clone)
    }

    /// As [`Self::namespace`]; one that is made belongs to `cache`, and `write` adds what else is known of it to the write
    /// that makes it.
    pub(crate) fn namespace_or_new(
        &self,
        name: &str,
        cache: Option<CacheRecord>,
        write: impl FnOnce(&mut WriteBatch, NamespaceId) -> Result<()>,
    ) -> Result<Arc<Namespace>> {
        if let Some(namespace) = self.find_namespace(name) {
            return Ok(namespace);
        }
        if self.owner.is_none() {
            return Err(Error::NotFound(format!(
                "namespace not found: {name:?}, and a store that was opened read-only makes none"
            )));
        }
        if name.len() > MAX_NAMESPACE_BYTES {
            return Err(Error::InvalidArgument(format!(
                "the name of a namespace has at most {MAX_NAMESPACE_BYTES} bytes, this one has {}",
                name.len()
            )));
        }
        let mut named = self.namespaces.change_named();
        if let Some(namespace) = named.get(name) {
            return Ok(Arc::clone(namespace));
        }
        let id = match self.db.get(SYSTEM, NEXT)? {
            Some(encoded) => decode_id(&encoded)?,
            None => NamespaceId(1),
        };
        // The last number is never handed out, so that every namespace has an end.
        let next = id
            .0
            .checked_add(1)
            .ok_or_else(|| Error::InvalidArgument("no namespace numbers are left".to_owned()))?;
        let mut batch = WriteBatch::default();
        let system = self.db.family(SYSTEM)?;
        batch.put_cf(system, name_key(name), id.prefix());
        batch.put_cf(system, NEXT, NamespaceId(next).prefix());
        write(&mut batch, id)?;
        self.db.write(batch)?;
        let namespace = Arc::new(Namespace::new(id, name.to_owned(), cache));
        named.insert(name.to_owned(), Arc::clone(&namespace));
        Ok(namespace)
    }

    /// Removes a namespace and all it holds, in one write: a range deletion a family, whatever their sizes.
    pub(crate) fn drop_namespace(&self, name: &str) -> Result<()> {
        if name.is_empty() {
            return Err(Error::InvalidArgument(
                "the default namespace cannot be dropped; drop one by its name".to_owned(),
            ));
        }
        let namespace = self.namespaces.named().get(name).map(Arc::clone);
        let unknown = || Error::NotFound(format!("namespace not found: {name:?}"));
        let namespace = namespace.ok_or_else(unknown)?;
        match self.drop_if(&namespace, |_| true) {
            // Dropped by another call since it was found.
            Err(_) if namespace.check_exists().is_err() => Err(unknown()),
            ended => ended.map(drop),
        }
    }

    /// Removes a namespace if it has no key but expired ones. Whether it is gone.
    ///
    /// Keys are counted with every key stripe held, and puts write with theirs held: so one that comes at the same time is
    /// either seen, or told that the namespace is gone.
    pub(crate) fn drop_namespace_if_empty(&self, namespace: &Namespace) -> Result<bool> {
        let dropped = || {
            // Before the stripes, with which nothing is scanned.
            self.sweep(namespace)?;
            self.drop_if(namespace, |namespace| namespace.totals.get().keys == 0)
        };
        match dropped() {
            // By another call.
            Err(_) if namespace.check_exists().is_err() => Ok(true),
            ended => ended,
        }
    }

    /// Removes a namespace if it is `doomed`, which is asked with every key stripe held. Whether it was.
    fn drop_if(
        &self,
        namespace: &Namespace,
        doomed: impl FnOnce(&Namespace) -> bool,
    ) -> Result<bool> {
        let name = namespace.name.as_str();
        // In this order everywhere: index files, loading, checkpoint, key stripes.
        let _no_backup = self.keep_index_files();
        let _no_loading = Ordered::wait(Rank::Loading, || namespace.loading.lock());
        let semantic = namespace.loaded_semantic();
        let _no_checkpoint = semantic.as_deref().map(Semantic::hold_checkpoints);
        let mut stripes = self.key_locks.lock_all()?;
        namespace.check_exists()?;
        if !doomed(namespace) {
            return Ok(false);
        }
        self.db.write(self.removal_of(namespace)?)?;
        namespace.dropped.store(true, Ordering::Release);
        for (_, counters) in &mut stripes {
            counters.remove(&namespace.id);
        }
        self.namespaces.change_named().remove(name);
        self.namespaces.count_bytes(&namespace.totals.get(), -1);
        drop(stripes);
        if let Some(semantic) = &semantic {
            semantic.retire();
        }
        crate::semantic::remove_index_files(&self.path, namespace.id);
        // Frees what lies in files of its own at once; the rest goes with the next compactions. The namespace is gone
        // already, so a failure here is none of the caller's.
        if let Err(error) = self.db.delete_files(namespace.id) {
            tracing::warn!(name, %error, "files of a dropped namespace stay until compaction");
        }
        Ok(true)
    }

    fn removal_of(&self, namespace: &Namespace) -> Result<WriteBatch> {
        let mut batch = WriteBatch::default();
        let id = namespace.id;
        for family in FAMILIES.into_iter().filter(|family| *family != SYSTEM) {
            let (start, end) = (id.prefix().to_vec(), namespace_end(id));
            batch.delete_range_cf(self.db.family(family)?, start, end);
        }
        let system = self.db.family(SYSTEM)?;
        let counters = counters_prefix(id);
        let mut after = counters.clone();
        after.push(0xff);
        batch.delete_range_cf(system, counters, after);
        batch.delete_cf(system, system_key("model", id));
        batch.delete_cf(system, system_key("checkpoint", id));
        batch.delete_cf(system, system_key("cache", id));
        batch.delete_cf(system, name_key(&namespace.name));
        Ok(batch)
    }
}

fn name_key(name: &str) -> Vec<u8> {
    [NAMES, name.as_bytes()].concat()
}

fn decode_id(encoded: &[u8]) -> Result<NamespaceId> {
    let bytes = encoded
        .try_into()
        .map_err(|_| Error::record(SYSTEM, 4, encoded.len()))?;
    Ok(NamespaceId(u32::from_be_bytes(bytes)))
}

fn damaged_name(name: &[u8]) -> Error {
    Error::Corruption(format!(
        "the name of a namespace should be UTF-8 and is {}; restore the store from a backup",
        name.escape_ascii()
    ))
}

/// Reads the counters of every stripe into its lock, and their sum.
fn load_counters(db: &Db, namespace: &Namespace, key_locks: &KeyLocks) -> Result<()> {
    let prefix = counters_prefix(namespace.id);
    let mut end = prefix.clone();
    end.push(0xff);
    let mut guards = key_locks.lock_all()?;
    db.scan(SYSTEM, &prefix, &end, None, |key, encoded| {
        let counters = Counters::decode(encoded)?;
        let stripe = key.last().copied().map(usize::from);
        let Some((_, guard)) = stripe.and_then(|stripe| guards.get_mut(stripe)) else {
            return Err(Error::Corruption(format!(
                "a counter record names the lock stripe {stripe:?}"
            )));
        };
        guard.insert(namespace.id, counters);
        namespace.totals.add(&counters);
        Ok(ControlFlow::Continue(()))
    })
}

#[cfg(test)]
mod tests;
