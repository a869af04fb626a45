//! Embeddings of texts that have merged with a stored one. Such a text leaves no object and no vector behind, so without
//! these every put of it would run the model again.

use super::Vectors;
use crate::digest::Digest;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Bytes of one stage: 2,700 embeddings of 384 numbers.
const MOST_BYTES: u64 = 4 << 20;
/// What an entry takes besides its numbers.
const ENTRY_BYTES: u64 = 96;
/// Of an embedding of 384 numbers.
const TYPICAL_BYTES: u64 = ENTRY_BYTES + 384 * 4;

/// The embeddings that were used last, by the digest of the text. All are of the model of the stage that owns them.
pub(super) struct Merged(Cache<Digest, Arc<[f32]>, WeighVector>);

#[derive(Clone)]
struct WeighVector;

impl Weighter<Digest, Arc<[f32]>> for WeighVector {
    fn weight(&self, _: &Digest, vector: &Arc<[f32]>) -> u64 {
        ENTRY_BYTES + 4 * vector.len() as u64
    }
}

impl Merged {
    pub(super) fn new() -> Self {
        let entries = usize::try_from(MOST_BYTES / TYPICAL_BYTES).unwrap_or(0);
        Self(Cache::with_weighter(entries, MOST_BYTES, WeighVector))
    }

    pub(super) fn keep(&self, digest: Digest, vector: &[f32]) {
        self.0.insert(digest, vector.into());
    }

    /// Moves the known ones of `texts` into `vectors`; the others are left.
    pub(super) fn take_known(&self, texts: &mut Vec<(Digest, &str)>, vectors: &mut Vectors) {
        texts.retain(|(digest, _)| match self.0.get(digest) {
            Some(vector) => {
                vectors.insert(*digest, vector.to_vec());
                false
            }
            None => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_ones_are_left_out_within_the_bound() {
        let merged = Merged::new();
        let digest = |text: &str| Digest::of(text.as_bytes());
        merged.keep(digest("a"), &[1.0, 2.0]);
        let mut texts = vec![(digest("a"), "a"), (digest("b"), "b")];
        let mut vectors = Vectors::default();
        merged.take_known(&mut texts, &mut vectors);
        assert_eq!(texts, [(digest("b"), "b")]);
        assert_eq!(vectors, Vectors::from([(digest("a"), vec![1.0, 2.0])]));
        for number in 0..20_000 {
            merged.keep(digest(&number.to_string()), &[0.5; 384]);
        }
        assert!(merged.0.weight() <= MOST_BYTES && merged.0.len() > 1_000);
    }
}
