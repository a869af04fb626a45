//! The bytes of an entry: query, response and what belongs to them, in one value, so that they come and go together.
//!
//! ```text
//! 0         1      2                6                10                  14              22       30
//! │ version │ kind │ query length │ metadata length │ CRC-32C of vector │ computing, µs │ tokens │ query ‖ metadata ‖ response
//! ```
//! Integers are little-endian, lengths are in bytes. `version` is 1. `kind`: 0 text (UTF-8), 1 bytes, 2 JSON (UTF-8).
//! Query: UTF-8. Metadata: nothing, or a JSON object of strings. The checksum is that of the vector as `vectors` holds
//! it, 0 without one: entries of equal bytes have equal vectors, and `verify` finds a vector that is another's.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;

/// Names and texts that belong to a response.
pub type EntryMetadata = BTreeMap<String, String>;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 30;
/// Where the checksum of the vector is.
const CHECKSUM: Range<usize> = 10..14;
/// Bounds of metadata: pairs, and bytes of a name and of a text.
const MAX_PAIRS: usize = 64;
const MAX_NAME_BYTES: usize = 256;
const MAX_TEXT_BYTES: usize = 4096;

/// What a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Bytes,
    /// A JSON value, as UTF-8 text.
    Json,
}

/// A response, of any length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What it is.
    pub kind: ResponseKind,
    /// Its bytes; UTF-8 where the kind says so.
    pub bytes: Vec<u8>,
}

/// An entry as it is put or read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<'a> {
    pub query: &'a str,
    pub kind: ResponseKind,
    pub response: &'a [u8],
    pub metadata: EntryMetadata,
    pub vector_crc32c: u32,
    /// What computing the response took, in microseconds; 0: not known.
    pub computing_us: u64,
    /// Tokens that it cost; 0: not known.
    pub tokens: u64,
}

impl Entry<'_> {
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let metadata = encode_metadata(&self.metadata)?;
        let mut encoded = Vec::with_capacity(
            HEADER_BYTES + self.query.len() + metadata.len() + self.response.len(),
        );
        encoded.push(VERSION);
        encoded.push(match self.kind {
            ResponseKind::Text => 0,
            ResponseKind::Bytes => 1,
            ResponseKind::Json => 2,
        });
        for length in [self.query.len(), metadata.len()] {
            let length = u32::try_from(length)
                .map_err(|_| Error::InvalidArgument("a query has less than 4 GiB".to_owned()))?;
            encoded.extend_from_slice(&length.to_le_bytes());
        }
        encoded.extend_from_slice(&self.vector_crc32c.to_le_bytes());
        encoded.extend_from_slice(&self.computing_us.to_le_bytes());
        encoded.extend_from_slice(&self.tokens.to_le_bytes());
        encoded.extend_from_slice(self.query.as_bytes());
        encoded.extend_from_slice(&metadata);
        encoded.extend_from_slice(self.response);
        Ok(encoded)
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn decode(encoded: &'a [u8]) -> Result<Self> {
        let mut rest = encoded;
        let [version, kind] = take(&mut rest)?;
        let query_length = u32::from_le_bytes(take(&mut rest)?);
        let metadata_length = u32::from_le_bytes(take(&mut rest)?);
        let vector_crc32c = u32::from_le_bytes(take(&mut rest)?);
        let computing_us = u64::from_le_bytes(take(&mut rest)?);
        let tokens = u64::from_le_bytes(take(&mut rest)?);
        let kind = match (version, kind) {
            (VERSION, 0) => ResponseKind::Text,
            (VERSION, 1) => ResponseKind::Bytes,
            (VERSION, 2) => ResponseKind::Json,
            _ => return Err(damaged("its version should be 1 and its kind 0, 1 or 2")),
        };
        let mut split = |length: u32| {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let (part, after) = rest
                .split_at_checked(length)
                .ok_or_else(|| damaged("it is shorter than its lengths say"))?;
            rest = after;
            Ok::<_, Error>(part)
        };
        let query = std::str::from_utf8(split(query_length)?)
            .map_err(|_| damaged("its query should be UTF-8"))?;
        let metadata = match split(metadata_length)? {
            [] => EntryMetadata::new(),
            json => serde_json::from_slice(json)
                .map_err(|_| damaged("its metadata should be a JSON object of strings"))?,
        };
        if kind != ResponseKind::Bytes && std::str::from_utf8(rest).is_err() {
            return Err(damaged("its response should be UTF-8"));
        }
        Ok(Self {
            query,
            kind,
            response: rest,
            metadata,
            vector_crc32c,
            computing_us,
            tokens,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (part, after) = rest
        .split_first_chunk::<N>()
        .ok_or_else(|| damaged("it is shorter than 30 bytes"))?;
    *rest = after;
    Ok(*part)
}

/// Gives an encoded entry the checksum of its vector.
pub(crate) fn set_vector_crc32c(encoded: &mut [u8], vector_crc32c: u32) {
    if let Some(place) = encoded.get_mut(CHECKSUM) {
        place.copy_from_slice(&vector_crc32c.to_le_bytes());
    }
}

fn damaged(what: &str) -> Error {
    Error::Corruption(format!(
        "an entry of a semantic cache is damaged: {what}; invalidate its scope, or restore the store from a backup"
    ))
}

/// Nothing for no metadata.
fn encode_metadata(metadata: &EntryMetadata) -> Result<Vec<u8>> {
    if metadata.is_empty() {
        return Ok(Vec::new());
    }
    check_metadata(metadata)?;
    serde_json::to_vec(metadata)
        .map_err(|error| Error::InvalidArgument(format!("metadata cannot be written: {error}")))
}

/// Refuses metadata beyond the bounds.
pub(crate) fn check_metadata(metadata: &EntryMetadata) -> Result<()> {
    if metadata.len() > MAX_PAIRS {
        return Err(Error::InvalidArgument(format!(
            "metadata has at most {MAX_PAIRS} pairs, this one has {}",
            metadata.len()
        )));
    }
    for (name, text) in metadata {
        if name.len() > MAX_NAME_BYTES || text.len() > MAX_TEXT_BYTES {
            return Err(Error::InvalidArgument(format!(
                "a name of metadata has at most {MAX_NAME_BYTES} bytes and its text {MAX_TEXT_BYTES}, here they have {} \
                 and {}",
                name.len(),
                text.len()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn entry<'a>(query: &'a str, response: &'a [u8]) -> Entry<'a> {
        Entry {
            query,
            kind: ResponseKind::Bytes,
            response,
            metadata: EntryMetadata::new(),
            vector_crc32c: 0x0403_0201,
            computing_us: 5,
            tokens: 6,
        }
    }

    #[test]
    fn entries_have_their_documented_bytes() {
        let mut example = entry("q?", b"\xff!");
        example.metadata.insert("a".to_owned(), "b".to_owned());
        let encoded = example.encode().unwrap();
        let header = [
            1, 1, 2, 0, 0, 0, 9, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0,
            0,
        ];
        let (found, rest) = encoded.split_at(HEADER_BYTES);
        assert_eq!(found, header);
        assert_eq!(rest, b"q?{\"a\":\"b\"}\xff!");
        assert_eq!(Entry::decode(&encoded).unwrap(), example);
        let mut later = Entry {
            vector_crc32c: 0,
            ..example.clone()
        }
        .encode()
        .unwrap();
        set_vector_crc32c(&mut later, example.vector_crc32c);
        assert_eq!(later, encoded);
    }

    proptest! {
        #[test]
        fn entries_read_back(
            query in ".{0,20}", text in ".{0,20}", bytes in proptest::collection::vec(any::<u8>(), 0..40),
            metadata in proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..4), crc: u32, a: u64, b: u64, kind in 0..3,
        ) {
            let (kind, response) = match kind {
                0 => (ResponseKind::Text, text.as_bytes()),
                1 => (ResponseKind::Bytes, &bytes[..]),
                _ => (ResponseKind::Json, text.as_bytes()),
            };
            let entry = Entry {
                query: &query, kind, response, metadata, vector_crc32c: crc, computing_us: a, tokens: b,
            };
            let encoded = entry.encode().unwrap();
            prop_assert_eq!(Entry::decode(&encoded).unwrap(), entry);
        }

        #[test]
        fn arbitrary_bytes_decode_or_are_corruption(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            match Entry::decode(&bytes) {
                Ok(entry) => prop_assert!(entry.query.len() + entry.response.len() <= bytes.len()),
                Err(error) => prop_assert!(matches!(error, Error::Corruption(_))),
            }
        }
    }

    #[test]
    fn metadata_has_bounds() {
        let with = |pairs: Vec<(String, String)>| Entry {
            metadata: pairs.into_iter().collect(),
            ..entry("", b"")
        };
        let many = |n: usize| (0..n).map(|i| (i.to_string(), String::new())).collect();
        assert!(with(many(64)).encode().is_ok());
        assert!(with(many(65)).encode().is_err());
        for (name, text, fits) in [(256, 4096, true), (257, 0, false), (0, 4097, false)] {
            let pair = ("n".repeat(name), "t".repeat(text));
            assert_eq!(with(vec![pair]).encode().is_ok(), fits);
        }
    }
}
