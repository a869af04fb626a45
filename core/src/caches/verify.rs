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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::responses::{EntryMetadata, ResponseKind};
    use super::*;

    #[test]
    fn invariant_11_vectors_have_their_length_and_finite_components() {
        let cache = CacheRecord::Embeddings {
            model: "m".to_owned(),
            dimension: 2,
        };
        let bytes = |vector: [f32; 2]| vector.map(f32::to_le_bytes).concat();
        let check = |value: &[u8]| fault(&cache, None, value, None);
        assert_eq!(check(&bytes([1.0, -2.0])), None);
        assert_eq!(check(&[0, 60, 0, 60]), None);
        for bad in [&bytes([1.0, f32::NAN])[..], &[0, 60, 0, 124], &[0; 6], &[]] {
            assert!(check(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn invariant_11_entries_have_the_key_and_the_vector_of_their_query() {
        let cache = CacheRecord::Responses {
            scope: "null".to_owned(),
        };
        let entry = |vector_crc32c| Entry {
            query: "q",
            kind: ResponseKind::Text,
            response: b"r",
            metadata: EntryMetadata::new(),
            vector_crc32c,
            computing_us: 0,
            tokens: 0,
        };
        let (key, other) = (Digest::of(b"q").0, Digest::of(b"Q").0);
        let plain = entry(0).encode().unwrap();
        let check = |key: &[u8], value: &[u8], vector| fault(&cache, Some(key), value, vector);
        assert_eq!(check(&key, &plain, None), None);
        assert_eq!(fault(&cache, None, &plain, None), None);
        assert!(check(&other, &plain, None).is_some());
        assert!(check(&key, b"damaged", None).is_some());
        let vector = [0, 60, 0, 0];
        let with = entry(crc32c::crc32c(&vector)).encode().unwrap();
        assert_eq!(check(&key, &with, Some(&vector)), None);
        assert!(check(&key, &with, Some(&[0, 0, 0, 60])).is_some());
        assert!(check(&key, &with, None).is_some());
        assert!(check(&key, &plain, Some(&vector)).is_some());
    }
}
