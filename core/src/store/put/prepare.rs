//! Entries made ready to be stored: checked, normalised, hashed, each key once.

use super::{Entry, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::cached_bytes::LentBytes;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::metadata::{self, Metadata};
use crate::mutation::NewValue;
use foldhash::fast::RandomState;
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use std::collections::{HashMap, hash_map};
use std::sync::Arc;

/// An entry ready to be stored.
pub(super) struct Prepared<'a> {
    pub key: &'a [u8],
    pub value: Cow<'a, [u8]>,
    pub digest: Digest,
    /// `None`: when it is put.
    pub created_us: Option<u64>,
    pub expires_us: u64,
    pub metadata: Option<&'a Metadata>,
    lent: Option<&'a Arc<dyn LentBytes>>,
}

impl Prepared<'_> {
    pub(super) fn new_value(&self) -> NewValue<'_> {
        NewValue {
            bytes: &self.value,
            lent: self.lent,
        }
    }

    /// About what is written for a new key and value: the key three times, and records of some 350 bytes.
    pub(super) fn bytes_written(&self) -> usize {
        let metadata = self.metadata.map_or(0, metadata::encoded_len);
        self.value.len() + metadata + 3 * self.key.len() + 400
    }
}

/// Entries of a put, of which there is mostly one.
pub(super) type PreparedEntries<'a> = SmallVec<[Prepared<'a>; 1]>;

impl Engine {
    pub(super) fn prepare<'a>(&self, entries: &[Entry<'a>]) -> Result<PreparedEntries<'a>> {
        Ok(self.prepare_beside(entries, |_| ())?.0)
    }

    /// Makes `entries` ready: of several with one key the last, in the place of the first. Also what `own` makes of their
    /// keys, each of which it gets once: it runs while other threads make the digests of many bytes.
    pub(super) fn prepare_beside<'a, R>(
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
        let spare = |useful| self.db.spare_threads(useful);
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
