//! Figures of the outcomes of a family.

use super::{RecordedOutcome, Verdict};

/// Buckets of the similarity histograms: 0.05 each, from 0 to 1.
const BUCKETS: usize = 20;
/// Buckets of the rank histogram.
const RANKS: usize = 16;
/// Least judged candidates that a suggested threshold rests on.
const LEAST_JUDGED: u64 = 20;
/// One in so many of the judged candidates above a suggested threshold may be rejected: 5 %.
const REJECTED_SHARE: u64 = 20;

/// Figures of the outcomes of a family of tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FamilyReport {
    /// Candidates that passed the caller's checks.
    pub accepted: u64,
    /// Candidates that did not.
    pub rejected: u64,
    /// Times that nothing was similar enough.
    pub no_candidate: u64,
    /// Accepted candidates by similarity, those without one left out. Bucket `i` is from `i / 20` on and before
    /// `(i + 1) / 20`; the first takes negative similarities too, the last takes 1.
    pub accepted_similarity: [u64; BUCKETS],
    /// Rejected candidates by similarity.
    pub rejected_similarity: [u64; BUCKETS],
    /// Rejected candidates by rank, those without one left out. The last bucket takes 15 and above.
    pub rejected_rank: [u64; RANKS],
    /// Sequence of the first outcome.
    pub first_sequence: u64,
    /// Sequence of the last outcome.
    pub last_sequence: u64,
    /// When the last one was recorded, in microseconds since the Unix epoch.
    pub last_recorded_us: u64,
}

impl FamilyReport {
    /// Share of the judged candidates that were rejected; `None` without any.
    #[must_use]
    pub fn false_accept_rate(&self) -> Option<f64> {
        let judged = self.accepted + self.rejected;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        (judged > 0).then(|| self.rejected as f64 / judged as f64)
    }

    /// The lowest edge of a bucket such that of the judged candidates at or above it at most 5 % were rejected and
    /// there are at least 20; `None` if there is no such edge, or no rejection at all.
    #[must_use]
    pub fn suggested_threshold(&self) -> Option<f64> {
        if self.rejected == 0 {
            return None;
        }
        let (mut accepted, mut rejected, mut lowest) = (0, 0, None);
        let buckets = self
            .accepted_similarity
            .iter()
            .zip(&self.rejected_similarity);
        for (bucket, (accepted_here, rejected_here)) in buckets.enumerate().rev() {
            accepted += accepted_here;
            rejected += rejected_here;
            let judged = accepted + rejected;
            if judged >= LEAST_JUDGED && rejected * REJECTED_SHARE <= judged {
                lowest = Some(bucket);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a bucket is at most 19")]
        lowest.map(|bucket| bucket as f64 / BUCKETS as f64)
    }

    pub(super) fn add(&mut self, recorded: &RecordedOutcome) {
        let outcome = &recorded.outcome;
        let histogram = match outcome.verdict {
            Verdict::Accepted => {
                self.accepted += 1;
                Some(&mut self.accepted_similarity)
            }
            Verdict::Rejected => {
                self.rejected += 1;
                let rank = outcome.rank.map(|rank| (rank as usize).min(RANKS - 1));
                let counted = rank.and_then(|rank| self.rejected_rank.get_mut(rank));
                counted.into_iter().for_each(|count| *count += 1);
                Some(&mut self.rejected_similarity)
            }
            Verdict::NoCandidate => {
                self.no_candidate += 1;
                None
            }
        };
        let bucket = outcome.similarity.map(bucket_of);
        if let Some(count) = histogram
            .zip(bucket)
            .and_then(|(all, bucket)| all.get_mut(bucket))
        {
            *count += 1;
        }
        if self.first_sequence == 0 {
            self.first_sequence = recorded.sequence;
        }
        self.last_sequence = recorded.sequence;
        self.last_recorded_us = recorded.recorded_us;
    }
}

pub(super) fn bucket_of(similarity: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and 20; the conversion saturates"
    )]
    let bucket = (similarity * BUCKETS as f64) as usize;
    bucket.min(BUCKETS - 1)
}
