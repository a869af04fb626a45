//! Checks the invariants of a store against a full scan.
//!
//! 1. Every key's object has its bytes and its meta record; every object and every meta record has the other, and
//!    the bytes have the size and the SHA-256 that the meta record says.
//! 2. The refcount of an object is the number of keys that point at it; exactly the objects with none are orphans.
//! 3. `digests` and `object_meta` name each other, one to one.
//! 4. The counters on disk and in memory equal the scan.
//! 5. `expiry`, `created` and `access` hold exactly the entries that the key records call for.
//! 6. `vectors` holds a unit vector of the model's dimension for exactly the objects that say so, and the live index
//!    holds exactly those.
//! 7. The vectors of a namespace have one model.
//! 8. No family holds an entry of a namespace that does not exist.
//! 9. `metadata` holds a record that reads, within the limits, for exactly the objects that say so.
//! 10. The outcomes read, and their sequences are the numbers from 1 to the last one, each once.
//! 11. The objects of a cache are what it has put: vectors of its dimension; or entries, each under the key and with the
//!     vector of its query.
//! 12. The family of vectors that is not in use has a unit vector of the dimension of the model that texts are embedded anew
//!     by, for exactly the objects that say so; and nothing where there is no record of that.

use crate::caches::{CacheRecord, fault};
use crate::counters::{Counters, counters_prefix};
use crate::db::Snapshot;
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::metadata;
use crate::mutation::times;
use crate::options::DedupMode;
use crate::outcomes;
use crate::record::{KeyRecord, ObjectMeta, decode_object_id, decode_vector};
use crate::schema::{
    ACCESS, CREATED, DIGESTS, EXPIRY, FAMILIES, KEYS, METADATA, NamespaceId, OBJECT_META, OBJECTS,
    ORPHANS, OUTCOMES, SYSTEM, digest_key, digest_part, namespace_end, numbered_key, split_number,
    system_key, time_key, user_part,
};
use crate::semantic::{ModelRecord, Reembedding, Slot};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Number of the invariant, 1 to 12, as listed in `docs/architecture.md`.
    pub invariant: u8,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invariant {}: {}", self.invariant, self.message)
    }
}

/// Components of a unit vector are stored in half precision, so its length is 1 within this.
const LENGTH_TOLERANCE: f32 = 2e-3;

/// What is wrong with a vector as it is stored. `None` for the dimension: any will do.
fn vector_fault(encoded: Option<&[u8]>, dimension: Option<usize>) -> Option<String> {
    let Some(encoded) = encoded else {
        return Some("should be there and is not".to_owned());
    };
    let vector = match decode_vector(encoded, dimension?) {
        Ok(vector) => vector,
        Err(error) => return Some(format!("does not read: {error}")),
    };
    let squares = vector.iter().map(|component| component * component);
    let length = squares.sum::<f32>().sqrt();
    let fits = (length - 1.0).abs() <= LENGTH_TOLERANCE && length.is_finite();
    (!fits).then(|| format!("should have length 1 and has {length}"))
}

impl Engine {
    pub(crate) fn verify(&self, namespace: &Namespace) -> Result<Vec<Violation>> {
        self.verify_part(namespace, true)
    }

    /// `between`: whether to look between the namespaces too, for which the cost is that of all of them.
    pub(crate) fn verify_part(
        &self,
        namespace: &Namespace,
        between: bool,
    ) -> Result<Vec<Violation>> {
        namespace.semantic(self)?;
        let live;
        let (snapshot, in_memory, index, existing) = {
            // Every writer holds a key stripe while it writes and follows up in memory.
            let _writers_wait = self.key_locks.lock_all()?;
            namespace.check_exists()?;
            let stage = namespace.loaded_semantic();
            let index = stage.as_ref().map(|stage| stage.index.ids());
            live = stage.map(|stage| (stage.dimension(), stage.slot()));
            let mut existing: Vec<_> = self.namespaces.all().iter().map(|one| one.id).collect();
            existing.sort_unstable();
            (self.db.snapshot(), namespace.totals.get(), index, existing)
        };
        let read =
            |name: &[u8]| -> Result<_> { Ok(snapshot.get_cf(self.db.family(SYSTEM)?, name)?) };
        let model = ModelRecord::read(read(&system_key("model", namespace.id))?)?;
        let reembedding = match &namespace.cache {
            None => Reembedding::read(read(Reembedding::NAME)?)?,
            Some(_) => None,
        };
        // Opened read-only, there is no live stage.
        let of_record = model.as_ref().map(|model| (model.dimension, model.slot));
        let vectors_of = live.or(of_record);
        let mut scan = Scan {
            engine: self,
            namespace,
            snapshot: &snapshot,
            has_model: model.is_some(),
            dimension: vectors_of.map(|(dimension, _)| dimension),
            slot: vectors_of.map_or_else(Slot::default, |(_, slot)| slot),
            reembedding,
            between,
            existing,
            found: Counters::default(),
            references: HashMap::new(),
            listed_times: HashMap::new(),
            vectors: HashSet::new(),
            other_vectors: 0,
            cache_keys: HashMap::new(),
            metadata: 0,
            violations: Vec::new(),
        };
        let scanned = scan.all(&in_memory, index);
        // A drop removes files, which takes entries from under a snapshot too: what was found meanwhile says nothing.
        namespace.check_exists()?;
        scanned?;
        Ok(scan.violations)
    }
}

struct Scan<'a> {
    engine: &'a Engine,
    namespace: &'a Namespace,
    snapshot: &'a Snapshot<'a>,
    /// Whether there is a record of the model of the vectors.
    has_model: bool,
    /// Length of the vectors; `None` where there should be none.
    dimension: Option<usize>,
    /// Where they are.
    slot: Slot,
    /// What is on record of texts that are embedded anew.
    reembedding: Option<Reembedding>,
    between: bool,
    /// Every namespace, ascending.
    existing: Vec<NamespaceId>,
    found: Counters,
    /// Keys that point at each object.
    references: HashMap<u64, u64>,
    /// Entries that the key records call for, by family.
    listed_times: HashMap<&'static str, u64>,
    /// Objects that say they have a vector.
    vectors: HashSet<u64>,
    /// Number of objects that say they have one of another model.
    other_vectors: u64,
    /// Keys by the object they point at, in a scope of a semantic cache: one each.
    cache_keys: HashMap<u64, Vec<u8>>,
    /// Number of objects that say they have metadata.
    metadata: u64,
    violations: Vec<Violation>,
}

impl Scan<'_> {
    fn all(&mut self, in_memory: &Counters, index: Option<Vec<u64>>) -> Result<()> {
        self.keys()?;
        self.objects()?;
        self.entry_counts()?;
        self.counters(in_memory)?;
        self.index(index)?;
        self.outcomes()?;
        if self.between {
            self.namespaces()?;
        }
        Ok(())
    }

    fn violated(&mut self, invariant: u8, message: String) {
        self.violations.push(Violation { invariant, message });
    }

    fn get(&self, family: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.snapshot.get_cf(self.engine.db.family(family)?, key)?)
    }

    /// Every entry of the namespace in `family`.
    fn each(
        &mut self,
        family: &str,
        mut visit: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (start, end) = (self.namespace.id.prefix(), namespace_end(self.namespace.id));
        let (engine, snapshot) = (self.engine, self.snapshot);
        engine
            .db
            .scan(family, &start, &end, Some(snapshot), |key, value| {
                visit(self, key, value)?;
                Ok(ControlFlow::Continue(()))
            })
    }

    fn keys(&mut self) -> Result<()> {
        self.each(KEYS, |scan, encoded, record| {
            let key = user_part(encoded)?;
            let record = KeyRecord::decode(record)?;
            scan.found.keys += 1;
            scan.found.key_bytes += i64::try_from(key.len()).unwrap_or(i64::MAX);
            *scan.references.entry(record.object_id).or_default() += 1;
            if let Some(CacheRecord::Responses { .. }) = &scan.namespace.cache {
                scan.cache_keys.insert(record.object_id, key.to_vec());
            }
            for (family, time_us) in times(&record) {
                *scan.listed_times.entry(family).or_default() += 1;
                if scan
                    .get(family, &time_key(scan.namespace.id, time_us, key))?
                    .is_none()
                {
                    scan.violated(
                        5,
                        format!(
                            "key {} is not listed in `{family}` at {time_us}",
                            key.escape_ascii()
                        ),
                    );
                }
            }
            Ok(())
        })
    }

    fn objects(&mut self) -> Result<()> {
        self.each(OBJECT_META, |scan, key, meta| {
            let (id, _) = split_number(OBJECT_META, key)?;
            let meta = ObjectMeta::decode(meta)?;
            let references = scan.references.remove(&id).unwrap_or(0);
            let size = i64::try_from(meta.size).unwrap_or(i64::MAX);
            scan.found.objects += 1;
            scan.found.object_bytes += size;
            scan.found.logical_bytes +=
                size.saturating_mul(i64::try_from(references).unwrap_or(i64::MAX));
            scan.found.orphans += i64::from(meta.refcount == 0);
            if references != meta.refcount {
                scan.violated(
                    2,
                    format!(
                        "object {id} has refcount {} and {references} keys",
                        meta.refcount
                    ),
                );
            }
            scan.object_bytes(id, &meta)?;
            let named = scan.get(DIGESTS, &digest_key(scan.namespace.id, &meta.digest))?;
            if named
                .map(|named| decode_object_id(DIGESTS, &named))
                .transpose()?
                != Some(id)
            {
                scan.violated(3, format!("the digest of object {id} does not name it"));
            }
            let orphan = scan.get(ORPHANS, key)?.is_some();
            if orphan != (meta.refcount == 0) {
                scan.violated(
                    2,
                    format!(
                        "object {id} has refcount {}, listed as orphan: {orphan}",
                        meta.refcount
                    ),
                );
            }
            let slot = scan.slot;
            if meta.vectors.has(slot) {
                scan.vectors.insert(id);
                scan.vector(id)?;
            }
            if meta.vectors.has(slot.other()) {
                scan.other_vectors += 1;
                scan.other_vector(id)?;
            }
            if meta.has_metadata {
                scan.metadata += 1;
                scan.metadata(id)?;
            }
            scan.cached(id, &meta)?;
            Ok(())
        })?;
        for (id, keys) in std::mem::take(&mut self.references) {
            self.violated(
                1,
                format!("{keys} keys point at object {id}, which has no meta record"),
            );
        }
        Ok(())
    }

    fn object_bytes(&mut self, id: u64, meta: &ObjectMeta) -> Result<()> {
        match self.get(OBJECTS, &numbered_key(self.namespace.id, id))? {
            None => self.violated(1, format!("object {id} has a meta record and no bytes")),
            Some(value) if value.len() as u64 != meta.size => {
                self.violated(
                    1,
                    format!(
                        "object {id} should have {} bytes and has {}",
                        meta.size,
                        value.len()
                    ),
                );
            }
            Some(value) if Digest::of(&value) != meta.digest => {
                self.violated(
                    1,
                    format!("the bytes of object {id} do not have its digest"),
                );
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn cached(&mut self, id: u64, meta: &ObjectMeta) -> Result<()> {
        let Some(cache) = &self.namespace.cache else {
            return Ok(());
        };
        let name = numbered_key(self.namespace.id, id);
        let Some(value) = self.get(OBJECTS, &name)? else {
            return Ok(());
        };
        let slot = self.slot;
        let vector = match meta.vectors.has(slot) {
            true => self.get(slot.family(), &name)?,
            false => None,
        };
        let key = self.cache_keys.get(&id).map(Vec::as_slice);
        if let Some(fault) = fault(cache, key, &value, vector.as_deref()) {
            self.violated(11, format!("object {id} {fault}"));
        }
        Ok(())
    }

    /// Metadata counts to the bytes of its object.
    fn metadata(&mut self, id: u64) -> Result<()> {
        match self.get(METADATA, &numbered_key(self.namespace.id, id))? {
            None => self.violated(9, format!("object {id} should have metadata and has none")),
            Some(record) => {
                let length = i64::try_from(record.len()).unwrap_or(i64::MAX);
                self.found.object_bytes += length;
                self.found.logical_bytes += length;
                if let Err(error) = metadata::decode(&record) {
                    self.violated(9, format!("the metadata of object {id}: {error}"));
                }
            }
        }
        Ok(())
    }

    fn outcomes(&mut self) -> Result<()> {
        let mut last = 0;
        let mut sequences = Vec::new();
        self.each(OUTCOMES, |scan, key, value| {
            match outcomes::check(key, value) {
                Ok(outcomes::Entry::Last(sequence)) => last = sequence,
                Ok(outcomes::Entry::Outcome(sequence)) => sequences.push(sequence),
                Err(error) => scan.violated(10, error.to_string()),
            }
            Ok(())
        })?;
        sequences.sort_unstable();
        if !sequences.iter().copied().eq(1..=last) {
            self.violated(
                10,
                format!(
                    "the outcomes should have the sequences 1 to {last}, each once, and there are {}",
                    sequences.len()
                ),
            );
        }
        Ok(())
    }

    fn vector(&mut self, id: u64) -> Result<()> {
        let Some(dimension) = self.dimension else {
            let message = match self.engine.mode {
                DedupMode::Exact => format!("object {id} has a vector in an exact store"),
                DedupMode::Semantic => {
                    format!("object {id} has a vector, but no model is recorded")
                }
            };
            self.violated(6, message);
            return Ok(());
        };
        let found = self.get(self.slot.family(), &numbered_key(self.namespace.id, id))?;
        if let Some(fault) = vector_fault(found.as_deref(), Some(dimension)) {
            self.violated(6, format!("the vector of object {id} {fault}"));
        }
        Ok(())
    }

    /// A vector of the model that texts are embedded anew by, or of the one whose place was taken.
    fn other_vector(&mut self, id: u64) -> Result<()> {
        let family = self.slot.other().family();
        let found = self.get(family, &numbered_key(self.namespace.id, id))?;
        let model = self.reembedding.as_ref().and_then(Reembedding::model);
        // One that was left behind may be of any length.
        let dimension = model.map(|model| model.dimension);
        if let Some(fault) = vector_fault(found.as_deref(), dimension) {
            self.violated(
                12,
                format!("the vector of object {id} in `{family}` {fault}"),
            );
        }
        Ok(())
    }

    /// Since every expected entry was found, equal numbers mean equal sets.
    fn entry_counts(&mut self) -> Result<()> {
        for family in [EXPIRY, CREATED, ACCESS] {
            let expected = self.listed_times.get(family).copied().unwrap_or(0);
            self.entry_count(5, family, expected)?;
        }
        let objects = u64::try_from(self.found.objects).unwrap_or(0);
        self.entry_count(1, OBJECTS, objects)?;
        self.entry_count(3, DIGESTS, objects)?;
        self.entry_count(2, ORPHANS, u64::try_from(self.found.orphans).unwrap_or(0))?;
        let slot = self.slot;
        self.entry_count(6, slot.family(), self.vectors.len() as u64)?;
        self.entry_count(12, slot.other().family(), self.other_vectors)?;
        if self.reembedding.is_none() && self.other_vectors > 0 {
            self.violated(
                12,
                format!(
                    "`{}` has {} vectors, and no model is on record that texts are embedded anew by",
                    slot.other().family(),
                    self.other_vectors
                ),
            );
        }
        self.entry_count(9, METADATA, self.metadata)?;
        self.each(DIGESTS, |_, key, id| {
            digest_part(key)?;
            decode_object_id(DIGESTS, id).map(drop)
        })
    }

    fn entry_count(&mut self, invariant: u8, family: &str, expected: u64) -> Result<()> {
        let mut entries = 0_u64;
        self.each(family, |_, _, _| {
            entries += 1;
            Ok(())
        })?;
        if entries != expected {
            self.violated(
                invariant,
                format!("`{family}` should have {expected} entries and has {entries}"),
            );
        }
        Ok(())
    }

    fn counters(&mut self, in_memory: &Counters) -> Result<()> {
        let mut on_disk = Counters::default();
        let prefix = counters_prefix(self.namespace.id);
        let mut end = prefix.clone();
        end.push(0xff);
        let (engine, snapshot) = (self.engine, self.snapshot);
        engine
            .db
            .scan(SYSTEM, &prefix, &end, Some(snapshot), |_, encoded| {
                on_disk = on_disk.plus(&Counters::decode(encoded)?);
                Ok(ControlFlow::Continue(()))
            })?;
        for (place, counters) in [("on disk", &on_disk), ("in memory", in_memory)] {
            if *counters != self.found {
                self.violated(
                    4,
                    format!(
                        "the counters {place} are {counters:?} and the scan gives {:?}",
                        self.found
                    ),
                );
            }
        }
        Ok(())
    }

    fn index(&mut self, live: Option<Vec<u64>>) -> Result<()> {
        let Some(live) = live else { return Ok(()) };
        let indexed = live.len();
        let live: HashSet<u64> = live.into_iter().collect();
        if live.len() != indexed {
            self.violated(
                6,
                format!("the index holds {} ids twice", indexed - live.len()),
            );
        }
        let missing: Vec<_> = self.vectors.difference(&live).copied().collect();
        let ghosts: Vec<_> = live.difference(&self.vectors).copied().collect();
        for id in missing {
            self.violated(6, format!("the index lacks the vector of object {id}"));
        }
        for id in ghosts {
            self.violated(
                6,
                format!("the index holds object {id}, which has no vector"),
            );
        }
        if !self.vectors.is_empty() && !self.has_model {
            self.violated(
                7,
                "there are vectors but no record of the model that made them".to_owned(),
            );
        }
        Ok(())
    }

    /// The gaps between the namespaces that exist, and what comes after the last.
    fn namespaces(&mut self) -> Result<()> {
        let (engine, snapshot) = (self.engine, self.snapshot);
        let ids = std::mem::take(&mut self.existing);
        for family in FAMILIES.into_iter().filter(|family| *family != SYSTEM) {
            let mut strangers = 0_u64;
            let mut count = |start: &[u8], end: &[u8]| {
                engine.db.scan(family, start, end, Some(snapshot), |_, _| {
                    strangers += 1;
                    Ok(ControlFlow::Continue(()))
                })
            };
            let mut gap: Vec<u8> = Vec::new();
            for id in &ids {
                count(&gap, &id.prefix())?;
                gap = namespace_end(*id);
            }
            count(&gap, &[0xff; 16])?;
            if strangers > 0 {
                self.violated(
                    8,
                    format!("`{family}` has {strangers} entries of namespaces that do not exist"),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
