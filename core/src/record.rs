//! Codecs of the values of `keys`, `object_meta`, `vectors` and `index_log`. Integers are little-endian.

use crate::digest::{DIGEST_BYTES, Digest};
use crate::error::{Error, Result};
use crate::options::VectorPrecision;
use crate::schema::{INDEX_LOG, KEYS, OBJECT_META, VECTORS};
use crate::semantic::{Slot, Slots};
use half::f16;
use half::slice::HalfFloatSliceExt as _;

/// What a key points at, and its times.
///
/// ```text
/// 0        8             16            24             32
/// │ object │ created, µs │ expires, µs │ accessed, µs │
/// ```
/// `expires` 0: never. `accessed` is the time of the last put until a read moves it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    pub object_id: u64,
    pub created_us: u64,
    pub expires_us: u64,
    pub accessed_us: u64,
}

impl KeyRecord {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut encoded = [0; Self::BYTES];
        let fields = [
            self.object_id,
            self.created_us,
            self.expires_us,
            self.accessed_us,
        ];
        for (slot, field) in encoded.chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        encoded
    }

    pub(crate) fn decode(encoded: &[u8]) -> Result<Self> {
        let wrong = || Error::record(KEYS, Self::BYTES, encoded.len());
        let (fields, rest) = encoded.as_chunks::<8>();
        let [object_id, created_us, expires_us, accessed_us] = fields else {
            return Err(wrong());
        };
        if !rest.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            object_id: u64::from_le_bytes(*object_id),
            created_us: u64::from_le_bytes(*created_us),
            expires_us: u64::from_le_bytes(*expires_us),
            accessed_us: u64::from_le_bytes(*accessed_us),
        })
    }

    /// Whether the key counts as absent at `now_us`.
    pub(crate) fn is_expired(&self, now_us: u64) -> bool {
        self.expires_us != 0 && self.expires_us <= now_us
    }
}

/// What is known of an object besides its bytes.
///
/// ```text
/// 0         32     40         48            56      57
/// │ SHA-256 │ size │ refcount │ created, µs │ flags │
/// ```
/// `flags`: bit 0, the object has a vector in `vectors`; bit 1, it has metadata; bit 2, it has a vector in `vectors_b`; the
/// others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectMeta {
    pub digest: Digest,
    /// Length of the value in bytes.
    pub size: u64,
    /// Number of keys that point at the object.
    pub refcount: u64,
    pub created_us: u64,
    /// Where it has a vector.
    pub vectors: Slots,
    pub has_metadata: bool,
}

impl ObjectMeta {
    pub(crate) const BYTES: usize = DIGEST_BYTES + 3 * 8 + 1;
    const HAS_VECTOR: u8 = 1;
    const HAS_METADATA: u8 = 2;
    const HAS_VECTOR_B: u8 = 4;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(self.vectors.has(Slot::A), Self::HAS_VECTOR)
            | flag(self.has_metadata, Self::HAS_METADATA)
            | flag(self.vectors.has(Slot::B), Self::HAS_VECTOR_B);
        let mut encoded = [flags; Self::BYTES];
        let (digest, rest) = encoded.split_at_mut(DIGEST_BYTES);
        digest.copy_from_slice(&self.digest.0);
        let fields = [self.size, self.refcount, self.created_us];
        for (slot, field) in rest.chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        encoded
    }

    pub(crate) fn decode(encoded: &[u8]) -> Result<Self> {
        let wrong = || Error::record(OBJECT_META, Self::BYTES, encoded.len());
        let (digest, rest) = encoded
            .split_first_chunk::<DIGEST_BYTES>()
            .ok_or_else(wrong)?;
        let (fields, flags) = rest.as_chunks::<8>();
        let ([size, refcount, created_us], [flags]) = (fields, flags) else {
            return Err(wrong());
        };
        if flags & !(Self::HAS_VECTOR | Self::HAS_METADATA | Self::HAS_VECTOR_B) != 0 {
            return Err(Error::Corruption(format!(
                "the flags of an object should be 0 to 7 and are {flags}; restore the store from a backup"
            )));
        }
        let mut vectors = Slots::default();
        vectors.set(Slot::A, flags & Self::HAS_VECTOR != 0);
        vectors.set(Slot::B, flags & Self::HAS_VECTOR_B != 0);
        Ok(Self {
            digest: Digest(*digest),
            size: u64::from_le_bytes(*size),
            refcount: u64::from_le_bytes(*refcount),
            created_us: u64::from_le_bytes(*created_us),
            vectors,
            has_metadata: flags & Self::HAS_METADATA != 0,
        })
    }
}

/// The value of a record that is one object id: `digests`.
pub(crate) fn decode_object_id(family: &str, encoded: &[u8]) -> Result<u64> {
    let bytes = encoded
        .try_into()
        .map_err(|_| Error::record(family, 8, encoded.len()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// A unit vector as half-precision floats: half the bytes, and a cosine similarity differs by about 0.00002. As it is for
/// a store of full precision; the length of the record tells them apart.
pub(crate) fn encode_vector(vector: &[f32], precision: VectorPrecision) -> Vec<u8> {
    if precision == VectorPrecision::F32 {
        return vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    }
    vector
        .iter()
        .flat_map(|&component| f16::from_f32(component).to_le_bytes())
        .collect()
}

/// The vector of `vectors`, in full precision.
pub(crate) fn decode_vector(encoded: &[u8], dimension: usize) -> Result<Vec<f32>> {
    if encoded.len() == dimension * 4 {
        let (components, _) = encoded.as_chunks::<4>();
        return Ok(components.iter().map(|x| f32::from_le_bytes(*x)).collect());
    }
    if encoded.len() != dimension * 2 {
        return Err(Error::record(VECTORS, dimension * 2, encoded.len()));
    }
    let (components, _) = encoded.as_chunks::<2>();
    let halves: Vec<f16> = components.iter().map(|x| f16::from_le_bytes(*x)).collect();
    let mut vector = vec![0.0; dimension];
    // Many at a time, where the processor can.
    halves.convert_to_f32_slice(&mut vector);
    Ok(vector)
}

/// One operation of the index log.
///
/// ```text
/// 0           1           9
/// │ operation │ object id │     operation: 1 add, 2 remove
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogEntry {
    Add(u64),
    Remove(u64),
}

impl LogEntry {
    const BYTES: usize = 9;

    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let operation = match self {
            Self::Add(_) => 1,
            Self::Remove(_) => 2,
        };
        let mut encoded = [operation; Self::BYTES];
        let (_, rest) = encoded.split_at_mut(1);
        rest.copy_from_slice(&self.id().to_le_bytes());
        encoded
    }

    /// The object it is about.
    pub(crate) fn id(self) -> u64 {
        match self {
            Self::Add(id) | Self::Remove(id) => id,
        }
    }

    pub(crate) fn decode(encoded: &[u8]) -> Result<Self> {
        let wrong = || Error::record(INDEX_LOG, Self::BYTES, encoded.len());
        let (operation, id) = encoded.split_first().ok_or_else(wrong)?;
        let id = u64::from_le_bytes(id.try_into().map_err(|_| wrong())?);
        match operation {
            1 => Ok(Self::Add(id)),
            2 => Ok(Self::Remove(id)),
            other => Err(Error::Corruption(format!(
                "an operation of the index log should be 1 or 2 and is {other}; restore the store from a backup"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_read_back(a: u64, b: u64, c: u64, d: u64, flag: bool, bytes: [u8; 32]) {
            let key = KeyRecord { object_id: a, created_us: b, expires_us: c, accessed_us: d };
            prop_assert_eq!(KeyRecord::decode(&key.encode()).unwrap(), key);
            let mut vectors = Slots::default();
            vectors.set(Slot::A, flag);
            vectors.set(Slot::B, b % 2 == 0);
            let meta = ObjectMeta { digest: Digest(bytes), size: a, refcount: b, created_us: c, vectors, has_metadata: a % 2 == 0 };
            prop_assert_eq!(meta.encode().len(), ObjectMeta::BYTES);
            prop_assert_eq!(ObjectMeta::decode(&meta.encode()).unwrap(), meta);
            for entry in [LogEntry::Add(a), LogEntry::Remove(b)] {
                prop_assert_eq!(LogEntry::decode(&entry.encode()).unwrap(), entry);
            }
        }

        #[test]
        fn arbitrary_bytes_decode_or_are_corruption(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = KeyRecord::decode(&bytes).map(|record| assert_eq!(record.encode(), *bytes));
            let _ = ObjectMeta::decode(&bytes).map(|meta| assert_eq!(&meta.encode()[..], &bytes[..]));
            let _ = LogEntry::decode(&bytes).map(|entry| assert_eq!(entry.encode(), *bytes));
            let _ = decode_vector(&bytes, 4).map(|vector| assert_eq!(vector.len(), 4));
        }
    }

    #[test]
    fn vectors_keep_their_direction() {
        let vector: Vec<f32> = (0..384u16).map(|i| f32::from(i % 7) / 77.0).collect();
        let stored = |precision| decode_vector(&encode_vector(&vector, precision), 384).unwrap();
        for (stored, original) in stored(VectorPrecision::F16).iter().zip(&vector) {
            assert!((stored - original).abs() < 1e-4);
        }
        assert_eq!(stored(VectorPrecision::F32), vector);
    }

    #[test]
    fn a_key_expires_at_its_time_and_never_at_zero() {
        let mut record = KeyRecord {
            object_id: 1,
            created_us: 1,
            expires_us: 10,
            accessed_us: 0,
        };
        assert!(!record.is_expired(9) && record.is_expired(10));
        record.expires_us = 0;
        assert!(!record.is_expired(u64::MAX));
    }
}
