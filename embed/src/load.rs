//! How busy an embedder is.

#[cfg(feature = "onnx")]
use std::sync::atomic::{AtomicU64, Ordering};

/// Largest sizes of the rounds that [`EmbedderLoad::sizes`] counts, in texts: powers of two.
pub const ROUND_SIZES: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// What an embedder has done since it was loaded, for all that use it, and what waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbedderLoad {
    /// Texts that wait for their turn now, behind those that are being computed.
    pub waiting: u64,
    /// Rounds of computation.
    pub rounds: u64,
    /// Distinct texts of all rounds.
    pub texts: u64,
    /// Rounds that had at most as many texts as [`ROUND_SIZES`] says. Cumulative: each counts what those before it count.
    pub sizes: [u64; ROUND_SIZES.len()],
}

/// Counts rounds. Relaxed: figures for people, which order nothing.
#[cfg(feature = "onnx")]
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    texts: AtomicU64,
    /// By size; the last one is for whatever is larger.
    sizes: [AtomicU64; ROUND_SIZES.len() + 1],
}

#[cfg(feature = "onnx")]
impl Rounds {
    pub(crate) fn count(&self, texts: usize) {
        let texts = texts as u64;
        let place = ROUND_SIZES.partition_point(|most| *most < texts);
        if let Some(counter) = self.sizes.get(place) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.texts.fetch_add(texts, Ordering::Relaxed);
    }

    pub(crate) fn load(&self, waiting: u64) -> EmbedderLoad {
        let mut load = EmbedderLoad {
            waiting,
            texts: self.texts.load(Ordering::Relaxed),
            ..EmbedderLoad::default()
        };
        for (place, counter) in self.sizes.iter().enumerate() {
            load.rounds += counter.load(Ordering::Relaxed);
            if let Some(size) = load.sizes.get_mut(place) {
                *size = load.rounds;
            }
        }
        load
    }
}

#[cfg(all(test, feature = "onnx"))]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_counted_by_their_size() {
        let rounds = Rounds::default();
        for texts in [1, 2, 3, 256, 257] {
            rounds.count(texts);
        }
        let load = rounds.load(7);
        assert_eq!((load.waiting, load.rounds, load.texts), (7, 5, 519));
        assert_eq!(load.sizes, [1, 2, 3, 3, 3, 3, 3, 3, 4]);
    }
}
