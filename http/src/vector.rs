//! Vectors as JSON: strings of Base64, which are read and written far faster than lists of numbers, and exactly.
//!
//! ```text
//! Base64, standard alphabet, padded, of   d × f32, little-endian
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// A vector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vector(pub Vec<f32>);

impl Serialize for Vector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|x| x.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text.as_bytes()).map_err(|error| {
            D::Error::custom(format_args!(
                "a vector must be Base64 of the standard alphabet, padded: {error}"
            ))
        })?;
        let (components, rest) = bytes.as_chunks::<4>();
        if components.is_empty() || !rest.is_empty() {
            return Err(D::Error::custom(format_args!(
                "a vector must have 4 bytes for each of its components, and has {} in all",
                bytes.len()
            )));
        }
        Ok(Self(
            components.iter().map(|x| f32::from_le_bytes(*x)).collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_vector_is_refused() {
        for json in ["\"\"", "\"AAA=\"", "\"AAAAAAA=\"", "\"?\"", "[1.0]", "null"] {
            assert!(serde_json::from_str::<Vector>(json).is_err(), "{json}");
        }
        let json = "\"AACAPwAAAMA=\"";
        let vector: Vector = serde_json::from_str(json).unwrap();
        assert_eq!(vector.0, [1.0, -2.0]);
    }

    proptest! {
        #[test]
        fn every_bit_comes_back(bits in proptest::collection::vec(any::<u32>(), 1..20)) {
            let vector = Vector(bits.iter().map(|bits| f32::from_bits(*bits)).collect());
            let json = serde_json::to_string(&vector).unwrap();
            let read: Vector = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read.0.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), bits);
        }
    }
}
