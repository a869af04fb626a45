//! How many texts the model computes at once.
//!
//! Texts of a micro-batch are padded to the longest of them, so a micro-batch of like lengths wastes least; and running the
//! model costs something by itself, so a micro-batch should not be small.

/// Most texts the model computes at once. Twice or half as many made no difference that could be
/// measured.
const MICRO_BATCH_TEXTS: usize = 32;

/// Most tokens, padding included, the model computes at once. The runtime keeps the memory of the
/// largest batch it has seen: with MiniLM-L6-v2 about 300 MB for 8192 tokens, a quarter of it for
/// 2048, at the same speed.
const MICRO_BATCH_TOKENS: usize = 2048;

/// What running the model costs by itself, in tokens computed: it reads all its weights each time. Measured with
/// MiniLM-L6-v2: 2.5 ms a run and 0.11 ms a token; both grow with the size of a model.
const RUN_TOKENS: usize = 22;

/// Most texts of a round, which several callers share.
const ROUND_TEXTS: usize = 256;

/// A round ends with the micro-batch that would make it longer than this, in tokens, padding included: what two cores
/// compute in about half a second is how long others wait.
const ROUND_TOKENS: usize = 2 * MICRO_BATCH_TOKENS;

/// How many texts at most go into a micro-batch whose longest has `width` tokens; at least 1.
fn micro_batch(width: usize) -> usize {
    (MICRO_BATCH_TOKENS / width.max(1)).clamp(1, MICRO_BATCH_TEXTS)
}

/// Lengths of the micro-batches that texts with so many tokens, in descending order, are cut into at the least cost: a few
/// texts of mixed length are computed faster in two runs than padded to the longest of them.
pub(crate) fn micro_batches(sizes: &[usize]) -> Vec<usize> {
    // From the end: the cost of all texts from here on, and the length of the first micro-batch of them.
    let mut best = vec![(0, 0); sizes.len() + 1];
    for (start, &width) in sizes.iter().enumerate().rev() {
        let most = micro_batch(width).min(sizes.len() - start);
        let cheapest = (1..=most)
            .rev()
            .filter_map(|length| {
                let (after, _) = best.get(start + length)?;
                Some((RUN_TOKENS + length * width + after, length))
            })
            .min_by_key(|(cost, _)| *cost);
        if let (Some(slot), Some(cheapest)) = (best.get_mut(start), cheapest) {
            *slot = cheapest;
        }
    }
    let mut lengths = Vec::new();
    let mut start = 0;
    while let Some(&(_, length)) = best.get(start).filter(|(_, length)| *length > 0) {
        lengths.push(length);
        start += length;
    }
    lengths
}

/// How many texts make a round, of texts with so many tokens in descending order: whole micro-batches, at least one.
pub(crate) fn round_length(sizes: &[usize]) -> usize {
    let (mut texts, mut tokens) = (0, 0);
    while let Some(&width) = sizes.get(texts) {
        let batch = micro_batch(width).min(sizes.len() - texts);
        if texts > 0 && (texts + batch > ROUND_TEXTS || tokens + batch * width > ROUND_TOKENS) {
            break;
        }
        texts += batch;
        tokens += batch * width;
    }
    texts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn texts_of_mixed_length_are_cut_where_padding_costs_more_than_another_run() {
        assert!(micro_batches(&[]).is_empty());
        assert_eq!(micro_batches(&[9]), [1]);
        assert_eq!(micro_batches(&[14; 64]), [32, 32]);
        assert_eq!(micro_batches(&[256; 9]), [8, 1]);
        assert_eq!(micro_batches(&[9000, 3]), [1, 1]);
        // One run more costs 22: as much as padding two texts by 11 tokens.
        assert_eq!(micro_batches(&[20, 10, 10]), [3]);
        assert_eq!(micro_batches(&[22, 10, 10]), [1, 2]);
        assert_eq!(micro_batches(&[26, 20, 16, 14, 12, 10, 8]), [2, 5]);
    }

    #[test]
    fn the_cut_is_the_cheapest_of_all() {
        fn cheapest(sizes: &[usize]) -> usize {
            let Some(width) = sizes.first() else { return 0 };
            let lengths = 1..=sizes.len().min(micro_batch(*width));
            let cost = |length| RUN_TOKENS + length * width + cheapest(&sizes[length..]);
            lengths.map(cost).min().unwrap()
        }
        let mut state = 1_usize;
        for length in 1..14 {
            let mut sizes: Vec<usize> = (0..length)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    3 + (state >> 40) % 60
                })
                .collect();
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            let mut start = 0;
            let cost: usize = micro_batches(&sizes)
                .iter()
                .map(|length| {
                    start += length;
                    RUN_TOKENS + length * sizes[start - length]
                })
                .sum();
            assert_eq!(start, sizes.len());
            assert_eq!(cost, cheapest(&sizes), "{sizes:?}");
        }
    }

    #[test]
    fn rounds_are_whole_micro_batches_within_both_bounds() {
        assert_eq!(round_length(&[]), 0);
        assert_eq!(round_length(&[100_000]), 1);
        assert_eq!(round_length(&[14; 1000]), 256);
        assert_eq!(round_length(&[14; 100]), 100);
        // 32 × 64 tokens are a micro-batch, two of them a round.
        assert_eq!(round_length(&[64; 1000]), 64);
        assert_eq!(round_length(&[64; 65]), 64);
        // 8 × 256.
        assert_eq!(round_length(&[256; 1000]), 16);
        assert_eq!(round_length(&[256; 9]), 9);
        // The widest of a micro-batch counts for all of it.
        let mixed = [vec![64; 1], vec![8; 400]].concat();
        assert_eq!(round_length(&mixed), 256);
        let mixed = [vec![128; 17], vec![8; 400]].concat();
        assert_eq!(round_length(&mixed), 32);
    }

    #[test]
    fn micro_batches_are_bounded_by_texts_and_by_tokens() {
        assert_eq!(micro_batch(0), 32);
        assert_eq!(micro_batch(14), 32);
        assert_eq!(micro_batch(64), 32);
        assert_eq!(micro_batch(65), 31);
        assert_eq!(micro_batch(256), 8);
        assert_eq!(micro_batch(8192), 1);
    }
}
