//! The dot product, for whatever vector units the processor has.

/// Sums that do not wait for each other. They fix the order of additions, so that one pair of
/// vectors has one similarity wherever it is computed. Measured with 8 to 64 of them, added up one
/// after the other and by halves: so compiled they stay in registers.
const LANES: usize = 16;

/// Dot product of two vectors of equal length: the cosine similarity when both have unit length.
///
/// The result is the same to the last bit on every processor: products are never fused with
/// additions.
#[must_use]
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            #[expect(
                unsafe_code,
                reason = "the processor was asked for what the function needs"
            )]
            // SAFETY: AVX-512F was found in the line above.
            return unsafe { dot_avx512(left, right) };
        }
        if std::is_x86_feature_detected!("avx2") {
            #[expect(
                unsafe_code,
                reason = "the processor was asked for what the function needs"
            )]
            // SAFETY: AVX2 was found in the line above.
            return unsafe { dot_avx2(left, right) };
        }
    }
    sum_of_products(left, right)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn dot_avx512(left: &[f32], right: &[f32]) -> f32 {
    sum_of_products(left, right)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_avx2(left: &[f32], right: &[f32]) -> f32 {
    sum_of_products(left, right)
}

/// Compiled anew for each of its callers, with the instructions that the caller may use.
#[inline(always)]
fn sum_of_products(left: &[f32], right: &[f32]) -> f32 {
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    let rest: f32 = left_rest
        .iter()
        .zip(right_rest)
        .map(|(left, right)| left * right)
        .sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn blocks_and_rest_are_covered() {
        for length in [0, 1, 15, 31, 32, 33, 64, 95, 384] {
            let left: Vec<f32> = (0..length).map(|i| i as f32).collect();
            let right: Vec<f32> = (0..length).map(|i| (i % 3) as f32).collect();
            let expected: f32 = (0..length).map(|i| (i * (i % 3)) as f32).sum();
            assert_eq!(dot(&left, &right), expected, "length {length}");
        }
    }

    #[test]
    fn every_processor_gives_the_same_bits() {
        for length in [7, 384, 1_000] {
            let left: Vec<f32> = (0..length).map(|i| (i as f32).sin()).collect();
            let right: Vec<f32> = (0..length).map(|i| (i as f32 * 0.7).cos()).collect();
            let plain = sum_of_products(&left, &right);
            assert_eq!(dot(&left, &right).to_bits(), plain.to_bits());
            #[cfg(target_arch = "x86_64")]
            if std::is_x86_feature_detected!("avx2") {
                #[expect(unsafe_code, reason = "AVX2 was found")]
                // SAFETY: AVX2 was found in the line above.
                let narrow = unsafe { dot_avx2(&left, &right) };
                assert_eq!(narrow.to_bits(), plain.to_bits());
            }
        }
    }
}
