//! The answer to a look-up, written piece by piece: a request of a few bytes can name one long vector thousands of times.

use super::references;
use crate::stream::{More, PIECE_BYTES, Pieces};
use crate::vector::Vector;
use prestige_core::{EmbeddingCache, Result};
use std::sync::Arc;

/// Most texts that are looked up at once.
const MOST_TEXTS: usize = 1_024;

/// A look-up that is being answered.
///
/// ```text
/// {"dimension":d,"vectors":[ for each text Base64 of d × f32, or null, with commas between ]}
/// ```
pub(super) struct Finding {
    cache: Arc<EmbeddingCache>,
    texts: Vec<String>,
    /// Length of the vectors, as the answer says; known from the first piece on.
    dimension: Option<usize>,
    /// Texts that are answered.
    done: usize,
}

impl Finding {
    pub(super) fn new(cache: Arc<EmbeddingCache>, texts: Vec<String>) -> Self {
        Self {
            dimension: cache.dimension(),
            cache,
            texts,
            done: 0,
        }
    }

    /// Texts whose vectors make a piece.
    fn step(&self) -> usize {
        let Some(dimension) = self.dimension else {
            return MOST_TEXTS;
        };
        // Four characters of Base64 for three bytes, quotes and a comma.
        let length = dimension.saturating_mul(4).div_ceil(3) * 4 + 3;
        (PIECE_BYTES / length).clamp(1, MOST_TEXTS)
    }
}

impl Pieces for Finding {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> Result<More> {
        let end = self.texts.len().min(self.done + self.step());
        let texts = self.texts.get(self.done..end).unwrap_or_default();
        let found = self.cache.get_many(&references(texts))?;
        if self.done == 0 {
            self.dimension = self.cache.dimension();
            let dimension = self.dimension.map(|dimension| dimension.to_string());
            let dimension = dimension.as_deref().unwrap_or("null");
            piece
                .extend_from_slice(format!("{{\"dimension\":{dimension},\"vectors\":[").as_bytes());
        }
        for (offset, vector) in found.iter().enumerate() {
            if self.done + offset > 0 {
                piece.push(b',');
            }
            // One that came later than the answer has begun, and has a length that the answer does not say, is not there.
            match vector
                .as_deref()
                .filter(|vector| Some(vector.len()) == self.dimension)
            {
                None => piece.extend_from_slice(b"null"),
                // Writing to memory cannot fail, and neither can this.
                Some(vector) => {
                    let _ = serde_json::to_writer(&mut *piece, &Vector(vector.to_vec()));
                }
            }
        }
        self.done = end;
        if self.done < self.texts.len() {
            return Ok(More::Yes);
        }
        piece.extend_from_slice(b"]}");
        Ok(More::No)
    }
}
