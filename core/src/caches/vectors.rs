//! The bytes of a vector of the embedding cache.
//!
//! ```text
//! d × f32, or d × f16, little-endian, nothing else
//! ```
//! The length says which: the namespace has one d, and 4 d is never 2 d.

use half::f16;

/// How a vector is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddingPrecision {
    /// As it is: 4 bytes a component.
    #[default]
    F32,
    /// Rounded to half precision: 2 bytes a component, with 11 significant bits, and none beyond 65,504.
    F16,
}

impl EmbeddingPrecision {
    /// The bytes of `vector`; `None` if a component is not finite, or would not be.
    pub(crate) fn encode(self, vector: &[f32]) -> Option<Vec<u8>> {
        match self {
            Self::F32 => vector
                .iter()
                .all(|component| component.is_finite())
                .then(|| {
                    vector
                        .iter()
                        .flat_map(|component| component.to_le_bytes())
                        .collect()
                }),
            Self::F16 => {
                let mut encoded = Vec::with_capacity(vector.len() * 2);
                for component in vector {
                    let half = f16::from_f32(*component);
                    if !half.is_finite() {
                        return None;
                    }
                    encoded.extend_from_slice(&half.to_le_bytes());
                }
                Some(encoded)
            }
        }
    }
}

/// Fills `row` from the bytes of a vector. False if they have another length: they are not what was stored.
pub(crate) fn decode_into(encoded: &[u8], row: &mut [f32]) -> bool {
    if encoded.len() == row.len() * 4 {
        let (components, _) = encoded.as_chunks::<4>();
        for (slot, component) in row.iter_mut().zip(components) {
            *slot = f32::from_le_bytes(*component);
        }
        return true;
    }
    if encoded.len() == row.len() * 2 {
        let (components, _) = encoded.as_chunks::<2>();
        for (slot, component) in row.iter_mut().zip(components) {
            *slot = f16::from_le_bytes(*component).to_f32();
        }
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn vectors_have_their_documented_bytes_and_read_back() {
        let vector = [1.0, -2.5, 0.0];
        let whole = EmbeddingPrecision::F32.encode(&vector).unwrap();
        assert_eq!(whole, [0, 0, 128, 63, 0, 0, 32, 192, 0, 0, 0, 0]);
        let half = EmbeddingPrecision::F16.encode(&vector).unwrap();
        assert_eq!(half, [0, 60, 0, 193, 0, 0]);
        for encoded in [whole, half] {
            let mut row = [9.0; 3];
            assert!(decode_into(&encoded, &mut row));
            assert_eq!(row, vector);
            assert!(!decode_into(encoded.get(1..).unwrap(), &mut row));
        }
        assert!(!decode_into(&[], &mut [0.0; 3]));
    }

    #[test]
    fn what_is_not_finite_is_not_stored() {
        for (vector, whole, half) in [
            ([1.0, 65_504.0], true, true),
            ([1.0, 70_000.0], true, false),
            ([f32::NAN, 0.0], false, false),
            ([0.0, f32::NEG_INFINITY], false, false),
        ] {
            assert_eq!(EmbeddingPrecision::F32.encode(&vector).is_some(), whole);
            assert_eq!(EmbeddingPrecision::F16.encode(&vector).is_some(), half);
        }
    }
}
