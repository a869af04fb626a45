//! What happens to a vector before it is stored or searched with: checks, unit length, rounding.

use half::f16;

use crate::error::IndexError;
use crate::parameters::IndexParameters;
use crate::precision::Precision;

/// The vector as the index keeps it: unit length, rounded to what its files hold.
///
/// Rounding on the way in makes a similarity the same before and after the index was saved and
/// loaded.
///
/// # Errors
///
/// [`IndexError::WrongLength`], [`IndexError::NotFinite`], [`IndexError::ZeroVector`].
pub fn to_store(vector: &[f32], parameters: &IndexParameters) -> Result<Vec<f32>, IndexError> {
    let mut unit = to_unit(vector, parameters.dimension)?;
    match parameters.precision {
        Precision::F32 => {}
        Precision::F16 | Precision::I8 => round_to_half(&mut unit),
    }
    Ok(unit)
}

/// The vector at unit length.
///
/// # Errors
///
/// As [`to_store`].
pub fn to_unit(vector: &[f32], dimension: usize) -> Result<Vec<f32>, IndexError> {
    if vector.len() != dimension {
        return Err(IndexError::WrongLength {
            expected: dimension,
            found: vector.len(),
        });
    }
    if let Some((position, value)) = vector
        .iter()
        .copied()
        .enumerate()
        .find(|(_, value)| !value.is_finite())
    {
        return Err(IndexError::NotFinite { position, value });
    }
    let norm = norm(vector);
    if norm == 0.0 {
        return Err(IndexError::ZeroVector);
    }
    Ok(vector
        .iter()
        .map(|value| (f64::from(*value) / norm) as f32)
        .collect())
}

/// Rounds each value to the nearest 16-bit float.
pub fn round_to_half(vector: &mut [f32]) {
    for value in vector {
        *value = f16::from_f32(*value).to_f32();
    }
}

/// One divided by the length of a vector that is not zero.
pub fn inverse_norm(vector: &[f32]) -> f32 {
    (1.0 / norm(vector)) as f32
}

/// Euclidean length. In f64 no sum of squares of f32 overflows, and none of a vector that is not
/// zero vanishes.
fn norm(vector: &[f32]) -> f64 {
    vector
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// The vector in 8-bit integers, scaled so that its largest value becomes 127 or -127.
///
/// The cosine does not change when a vector is scaled. One fixed scale for all (127 times the unit
/// vector) would leave the values of a vector of 384 between -7 and 7.
pub fn to_i8(vector: &[f32]) -> Vec<i8> {
    let largest = vector
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    vector
        .iter()
        .map(|value| (value / largest * 127.0).round() as i8)
        .collect()
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
    use crate::dot::dot;

    #[test]
    fn bad_vectors_are_refused() {
        assert!(matches!(
            to_unit(&[1.0], 2),
            Err(IndexError::WrongLength {
                expected: 2,
                found: 1
            })
        ));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = to_unit(&[1.0, bad], 2).unwrap_err();
            assert!(
                matches!(error, IndexError::NotFinite { position: 1, .. }),
                "{error}"
            );
        }
        assert!(matches!(
            to_unit(&[0.0, -0.0], 2),
            Err(IndexError::ZeroVector)
        ));
    }

    #[test]
    fn extreme_lengths_become_unit_length() {
        for vector in [
            [f32::MAX, f32::MAX],
            [1e-45, 1e-45],
            [3.0, 4.0],
            [-1.0, 0.0],
        ] {
            let unit = to_unit(&vector, 2).unwrap();
            assert!(
                (dot(&unit, &unit) - 1.0).abs() < 1e-6,
                "{vector:?} became {unit:?}"
            );
        }
    }

    #[test]
    fn eight_bits_use_their_range_and_stay_the_same_when_repeated() {
        let vector = to_unit(&[0.1, -0.2, 0.05, 0.0], 4).unwrap();
        let small = to_i8(&vector);
        assert_eq!(small, [64, -127, 32, 0]);
        let back: Vec<f32> = small.iter().map(|value| f32::from(*value)).collect();
        assert_eq!(to_i8(&to_unit(&back, 4).unwrap()), small);
    }
}
