//! What holds of the entries of caches, beyond what holds of every key and object: invariant 11.

use super::CacheRecord;
use super::responses::Entry;
use super::vectors::decode_into;
use crate::digest::Digest;

/// What is wrong with an object of a cache. `key`: the one that points at it, if any does. `vector`: its bytes, if it has
/// one.
pub(crate) fn fault(
    cache: &CacheRecord,
    key: Option<&[u8]>,
    value: &[u8],
    vector: Option<&[u8]>,
) -> Option<String> {
    match cache {
        CacheRecord::Embeddings { dimension, .. } => {
            let mut row = vec![0.0; *dimension];
            let fits = decode_into(value, &mut row);
            (!fits || row.iter().any(|component| !component.is_finite()))
                .then(|| format!("should be a vector of {dimension} finite components"))
        }
        CacheRecord::Responses { .. } => {
            let entry = match Entry::decode(value) {
                Ok(entry) => entry,
                Err(error) => return Some(error.to_string()),
            };
            if key.is_some_and(|key| key != Digest::of(entry.query.as_bytes()).0) {
                return Some("has another query than its key says".to_owned());
            }
            let checksum = vector.map_or(0, crc32c::crc32c);
            (checksum != entry.vector_crc32c)
                .then(|| "has a vector that is not that of its query".to_owned())
        }
    }
}
