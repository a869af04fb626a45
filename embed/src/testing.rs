//! A deterministic embedder without a model, for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{BackgroundEmbedder, Check, EmbedError, Embedder, Embeddings, Fingerprint};

/// An embedder for tests: the same text always gets the same vector, texts that share words get
/// near vectors, and no model is needed. It knows nothing of meaning: use it to test what happens
/// around an embedder.
///
/// Each word is a vector of +1 and -1 drawn from its hash; a text is the sum over its words, scaled
/// to unit length (a random projection of the bag of words, Achlioptas 2003). With 64 dimensions or
/// more, different words are nearly orthogonal, so the cosine similarity of two texts is about the
/// share of words they have in common. Case, order and punctuation do not count. A text without
/// words gets one fixed vector.
#[derive(Debug)]
pub struct HashEmbedder {
    dimension: usize,
    fingerprint: Fingerprint,
    calls: AtomicU64,
    texts: AtomicU64,
}

impl HashEmbedder {
    /// An embedder of the given dimension; 0 is taken as 1.
    pub fn new(dimension: usize) -> Self {
        let dimension = dimension.max(1);
        let fingerprint = Fingerprint::from_parts(
            format!("hash-{dimension}"),
            &[
                b"prestige hash embedder 1",
                &(dimension as u64).to_le_bytes(),
            ],
        );
        Self {
            dimension,
            fingerprint,
            calls: AtomicU64::new(0),
            texts: AtomicU64::new(0),
        }
    }

    /// How often [`Embedder::embed`] was called with at least one text.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many texts were embedded in all.
    pub fn texts(&self) -> u64 {
        self.texts.load(Ordering::Relaxed)
    }

    fn add_text(&self, text: &str, row: &mut [f32]) {
        let lower = text.to_lowercase();
        for word in lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            let mut state = fnv1a(word.as_bytes());
            for x in row.iter_mut() {
                *x += if splitmix64(&mut state) & 1 == 0 {
                    1.0
                } else {
                    -1.0
                };
            }
        }
        // No words, or words that cancel each other out exactly.
        if row.iter().all(|&x| x == 0.0)
            && let Some(first) = row.first_mut()
        {
            *first = 1.0;
        }
    }
}

impl Embedder for HashEmbedder {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        if !texts.is_empty() {
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.texts.fetch_add(texts.len() as u64, Ordering::Relaxed);
        }
        let mut data = vec![0.0; texts.len() * self.dimension];
        for (text, row) in texts.iter().zip(data.chunks_exact_mut(self.dimension)) {
            self.add_text(text, row);
        }
        Embeddings::new_checked(data, texts.len(), self.dimension)
    }

    fn in_background(&self) -> Option<&dyn BackgroundEmbedder> {
        Some(self)
    }
}

impl BackgroundEmbedder for HashEmbedder {
    fn embed_while(
        &self,
        texts: &[&str],
        begin: Check<'_>,
        check: Check<'_>,
    ) -> Result<Embeddings, EmbedError> {
        begin()?;
        check()?;
        self.embed(texts)
    }
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014).
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn shared_words_make_near_vectors() {
        let embedder = HashEmbedder::new(256);
        let rows = embedder
            .embed(&[
                "how do I reset my password",
                "How do I reset my PIN?",
                "shipping costs to Norway",
                "password my reset I do how",
            ])
            .unwrap();
        let rows: Vec<_> = rows.rows().collect();
        let (near, far) = (cosine(rows[0], rows[1]), cosine(rows[0], rows[2]));
        assert!(near > 0.7 && far < 0.3, "{near} {far}");
        assert_eq!(rows[0], rows[3]);
        assert!((cosine(rows[0], rows[0]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_text_without_words_gets_one_fixed_vector() {
        let embedder = HashEmbedder::new(3);
        let rows = embedder.embed(&["", " ?! "]).unwrap();
        assert_eq!(rows.as_slice(), [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        // In one dimension words cancel each other out; the rows are unit vectors all the same.
        let texts: Vec<String> = (0..50).map(|i| format!("{i} {}", i + 1)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let rows = HashEmbedder::new(1).embed(&texts).unwrap();
        assert!(rows.as_slice().iter().all(|x| x.abs() == 1.0));
    }

    #[test]
    fn calls_and_texts_are_counted() {
        let embedder = HashEmbedder::new(8);
        assert!(embedder.embed(&[]).unwrap().is_empty());
        assert_eq!((embedder.calls(), embedder.texts()), (0, 0));
        embedder.embed(&["a", "b"]).unwrap();
        embedder.embed(&["a"]).unwrap();
        assert_eq!((embedder.calls(), embedder.texts()), (2, 3));
    }

    #[test]
    fn the_same_on_every_machine() {
        let row = HashEmbedder::new(8).embed(&["hello"]).unwrap();
        let signs: Vec<bool> = row.as_slice().iter().map(|&x| x > 0.0).collect();
        assert_eq!(signs, [true, false, true, false, false, false, false, true]);
    }
}
