//! Random sequences of operations against a naive model of what a store is.
//!
//! The model knows nothing of digests, families or refcounts. Whatever the store answers must follow from it, its
//! figures are compared every few operations, and `verify` now and then and at the end of each sequence.
//!
//! - `PRESTIGE_PROPERTY_OPERATIONS` (default 105,000): operations in all; a tenth as many more in semantic mode.
//! - `PRESTIGE_PROPERTY_SEED`: runs the one sequence of this seed in each test. A failure prints its seed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod apply;
mod check;
mod model;
mod operation;
mod scans;
mod values;

use apply::Sequence;
use operation::{Operation, Operations};
use std::collections::VecDeque;
use values::Values;

/// Operations of one sequence, all on one store.
const SEQUENCE: u64 = 7500;
/// Operations between two comparisons of all figures.
const FIGURES_EVERY: u64 = 20;
/// Operations that a failure prints.
const SHOWN: usize = 30;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What is printed when a sequence fails.
struct Trace {
    seed: u64,
    values: Values,
    step: u64,
    last: VecDeque<Operation>,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for operation in &self.last {
                let shown = format!("{operation:?}");
                eprintln!("{}", shown.get(..400).unwrap_or(&shown));
            }
            eprintln!(
                "failed at operation {} of seed {}, values {:?}: PRESTIGE_PROPERTY_SEED={} runs it again",
                self.step, self.seed, self.values, self.seed
            );
        }
    }
}

fn run(seed: u64, values: Values) {
    let mut trace = Trace {
        seed,
        values,
        step: 0,
        last: VecDeque::new(),
    };
    let mut sequence = Sequence::new(seed, values);
    for operation in Operations::new(seed, values).take(SEQUENCE as usize) {
        trace.last.push_back(operation.clone());
        if trace.last.len() > SHOWN {
            trace.last.pop_front();
        }
        sequence.apply(operation);
        trace.step += 1;
        if trace.step.is_multiple_of(FIGURES_EVERY) {
            sequence.check_figures();
        }
    }
    sequence.check_everything();
}

/// Runs every `step`-th sequence from the `first` on, so that tests can share them out.
fn sequences(values: Values, share: u64, first: u64, step: u64) {
    if let Some(seed) = number("PRESTIGE_PROPERTY_SEED") {
        return run(seed, values);
    }
    let operations = number("PRESTIGE_PROPERTY_OPERATIONS").unwrap_or(105_000) / share;
    let mut seed = first;
    while seed <= operations.div_ceil(SEQUENCE) {
        run(seed, values);
        seed += step;
    }
}

#[test]
fn the_store_is_a_map_with_times() {
    sequences(Values::Exact, 1, 1, 2);
}

#[test]
fn the_store_is_a_map_with_times_in_other_sequences() {
    sequences(Values::Exact, 1, 2, 2);
}

#[test]
fn a_semantic_store_is_a_map_to_the_first_of_similar_texts() {
    sequences(Values::Semantic, 10, 1, 1);
}
