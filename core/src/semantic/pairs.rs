//! Which of the new texts of one put are nearest to each other, found before any lock is taken.
//!
//! A new text is compared with those before it in the same put, which the index does not know yet. One by one, under the
//! semantic lock, that takes longer than all at once and before it.

use super::ahead::NUMBERS_PER_THREAD;
use super::decide::{Created, CreatedText};
use crate::digest::Digest;
use prestige_embed::in_parts;
use prestige_index::nearest_before;
use std::collections::HashMap;

/// Places noted for each text, of which decisions need the best two that have become objects.
const NOTED: usize = 16;

/// Rows that are compared at once.
const BLOCK: usize = 128;

/// More texts are compared under the lock.
const MOST: usize = 4_096;

/// The nearest of texts that have a row each, in the order in which they are put.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    rows: HashMap<Digest, usize>,
    /// Of each row, those of the nearest texts before it.
    nearest: Vec<Vec<usize>>,
}

impl Pairs {
    /// Compares texts with each other. Their order is that in which they are put.
    pub(super) fn of(texts: &[(Digest, &[f32])]) -> Self {
        if texts.len() > MOST {
            return Self::default();
        }
        let dimension = texts.first().map_or(0, |(_, vector)| vector.len());
        let vectors: Vec<&[f32]> = texts.iter().map(|(_, vector)| *vector).collect();
        let all = vectors.concat();
        // Later blocks have more before them: alternating, parts that follow one another have as much to do.
        let starts = |first: usize| (first * BLOCK..texts.len()).step_by(2 * BLOCK);
        let blocks: Vec<usize> = starts(0).chain(starts(1)).collect();
        let compare = |blocks: &[usize]| -> Vec<(usize, Vec<Vec<usize>>)> {
            let of = |start: &usize| {
                let rows = *start..texts.len().min(start + BLOCK);
                (*start, nearest_before(&all, dimension, rows, NOTED))
            };
            blocks.iter().map(of).collect()
        };
        let useful = all.len() * texts.len() / 2 / NUMBERS_PER_THREAD;
        let parts = in_parts(&blocks, useful, "prestige-pairs", compare);
        let mut nearest: Vec<_> = parts.into_iter().flatten().collect();
        nearest.sort_unstable_by_key(|(start, _)| *start);
        Self {
            rows: texts
                .iter()
                .zip(0..)
                .map(|((digest, _), row)| (*digest, row))
                .collect(),
            nearest: nearest.into_iter().flat_map(|(_, rows)| rows).collect(),
        }
    }

    /// The row of a text, if it has one.
    pub(crate) fn row(&self, digest: &Digest) -> Option<usize> {
        self.rows.get(digest).copied()
    }

    /// Those of `created` among which the two nearest to a text are; `None` if that is not known.
    pub(super) fn nearest_of<'a>(
        &self,
        digest: &Digest,
        created: &'a Created,
    ) -> Option<Vec<&'a CreatedText>> {
        let row = self.row(digest);
        let nearest = self.nearest.get(row?)?;
        // What was noted is about all objects only if these are of texts that came before this one, in the order of their
        // rows. Not so if it comes again, and had merged the first time, nor if one came to its embedding late.
        if !created.is_sorted_by(|one, next| one.row.is_some() && one.row < next.row)
            || created.first().is_some_and(|first| first.row.is_none())
            || created.last().is_some_and(|last| last.row >= row)
        {
            return None;
        }
        let at = |row: &usize| {
            let place = created.binary_search_by_key(&Some(*row), |created| created.row);
            created.get(place.ok()?)
        };
        let found: Vec<_> = nearest.iter().filter_map(at).collect();
        // Otherwise most of the nearest have merged, and there are further ones.
        (nearest.len() < NOTED || found.len() >= 2).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    /// Texts on an arc, each nearer to the one before it than to all others.
    fn pairs(count: usize) -> (Pairs, Vec<CreatedText>) {
        let vectors: Vec<Vec<f32>> = (0..count)
            .map(|number| vec![(number as f32 / 100.0).cos(), (number as f32 / 100.0).sin()])
            .collect();
        let texts = vectors.iter().map(Vec::as_slice).enumerate();
        let texts: Vec<_> = texts.map(|(n, vector)| (digest(n), vector)).collect();
        let pairs = Pairs::of(&texts);
        let created = |(row, vector): (usize, &Vec<f32>)| CreatedText {
            object_id: row as u64,
            vector: vector.clone(),
            row: Some(row),
        };
        (pairs, vectors.iter().enumerate().map(created).collect())
    }

    /// Ids of the nearest of those that came before it.
    fn nearest(pairs: &Pairs, row: usize, created: &[CreatedText]) -> Option<Vec<u64>> {
        let before = created.partition_point(|created| created.row < Some(row));
        let found = pairs.nearest_of(&digest(row), created.get(..before)?)?;
        Some(found.iter().map(|created| created.object_id).collect())
    }

    #[test]
    fn the_nearest_objects_are_found_however_many_texts_have_merged() {
        let (pairs, mut created) = pairs(300);
        assert_eq!(pairs.row(&digest(299)), Some(299));
        assert_eq!(pairs.row(&digest(300)), None);
        let last = (283..299).rev().collect();
        assert_eq!(nearest(&pairs, 299, &created), Some(last));
        let sixteen = (40..56).rev().collect();
        assert_eq!(nearest(&pairs, 56, &created), Some(sixteen));
        assert_eq!(nearest(&pairs, 3, &created), Some(vec![2, 1, 0]));
        assert_eq!(nearest(&pairs, 0, &created), Some(vec![]));
        // Every tenth has become an object: two of the sixteen that are noted, or all there are.
        created.retain(|created| created.object_id % 10 == 0);
        assert_eq!(nearest(&pairs, 56, &created), Some(vec![50, 40]));
        assert_eq!(nearest(&pairs, 15, &created), Some(vec![10, 0]));
        // The second nearest lies beyond them.
        created.retain(|created| created.object_id % 20 == 0);
        assert_eq!(nearest(&pairs, 56, &created), None);
    }

    #[test]
    fn nothing_is_known_of_a_text_that_comes_again_after_others() {
        let (pairs, mut created) = pairs(40);
        created.truncate(21);
        assert!(pairs.nearest_of(&digest(21), &created).is_some());
        assert!(pairs.nearest_of(&digest(20), &created).is_none());
        // It has become an object the second time, so the order is another.
        created.swap(3, 20);
        assert!(pairs.nearest_of(&digest(30), &created).is_none());
    }

    #[test]
    fn nothing_is_known_of_texts_without_a_row() {
        let (pairs, mut created) = pairs(5);
        assert!(pairs.nearest_of(&digest(999), &created).is_none());
        assert!(pairs.nearest_of(&digest(5), &created).is_none());
        if let Some(created) = created.first_mut() {
            created.row = None;
        }
        assert!(pairs.nearest_of(&digest(3), &created).is_none());
        assert!(Pairs::default().nearest_of(&digest(0), &created).is_none());
    }
}
