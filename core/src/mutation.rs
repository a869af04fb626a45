//! One atomic change of a namespace: everything it writes goes into one `WriteBatch`.
//!
//! The caller holds the key stripes of every key and the digest stripes of every object it touches, and has loaded the
//! semantic stage of the namespace, if it has one, before it took them. Refcounts are counted in memory and written
//! once in [`Mutation::commit`], so a batch of puts may release and reference one object many times. Only after the
//! write has succeeded do the counters and the live index follow; a failed write changes nothing.

use crate::cache::ReadCache;
use crate::cached_bytes::LentBytes;
use crate::counters::{Counters, counters_key};
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::known::Known;
use crate::lifetime::frontier::Lowest;
use crate::locks::{StripeGuards, digest_stripe};
use crate::metadata::{self, Metadata};
use crate::record::{KeyRecord, LogEntry, ObjectMeta};
use crate::schema::{
    ACCESS, CREATED, DIGESTS, EXPIRY, KEYS, METADATA, NamespaceId, OBJECT_META, OBJECTS, ORPHANS,
    SYSTEM, digest_key, numbered_key, time_key, user_key,
};
use crate::semantic::{Created, CreatedText, Followed, SemanticGuard, Slot, Slots, Successor};
use indexmap::IndexMap;
use prestige_embed::{Turns, beside};
use rocksdb::WriteBatch;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// New values of so many bytes are given to the cache by a thread of its own while they are written: to copy them there
/// takes 0.1 ms or more.
const KEPT_BESIDE_BYTES: usize = 256 << 10;
/// The records that a change writes are kept in memory if it brings at most so many new values. One that brings more fills a
/// store rather than that somebody waits for them: a record of it is kept when it is first read, which takes some 1 µs
/// more that once. Only objects that came more than once, and so may come again, are kept all the same.
const SHORT_BATCH: usize = 64;
/// Values that a thread gives to the cache at a time.
const KEPT_IN_TURN: usize = 16;

/// Guards of the key stripes a mutation needs.
pub(crate) type KeyGuards<'a> = StripeGuards<'a, HashMap<NamespaceId, Counters>>;

/// Guards of the digest stripes a mutation needs; none where it changes no object.
pub(crate) type DigestGuards<'a> = StripeGuards<'a, Known>;

/// The value of a new object.
#[derive(Clone, Copy)]
pub(crate) struct NewValue<'a> {
    pub bytes: &'a [u8],
    /// The same bytes, to be held by the read cache in place of a copy.
    pub lent: Option<&'a Arc<dyn LentBytes>>,
}

impl<'a> From<&'a [u8]> for NewValue<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, lent: None }
    }
}

/// The embedding of a new object, and its row among the pairs of the put.
type NewVector = (Vec<f32>, Option<usize>);

/// A change in the making.
pub(crate) struct Mutation<'a> {
    engine: &'a Engine,
    namespace: &'a Namespace,
    batch: WriteBatch,
    change: Counters,
    /// Objects this change touches, by id. In the order in which they came, which is mostly that of the ids.
    objects: IndexMap<u64, TouchedObject, FxBuildHasher>,
    /// Keys this change writes, with their new records: what is cached of them is out of date.
    keys: SmallVec<[(&'a [u8], Option<KeyRecord>); 1]>,
    /// Values of the objects created by this change.
    values: SmallVec<[(u64, NewValue<'a>); 1]>,
    /// Embeddings of the objects created by this change, by ascending ids. Every text of a batch is compared with them, so
    /// they are at hand without a search.
    vectors: Vec<CreatedText>,
    /// Digests of objects created by this change.
    created: FxHashMap<Digest, u64>,
    /// The earliest new entries of the ordered families.
    lowest: Lowest,
    /// The latest put or access of its keys.
    latest_use_us: u64,
    /// Entries of `expiry` by their time: 1 for an added one, -1 for a removed one.
    expiries: SmallVec<[(u64, i64); 2]>,
}

struct TouchedObject {
    meta: ObjectMeta,
    /// The refcount on disk; `None`: the object is created by this change.
    refcount_before: Option<u64>,
    /// Its embedding by the model of the successor, if this change brings it.
    next_vector: Option<Vec<f32>>,
    /// Whether this change takes a vector from it that is not of the model in use.
    loses_vector: bool,
    /// Its metadata, if this change makes it another.
    metadata: Option<Metadata>,
}

impl TouchedObject {
    /// An object as it is on disk.
    fn before(meta: ObjectMeta) -> Self {
        Self {
            meta,
            refcount_before: Some(meta.refcount),
            next_vector: None,
            loses_vector: false,
            metadata: None,
        }
    }
}

/// What is known of the objects in the stripe of `digest`, if it is locked.
fn known<'a>(digests: &'a mut DigestGuards<'_>, digest: &Digest) -> Option<&'a mut Known> {
    let stripe = digest_stripe(digest);
    let position = digests.binary_search_by_key(&stripe, |(number, _)| *number);
    digests
        .get_mut(position.ok()?)
        .map(|(_, known)| &mut **known)
}

/// What a committed change removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub keys: u64,
    pub objects: u64,
}

impl<'a> Mutation<'a> {
    pub(crate) fn new(engine: &'a Engine, namespace: &'a Namespace) -> Self {
        Self::with_capacity(engine, namespace, 0, 0)
    }

    /// A change that writes about so many bytes for so many entries.
    pub(crate) fn with_capacity(
        engine: &'a Engine,
        namespace: &'a Namespace,
        bytes: usize,
        entries: usize,
    ) -> Self {
        Self {
            engine,
            namespace,
            batch: WriteBatch::with_capacity_bytes(bytes),
            change: Counters::default(),
            objects: IndexMap::with_capacity_and_hasher(entries, FxBuildHasher),
            keys: SmallVec::with_capacity(entries),
            values: SmallVec::with_capacity(entries),
            vectors: Vec::new(),
            created: FxHashMap::with_capacity_and_hasher(entries, FxBuildHasher),
            lowest: Lowest::default(),
            latest_use_us: 0,
            expiries: SmallVec::new(),
        }
    }

    /// The objects that held the values of `wanted` before this change, in their order. The caller holds the stripes of
    /// all of them, among `digests`.
    pub(crate) fn stored_objects<'d>(
        &mut self,
        digests: &mut DigestGuards<'_>,
        wanted: impl ExactSizeIterator<Item = &'d Digest>,
    ) -> Result<SmallVec<[Option<u64>; 1]>> {
        let namespace = self.namespace.id;
        let mut found = SmallVec::with_capacity(wanted.len());
        let mut unknown: SmallVec<[_; 1]> = SmallVec::new();
        for (place, digest) in wanted.enumerate() {
            let known = known(digests, digest).and_then(|known| known.get(namespace, digest));
            found.push(known.map(|(id, _)| id));
            match known {
                Some((id, meta)) => {
                    let object = self.objects.entry(id);
                    object.or_insert_with(|| TouchedObject::before(meta));
                }
                None => unknown.push((place, digest)),
            }
        }
        let stored = unknown.iter().map(|(_, digest)| *digest);
        let stored = self.engine.objects_of_digests(self.namespace, stored)?;
        for ((place, _), id) in unknown.iter().zip(stored) {
            if let Some(slot) = found.get_mut(*place) {
                *slot = id;
            }
        }
        Ok(found)
    }

    /// The object that this change has created for the value of `digest`.
    pub(crate) fn created_object(&self, digest: &Digest) -> Option<u64> {
        self.created.get(digest).copied()
    }

    /// The digest of an object, this change included.
    pub(crate) fn digest_of(&self, id: u64) -> Result<Digest> {
        match self.objects.get(&id) {
            Some(object) => Ok(object.meta.digest),
            None => Ok(self.engine.object_meta(self.namespace, id)?.digest),
        }
    }

    /// Embeddings of the objects created by this change: the index does not know them yet.
    pub(crate) fn created_vectors(&self) -> &Created {
        &self.vectors
    }

    /// Stores a new object, without a reference yet.
    pub(crate) fn create_object(
        &mut self,
        digest: Digest,
        value: NewValue<'a>,
        vector: Option<NewVector>,
        now_us: u64,
    ) -> Result<u64> {
        let id = self.engine.object_ids.take(&self.engine.db)?;
        let key = numbered_key(self.namespace.id, id);
        let mut vectors = Slots::default();
        if vector.is_some() {
            vectors.set(self.slot(), true);
        }
        let meta = ObjectMeta {
            digest,
            size: value.bytes.len() as u64,
            refcount: 0,
            created_us: now_us,
            vectors,
            has_metadata: false,
        };
        self.batch
            .put_cf(self.engine.db.family(OBJECTS)?, key, value.bytes);
        self.change.objects += 1;
        self.change.object_bytes += signed(meta.size);
        self.created.insert(digest, id);
        self.values.push((id, value));
        // Ids only grow, so the order is right.
        self.vectors.extend(vector.map(|(vector, row)| CreatedText {
            object_id: id,
            vector,
            row,
        }));
        self.objects.insert(
            id,
            TouchedObject {
                meta,
                refcount_before: None,
                next_vector: None,
                loses_vector: false,
                metadata: None,
            },
        );
        Ok(id)
    }

    /// Where the vectors in use are. A stripe is held, so it stays so.
    fn slot(&self) -> Slot {
        let stage = self.namespace.loaded_semantic();
        stage.map_or_else(Slot::default, |stage| stage.slot())
    }

    /// Gives an object a vector of the model of `successor`, which the namespace has had since the stripes were taken. The
    /// object is touched by this change.
    pub(crate) fn set_next_vector(
        &mut self,
        id: u64,
        successor: &Successor,
        vector: Vec<f32>,
    ) -> Result<()> {
        let Some(object) = self.objects.get_mut(&id) else {
            return Ok(());
        };
        object.meta.vectors.set(successor.slot(), true);
        let encoded = successor.encoded(self.engine, &vector);
        object.next_vector = Some(vector);
        let family = self.engine.db.family(successor.slot().family())?;
        let name = numbered_key(self.namespace.id, id);
        self.batch.put_cf(family, name, encoded);
        Ok(())
    }

    /// Takes from an object its vector in `slot`, which is not the one in use. The object is touched by this change.
    pub(crate) fn remove_other_vector(&mut self, id: u64, slot: Slot) -> Result<()> {
        let Some(object) = self.objects.get_mut(&id) else {
            return Ok(());
        };
        object.meta.vectors.set(slot, false);
        object.loses_vector = true;
        let family = self.engine.db.family(slot.family())?;
        let name = numbered_key(self.namespace.id, id);
        self.batch.delete_cf(family, name);
        Ok(())
    }

    /// Writes the record of a key that points at `record.object_id`; `old` is what it replaces.
    pub(crate) fn put_key(
        &mut self,
        key: &'a [u8],
        old: Option<&KeyRecord>,
        record: &KeyRecord,
    ) -> Result<()> {
        if old.is_none_or(|old| old.object_id != record.object_id) {
            let size = self.count_reference(record.object_id, 1)?;
            self.change.logical_bytes += size;
        }
        match old {
            Some(old) => {
                if old.object_id != record.object_id {
                    let size = self.count_reference(old.object_id, -1)?;
                    self.change.logical_bytes -= size;
                }
            }
            None => {
                self.change.keys += 1;
                self.change.key_bytes += signed(key.len() as u64);
            }
        }
        self.keys.push((key, Some(*record)));
        let used_us = record.accessed_us.max(record.created_us);
        self.latest_use_us = self.latest_use_us.max(used_us);
        self.move_times(key, old, Some(record))
    }

    /// Removes a key and its reference.
    pub(crate) fn remove_key(&mut self, key: &'a [u8], old: &KeyRecord) -> Result<()> {
        self.keys.push((key, None));
        self.move_times(key, Some(old), None)?;
        let size = self.count_reference(old.object_id, -1)?;
        self.change.logical_bytes -= size;
        self.change.keys -= 1;
        self.change.key_bytes -= signed(key.len() as u64);
        Ok(())
    }

    /// Touches an object without changing its references, so that [`Self::commit`] deletes it if it has none.
    pub(crate) fn visit_object(&mut self, id: u64) -> Result<()> {
        self.count_reference(id, 0).map(drop)
    }

    /// Adds pairs to the metadata of an object; they replace those of the same names.
    pub(crate) fn add_metadata(&mut self, id: u64, new: &Metadata) -> Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        self.visit_object(id)?;
        let Some(object) = self.objects.get_mut(&id) else {
            return Ok(());
        };
        let old = match &object.metadata {
            Some(changed) => changed.clone(),
            None if object.meta.has_metadata => self
                .engine
                .object_metadata(self.namespace, id)?
                .unwrap_or_default(),
            None => Metadata::new(),
        };
        let before = metadata::encoded_len(&old) as u64;
        let merged = metadata::merged(old, new)?;
        let grown = signed(metadata::encoded_len(&merged) as u64) - signed(before);
        self.change.object_bytes += grown;
        self.change.logical_bytes += grown;
        object.meta.has_metadata = true;
        object.metadata = Some(merged);
        Ok(())
    }

    /// Lists `key` under the times of `new` in place of those of `old`. What both have stays as it is.
    fn move_times(
        &mut self,
        key: &[u8],
        old: Option<&KeyRecord>,
        new: Option<&KeyRecord>,
    ) -> Result<()> {
        let db = &self.engine.db;
        let name = |time_us| time_key(self.namespace.id, time_us, key);
        let has = |record: Option<&KeyRecord>, entry| {
            record.is_some_and(|record| times(record).any(|other| other == entry))
        };
        for (family, time_us) in old.into_iter().flat_map(times) {
            if !has(new, (family, time_us)) {
                if family == EXPIRY {
                    self.expiries.push((time_us, -1));
                }
                self.batch.delete_cf(db.family(family)?, name(time_us));
            }
        }
        for (family, time_us) in new.into_iter().flat_map(times) {
            if !has(old, (family, time_us)) {
                if family == EXPIRY {
                    self.expiries.push((time_us, 1));
                }
                self.lowest.add(family, time_us);
                self.batch.put_cf(db.family(family)?, name(time_us), b"");
            }
        }
        Ok(())
    }

    /// Adds to the refcount of an object and returns its size in bytes.
    fn count_reference(&mut self, id: u64, change: i64) -> Result<i64> {
        let object = match self.objects.entry(id) {
            indexmap::map::Entry::Occupied(entry) => entry.into_mut(),
            indexmap::map::Entry::Vacant(entry) => {
                let meta = self.engine.object_meta(self.namespace, id)?;
                entry.insert(TouchedObject::before(meta))
            }
        };
        object.meta.refcount = object.meta.refcount.saturating_add_signed(change);
        Ok(signed(object.meta.size))
    }

    /// Writes the change. `digests`: the stripes of the objects it touches. `delete_orphans`: objects without a key go in
    /// the same write, otherwise they are left for `sweep`. `semantic`: the semantic lock, if the caller holds it already.
    pub(crate) fn commit(
        mut self,
        keys: &mut KeyGuards<'_>,
        digests: &mut DigestGuards<'_>,
        delete_orphans: bool,
        semantic: Option<SemanticGuard<'_>>,
    ) -> Result<Removed> {
        let mut removed = Removed {
            keys: u64::try_from(-self.change.keys).unwrap_or(0),
            objects: 0,
        };
        self.write_keys()?;
        self.write_digests()?;
        let short = self.values.len() <= SHORT_BATCH;
        let (mut index_changes, mut deleted) = (Vec::new(), Vec::new());
        let stage = self.namespace.loaded_semantic();
        let slot = stage.as_ref().map(|stage| stage.slot());
        let successor = self.namespace.successor();
        let mut next_vectors = Vec::new();
        let mut followed = Followed::default();
        let mut kept: SmallVec<[(u64, ObjectMeta); 1]> = SmallVec::new();
        let mut described: SmallVec<[u64; 1]> = SmallVec::new();
        let mut objects = std::mem::take(&mut self.objects);
        objects.sort_unstable_keys();
        let mut vectors = std::mem::take(&mut self.vectors).into_iter().peekable();
        for (id, object) in objects {
            let vector = vectors.next_if(|created| created.object_id == id);
            // Until the write has succeeded nothing is known of what it touches, as nothing is of what it creates.
            if object.refcount_before.is_some()
                && let Some(known) = known(digests, &object.meta.digest)
            {
                known.forget(self.namespace.id, &object.meta.digest);
            }
            if object.meta.refcount == 0 && delete_orphans {
                removed.objects += 1;
                deleted.push(id);
                self.delete_object(id, &object, slot)?;
                if slot.is_some_and(|slot| object.meta.vectors.has(slot)) {
                    index_changes.push((LogEntry::Remove(id), Vec::new()));
                }
                let next = successor.as_ref().map(|successor| successor.slot());
                if next.is_some_and(|next| object.meta.vectors.has(next)) {
                    followed.removed.push(id);
                }
            } else {
                if short || object.meta.refcount > 1 {
                    kept.push((id, object.meta));
                }
                if object.metadata.is_some() {
                    described.push(id);
                }
                self.write_object_meta(id, &object)?;
                if let Some(vector) = object.next_vector {
                    next_vectors.push((id, vector));
                } else if object.refcount_before.is_none() {
                    followed.unseen.push(id);
                }
                if let Some(created) = vector {
                    index_changes.push((LogEntry::Add(id), created.vector));
                }
            }
        }
        // A drop of the namespace holds every key stripe, so it comes wholly before this write or wholly after it.
        self.namespace.check_exists()?;
        let counters = self.add_counters(keys)?;
        let batch = std::mem::take(&mut self.batch);
        let cache = self.engine.cache.as_ref();
        let stripes = keys.iter().map(|(stripe, _)| *stripe);
        let written = self.keys.iter().map(|(key, _)| *key);
        let cached = cache.map(|cache| cache.begin_write(self.namespace.id, written, stripes));
        let described = cache
            .filter(|_| !described.is_empty())
            .map(|cache| cache.begin_metadata(&described));
        let writes_expiry = !self.expiries.is_empty();
        let expiry = |namespace: &'a Namespace| writes_expiry.then(|| namespace.expired.write());
        let write = || match &stage {
            Some(stage) if !index_changes.is_empty() => {
                let guard = match semantic {
                    Some(guard) => guard,
                    None => stage.lock()?,
                };
                let expiry_write = expiry(self.namespace);
                stage.commit(self.engine, self.namespace.id, guard, batch, &index_changes)?;
                Ok(expiry_write)
            }
            _ => {
                let expiry_write = expiry(self.namespace);
                self.engine.db.write(batch)?;
                Ok(expiry_write)
            }
        };
        // Before there are the objects, nobody knows their ids, and the ids of a failed write are never used again: so
        // their values may be in the cache already. None is deleted before this has ended.
        let values = &self.values;
        let copied = values.iter().filter(|(_, value)| value.lent.is_none());
        let bytes: usize = copied.map(|(_, value)| value.bytes.len()).sum();
        let written: Result<_> = match cache {
            Some(cache) => {
                let useful = 1 + usize::from(bytes >= KEPT_BESIDE_BYTES);
                let helpers = self.engine.spare_threads(useful);
                let turns = Turns::new(values.len(), KEPT_IN_TURN);
                let keep = || keep_values(cache, values, &turns);
                beside(helpers, "prestige-cache", keep, || {
                    write().inspect(|_| keep())
                })
                .1
            }
            None => write(),
        };
        let expiry_write = written.inspect_err(|_| {
            let cached = cache.into_iter().zip(values);
            cached.for_each(|(cache, (id, _))| cache.forget_value(*id));
        })?;
        if let Some(successor) = &successor {
            if successor.embeds_anew() {
                let added = next_vectors.iter();
                followed.added = added.map(|(id, vector)| (*id, &vector[..])).collect();
            } else {
                followed.unseen.clear();
                followed.added = index_changes
                    .iter()
                    .filter(|(entry, _)| matches!(entry, LogEntry::Add(_)))
                    .map(|(entry, vector)| (entry.id(), &vector[..]))
                    .collect();
            }
            successor.follow(&followed);
        }
        for (id, meta) in kept {
            if let Some(known) = known(digests, &meta.digest) {
                known.set(self.namespace.id, id, meta);
            }
        }
        self.namespace.frontiers.lower(&self.lowest);
        let latest = &self.namespace.latest_use_us;
        latest.fetch_max(self.latest_use_us, Ordering::Relaxed);
        if let Some(write) = expiry_write {
            write.done(&self.expiries);
        }
        drop(described);
        if let (Some(cache), Some(cached)) = (cache, cached) {
            for (key, record) in &self.keys {
                if let Some(record) = record.filter(|_| short) {
                    cached.keep(key, record);
                }
            }
            drop(cached);
            deleted.iter().for_each(|id| cache.forget_value(*id));
        }
        if let Some((slot, counters)) = keys.first_mut().zip(counters) {
            slot.1.insert(self.namespace.id, counters);
        }
        self.engine.namespaces.add(self.namespace, &self.change);
        Ok(removed)
    }

    /// Writes the records of the keys in the order of the keys: neighbours share most of the way to their places in the
    /// write buffer, and find it in the processor's caches.
    fn write_keys(&mut self) -> Result<()> {
        let family = self.engine.db.family(KEYS)?;
        let mut keys: SmallVec<[_; 1]> = self.keys.iter().collect();
        // Stable: of several records of one key the last wins.
        keys.sort_by_key(|(key, _)| *key);
        for (key, record) in keys {
            let name = user_key(self.namespace.id, key);
            match record {
                Some(record) => self.batch.put_cf(family, name, record.encode()),
                None => self.batch.delete_cf(family, name),
            }
        }
        Ok(())
    }

    /// Writes the digests of new objects, in their order as well.
    fn write_digests(&mut self) -> Result<()> {
        let family = self.engine.db.family(DIGESTS)?;
        let mut created: SmallVec<[_; 1]> = self.created.iter().collect();
        created.sort_unstable_by_key(|(digest, _)| digest.0);
        for (digest, id) in created {
            let name = digest_key(self.namespace.id, digest);
            self.batch.put_cf(family, name, id.to_le_bytes());
        }
        Ok(())
    }

    /// `slot`: where the vectors in use are; the semantic stage deletes those.
    fn delete_object(&mut self, id: u64, object: &TouchedObject, slot: Option<Slot>) -> Result<()> {
        let db = &self.engine.db;
        let key = numbered_key(self.namespace.id, id);
        for other in Slot::BOTH {
            if slot != Some(other) && object.meta.vectors.has(other) {
                self.batch.delete_cf(db.family(other.family())?, key);
            }
        }
        self.batch.delete_cf(db.family(OBJECTS)?, key);
        self.batch.delete_cf(db.family(OBJECT_META)?, key);
        self.batch.delete_cf(
            db.family(DIGESTS)?,
            digest_key(self.namespace.id, &object.meta.digest),
        );
        if object.refcount_before == Some(0) {
            self.batch.delete_cf(db.family(ORPHANS)?, key);
            self.change.orphans -= 1;
        }
        self.change.objects -= 1;
        self.change.object_bytes -= signed(object.meta.size);
        if object.meta.has_metadata {
            let length = match &object.metadata {
                Some(changed) => metadata::encoded_len(changed),
                None => db.get(METADATA, &key)?.map_or(0, |record| record.len()),
            };
            self.batch.delete_cf(db.family(METADATA)?, key);
            self.change.object_bytes -= signed(length as u64);
            self.change.logical_bytes -= signed(length as u64);
        }
        Ok(())
    }

    fn write_object_meta(&mut self, id: u64, object: &TouchedObject) -> Result<()> {
        let recounted = object.refcount_before != Some(object.meta.refcount);
        let revectored = object.next_vector.is_some() || object.loses_vector;
        if !recounted && !revectored && object.metadata.is_none() {
            return Ok(());
        }
        let db = &self.engine.db;
        let key = numbered_key(self.namespace.id, id);
        self.batch
            .put_cf(db.family(OBJECT_META)?, key, object.meta.encode());
        if let Some(metadata) = &object.metadata {
            self.batch
                .put_cf(db.family(METADATA)?, key, metadata::encode(metadata));
        }
        if !recounted {
            return Ok(());
        }
        if object.meta.refcount == 0 {
            self.batch.put_cf(db.family(ORPHANS)?, key, b"");
            self.lowest.add(ORPHANS, id);
            self.change.orphans += 1;
        } else if object.refcount_before == Some(0) {
            self.batch.delete_cf(db.family(ORPHANS)?, key);
            self.change.orphans -= 1;
        }
        Ok(())
    }

    /// Puts the new counters of the lowest locked stripe into the batch.
    fn add_counters(&mut self, keys: &KeyGuards<'_>) -> Result<Option<Counters>> {
        let Some((stripe, guard)) = keys.first() else {
            return Ok(None);
        };
        if self.change == Counters::default() {
            return Ok(None);
        }
        let counters = guard
            .get(&self.namespace.id)
            .copied()
            .unwrap_or_default()
            .plus(&self.change);
        let name = counters_key(self.namespace.id, *stripe);
        self.batch
            .put_cf(self.engine.db.family(SYSTEM)?, name, counters.encode());
        Ok(Some(counters))
    }
}

/// Families and times under which a key record is listed: invariant 5.
///
/// A key that was not used since its last put has one time for both, and `access` alone lists it.
pub(crate) fn times(record: &KeyRecord) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    let used = record.created_us != record.accessed_us;
    let created = used.then_some((CREATED, record.created_us));
    let expiry = (record.expires_us != 0).then_some((EXPIRY, record.expires_us));
    let access = (ACCESS, record.accessed_us);
    created.into_iter().chain([access]).chain(expiry)
}

fn keep_values(cache: &ReadCache, values: &[(u64, NewValue<'_>)], turns: &Turns) {
    while let Some(turn) = turns.take() {
        for (id, value) in values.get(turn).unwrap_or_default() {
            cache.keep_value(*id, value.bytes, value.lent);
        }
    }
}

/// Sizes are far below 2^63.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
