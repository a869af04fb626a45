//! How similar the new texts of one put are to each other, found before any lock is taken.
//!
//! Each new text of a put is compared with those before it, which the index does not know yet. Done one by one, under the
//! semantic lock, that reads every vector from memory for every text; in tiles, each is read once for many.

use super::Vectors;
use super::ahead::NUMBERS_PER_THREAD;
use super::score::dot;
use crate::digest::Digest;
use prestige_embed::in_parts;
use std::collections::HashMap;

/// Vectors of a tile: two times as many of 384 numbers are in the first-level cache.
const TILE: usize = 16;

/// More texts are compared under the lock: their pairs would take more than 8 MiB.
const MOST: usize = 2_048;

/// Similarities of texts that have a row each.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    rows: HashMap<Digest, usize>,
    /// Of each tile of rows, row after row, those to all columns of the tiles up to it: the lower triangle.
    tiles: Vec<Vec<f32>>,
}

impl Pairs {
    /// Compares `vectors` with each other, by threads of their own if they are many.
    pub(super) fn of(vectors: &Vectors) -> Self {
        if vectors.len() > MOST {
            return Self::default();
        }
        let (digests, vectors): (Vec<Digest>, Vec<&[f32]>) = vectors
            .iter()
            .map(|(digest, vector)| (*digest, &vector[..]))
            .unzip();
        let numbers: usize =
            vectors.iter().map(|vector| vector.len()).sum::<usize>() * vectors.len();
        // Later tiles are longer: alternating, parts that follow one another have as much to do.
        let count = vectors.len().div_ceil(TILE);
        let order: Vec<usize> = (0..count).step_by(2).chain((1..count).step_by(2)).collect();
        let compare = |part: &[usize]| -> Vec<(usize, Vec<f32>)> {
            part.iter()
                .map(|tile| (*tile, tile_of(&vectors, *tile)))
                .collect()
        };
        let useful = numbers / 2 / NUMBERS_PER_THREAD;
        let parts = in_parts(&order, useful, "prestige-pairs", compare);
        let mut tiles: Vec<(usize, Vec<f32>)> = parts.into_iter().flatten().collect();
        tiles.sort_unstable_by_key(|(tile, _)| *tile);
        Self {
            rows: digests.into_iter().zip(0..).collect(),
            tiles: tiles
                .into_iter()
                .map(|(_, similarities)| similarities)
                .collect(),
        }
    }

    /// The row of a text, if it has one.
    pub(crate) fn row(&self, digest: &Digest) -> Option<usize> {
        self.rows.get(digest).copied()
    }

    /// The cosine similarity of the texts of two rows, as [`dot`] has it.
    pub(super) fn similarity(&self, one: usize, other: usize) -> Option<f32> {
        let (column, row) = (one.min(other), one.max(other));
        let tile = row / TILE;
        let width = (tile + 1) * TILE;
        self.tiles
            .get(tile)?
            .get(row % TILE * width + column)
            .copied()
    }
}

/// The similarities of the rows of a tile to those of the tiles up to it.
fn tile_of(vectors: &[&[f32]], tile: usize) -> Vec<f32> {
    let width = (tile + 1) * TILE;
    let rows = vectors.chunks(TILE).nth(tile).unwrap_or_default();
    let mut similarities = vec![0.0; rows.len() * width];
    for (columns, first) in vectors.chunks(TILE).take(tile + 1).zip((0..).step_by(TILE)) {
        for (row, line) in rows.iter().zip(similarities.chunks_mut(width)) {
            let places = line.iter_mut().skip(first);
            for (place, column) in places.zip(columns) {
                *place = dot(row, column);
            }
        }
    }
    similarities
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_pair_is_as_similar_as_the_two_are_alone() {
        for count in [0, 1, 15, 16, 17, 100, 333] {
            let vectors: Vectors = (0..count)
                .map(|number: usize| {
                    let digest = Digest::of(&number.to_le_bytes());
                    let vector = (0..40).map(|i| ((number * 31 + i * 7) % 13) as f32 / 80.0 - 0.08);
                    (digest, vector.collect())
                })
                .collect();
            let pairs = Pairs::of(&vectors);
            for (one, first) in &vectors {
                for (other, second) in &vectors {
                    let rows = (pairs.row(one).unwrap(), pairs.row(other).unwrap());
                    assert_eq!(pairs.similarity(rows.0, rows.1), Some(dot(first, second)));
                }
            }
            assert_eq!(pairs.row(&Digest::of(b"another")), None);
            assert_eq!(pairs.similarity(0, count + TILE), None);
        }
    }
}
