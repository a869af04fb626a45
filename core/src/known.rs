//! Objects that were written lately, by their digest: what `digests` and `object_meta` say of them, in memory.
//!
//! A value that comes again is found here without a look into RocksDB. Each digest stripe has its own, under its lock,
//! which guards just what is kept: whoever changes the record of an object holds the stripe of its digest. So an entry is
//! never out of date, as long as every writer takes out what it is about to change ([`Known::forget`]). Once it has
//! succeeded it may say what it wrote ([`Known::set`]).

use crate::digest::Digest;
use crate::record::ObjectMeta;
use crate::schema::NamespaceId;
use rustc_hash::FxHashMap;

/// Entries of a generation. With 64 stripes of two generations each, about 65,000 objects in 8 MB.
const GENERATION: usize = 512;

/// The objects of one stripe, in two generations: when the young one is full, the old one goes and the young takes its
/// place. What is used in time begins anew in the young one.
#[derive(Debug, Default)]
pub(crate) struct Known {
    young: Generation,
    old: Generation,
}

type Generation = FxHashMap<(NamespaceId, Digest), (u64, ObjectMeta)>;

impl Known {
    /// Id and record of the object with this digest; `None` says nothing about the object.
    pub(crate) fn get(
        &mut self,
        namespace: NamespaceId,
        digest: &Digest,
    ) -> Option<(u64, ObjectMeta)> {
        let key = (namespace, *digest);
        if let Some(found) = self.young.get(&key) {
            return Some(*found);
        }
        let (id, meta) = self.old.remove(&key)?;
        self.set(namespace, id, meta);
        Some((id, meta))
    }

    /// To be called with a record of an object that was written.
    pub(crate) fn set(&mut self, namespace: NamespaceId, id: u64, meta: ObjectMeta) {
        if self.young.len() >= GENERATION {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert((namespace, meta.digest), (id, meta));
    }

    /// To be called before the record of an object is changed or deleted.
    pub(crate) fn forget(&mut self, namespace: NamespaceId, digest: &Digest) {
        let key = (namespace, *digest);
        self.young.remove(&key);
        self.old.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::semantic::Slots;

    const NS: NamespaceId = NamespaceId::DEFAULT;

    fn meta(number: usize, refcount: u64) -> ObjectMeta {
        ObjectMeta {
            digest: Digest::of(&number.to_le_bytes()),
            size: 1,
            refcount,
            created_us: 1,
            vectors: Slots::default(),
            has_metadata: false,
        }
    }

    #[test]
    fn the_latest_record_is_kept_within_the_bound_and_what_is_used_stays() {
        let mut known = Known::default();
        let used = meta(0, 1);
        known.set(NS, 7, used);
        for number in 1..10 * GENERATION {
            known.set(NS, number as u64, meta(number, 1));
            assert_eq!(known.get(NS, &used.digest), Some((7, used)));
            assert!(known.young.len() + known.old.len() <= 2 * GENERATION);
        }
        assert_eq!(known.get(NS, &meta(1, 1).digest), None);
        assert_eq!(known.get(NamespaceId(1), &used.digest), None);
    }

    #[test]
    fn an_older_record_does_not_come_back() {
        let mut known = Known::default();
        known.set(NS, 1, meta(0, 1));
        (1..=GENERATION).for_each(|number| known.set(NS, 1, meta(number, 1)));
        // Now in both generations.
        known.set(NS, 1, meta(0, 2));
        assert_eq!(known.get(NS, &meta(0, 0).digest).unwrap().1.refcount, 2);
        known.forget(NS, &meta(0, 0).digest);
        assert_eq!(known.get(NS, &meta(0, 0).digest), None);
    }
}
