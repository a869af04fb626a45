//! Putting values: normalise, hash, find or make the object, write once.
//!
//! A single put is a batch of one, so there is one path to prove right. The path takes locks in the order of
//! `locks.rs` and runs the model before it takes any: what it needs is gathered first, and where a round under the locks
//! finds that more is needed, it is gathered without them and the round begins anew.

use super::condition::{self, Condition};
use super::embed_ahead::Embedded;
use crate::cached_bytes::LentBytes;
use crate::digest::Digest;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::locks::STRIPES;
use crate::metadata::Metadata;
use crate::stats::{Compared, Count};
use crate::store::export::Record;
use attempt::{Attempt, Done, LockedKeys};
use gather::Gathered;
use prepare::Prepared;
use std::sync::Arc;

mod attempt;
mod gather;
mod prepare;

pub use prepare::check_key;
pub(crate) use prepare::check_length;

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
