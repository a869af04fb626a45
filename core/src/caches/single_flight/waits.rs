//! The flights in progress in one store, and which of them wait for which others, so that no circle of them forms.
//!
//! What a function computes may need what another one computes: then its flight waits for that of the other. If the other
//! comes to need the first in turn, by whatever way around, both would wait for ever, so the last one is refused.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// By number: each flight in progress, with the flights that its function waits for now.
///
/// Held for a few instructions, by those who hold the table of a `SingleFlight` as well.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<BTreeMap<u64, Vec<u64>>>);

/// A wait in progress, until it is dropped.
#[derive(Debug)]
pub(super) struct Wait {
    waits: Arc<Waits>,
    /// The flights whose function waits.
    waiting: Vec<u64>,
    /// What for.
    number: u64,
}

impl Waits {
    pub(super) fn begin(&self, number: u64) {
        self.0.lock().insert(number, Vec::new());
    }

    pub(super) fn end(&self, number: u64) {
        self.0.lock().remove(&number);
    }

    /// Notes that the functions of `waiting` wait for the flight `number`; those that have ended do not count. `None`: it
    /// waits for one of them itself.
    pub(super) fn follow(self: &Arc<Self>, waiting: &[u64], number: u64) -> Option<Wait> {
        let mut in_progress = self.0.lock();
        let waiting: Vec<_> = waiting
            .iter()
            .copied()
            .filter(|one| in_progress.contains_key(one))
            .collect();
        let (mut seen, mut next) = (BTreeSet::new(), vec![number]);
        while let Some(one) = next.pop() {
            if waiting.contains(&one) {
                return None;
            }
            if seen.insert(one) {
                next.extend(in_progress.get(&one).into_iter().flatten());
            }
        }
        for one in &waiting {
            if let Some(others) = in_progress.get_mut(one) {
                others.push(number);
            }
        }
        drop(in_progress);
        Some(Wait {
            waits: Arc::clone(self),
            waiting,
            number,
        })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut in_progress = self.waits.0.lock();
        for one in &self.waiting {
            if let Some(others) = in_progress.get_mut(one)
                && let Some(position) = others.iter().position(|other| *other == self.number)
            {
                others.swap_remove(position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn in_progress(numbers: std::ops::Range<u64>) -> Arc<Waits> {
        let waits = Arc::new(Waits::default());
        numbers.for_each(|number| waits.begin(number));
        waits
    }

    #[test]
    fn a_circle_is_refused_however_long_it_is() {
        let waits = in_progress(0..10);
        let chain: Vec<_> = (0..9)
            .map(|one| waits.follow(&[one], one + 1).unwrap())
            .collect();
        for last in [0, 4, 9] {
            assert!(waits.follow(&[9], last).is_none());
        }
        // What many wait for is no circle, nor is what they wait for twice.
        let again: Vec<_> = (0..9).map(|one| waits.follow(&[one], 9)).collect();
        assert!(again.iter().all(Option::is_some));
        assert!(waits.follow(&[9, 11], 4).is_none());
        // Half of it waits no longer.
        drop((chain, again));
        assert!(waits.follow(&[9], 0).is_some());
    }

    #[test]
    fn of_two_waits_for_the_same_the_second_stays() {
        let waits = in_progress(0..2);
        let (first, second) = (
            waits.follow(&[0], 1).unwrap(),
            waits.follow(&[0], 1).unwrap(),
        );
        drop(first);
        assert!(waits.follow(&[1], 0).is_none());
        drop(second);
        assert!(waits.follow(&[1], 0).is_some());
    }

    #[test]
    fn what_has_ended_is_in_nobodys_way() {
        let waits = in_progress(0..3);
        let _waiting = (
            waits.follow(&[0], 1).unwrap(),
            waits.follow(&[1], 2).unwrap(),
        );
        waits.end(1);
        let _others = waits.follow(&[2], 0).unwrap();
        // Nor does one that ended wait: a task that it began may go on.
        waits.end(0);
        assert!(waits.follow(&[0], 2).is_some());
        assert!(waits.0.lock().values().all(|others| others == &[0]));
    }
}
