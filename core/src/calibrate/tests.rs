#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

fn pairs(same: &[f64], different: &[f64]) -> Vec<Judged> {
    let judged = |similarities: &[f64], same| -> Vec<Judged> {
        let pairs = similarities.iter();
        pairs
            .map(|&similarity| Judged { similarity, same })
            .collect()
    };
    [judged(same, true), judged(different, false)].concat()
}

fn refused(judged: &[Judged], thresholds: Option<&[f64]>, precision: f64) -> String {
    match calibrate(judged, thresholds, precision) {
        Err(Error::InvalidArgument(message)) => message,
        other => format!("{other:?}"),
    }
}

#[test]
fn shares_have_the_intervals_of_wilson() {
    let close = |found: Share, value: f64, low: f64, high: f64| {
        assert!((found.value - value).abs() < 1e-9);
        assert!((found.low - low).abs() < 5e-5, "{found:?}");
        assert!((found.high - high).abs() < 5e-5, "{found:?}");
    };
    close(share(0, 10), 0.0, 0.0, 0.27753);
    close(share(10, 10), 1.0, 0.72247, 1.0);
    close(share(166, 180), 166.0 / 180.0, 0.87369, 0.95311);
    close(share(50, 100), 0.5, 0.40383, 0.59617);
}

#[test]
fn rows_count_what_a_threshold_merges() {
    let judged = pairs(&[0.99, 0.9, 0.8], &[0.95, 0.5]);
    let found = calibrate(&judged, Some(&[0.96, 0.5, 0.9, 1.0]), 0.7).unwrap();
    let counts: Vec<_> = found
        .rows
        .iter()
        .map(|row| (row.threshold, row.right, row.wrong))
        .collect();
    assert_eq!(
        counts,
        [(0.5, 3, 2), (0.9, 2, 1), (0.96, 1, 0), (1.0, 0, 0)]
    );
    assert_eq!((found.same, found.different), (3, 2));
    assert_eq!(found.rows[1].precision.unwrap().value, 2.0 / 3.0);
    assert_eq!(found.rows[1].recall.value, 2.0 / 3.0);
    assert_eq!(found.rows[1].false_accept_rate.value, 0.5);
    assert_eq!(found.rows[3].precision, None);
    assert_eq!((found.threshold, found.safe_threshold), (Some(0.96), None));
    assert_eq!(
        calibrate(&judged, Some(&[0.5]), 0.9).unwrap().threshold,
        None
    );
}

#[test]
fn the_safe_threshold_asks_for_enough_pairs() {
    let mut judged = pairs(&[0.9; 200], &[0.5; 200]);
    judged.extend(pairs(&[0.7; 5], &[]));
    let found = calibrate(&judged, Some(&[0.6, 0.95]), 0.98).unwrap();
    assert_eq!(
        (found.threshold, found.safe_threshold),
        (Some(0.6), Some(0.6))
    );
    let few = calibrate(&judged[195..], Some(&[0.6, 0.95]), 0.98).unwrap();
    assert_eq!((few.threshold, few.safe_threshold), (Some(0.6), None));
}

#[test]
fn thresholds_are_hundredths_unless_others_are_asked_for() {
    let found = calibrate(&pairs(&[0.973], &[0.951]), None, 1.0).unwrap();
    let thresholds: Vec<_> = found.rows.iter().map(|row| row.threshold).collect();
    assert_eq!(thresholds, [0.95, 0.96, 0.97, 0.98, 0.99, 1.0]);
    assert_eq!(found.threshold, Some(0.96));
    assert_eq!(
        calibrate(&pairs(&[0.9], &[-0.5]), None, 1.0)
            .unwrap()
            .rows
            .len(),
        101
    );
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    let good = pairs(&[0.9], &[0.1]);
    assert!(refused(&[], None, 0.9).contains("no pairs"));
    assert!(
        refused(&pairs(&[0.9, 0.8], &[]), None, 0.9)
            .contains("all 2 pairs are labelled as the same")
    );
    assert!(refused(&pairs(&[], &[0.9]), None, 0.9).contains("as different"));
    assert!(refused(&pairs(&[0.9, f64::NAN], &[0.1]), None, 0.9).contains("pair 2"));
    assert!(refused(&pairs(&[1.1], &[0.1]), None, 0.9).contains("pair 1"));
    for precision in [0.0, 1.1, f64::NAN] {
        assert!(refused(&good, None, precision).contains("precision"));
    }
    assert!(refused(&good, Some(&[]), 0.9).contains("no thresholds"));
    assert!(refused(&good, Some(&[0.5, f64::NAN]), 0.9).contains("NaN"));
}

proptest! {
    #[test]
    fn rows_equal_a_plain_count(
        same in prop::collection::vec(-1.0..=1.0_f64, 1..40),
        different in prop::collection::vec(-1.0..=1.0_f64, 1..40),
        thresholds in prop::collection::vec(-1.0..=1.0_f64, 1..20),
        wanted in 0.1..=1.0_f64,
    ) {
        let found = calibrate(&pairs(&same, &different), Some(&thresholds), wanted).unwrap();
        for row in &found.rows {
            let count = |all: &[f64]| all.iter().filter(|one| **one >= row.threshold).count() as u64;
            prop_assert_eq!((row.right, row.wrong), (count(&same), count(&different)));
            for share in [Some(row.recall), Some(row.false_accept_rate), row.precision].into_iter().flatten() {
                prop_assert!(0.0 <= share.low && share.low <= share.value + 1e-12);
                prop_assert!(share.value <= share.high + 1e-12 && share.high <= 1.0);
            }
        }
        let fits = found.rows.iter().filter(|row| row.precision.is_some_and(|share| share.value >= wanted));
        prop_assert_eq!(found.threshold, fits.map(|row| row.threshold).reduce(f64::min));
    }
}
