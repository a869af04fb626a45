//! Column families and the codecs of their keys. Names and layouts are part of the on-disk format: a change needs a
//! new format version (`format.rs`).
//!
//! Integers in keys are big-endian, so that byte order is numeric order. Every key but those of `system` begins with
//! its namespace, so nothing found by a prefix can belong to another one.
//!
//! ```text
//! family       key                                                  value
//! keys         namespace:4 ‖ user key                               KeyRecord (record.rs)
//! objects      namespace:4 ‖ object id:8                            value bytes
//! object_meta  namespace:4 ‖ object id:8                            ObjectMeta (record.rs)
//! digests      namespace:4 ‖ SHA-256:32                             object id:8
//! vectors      namespace:4 ‖ object id:8                            d × f16, or d × f32, little-endian
//! vectors_b    namespace:4 ‖ object id:8                            the same; see semantic/slot.rs
//! index_log    namespace:4 ‖ sequence:8                             operation:1 ‖ object id:8
//! expiry       namespace:4 ‖ expires, µs:8 ‖ user key               –
//! created      namespace:4 ‖ created, µs:8 ‖ user key               –
//! access       namespace:4 ‖ accessed, µs:8 ‖ user key              –
//! orphans      namespace:4 ‖ object id:8                            –
//! metadata     namespace:4 ‖ object id:8                            Metadata (metadata.rs); only of objects with some
//! outcomes     namespace:4 ‖ task family ‖ 0:1 ‖ sequence:8         Outcome (outcomes/record.rs)
//!              namespace:4 ‖ 0:1                                    last sequence:8
//! system       name                                                 see below
//!
//! system       "format"                                             version:4
//!              "dedup_mode"                                         mode:1 (0 exact, 1 semantic)
//!              "next_object_id"                                     first id never handed out:8
//!              "counters/" ‖ namespace:4 ‖ stripe:1                 Counters (counters.rs)
//!              "model/" ‖ namespace:4                               JSON: model fingerprint, dimension, slot of its vectors
//!              "reembedding"                                        JSON: the model that texts are embedded anew by
//!              "checkpoint/" ‖ namespace:4                          JSON: index file and the log sequence it holds
//!              "cache/" ‖ namespace:4                               JSON: what the namespace holds for a cache
//!              "namespace/" ‖ name, UTF-8                           namespace:4; the default one has no name
//!              "next_namespace"                                     first number never handed out:4; absent: 1
//! ```

use crate::digest::{DIGEST_BYTES, Digest};
use crate::error::{Error, Result};
use smallvec::SmallVec;

/// Key records.
pub(crate) const KEYS: &str = "keys";
/// Value bytes.
pub(crate) const OBJECTS: &str = "objects";
/// Digest, size and refcount of each object.
pub(crate) const OBJECT_META: &str = "object_meta";
/// Digest to object.
pub(crate) const DIGESTS: &str = "digests";
/// Embeddings of objects.
pub(crate) const VECTORS: &str = "vectors";
/// Embeddings of objects by another model than those of [`VECTORS`]: one of the two is in use, see `semantic::Slot`.
pub(crate) const VECTORS_B: &str = "vectors_b";
/// Index operations since the last checkpoint.
pub(crate) const INDEX_LOG: &str = "index_log";
/// Keys with a TTL by the time they expire.
pub(crate) const EXPIRY: &str = "expiry";
/// Keys that were used since their last put, by the time of that put.
pub(crate) const CREATED: &str = "created";
/// Keys by the time of their last access, or put.
pub(crate) const ACCESS: &str = "access";
/// Objects with no key, left for `sweep`.
pub(crate) const ORPHANS: &str = "orphans";
/// Names and texts that belong to objects.
pub(crate) const METADATA: &str = "metadata";
/// What callers decided about candidates.
pub(crate) const OUTCOMES: &str = "outcomes";
/// Format version, counters and other single records.
pub(crate) const SYSTEM: &str = "system";

/// Every family of the store, in the order in which RocksDB makes them: `system`, which has the format record, last.
pub(crate) const FAMILIES: [&str; 14] = [
    KEYS,
    OBJECTS,
    OBJECT_META,
    DIGESTS,
    VECTORS,
    INDEX_LOG,
    EXPIRY,
    CREATED,
    ACCESS,
    ORPHANS,
    METADATA,
    OUTCOMES,
    VECTORS_B,
    SYSTEM,
];

/// Families that the first stores of format version 1 did not have. Opening adds them; where that cannot be, read-only,
/// a missing one counts as empty.
pub(crate) const ADDED_FAMILIES: [&str; 3] = [METADATA, OUTCOMES, VECTORS_B];

/// Number of a namespace; 0 is the default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NamespaceId(pub u32);

impl NamespaceId {
    /// The namespace of a store that names none.
    pub(crate) const DEFAULT: Self = Self(0);

    /// Bytes that begin every key of the namespace.
    pub(crate) fn prefix(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// Length of the namespace in front of every key.
pub(crate) const PREFIX_BYTES: usize = 4;
/// Length of the namespace and a big-endian `u64`.
pub(crate) const NUMBERED_BYTES: usize = PREFIX_BYTES + 8;

/// An encoded key; most are so short that they need no allocation.
pub(crate) type EncodedKey = SmallVec<[u8; 96]>;

/// Key of `keys`.
pub(crate) fn user_key(namespace: NamespaceId, key: &[u8]) -> EncodedKey {
    let mut encoded = EncodedKey::with_capacity(PREFIX_BYTES + key.len());
    encoded.extend_from_slice(&namespace.prefix());
    encoded.extend_from_slice(key);
    encoded
}

/// Key of `objects`, `object_meta`, `vectors`, `orphans`, `metadata` (an object id) and `index_log` (a sequence).
pub(crate) fn numbered_key(namespace: NamespaceId, number: u64) -> [u8; NUMBERED_BYTES] {
    let mut encoded = [0; NUMBERED_BYTES];
    let (prefix, rest) = encoded.split_at_mut(PREFIX_BYTES);
    prefix.copy_from_slice(&namespace.prefix());
    rest.copy_from_slice(&number.to_be_bytes());
    encoded
}

/// Key of `digests`.
pub(crate) fn digest_key(
    namespace: NamespaceId,
    digest: &Digest,
) -> [u8; PREFIX_BYTES + DIGEST_BYTES] {
    let mut encoded = [0; PREFIX_BYTES + DIGEST_BYTES];
    let (prefix, rest) = encoded.split_at_mut(PREFIX_BYTES);
    prefix.copy_from_slice(&namespace.prefix());
    rest.copy_from_slice(&digest.0);
    encoded
}

/// Key of `expiry`, `created` and `access`.
pub(crate) fn time_key(namespace: NamespaceId, time_us: u64, key: &[u8]) -> EncodedKey {
    let mut encoded = EncodedKey::with_capacity(NUMBERED_BYTES + key.len());
    encoded.extend_from_slice(&numbered_key(namespace, time_us));
    encoded.extend_from_slice(key);
    encoded
}

/// The first key that is greater than every key of the namespace.
pub(crate) fn namespace_end(namespace: NamespaceId) -> Vec<u8> {
    // The largest number has no successor of four bytes; nine 0xff sort after all its keys of numbered families, and
    // user keys of the namespace 0xffff_ffff do not exist: it is never handed out.
    namespace.0.checked_add(1).map_or_else(
        || vec![0xff; PREFIX_BYTES + 1],
        |next| next.to_be_bytes().to_vec(),
    )
}

/// The user key behind the namespace of a key of `keys`.
pub(crate) fn user_part(encoded: &[u8]) -> Result<&[u8]> {
    encoded
        .get(PREFIX_BYTES..)
        .ok_or_else(|| Error::record(KEYS, PREFIX_BYTES, encoded.len()))
}

/// The number behind the namespace of a numbered key, or the time of a time key, and what follows it.
pub(crate) fn split_number<'a>(family: &str, encoded: &'a [u8]) -> Result<(u64, &'a [u8])> {
    encoded
        .get(PREFIX_BYTES..)
        .and_then(|rest| rest.split_first_chunk::<8>())
        .map(|(number, rest)| (u64::from_be_bytes(*number), rest))
        .ok_or_else(|| Error::record(family, NUMBERED_BYTES, encoded.len()))
}

/// The digest behind the namespace of a key of `digests`.
pub(crate) fn digest_part(encoded: &[u8]) -> Result<Digest> {
    encoded
        .get(PREFIX_BYTES..)
        .and_then(|rest| rest.try_into().ok())
        .map(Digest)
        .ok_or_else(|| Error::record(DIGESTS, PREFIX_BYTES + DIGEST_BYTES, encoded.len()))
}

/// Key of a per-namespace record of `system`.
pub(crate) fn system_key(name: &str, namespace: NamespaceId) -> EncodedKey {
    let mut encoded = EncodedKey::from_slice(name.as_bytes());
    encoded.push(b'/');
    encoded.extend_from_slice(&namespace.prefix());
    encoded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_have_their_documented_bytes_and_read_back() {
        let namespace = NamespaceId(7);
        assert_eq!(*user_key(namespace, b"k"), [0, 0, 0, 7, b'k']);
        assert_eq!(user_part(&user_key(namespace, b"k")).unwrap(), b"k");
        let encoded = time_key(namespace, 0x0102, b"key");
        assert_eq!(
            *encoded,
            [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 2, b'k', b'e', b'y']
        );
        assert_eq!(
            split_number(EXPIRY, &encoded).unwrap(),
            (0x0102, &b"key"[..])
        );
        let digest = Digest::of(b"value");
        assert_eq!(
            digest_part(&digest_key(namespace, &digest)).unwrap(),
            digest
        );
        assert_eq!(*system_key("counters", namespace), *b"counters/\0\0\0\x07");
    }

    #[test]
    fn namespaces_do_not_overlap() {
        for number in [0, 1, 255, 256, u32::MAX - 1] {
            let end = namespace_end(NamespaceId(number));
            assert!(*user_key(NamespaceId(number), &[0xff; 64]) < *end);
            assert!(*user_key(NamespaceId(number + 1), b"") >= *end);
        }
    }

    #[test]
    fn short_keys_are_corruption() {
        assert!(matches!(
            split_number(EXPIRY, &[0; 11]),
            Err(Error::Corruption(_))
        ));
        assert!(matches!(digest_part(&[0; 35]), Err(Error::Corruption(_))));
        assert!(matches!(user_part(&[0; 3]), Err(Error::Corruption(_))));
    }
}
