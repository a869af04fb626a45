//! The last bytes of a checkpoint file, which say what the others are.
//!
//! They stand at the end because usearch writes its part from the beginning of a file and reads it
//! from there.

use crate::parameters::IndexParameters;
use crate::precision::Precision;

/// Bytes of a footer.
pub const FOOTER_BYTES: usize = 64;
/// The format this version writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"PRSTGIDX";

/// Which form a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormCode {
    Exact,
    Graph,
}

/// ```text
/// offset  bytes  all integers little-endian
///      0      8  magic "PRSTGIDX"
///      8      4  format version
///     12      1  form: 0 exact scan, 1 graph
///     13      1  precision: 0 f32, 1 f16, 2 i8
///     14      2  zero
///     16      4  dimension
///     20      4  connectivity
///     24      4  expansion_add
///     28      4  zero
///     32      8  body: bytes of the first part
///     40      8  slots: entries of the id table
///     48      8  count: ids
///     56      8  dead: slots without an id
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    pub form: FormCode,
    pub precision: Precision,
    pub dimension: u32,
    pub connectivity: u32,
    pub expansion_add: u32,
    pub body: u64,
    pub slots: u64,
    pub count: u64,
    pub dead: u64,
}

/// Why bytes are no footer.
#[derive(Debug, PartialEq, Eq)]
pub enum FooterError {
    /// They do not begin with the magic.
    Magic,
    /// Another format version.
    Version(u32),
    /// A field holds what no version writes.
    Field(&'static str),
}

impl Footer {
    /// The footer of a file without vectors.
    pub fn new(form: FormCode, parameters: &IndexParameters) -> Self {
        Self {
            form,
            precision: parameters.precision,
            // Validated parameters fit with room to spare.
            dimension: parameters.dimension as u32,
            connectivity: parameters.connectivity as u32,
            expansion_add: parameters.expansion_add as u32,
            body: 0,
            slots: 0,
            count: 0,
            dead: 0,
        }
    }

    /// The parameters built into the file; the others, which a file does not hold, as in `asked`.
    pub fn parameters(&self, asked: &IndexParameters) -> IndexParameters {
        IndexParameters {
            dimension: self.dimension as usize,
            precision: self.precision,
            connectivity: self.connectivity as usize,
            expansion_add: self.expansion_add as usize,
            ..*asked
        }
    }

    /// Ids that share the slot of another. `None` when the numbers contradict each other.
    pub fn twins(&self) -> Option<u64> {
        self.count.checked_sub(self.slots.checked_sub(self.dead)?)
    }

    /// Bytes of the whole file: body, owners, dead slots, twins, footer. `None` when the numbers
    /// contradict each other or do not fit in a `u64`.
    pub fn file_length(&self) -> Option<u64> {
        self.body
            .checked_add(self.slots.checked_mul(8)?)?
            .checked_add(self.dead.checked_mul(4)?)?
            .checked_add(self.twins()?.checked_mul(12)?)?
            .checked_add(FOOTER_BYTES as u64)
    }

    pub fn to_bytes(self) -> [u8; FOOTER_BYTES] {
        let form = match self.form {
            FormCode::Exact => 0,
            FormCode::Graph => 1,
        };
        let mut bytes = [0; FOOTER_BYTES];
        let mut rest = bytes.as_mut_slice();
        put(&mut rest, &MAGIC);
        put(&mut rest, &FORMAT_VERSION.to_le_bytes());
        put(&mut rest, &[form, self.precision.code(), 0, 0]);
        put(&mut rest, &self.dimension.to_le_bytes());
        put(&mut rest, &self.connectivity.to_le_bytes());
        put(&mut rest, &self.expansion_add.to_le_bytes());
        put(&mut rest, &[0; 4]);
        put(&mut rest, &self.body.to_le_bytes());
        put(&mut rest, &self.slots.to_le_bytes());
        put(&mut rest, &self.count.to_le_bytes());
        put(&mut rest, &self.dead.to_le_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8; FOOTER_BYTES]) -> Result<Self, FooterError> {
        let mut rest = bytes.as_slice();
        if take::<8>(&mut rest) != MAGIC {
            return Err(FooterError::Magic);
        }
        let version = u32::from_le_bytes(take(&mut rest));
        if version != FORMAT_VERSION {
            return Err(FooterError::Version(version));
        }
        let [form, precision, zero, also_zero] = take(&mut rest);
        let form = match form {
            0 => FormCode::Exact,
            1 => FormCode::Graph,
            _ => return Err(FooterError::Field("form")),
        };
        let precision = Precision::from_code(precision).ok_or(FooterError::Field("precision"))?;
        let dimension = u32::from_le_bytes(take(&mut rest));
        let connectivity = u32::from_le_bytes(take(&mut rest));
        let expansion_add = u32::from_le_bytes(take(&mut rest));
        let zeros: [u8; 4] = take(&mut rest);
        let body = u64::from_le_bytes(take(&mut rest));
        let slots = u64::from_le_bytes(take(&mut rest));
        let count = u64::from_le_bytes(take(&mut rest));
        let dead = u64::from_le_bytes(take(&mut rest));
        if [zero, also_zero] != [0; 2] || zeros != [0; 4] {
            return Err(FooterError::Field("reserved bytes"));
        }
        Ok(Self {
            form,
            precision,
            dimension,
            connectivity,
            expansion_add,
            body,
            slots,
            count,
            dead,
        })
    }
}

/// Writes `field` at the front of `rest` and moves `rest` behind it. The fields fill the footer
/// exactly.
fn put(rest: &mut &mut [u8], field: &[u8]) {
    if let Some((front, behind)) = std::mem::take(rest).split_at_mut_checked(field.len()) {
        front.copy_from_slice(field);
        *rest = behind;
    }
}

/// Takes a field from the front of `rest`, zeros when `rest` is too short. The fields fill the
/// footer exactly.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    rest.split_first_chunk::<N>()
        .map_or([0; N], |(front, behind)| {
            *rest = behind;
            *front
        })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )]
    use super::*;

    fn footer() -> Footer {
        Footer {
            form: FormCode::Graph,
            precision: Precision::I8,
            dimension: 0x0102_0304,
            connectivity: 16,
            expansion_add: 200,
            body: 0x1122_3344_5566_7788,
            slots: 1_000,
            count: 907,
            dead: 100,
        }
    }

    #[test]
    fn bytes_stand_where_the_map_says() {
        let bytes = footer().to_bytes();
        assert_eq!(&bytes[..8], b"PRSTGIDX");
        assert_eq!(bytes[8..16], [1, 0, 0, 0, 1, 2, 0, 0]);
        assert_eq!(bytes[16..20], [4, 3, 2, 1]);
        assert_eq!(bytes[20..28], [16, 0, 0, 0, 200, 0, 0, 0]);
        assert_eq!(
            bytes[28..40],
            [0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]
        );
        assert_eq!(u64::from_le_bytes(bytes[40..48].try_into().unwrap()), 1_000);
        assert_eq!(u64::from_le_bytes(bytes[48..56].try_into().unwrap()), 907);
        assert_eq!(u64::from_le_bytes(bytes[56..].try_into().unwrap()), 100);
        assert_eq!(Footer::from_bytes(&bytes), Ok(footer()));
    }

    #[test]
    fn every_wrong_byte_of_the_head_and_the_reserved_ones_is_refused() {
        let good = footer().to_bytes();
        for position in (0..16).chain(28..32) {
            let mut bytes = good;
            bytes[position] ^= 0x80;
            let error = Footer::from_bytes(&bytes).expect_err("must be refused");
            match position {
                0..8 => assert_eq!(error, FooterError::Magic),
                8..12 => assert!(matches!(error, FooterError::Version(_))),
                _ => assert!(matches!(error, FooterError::Field(_))),
            }
        }
    }

    #[test]
    fn numbers_that_contradict_each_other_or_overflow_are_noticed() {
        let small = Footer {
            body: 10,
            ..footer()
        };
        assert_eq!(small.twins(), Some(7));
        assert_eq!(
            small.file_length(),
            Some(10 + 8 * 1_000 + 4 * 100 + 12 * 7 + 64)
        );
        for bad in [
            Footer {
                body: u64::MAX,
                ..small
            },
            Footer {
                slots: u64::MAX,
                ..small
            },
            Footer {
                count: u64::MAX,
                ..small
            },
            Footer {
                dead: u64::MAX,
                ..small
            },
            Footer {
                dead: 1_001,
                ..small
            },
            Footer {
                count: 899,
                ..small
            },
        ] {
            assert_eq!(bad.file_length(), None, "{bad:?}");
        }
    }
}
