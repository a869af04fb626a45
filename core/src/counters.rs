//! Exact figures of a namespace, kept with every write.
//!
//! A write holds at least one key stripe. Its change of the figures is added to the counters of the lowest stripe it
//! holds, and the new counters of that stripe are part of the same `WriteBatch`: no two writes touch one counter
//! record at once, no merge operator is needed, and after a crash the sum over the stripes is what the surviving
//! writes made it. One stripe alone means nothing (a key put under one may be counted out under another); only the
//! sum does.

use crate::error::{Error, Result};
use crate::schema::{EncodedKey, NamespaceId, SYSTEM, system_key};
use std::sync::atomic::{AtomicI64, Ordering};

/// Figures, or a change of them.
///
/// ```text
/// 0      8         16          24             32              40        48
/// │ keys │ objects │ key bytes │ object bytes │ logical bytes │ orphans │    signed, little-endian
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Keys, the expired and not yet swept among them.
    pub keys: i64,
    /// Objects.
    pub objects: i64,
    /// Bytes of all keys.
    pub key_bytes: i64,
    /// Bytes of all objects and their metadata.
    pub object_bytes: i64,
    /// Bytes that the values of all keys would take without deduplication, and the metadata as it is.
    pub logical_bytes: i64,
    /// Objects without a key.
    pub orphans: i64,
}

impl Counters {
    pub(crate) const BYTES: usize = 48;

    fn fields(&self) -> [i64; 6] {
        [
            self.keys,
            self.objects,
            self.key_bytes,
            self.object_bytes,
            self.logical_bytes,
            self.orphans,
        ]
    }

    fn from_fields(
        [
            keys,
            objects,
            key_bytes,
            object_bytes,
            logical_bytes,
            orphans,
        ]: [i64; 6],
    ) -> Self {
        Self {
            keys,
            objects,
            key_bytes,
            object_bytes,
            logical_bytes,
            orphans,
        }
    }

    pub(crate) fn plus(&self, change: &Self) -> Self {
        let mut sum = self.fields();
        for (field, change) in sum.iter_mut().zip(change.fields()) {
            *field = field.wrapping_add(change);
        }
        Self::from_fields(sum)
    }

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut encoded = [0; Self::BYTES];
        for (slot, field) in encoded.chunks_exact_mut(8).zip(self.fields()) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        encoded
    }

    pub(crate) fn decode(encoded: &[u8]) -> Result<Self> {
        let (fields, rest) = encoded.as_chunks::<8>();
        match (<[[u8; 8]; 6]>::try_from(fields), rest) {
            (Ok(fields), []) => Ok(Self::from_fields(fields.map(i64::from_le_bytes))),
            _ => Err(Error::record(SYSTEM, Self::BYTES, encoded.len())),
        }
    }
}

/// Prefix of the counter records of a namespace in `system`.
pub(crate) fn counters_prefix(namespace: NamespaceId) -> EncodedKey {
    system_key("counters", namespace)
}

/// Name of the counter record of one stripe in `system`.
pub(crate) fn counters_key(namespace: NamespaceId, stripe: usize) -> EncodedKey {
    let mut key = counters_prefix(namespace);
    // Stripes are numbered below 64.
    key.push(u8::try_from(stripe).unwrap_or(u8::MAX));
    key
}

/// The sum over all stripes, in memory: O(1) to read.
#[derive(Debug, Default)]
pub(crate) struct Totals([AtomicI64; 6]);

impl Totals {
    /// Adds a change. Relaxed: each figure is read on its own, and no other memory hangs on it.
    pub(crate) fn add(&self, change: &Counters) {
        for (total, change) in self.0.iter().zip(change.fields()) {
            if change != 0 {
                total.fetch_add(change, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn get(&self) -> Counters {
        Counters::from_fields(std::array::from_fn(|i| {
            self.0
                .get(i)
                .map_or(0, |total| total.load(Ordering::Relaxed))
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counters_read_back_and_add_up() {
        let counters = Counters::from_fields([1, -2, 3, i64::MAX, i64::MIN, 6]);
        assert_eq!(Counters::decode(&counters.encode()).unwrap(), counters);
        assert!(Counters::decode(&counters.encode()[..47]).is_err());
        let totals = Totals::default();
        totals.add(&counters);
        totals.add(&Counters {
            keys: 41,
            ..Counters::default()
        });
        assert_eq!(
            totals.get(),
            counters.plus(&Counters {
                keys: 41,
                ..Counters::default()
            })
        );
    }
}
