//! Putting values: normalise, hash, find or make the object, write once.
//!
//! A single put is a batch of one, so there is one path to prove right. The path takes locks in the order of
//! `locks.rs` and runs the model before it takes any.

use super::condition::{self, Condition};
use super::embed_ahead::Embedded;
use crate::cached_bytes::LentBytes;
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::entered::Entered;
use crate::error::{Error, Result};
use crate::locks::{STRIPES, StripeNumbers, digest_stripe, key_stripe};
use crate::metadata::{self, Metadata};
use crate::mutation::{KeyGuards, Mutation, NewValue};
use crate::record::KeyRecord;
use crate::schema::{OBJECTS, numbered_key};
use crate::semantic::{
    Ahead, Decided, Decision, Merge, NewText, Semantic, SemanticGuard, Successor, Vectors, Verdicts,
};
use crate::stats::{Compared, Count, Timed};
use crate::store::export::Record;
use foldhash::fast::RandomState;
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet, hash_map};
use std::sync::Arc;
use std::time::Instant;

/// Longest key in bytes. Keys are repeated in the time-ordered families, so they are not a place for documents.
pub const MAX_KEY_BYTES: usize = 65_536;
/// Longest value in bytes: 1 GiB.
pub const MAX_VALUE_BYTES: usize = 1 << 30;

/// Values of so many bytes are the most whose digests are made while their keys are locked: 4 ms of work for two threads
/// with SHA instructions, 13 ms without.
const MOST_LOCKED_BESIDE: usize = 8 << 20;

/// One key and value to put.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The key, at most [`MAX_KEY_BYTES`].
    pub key: &'a [u8],
    /// The value, at most [`MAX_VALUE_BYTES`].
    pub value: &'a [u8],
    /// Seconds until the key expires; 0: never; `None`: `default_ttl_seconds`.
    pub ttl_seconds: Option<u64>,
    /// Pairs to add to the metadata of the value, which they share with every key of it.
    pub metadata: Option<&'a Metadata>,
    /// The bytes of `value`, if the read cache may hold this in place of a copy.
    pub lent: Option<&'a Arc<dyn LentBytes>>,
}

/// What a put did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PutOutcome {
    /// The object the key points at now.
    pub object_id: u64,
    /// The digest of that object: of the value put, or of the one it has merged with.
    pub digest: Digest,
    /// Whether the key was absent, or had expired.
    pub created: bool,
    /// How the value found it.
    pub dedup: Dedup,
}

/// How a value found its object.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Dedup {
    /// No stored value was the same: a new object.
    New,
    /// The same bytes were stored already.
    Identical,
    /// A text of this cosine similarity was stored already.
    Similar(f32),
}

/// An entry ready to be stored.
struct Prepared<'a> {
    key: &'a [u8],
    value: Cow<'a, [u8]>,
    digest: Digest,
    /// `None`: when it is put.
    created_us: Option<u64>,
    expires_us: u64,
    metadata: Option<&'a Metadata>,
    lent: Option<&'a Arc<dyn LentBytes>>,
}

impl Prepared<'_> {
    fn new_value(&self) -> NewValue<'_> {
        NewValue {
            bytes: &self.value,
            lent: self.lent,
        }
    }

    /// About what is written for a new key and value: the key three times, and records of some 350 bytes.
    fn bytes_written(&self) -> usize {
        let metadata = self.metadata.map_or(0, metadata::encoded_len);
        self.value.len() + metadata + 3 * self.key.len() + 400
    }
}

/// How one round of [`Engine::try_put`] ended.
enum Attempt {
    Done(Done),
    /// These digests turned out to be unknown: embed them and come back.
    NeedVectors(HashSet<Digest>),
    /// A value merges with an object whose stripe was taken: come back holding it.
    NeedStripe(usize),
    /// The values of these digests merge if the verifier agrees: ask and come back.
    NeedVerdicts(Vec<(Digest, Merge)>),
    /// Another stage has taken the place of the one that the vectors are of: begin anew.
    OtherStage,
}

/// What the rounds of a put have gathered without a lock.
#[derive(Default)]
struct Gathered {
    /// The semantic stage that `vectors` are of; `None` in exact mode.
    stage: Option<Arc<Semantic>>,
    vectors: Vectors,
    /// Their neighbours, as they were before a lock was taken.
    ahead: Ahead,
    /// What is to take the place of the stage, and vectors of its model.
    successor: Option<Arc<Successor>>,
    next_vectors: Vectors,
    verdicts: Verdicts,
    /// Stripes to lock besides those of the values.
    stripes: StripeNumbers,
}

impl Gathered {
    /// The successor, if it is the one still, and the vectors of its model. The caller holds a stripe.
    fn next_of(&self, namespace: &Namespace) -> Option<(&Successor, &Vectors)> {
        let own = self.successor.as_ref()?;
        let current = namespace.successor()?;
        Arc::ptr_eq(own, &current).then_some((own, &self.next_vectors))
    }

    /// Has the stage remember the embeddings of what merged, of which nothing was stored.
    fn keep_merged(&self, prepared: &[Prepared<'_>], outcomes: &[PutOutcome]) {
        let Some(stage) = &self.stage else { return };
        for (entry, outcome) in prepared.iter().zip(outcomes) {
            if let (Dedup::Similar(_), Some(vector)) =
                (outcome.dedup, self.vectors.get(&entry.digest))
            {
                stage.keep_merged(entry.digest, vector);
            }
        }
    }
}

/// What a put has done, and how similar the nearest texts were of which it decided.
struct Done {
    outcomes: Vec<PutOutcome>,
    similarities: SmallVec<[f32; 1]>,
}

/// The keys of a put, locked, and their records.
struct LockedKeys<'a> {
    guards: KeyGuards<'a>,
    records: SmallVec<[Option<KeyRecord>; 1]>,
}

/// Entries of a put, of which there is mostly one.
type PreparedEntries<'a> = SmallVec<[Prepared<'a>; 1]>;

impl Engine {
    /// Puts all of `entries` in one write, if all of `conditions` hold of each key. Of several entries with one key the last
    /// wins. `embedded`: what was embedded ahead.
    pub(crate) fn put_many(
        &self,
        namespace: &Namespace,
        entries: &[Entry<'_>],
        conditions: &[Condition<'_>],
        embedded: Embedded,
    ) -> Result<Vec<PutOutcome>> {
        // Where nothing is embedded, nothing comes between the digests and the locks of the keys: so both may be had at the
        // same time, unless the digests take longer than a key should be locked for.
        let bytes: usize = entries.iter().map(|entry| entry.value.len()).sum();
        let beside = entries.len() > 1
            && bytes <= MOST_LOCKED_BESIDE
            && conditions.is_empty()
            && !namespace.may_embed(self);
        let (prepared, locked) = self.prepare_beside(entries, |keys| {
            beside.then(|| self.lock_keys(namespace, keys.iter().copied()))
        })?;
        let locked = locked.transpose()?;
        self.put_prepared(namespace, entries, &prepared, conditions, embedded, locked)
    }

    /// Puts `records`, of different keys, with their own times in one write. Returns their number.
    pub(crate) fn put_records(&self, namespace: &Namespace, records: &[Record<'_>]) -> Result<u64> {
        let entries: Vec<_> = records
            .iter()
            .map(|record| Entry {
                key: record.key,
                value: record.value,
                ttl_seconds: Some(0),
                metadata: record.metadata,
                lent: None,
            })
            .collect();
        let mut prepared = self.prepare(&entries)?;
        for (entry, record) in prepared.iter_mut().zip(records) {
            entry.created_us = record.created_us;
            entry.expires_us = record.expires_us.unwrap_or(0);
        }
        let put = self.put_prepared(
            namespace,
            &entries,
            &prepared,
            &[],
            Embedded::default(),
            None,
        )?;
        Ok(put.len() as u64)
    }

    fn put_prepared<'s>(
        &'s self,
        namespace: &Namespace,
        entries: &[Entry<'_>],
        prepared: &[Prepared<'_>],
        conditions: &[Condition<'_>],
        embedded: Embedded,
        mut locked: Option<LockedKeys<'s>>,
    ) -> Result<Vec<PutOutcome>> {
        namespace.check_no_cache()?;
        // The model need not run for a put that is refused anyway.
        for entry in prepared.iter().filter(|_| !conditions.is_empty()) {
            let current = self.details(namespace, entry.key)?;
            let digest = current.map(|current| current.digest());
            condition::check(conditions, digest.as_ref())?;
        }
        // No model is loaded or runs while keys are locked.
        let mut gathered = match locked {
            Some(_) => Gathered::default(),
            None => self.gather(namespace, prepared, embedded)?,
        };
        loop {
            let locked = locked.take();
            match self.try_put(namespace, prepared, conditions, &gathered, locked)? {
                Attempt::Done(done) => {
                    gathered.keep_merged(prepared, &done.outcomes);
                    count_puts(namespace, entries, &done);
                    self.enforce_size_limit()?;
                    return Ok(done.outcomes);
                }
                Attempt::NeedVectors(wanted) => {
                    self.embed_missing(namespace, prepared, &wanted, &mut gathered)?;
                }
                Attempt::NeedVerdicts(pairs) => {
                    for (digest, merge) in pairs {
                        let verdicts = &mut gathered.verdicts;
                        self.ask_verifier(namespace, prepared, digest, &merge, verdicts)?;
                    }
                }
                Attempt::NeedStripe(stripe) if gathered.stripes.len() < 4 => {
                    gathered.stripes.push(stripe);
                }
                // Candidates keep changing: hold every stripe, and the next round must come through.
                Attempt::NeedStripe(_) => gathered.stripes = (0..STRIPES).collect(),
                Attempt::OtherStage => {
                    gathered = self.gather(namespace, prepared, Embedded::default())?;
                }
            }
        }
    }

    /// What a put needs to begin: the vectors of the values that are not stored yet.
    fn gather(
        &self,
        namespace: &Namespace,
        prepared: &[Prepared<'_>],
        embedded: Embedded,
    ) -> Result<Gathered> {
        let mut gathered = Gathered {
            stage: namespace.semantic(self)?,
            vectors: Vectors::default(),
            ahead: Ahead::default(),
            successor: namespace.successor(),
            next_vectors: Vectors::default(),
            verdicts: Verdicts::default(),
            stripes: StripeNumbers::new(),
        };
        let Some(stage) = &gathered.stage else {
            return Ok(gathered);
        };
        gathered.vectors = embedded.of(stage);
        let semantic = &self.options.semantic;
        let (mut wanted, mut new) = (HashSet::new(), Vec::new());
        for entry in prepared {
            // The digest first: a value that is held already costs no look at its tokens either.
            if (gathered.successor.is_none() && !stage.has_room(semantic))
                || self.object_of_digest(namespace, &entry.digest)?.is_some()
            {
                continue;
            }
            if stage.has_room(semantic)
                && !gathered.vectors.contains_key(&entry.digest)
                && stage.embeds(&entry.value, semantic)
            {
                wanted.insert(entry.digest);
            }
            new.push((entry.digest, &*entry.value));
        }
        self.embed_missing(namespace, prepared, &wanted, &mut gathered)?;
        if let Some(stage) = &gathered.stage {
            let (start, vectors) = (Instant::now(), &gathered.vectors);
            let texts = new.iter().map(|(digest, _)| *digest);
            gathered.ahead = stage.search_ahead(texts, vectors, semantic.search_k)?;
            if !gathered.ahead.is_empty() {
                let stats = &namespace.stats;
                stats.add_time(Timed::Search, start.elapsed(), 1);
            }
        }
        if let Some(successor) = &gathered.successor {
            successor.embed_put(self, namespace, &new, &mut gathered.next_vectors)?;
        }
        Ok(gathered)
    }

    fn prepare<'a>(&self, entries: &[Entry<'a>]) -> Result<PreparedEntries<'a>> {
        Ok(self.prepare_beside(entries, |_| ())?.0)
    }

    /// Makes `entries` ready: of several with one key the last, in the place of the first. Also what `own` makes of their
    /// keys, each of which it gets once: it runs while other threads make the digests of many bytes.
    fn prepare_beside<'a, R>(
        &self,
        entries: &[Entry<'a>],
        own: impl FnOnce(&[&'a [u8]]) -> R,
    ) -> Result<(PreparedEntries<'a>, R)> {
        let now_us = self.now_us();
        let mut values: SmallVec<[_; 1]> = SmallVec::with_capacity(entries.len());
        for entry in entries {
            self.check_entry(entry)?;
            let mode = self.options.normalization_mode;
            values.push(mode.apply(entry.value, self.options.normalization_max_bytes));
        }
        let spare = |useful| self.spare_threads(useful);
        let (digests, (last, own)) = Digest::of_all_beside(&values, spare, || {
            let (keys, last) = last_of_each_key(entries);
            (last, own(&keys))
        });
        let mut prepared = PreparedEntries::with_capacity(last.len());
        for position in last {
            let found = (entries.get(position), digests.get(position));
            if let (Some(entry), Some(digest)) = found
                && let Some(value) = values.get_mut(position).map(std::mem::take)
            {
                let changed = matches!(value, Cow::Owned(_)) || value.len() != entry.value.len();
                prepared.push(Prepared {
                    key: entry.key,
                    value,
                    digest: *digest,
                    created_us: None,
                    expires_us: self.expiry_after(now_us, entry.ttl_seconds),
                    metadata: entry.metadata,
                    // Not where the value was normalised, to others or fewer.
                    lent: entry.lent.filter(|_| !changed),
                });
            }
        }
        Ok((prepared, own))
    }

    /// Refuses what no put of `entry` could store.
    pub(crate) fn check_entry(&self, entry: &Entry<'_>) -> Result<()> {
        check_key(entry.key)?;
        check_length("value", entry.value, MAX_VALUE_BYTES)?;
        entry.metadata.map_or(Ok(()), metadata::check)?;
        self.check_fits(entry.key, entry.value, entry.metadata)
    }

    /// Refuses what could not be held even by an empty store.
    pub(crate) fn check_fits(
        &self,
        key: &[u8],
        value: &[u8],
        metadata: Option<&Metadata>,
    ) -> Result<()> {
        let (limit, wanted) = (
            self.options.max_store_bytes,
            key.len() + value.len() + metadata.map_or(0, metadata::encoded_len),
        );
        if limit == 0 || wanted as u64 <= limit {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!(
            "key, value and metadata have {wanted} bytes, more than the whole store may hold (max_store_bytes = {limit})"
        )))
    }

    /// Embeds the texts of `wanted`, each once, outside all locks.
    fn embed_missing(
        &self,
        namespace: &Namespace,
        prepared: &[Prepared<'_>],
        wanted: &HashSet<Digest>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        let Some(stage) = &gathered.stage else {
            return Ok(());
        };
        // In the order in which they come, so that an embedder of the caller's sees what it expects.
        let (mut wanted, mut texts) = (wanted.clone(), Vec::with_capacity(wanted.len()));
        for entry in prepared {
            if wanted.remove(&entry.digest)
                && let Ok(text) = std::str::from_utf8(&entry.value)
            {
                texts.push((entry.digest, text));
            }
        }
        stage.embed(self, namespace, texts, &mut gathered.vectors)
    }

    /// Asks the verifier whether the text of `digest` means the same as the one it would merge with. No lock is held: it
    /// may take long and use the store. Texts never change, so its answer holds however often the put begins anew, and
    /// whether the two are still to merge is decided anew under the lock.
    fn ask_verifier(
        &self,
        namespace: &Namespace,
        prepared: &[Prepared<'_>],
        digest: Digest,
        merge: &Merge,
        verdicts: &mut Verdicts,
    ) -> Result<()> {
        let Some(verifier) = &self.options.verifier else {
            return Ok(());
        };
        let of_batch = |wanted: &Digest| {
            let entry = prepared.iter().find(|entry| entry.digest == *wanted);
            entry.and_then(|entry| str::from_utf8(&entry.value).ok())
        };
        let stored = match of_batch(&merge.digest) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self
                .object_text(namespace, merge.near.object_id)?
                .map(Cow::Owned),
        };
        // Otherwise it was deleted meanwhile, and is found no more.
        if let (Some(new), Some(stored)) = (of_batch(&digest), stored) {
            let entered = Entered::new(self);
            let same = verifier(new, &stored, merge.near.similarity)?;
            drop(entered);
            verdicts.insert((digest, merge.digest), same);
        }
        Ok(())
    }

    /// The text of an object; `None` if it is gone.
    pub(crate) fn object_text(&self, namespace: &Namespace, id: u64) -> Result<Option<String>> {
        let value = self.db.get(OBJECTS, &numbered_key(namespace.id, id))?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    fn lock_keys<'k>(
        &self,
        namespace: &Namespace,
        keys: impl ExactSizeIterator<Item = &'k [u8]> + Clone,
    ) -> Result<LockedKeys<'_>> {
        let stripes = keys.clone().map(|key| key_stripe(namespace.id, key));
        let guards = self.key_locks.lock(stripes.collect())?;
        let records = self.key_records(namespace, keys)?;
        Ok(LockedKeys { guards, records })
    }

    fn try_put<'s>(
        &'s self,
        namespace: &Namespace,
        prepared: &[Prepared<'_>],
        conditions: &[Condition<'_>],
        gathered: &Gathered,
        locked: Option<LockedKeys<'s>>,
    ) -> Result<Attempt> {
        let Gathered {
            stage,
            vectors,
            ahead,
            verdicts,
            ..
        } = gathered;
        let stage = stage.as_ref();
        let names = prepared.iter().map(|entry| entry.key);
        let LockedKeys {
            guards: mut keys,
            records: olds,
        } = match locked {
            Some(locked) => locked,
            None => self.lock_keys(namespace, names)?,
        };
        if !namespace.has_stage(stage) {
            return Ok(Attempt::OtherStage);
        }
        let next = gathered.next_of(namespace);
        let mut digest_stripes = StripeNumbers::from_slice(&gathered.stripes);
        digest_stripes.extend(prepared.iter().map(|entry| digest_stripe(&entry.digest)));
        let mut absent = SmallVec::<[bool; 1]>::with_capacity(olds.len());
        for old in &olds {
            let mut current = None;
            if let Some(old) = old {
                // The digest of an object never changes, and this one cannot go while the key is locked.
                let digest = self.object_meta(namespace, old.object_id)?.digest;
                digest_stripes.push(digest_stripe(&digest));
                current = (!self.is_expired(old)).then_some(digest);
            }
            condition::check(conditions, current.as_ref())?;
            absent.push(current.is_none());
        }
        let mut digests = self.digest_locks.lock(digest_stripes)?;

        let bytes = prepared.iter().map(Prepared::bytes_written).sum();
        let mut mutation = Mutation::with_capacity(self, namespace, bytes, prepared.len());
        let stored = prepared.iter().map(|entry| &entry.digest);
        let stored = mutation.stored_objects(&mut digests, stored)?;
        let mut semantic: Option<SemanticGuard<'_>> = None;
        let mut outcomes = Vec::with_capacity(prepared.len());
        let mut similarities = SmallVec::new();
        let mut need_vectors = HashSet::new();
        let mut need_verdicts = Vec::new();
        let found = olds.iter().zip(absent).zip(stored);
        for (entry, ((old, created), stored)) in prepared.iter().zip(found) {
            let now_us = self.now_us();
            let (object_id, dedup) = match mutation.created_object(&entry.digest).or(stored) {
                Some(id) => (id, Dedup::Identical),
                None => match stage.filter(|stage| {
                    let semantic = &self.options.semantic;
                    let embedded = vectors.contains_key(&entry.digest);
                    stage.has_room(semantic) && (embedded || stage.embeds(&entry.value, semantic))
                }) {
                    None => (
                        mutation.create_object(entry.digest, entry.new_value(), None, now_us)?,
                        Dedup::New,
                    ),
                    Some(stage) => {
                        let Some(vector) = vectors.get(&entry.digest) else {
                            need_vectors.insert(entry.digest);
                            continue;
                        };
                        if semantic.is_none() {
                            semantic = Some(stage.lock()?);
                        }
                        let created = || mutation.created_vectors().len();
                        let options = &self.options.semantic;
                        let digest = &entry.digest;
                        // The last place may have been taken since it was asked for.
                        let decided = if stage.has_room_beside(options, created) {
                            let new = NewText {
                                digest,
                                vector,
                                ahead,
                            };
                            Some(stage.decide(self, namespace, &new, &mutation, verdicts)?)
                        } else {
                            None
                        };
                        similarities.extend(decided.and_then(|decided| decided.similarity));
                        let decision = decided.map(|Decided { decision, .. }| decision);
                        match decision {
                            None => (
                                mutation.create_object(
                                    entry.digest,
                                    entry.new_value(),
                                    None,
                                    now_us,
                                )?,
                                Dedup::New,
                            ),
                            Some(Decision::Ask(merge)) => {
                                // The others are looked at as if it merged, to ask of all at once.
                                need_verdicts.push((entry.digest, merge));
                                continue;
                            }
                            Some(Decision::New) => {
                                let vector =
                                    Some((vector.to_vec(), ahead.pairs.row(&entry.digest)));
                                (
                                    mutation.create_object(
                                        entry.digest,
                                        entry.new_value(),
                                        vector,
                                        now_us,
                                    )?,
                                    Dedup::New,
                                )
                            }
                            Some(Decision::Merge(merge)) => {
                                let stripe = digest_stripe(&merge.digest);
                                // Trying to lock never waits, so it cannot close a circle although it comes after
                                // the semantic lock.
                                if !merge.near.created_here
                                    && !self.digest_locks.extend(&mut digests, stripe)
                                {
                                    return Ok(Attempt::NeedStripe(stripe));
                                }
                                let near = merge.near;
                                (near.object_id, Dedup::Similar(near.similarity))
                            }
                        }
                    }
                },
            };
            let record = KeyRecord {
                object_id,
                created_us: entry.created_us.unwrap_or(now_us),
                expires_us: entry.expires_us,
                accessed_us: now_us,
            };
            mutation.put_key(entry.key, old.as_ref(), &record)?;
            if let Some(metadata) = entry.metadata {
                mutation.add_metadata(object_id, metadata)?;
            }
            if let Some((successor, next_vectors)) = next
                && dedup == Dedup::New
                && let Some(vector) = next_vectors.get(&entry.digest)
            {
                mutation.set_next_vector(object_id, successor, vector.clone())?;
            }
            let digest = match dedup {
                Dedup::Similar(_) => mutation.digest_of(object_id)?,
                Dedup::New | Dedup::Identical => entry.digest,
            };
            outcomes.push(PutOutcome {
                object_id,
                digest,
                created,
                dedup,
            });
        }
        if !need_vectors.is_empty() {
            return Ok(Attempt::NeedVectors(need_vectors));
        }
        if !need_verdicts.is_empty() {
            return Ok(Attempt::NeedVerdicts(need_verdicts));
        }
        let delete_orphans = self.options.enable_gc;
        mutation.commit(&mut keys, &mut digests, delete_orphans, semantic)?;
        Ok(Attempt::Done(Done {
            outcomes,
            similarities,
        }))
    }
}

/// The keys of `entries`, each once, and the positions of the last entries of them.
fn last_of_each_key<'a>(entries: &[Entry<'a>]) -> (SmallVec<[&'a [u8]; 1]>, SmallVec<[usize; 1]>) {
    if let [entry] = entries {
        return (smallvec![entry.key], smallvec![0]);
    }
    let mut keys = SmallVec::with_capacity(entries.len());
    let mut last = SmallVec::with_capacity(entries.len());
    let mut places = HashMap::with_capacity_and_hasher(entries.len(), RandomState::default());
    for (position, entry) in entries.iter().enumerate() {
        match places.entry(entry.key) {
            hash_map::Entry::Vacant(place) => {
                place.insert(keys.len());
                keys.push(entry.key);
                last.push(position);
            }
            hash_map::Entry::Occupied(place) => {
                if let Some(slot) = last.get_mut(*place.get()) {
                    *slot = position;
                }
            }
        }
    }
    (keys, last)
}

fn count_puts(namespace: &Namespace, entries: &[Entry<'_>], done: &Done) {
    let stats = &namespace.stats;
    let (mut identical, mut similar) = (0, 0);
    for outcome in &done.outcomes {
        match outcome.dedup {
            Dedup::New => {}
            Dedup::Identical => identical += 1,
            Dedup::Similar(_) => similar += 1,
        }
    }
    for similarity in &done.similarities {
        stats.add_similarity(Compared::Put, *similarity);
    }
    stats.add(Count::Puts, done.outcomes.len() as u64);
    let bytes: usize = entries.iter().map(|entry| entry.value.len()).sum();
    stats.add(Count::BytesWritten, bytes as u64);
    for (count, found) in [
        (Count::DedupHits, identical),
        (Count::SemanticHits, similar),
    ] {
        if found > 0 {
            stats.add(count, found);
        }
    }
}

/// Refuses a key that is longer than [`MAX_KEY_BYTES`].
///
/// # Errors
/// [`Error::InvalidArgument`].
pub fn check_key(key: &[u8]) -> Result<()> {
    check_length("key", key, MAX_KEY_BYTES)
}

pub(crate) fn check_length(what: &str, bytes: &[u8], most: usize) -> Result<()> {
    if bytes.len() <= most {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "a {what} has at most {most} bytes, this one has {}",
        bytes.len()
    )))
}
