//! One atomic change of a namespace: everything it writes goes into one `WriteBatch`.
//!
//! The caller holds the key stripes of every key and the digest stripes of every object it touches, and has loaded the
//! semantic stage of the namespace, if it has one, before it took them. Refcounts are counted in memory and written
//! once in [`Mutation::commit`], so a batch of puts may release and reference one object many times. Only after the
//! write has succeeded do the counters and the live index follow; a failed write changes nothing.

use crate::cached_bytes::LentBytes;
use crate::counters::Counters;
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::few_map::FewMap;
use crate::known::Known;
use crate::lifetime::frontier::Lowest;
use crate::locks::{StripeGuards, digest_stripe};
use crate::metadata::{self, Metadata};
use crate::record::{KeyRecord, ObjectMeta};
use crate::schema::{NamespaceId, OBJECTS, numbered_key};
use crate::semantic::{Created, CreatedText, Slot, Slots, Successor};
use rocksdb::WriteBatch;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

mod commit;
mod records;

pub(crate) use records::times;

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
    objects: FewMap<u64, TouchedObject>,
    /// Keys this change writes.
    keys: SmallVec<[WrittenKey<'a>; 1]>,
    /// Values of the objects created by this change.
    values: SmallVec<[(u64, NewValue<'a>); 1]>,
    /// Embeddings of the objects created by this change, by ascending ids. Every text of a batch is compared with them, so
    /// they are at hand without a search.
    vectors: Vec<CreatedText>,
    /// Digests of objects created by this change.
    created: FewMap<Digest, u64>,
    /// The earliest new entries of the ordered families.
    lowest: Lowest,
    /// The latest put or access of its keys.
    latest_use_us: u64,
    /// Entries of `expiry` by their time: 1 for an added one, -1 for a removed one.
    expiries: SmallVec<[(u64, i64); 2]>,
}

struct WrittenKey<'a> {
    key: &'a [u8],
    /// Whether it has a record now. What is cached of that is out of date; of a key without a record nothing is cached.
    replaced: bool,
    /// `None`: the key is removed.
    record: Option<KeyRecord>,
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
            objects: FewMap::with_capacity(entries),
            keys: SmallVec::with_capacity(entries),
            values: SmallVec::with_capacity(entries),
            vectors: Vec::new(),
            created: FewMap::with_capacity(entries),
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
                    let stored = || Ok::<_, Error>(TouchedObject::before(meta));
                    self.objects.get_or_try_insert(id, stored)?;
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
        self.keys.push(WrittenKey {
            key,
            replaced: old.is_some(),
            record: Some(*record),
        });
        let used_us = record.accessed_us.max(record.created_us);
        self.latest_use_us = self.latest_use_us.max(used_us);
        self.move_times(key, old, Some(record))
    }

    /// Removes a key and its reference.
    pub(crate) fn remove_key(&mut self, key: &'a [u8], old: &KeyRecord) -> Result<()> {
        self.keys.push(WrittenKey {
            key,
            replaced: true,
            record: None,
        });
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

    /// Adds to the refcount of an object and returns its size in bytes.
    fn count_reference(&mut self, id: u64, change: i64) -> Result<i64> {
        let (engine, namespace) = (self.engine, self.namespace);
        let stored = || engine.object_meta(namespace, id).map(TouchedObject::before);
        let object = self.objects.get_or_try_insert(id, stored)?;
        object.meta.refcount = object.meta.refcount.saturating_add_signed(change);
        Ok(signed(object.meta.size))
    }
}

/// Sizes are far below 2^63.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
