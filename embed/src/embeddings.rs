//! n × d rows of `f32`.

use std::slice::ChunksExact;

use crate::EmbedError;

/// `n` vectors of the same dimension, row after row in one allocation.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// Invariant: the length is a multiple of `dimension`.
    data: Vec<f32>,
    /// Invariant: at least 1.
    dimension: usize,
}

impl Embeddings {
    /// Takes rows as they are. That they have unit length is the caller's promise;
    /// [`Embeddings::new_checked`] is for rows of unknown origin.
    ///
    /// # Errors
    ///
    /// [`EmbedError::InvalidInput`] when `dimension` is 0 or the length of `data` is no multiple of
    /// it.
    pub fn new(data: Vec<f32>, dimension: usize) -> Result<Self, EmbedError> {
        if dimension == 0 {
            return Err(EmbedError::invalid("a dimension of at least 1", "0"));
        }
        if !data.len().is_multiple_of(dimension) {
            return Err(EmbedError::invalid(
                format!("a multiple of {dimension} numbers, one row for each text"),
                format!("{} numbers", data.len()),
            ));
        }
        Ok(Self { data, dimension })
    }

    /// Takes the answer of an embedder that is not ours: checks that it has exactly `rows` rows of
    /// `dimension` finite numbers, and scales every row to unit length.
    ///
    /// # Errors
    ///
    /// [`EmbedError::InvalidInput`] for another length, a NaN, an infinity or a row of zeros (it
    /// has no direction); the message names the row.
    pub fn new_checked(data: Vec<f32>, rows: usize, dimension: usize) -> Result<Self, EmbedError> {
        if rows.checked_mul(dimension) != Some(data.len()) {
            return Err(EmbedError::invalid(
                format!("{rows} rows of {dimension} numbers, one row for each text"),
                format!("{} numbers", data.len()),
            ));
        }
        let mut embeddings = Self::new(data, dimension)?;
        for (index, row) in embeddings.data.chunks_exact_mut(dimension).enumerate() {
            normalize(row).map_err(|found| {
                EmbedError::invalid(
                    "vectors of finite numbers, not all zero",
                    format!("{found} in row {index}"),
                )
            })?;
        }
        Ok(embeddings)
    }

    /// Length of every row; at least 1.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.data.len() / self.dimension
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The row of text `index`, or `None` past the end.
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        let start = index.checked_mul(self.dimension)?;
        self.data.get(start..start.checked_add(self.dimension)?)
    }

    /// The rows in order.
    pub fn rows(&self) -> ChunksExact<'_, f32> {
        self.data.chunks_exact(self.dimension)
    }

    /// All rows, one after the other.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// All rows, one after the other, without a copy.
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }

    /// The rows at `indices`, in that order; a row may be taken more than once.
    pub(crate) fn select(&self, indices: &[usize]) -> Result<Self, EmbedError> {
        let mut data = Vec::with_capacity(indices.len() * self.dimension);
        for &index in indices {
            let row = self.row(index).ok_or_else(|| {
                EmbedError::invalid(
                    format!("a row below {}", self.len()),
                    format!("row {index}"),
                )
            })?;
            data.extend_from_slice(row);
        }
        Self::new(data, self.dimension)
    }
}

/// Scales a row to unit length, or says what is wrong with it.
///
/// The sum is taken in f64: squares of large f32 numbers overflow f32, squares of small ones vanish
/// in it.
fn normalize(row: &mut [f32]) -> Result<(), &'static str> {
    let squares: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if squares.is_nan() {
        return Err("NaN");
    }
    if squares.is_infinite() {
        return Err("an infinity");
    }
    if squares == 0.0 {
        return Err("only zeros");
    }
    let scale = squares.sqrt().recip();
    for x in row {
        *x = (f64::from(*x) * scale) as f32;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn rows_are_addressed_in_order() {
        let rows = Embeddings::new(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
        assert_eq!(
            (rows.len(), rows.dimension(), rows.is_empty()),
            (2, 2, false)
        );
        assert_eq!(rows.row(1), Some(&[0.0, 1.0][..]));
        assert_eq!(rows.row(2), None);
        assert_eq!(rows.row(usize::MAX), None);
        assert_eq!(rows.rows().map(<[f32]>::len).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(
            rows.select(&[1, 1, 0]).unwrap().as_slice(),
            [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]
        );
        assert!(rows.select(&[2]).is_err());
        assert!(Embeddings::new(Vec::new(), 3).unwrap().is_empty());
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(Embeddings::new(vec![1.0; 3], 2).is_err());
        assert!(Embeddings::new(Vec::new(), 0).is_err());
        assert!(Embeddings::new_checked(vec![1.0; 4], 1, 2).is_err());
        assert!(Embeddings::new_checked(Vec::new(), 0, 0).is_err());
        assert!(Embeddings::new_checked(Vec::new(), usize::MAX, 2).is_err());
    }

    #[test]
    fn checked_rows_get_unit_length_whatever_their_scale() {
        for scale in [1e-30_f32, 1.0, 1e30] {
            let rows =
                Embeddings::new_checked(vec![3.0 * scale, 4.0 * scale, 0.0, scale], 2, 2).unwrap();
            for (got, want) in rows.as_slice().iter().zip([0.6, 0.8, 0.0, 1.0]) {
                assert!((got - want).abs() < 1e-6, "{scale}: {:?}", rows.as_slice());
            }
        }
    }

    #[test]
    fn rows_without_a_direction_are_refused_by_name() {
        for (bad, word) in [
            (f32::NAN, "NaN"),
            (f32::INFINITY, "infinity"),
            (0.0, "zeros"),
        ] {
            let error = Embeddings::new_checked(vec![1.0, 0.0, bad, 0.0], 2, 2).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(word) && text.contains("row 1"), "{text}");
        }
    }
}
