//! Writing a change, and what follows once it is written.

use super::{DigestGuards, KeyGuards, Mutation, NewValue, Removed, known};
use crate::cache::ReadCache;
use crate::error::Result;
use crate::lifetime::expired::ExpiryWrite;
use crate::record::{LogEntry, ObjectMeta};
use crate::semantic::{Followed, Semantic, SemanticGuard, Slot, Successor};
use prestige_embed::{Turns, beside};
use rocksdb::WriteBatch;
use smallvec::SmallVec;
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

/// What becomes of the objects of a change.
#[derive(Default)]
struct Settled {
    /// Of the live index, with the vectors that are added.
    index_changes: Vec<(LogEntry, Vec<f32>)>,
    /// Objects that go.
    deleted: Vec<u64>,
    /// Those of them that have a vector of the successor's model.
    deleted_next: Vec<u64>,
    /// Vectors of the successor's model that this change brings.
    next_vectors: Vec<(u64, Vec<f32>)>,
    /// New objects without one.
    unseen: Vec<u64>,
    /// Objects whose records are kept in memory.
    kept: SmallVec<[(u64, ObjectMeta); 1]>,
    /// Objects whose metadata changes.
    described: SmallVec<[u64; 1]>,
}

impl<'a> Mutation<'a> {
    /// Writes the change. `digests`: the stripes of the objects it touches. `delete_orphans`: objects without a key go in
    /// the same write, otherwise they are left for `sweep`. `semantic`: the semantic lock, if the caller holds it already.
    pub(crate) fn commit(
        mut self,
        keys: &mut KeyGuards<'_>,
        digests: &mut DigestGuards<'_>,
        delete_orphans: bool,
        semantic: Option<SemanticGuard<'_>>,
    ) -> Result<Removed> {
        let short = self.is_short();
        let stage = self.namespace.loaded_semantic();
        let successor = self.namespace.successor();
        let keys_removed = u64::try_from(-self.change.keys).unwrap_or(0);
        self.write_keys()?;
        self.write_digests()?;
        let slot = stage.as_ref().map(|stage| stage.slot());
        let next = successor.as_ref().map(|successor| successor.slot());
        let settled = self.settle_objects(digests, delete_orphans, slot, next)?;
        // A drop of the namespace holds every key stripe, so it comes wholly before this write or wholly after it.
        self.namespace.check_exists()?;
        let counters = self.add_counters(keys)?;
        let batch = std::mem::take(&mut self.batch);

        let cache = self.engine.cache.as_ref();
        let stripes = keys.iter().map(|(stripe, _)| *stripe);
        let replaced = self.keys.iter().filter(|written| written.replaced);
        let replaced = replaced.map(|written| written.key);
        let cached = cache.map(|cache| cache.begin_write(self.namespace.id, replaced, stripes));
        let described = cache
            .filter(|_| !settled.described.is_empty())
            .map(|cache| cache.begin_metadata(&settled.described));
        let expiry_write = self.write_and_keep(|| {
            self.write(batch, stage.as_deref(), semantic, &settled.index_changes)
        })?;

        if let Some(successor) = &successor {
            settled.follow(successor);
        }
        for (id, meta) in &settled.kept {
            if let Some(known) = known(digests, &meta.digest) {
                known.set(self.namespace.id, *id, *meta);
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
            for written in &self.keys {
                if let Some(record) = written.record.filter(|_| short) {
                    cached.keep(written.key, record);
                }
            }
            drop(cached);
            let deleted = settled.deleted.iter();
            deleted.for_each(|id| cache.forget_value(*id));
        }
        if let Some((slot, counters)) = keys.first_mut().zip(counters) {
            slot.1.insert(self.namespace.id, counters);
        }
        self.engine.namespaces.add(self.namespace, &self.change);
        Ok(Removed {
            keys: keys_removed,
            objects: settled.deleted.len() as u64,
        })
    }

    /// Whether the records it writes are kept in memory.
    fn is_short(&self) -> bool {
        self.values.len() <= SHORT_BATCH
    }

    /// Writes the records of the objects, or deletes those without a reference. `slot`, `next`: where the vectors in use
    /// are, and those of the successor.
    fn settle_objects(
        &mut self,
        digests: &mut DigestGuards<'_>,
        delete_orphans: bool,
        slot: Option<Slot>,
        next: Option<Slot>,
    ) -> Result<Settled> {
        let short = self.is_short();
        let mut settled = Settled::default();
        let objects = std::mem::take(&mut self.objects);
        let mut vectors = std::mem::take(&mut self.vectors).into_iter().peekable();
        for (id, object) in objects.into_sorted() {
            let vector = vectors.next_if(|created| created.object_id == id);
            // Until the write has succeeded nothing is known of what it touches, as nothing is of what it creates.
            if object.refcount_before.is_some()
                && let Some(known) = known(digests, &object.meta.digest)
            {
                known.forget(self.namespace.id, &object.meta.digest);
            }
            if object.meta.refcount == 0 && delete_orphans {
                settled.deleted.push(id);
                self.delete_object(id, &object, slot)?;
                if slot.is_some_and(|slot| object.meta.vectors.has(slot)) {
                    let removed = (LogEntry::Remove(id), Vec::new());
                    settled.index_changes.push(removed);
                }
                if next.is_some_and(|next| object.meta.vectors.has(next)) {
                    settled.deleted_next.push(id);
                }
                continue;
            }
            if short || object.meta.refcount > 1 {
                settled.kept.push((id, object.meta));
            }
            if object.metadata.is_some() {
                settled.described.push(id);
            }
            self.write_object_meta(id, &object)?;
            if let Some(vector) = object.next_vector {
                settled.next_vectors.push((id, vector));
            } else if object.refcount_before.is_none() {
                settled.unseen.push(id);
            }
            if let Some(created) = vector {
                let added = (LogEntry::Add(id), created.vector);
                settled.index_changes.push(added);
            }
        }
        Ok(settled)
    }

    /// The write itself. What it returns is to be told once everything has followed.
    fn write(
        &self,
        batch: WriteBatch,
        stage: Option<&Semantic>,
        semantic: Option<SemanticGuard<'_>>,
        index_changes: &[(LogEntry, Vec<f32>)],
    ) -> Result<Option<ExpiryWrite<'a>>> {
        let namespace = self.namespace;
        let expiry = || (!self.expiries.is_empty()).then(|| namespace.expired.write());
        match stage {
            Some(stage) if !index_changes.is_empty() => {
                let guard = match semantic {
                    Some(guard) => guard,
                    None => stage.lock()?,
                };
                let expiry_write = expiry();
                stage.commit(self.engine, namespace.id, guard, batch, index_changes)?;
                Ok(expiry_write)
            }
            _ => {
                let expiry_write = expiry();
                self.engine.db.write(batch)?;
                Ok(expiry_write)
            }
        }
    }

    /// Writes by `write`, and gives the new values to the cache.
    ///
    /// Before there are the objects, nobody knows their ids, and the ids of a failed write are never used again: so their
    /// values may be in the cache already. None is deleted before this has ended.
    fn write_and_keep<R>(&self, write: impl FnOnce() -> Result<R>) -> Result<R> {
        let Some(cache) = &self.engine.cache else {
            return write();
        };
        let values = &self.values;
        let copied = values.iter().filter(|(_, value)| value.lent.is_none());
        let bytes: usize = copied.map(|(_, value)| value.bytes.len()).sum();
        let useful = 1 + usize::from(bytes >= KEPT_BESIDE_BYTES);
        let helpers = self.engine.db.spare_threads(useful);
        let turns = Turns::new(values.len(), KEPT_IN_TURN);
        let keep = || keep_values(cache, values, &turns);
        let own = || write().inspect(|_| keep());
        let (_, written) = beside(helpers, "prestige-cache", keep, own);
        written.inspect_err(|_| values.iter().for_each(|(id, _)| cache.forget_value(*id)))
    }
}

impl Settled {
    /// Has the successor of the model follow what was written.
    fn follow(&self, successor: &Successor) {
        let mut followed = Followed {
            removed: &self.deleted_next,
            ..Followed::default()
        };
        if successor.embeds_anew() {
            let added = self.next_vectors.iter();
            followed.added = added.map(|(id, vector)| (*id, &vector[..])).collect();
            followed.unseen = &self.unseen;
        } else {
            let added = self.index_changes.iter();
            followed.added = added
                .filter(|(entry, _)| matches!(entry, LogEntry::Add(_)))
                .map(|(entry, vector)| (entry.id(), &vector[..]))
                .collect();
        }
        successor.follow(&followed);
    }
}

fn keep_values(cache: &ReadCache, values: &[(u64, NewValue<'_>)], turns: &Turns) {
    while let Some(turn) = turns.take() {
        for (id, value) in values.get(turn).unwrap_or_default() {
            cache.keep_value(*id, value.bytes, value.lent);
        }
    }
}
