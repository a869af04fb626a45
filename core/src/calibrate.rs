//! From judged pairs of texts to a threshold: what each would have merged, and how sure that is.

use crate::error::{Error, Result};

/// A pair of texts that somebody has judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Cosine similarity, -1 to 1.
    pub similarity: f64,
    /// Whether they mean the same.
    pub same: bool,
}

/// A share of something, with the interval that holds the true one with a probability of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// What was counted, 0 to 1.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// What a threshold does with the pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationRow {
    /// The threshold: pairs of at least this similarity are merged.
    pub threshold: f64,
    /// Merged pairs that mean the same.
    pub right: u64,
    /// Merged pairs that do not.
    pub wrong: u64,
    /// Of the merged pairs, those that mean the same; `None` if nothing is merged.
    pub precision: Option<Share>,
    /// Of the pairs that mean the same, those that are merged.
    pub recall: Share,
    /// Of the pairs that do not mean the same, those that are merged.
    pub false_accept_rate: Share,
}

/// What thresholds do with judged pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Pairs that mean the same.
    pub same: u64,
    /// Pairs that do not.
    pub different: u64,
    /// The precision that was asked for.
    pub wanted_precision: f64,
    /// The lowest threshold whose precision is at least that; `None`: none is.
    pub threshold: Option<f64>,
    /// The lowest threshold at which even the lower end of the interval of the precision is.
    pub safe_threshold: Option<f64>,
    /// A row for each threshold, ascending.
    pub rows: Vec<CalibrationRow>,
}

/// Standard normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.959_963_984_540_054;
/// Thresholds are multiples of one in so many, unless others are asked for.
const STEPS: u32 = 100;

/// What `thresholds` do with `judged`; `None`: every hundredth from the lowest similarity, or 0, to 1.
///
/// # Errors
/// [`Error::InvalidArgument`] if there are no pairs, all have the same label (there is nothing to tell apart), a
/// similarity is not from -1 to 1 (its pair is named by its number, from 1), there are no thresholds or one is not from
/// -1 to 1, or `wanted_precision` is not over 0 and at most 1.
pub fn calibrate(
    judged: &[Judged],
    thresholds: Option<&[f64]>,
    wanted_precision: f64,
) -> Result<Calibration> {
    let refuse = |what: String| Err(Error::InvalidArgument(what));
    if !(wanted_precision > 0.0 && wanted_precision <= 1.0) {
        return refuse(format!(
            "precision must be over 0 and at most 1, not {wanted_precision}"
        ));
    }
    for (place, pair) in judged.iter().enumerate() {
        if !(-1.0..=1.0).contains(&pair.similarity) {
            return refuse(format!(
                "pair {}: the similarity must be a number from -1 to 1, not {}",
                place + 1,
                pair.similarity
            ));
        }
    }
    let mut same: Vec<f64> = similarities(judged, true);
    let mut different: Vec<f64> = similarities(judged, false);
    if judged.is_empty() {
        return refuse("there are no pairs to calibrate with".to_owned());
    }
    if same.is_empty() || different.is_empty() {
        let label = if same.is_empty() {
            "different"
        } else {
            "the same"
        };
        return refuse(format!(
            "all {} pairs are labelled as {label}; a threshold is found between pairs of both kinds",
            judged.len()
        ));
    }
    same.sort_unstable_by(f64::total_cmp);
    different.sort_unstable_by(f64::total_cmp);
    let mut thresholds = match thresholds {
        Some(given) => given.to_vec(),
        None => steps(judged),
    };
    if let Some(bad) = thresholds.iter().find(|one| !(-1.0..=1.0).contains(*one)) {
        return refuse(format!("a threshold must be from -1 to 1, not {bad}"));
    }
    if thresholds.is_empty() {
        return refuse("there are no thresholds to try".to_owned());
    }
    thresholds.sort_unstable_by(f64::total_cmp);
    thresholds.dedup();
    let rows: Vec<_> = thresholds
        .into_iter()
        .map(|threshold| row(threshold, &same, &different))
        .collect();
    let lowest = |enough: fn(&Share) -> f64| {
        let fits = |row: &&CalibrationRow| {
            let precision = row.precision.as_ref();
            precision.is_some_and(|precision| enough(precision) >= wanted_precision)
        };
        rows.iter().find(fits).map(|row| row.threshold)
    };
    Ok(Calibration {
        same: same.len() as u64,
        different: different.len() as u64,
        wanted_precision,
        threshold: lowest(|precision| precision.value),
        safe_threshold: lowest(|precision| precision.low),
        rows,
    })
}

fn similarities(judged: &[Judged], same: bool) -> Vec<f64> {
    let kind = judged.iter().filter(|pair| pair.same == same);
    kind.map(|pair| pair.similarity).collect()
}

/// Every hundredth from the one below the lowest similarity, or 0, to 1.
fn steps(judged: &[Judged]) -> Vec<f64> {
    let least = judged.iter().map(|pair| pair.similarity);
    let least = least.fold(1.0, f64::min).max(0.0);
    let steps = (0..=STEPS).map(|step| f64::from(step) / f64::from(STEPS));
    let beside = 1.0 / f64::from(STEPS);
    steps.filter(|step| *step > least - beside).collect()
}

/// `same` and `different` are similarities, ascending.
fn row(threshold: f64, same: &[f64], different: &[f64]) -> CalibrationRow {
    let merged = |similarities: &[f64]| {
        let below = similarities.partition_point(|similarity| *similarity < threshold);
        (similarities.len() - below) as u64
    };
    let (right, wrong) = (merged(same), merged(different));
    CalibrationRow {
        threshold,
        right,
        wrong,
        precision: (right + wrong > 0).then(|| share(right, right + wrong)),
        recall: share(right, same.len() as u64),
        false_accept_rate: share(wrong, different.len() as u64),
    }
}

/// The share of `hits` in `trials`, at least one, with its score interval (E. B. Wilson, "Probable Inference, the Law of
/// Succession, and Statistical Inference", Journal of the American Statistical Association 22, 1927). Unlike the
/// interval of the normal approximation it stays within 0 and 1, and says something of 0 hits as well.
fn share(hits: u64, trials: u64) -> Share {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let (hits, trials) = (hits as f64, trials as f64);
    let value = hits / trials;
    let square = Z95 * Z95 / trials;
    let centre = (value + square / 2.0) / (1.0 + square);
    let variance = value * (1.0 - value) / trials + square / (4.0 * trials);
    let spread = Z95 * variance.sqrt() / (1.0 + square);
    Share {
        value,
        low: (centre - spread).max(0.0),
        high: (centre + spread).min(1.0),
    }
}

#[cfg(test)]
mod tests;
