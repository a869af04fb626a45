//! Metadata of values: small maps of text, such as the task that a value belongs to or the version of a tool.
//!
//! Metadata belongs to the object, so every key of a value shows the same. It is read and written under the digest
//! stripe of its object, like the refcount, and in the same `WriteBatch`. Objects without any have no record.
//!
//! ```text
//! record of `metadata`
//! 0       1
//! │ pairs │ pairs × (name length:2 ‖ text length:2 ‖ name ‖ text), by name ascending
//! ```
//! Lengths are little-endian.

use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::record::KeyRecord;
use crate::schema::{METADATA, OBJECT_META, numbered_key};
use crate::store::missing_object;
use std::collections::BTreeMap;

/// Names and texts that belong to a value.
pub type Metadata = BTreeMap<String, String>;

/// Most pairs of a value.
pub const MAX_METADATA_PAIRS: usize = 64;
/// Longest name, in bytes of UTF-8; the shortest has one.
pub const MAX_METADATA_NAME_BYTES: usize = 256;
/// Longest text under a name, in bytes of UTF-8.
pub const MAX_METADATA_TEXT_BYTES: usize = 4096;

/// Refuses metadata beyond the limits.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let refuse = |what: String| Err(Error::InvalidArgument(what));
    if metadata.len() > MAX_METADATA_PAIRS {
        return refuse(format!(
            "a value has at most {MAX_METADATA_PAIRS} pairs of metadata, these are {}",
            metadata.len()
        ));
    }
    for (name, text) in metadata {
        if name.is_empty() || name.len() > MAX_METADATA_NAME_BYTES {
            return refuse(format!(
                "a key of metadata has 1 to {MAX_METADATA_NAME_BYTES} bytes, this one has {}",
                name.len()
            ));
        }
        if text.len() > MAX_METADATA_TEXT_BYTES {
            return refuse(format!(
                "a value of metadata has at most {MAX_METADATA_TEXT_BYTES} bytes, that of {name:?} has {}",
                text.len()
            ));
        }
    }
    Ok(())
}

/// `old` with the pairs of `new`, which win.
pub(crate) fn merged(mut old: Metadata, new: &Metadata) -> Result<Metadata> {
    old.extend(new.iter().map(|(name, text)| (name.clone(), text.clone())));
    check(&old)?;
    Ok(old)
}

/// Length of the record of `metadata`; 0 where there is none.
pub(crate) fn encoded_len(metadata: &Metadata) -> usize {
    if metadata.is_empty() {
        return 0;
    }
    let pair = |(name, text): (&String, &String)| 4 + name.len() + text.len();
    1 + metadata.iter().map(pair).sum::<usize>()
}

/// The record of metadata within the limits.
pub(crate) fn encode(metadata: &Metadata) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(encoded_len(metadata));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`check` has bounded all of them far below"
    )]
    {
        encoded.push(metadata.len() as u8);
        for (name, text) in metadata {
            encoded.extend_from_slice(&(name.len() as u16).to_le_bytes());
            encoded.extend_from_slice(&(text.len() as u16).to_le_bytes());
            encoded.extend_from_slice(name.as_bytes());
            encoded.extend_from_slice(text.as_bytes());
        }
    }
    encoded
}

/// The metadata of a record: within the limits, at least one pair, and encoded as [`encode`] would.
pub(crate) fn decode(encoded: &[u8]) -> Result<Metadata> {
    let metadata =
        parse(encoded).filter(|metadata| !metadata.is_empty() && check(metadata).is_ok());
    metadata.ok_or_else(|| {
        Error::Corruption(format!(
            "a record of the `{METADATA}` family does not read; restore the store from a backup"
        ))
    })
}

fn parse(encoded: &[u8]) -> Option<Metadata> {
    let (pairs, mut rest) = encoded.split_first()?;
    let mut metadata = Metadata::new();
    for _ in 0..*pairs {
        let (name_length, after) = rest.split_first_chunk::<2>()?;
        let (text_length, after) = after.split_first_chunk::<2>()?;
        let (name, after) = after.split_at_checked(u16::from_le_bytes(*name_length).into())?;
        let (text, after) = after.split_at_checked(u16::from_le_bytes(*text_length).into())?;
        let (name, text) = (str::from_utf8(name).ok()?, str::from_utf8(text).ok()?);
        // Ascending, so that one map has one form.
        if metadata
            .last_key_value()
            .is_some_and(|(last, _)| last.as_str() >= name)
        {
            return None;
        }
        metadata.insert(name.to_owned(), text.to_owned());
        rest = after;
    }
    rest.is_empty().then_some(metadata)
}

impl Engine {
    /// The metadata of the value of `key`, empty if it has none; `None` if the key is absent or has expired.
    pub(crate) fn metadata(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Metadata>> {
        let mut missing = None;
        let mut next = self.live_record(namespace, key)?;
        // As with values: the object may be replaced between the reads, and the same id again means that it is missing.
        while let Some(KeyRecord { object_id, .. }) = next {
            if let Some(metadata) = self.object_metadata(namespace, object_id)? {
                return Ok(Some(metadata));
            }
            let name = numbered_key(namespace.id, object_id);
            if self.db.get(OBJECT_META, &name)?.is_some() {
                // An id is never used again, so the object was there all the time, and had no metadata when looked at.
                return Ok(Some(Metadata::new()));
            }
            if missing == Some(object_id) {
                return Err(missing_object(object_id));
            }
            missing = Some(object_id);
            let again = self.key_record(namespace, key)?;
            next = again.filter(|record| !self.is_expired(record));
        }
        Ok(None)
    }

    /// The metadata of an object; `None` if it has none.
    pub(crate) fn object_metadata(
        &self,
        namespace: &Namespace,
        id: u64,
    ) -> Result<Option<Metadata>> {
        let encoded = self.db.get(METADATA, &numbered_key(namespace.id, id))?;
        encoded.map(|encoded| decode(&encoded)).transpose()
    }
}

#[cfg(test)]
mod tests;
