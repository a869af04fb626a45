//! The flights in progress in one store, and which computations wait for which of them, so that no circle forms.
//!
//! What one computation needs another may compute, and then it waits. If the other comes to need the first in turn, by
//! whatever way around, both would wait for ever, so the last one is refused.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The flights in progress and the waits for them. Last in the order of locks; held while a graph of as many computations
/// as wait for others is searched, which mostly is empty.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<Graph>);

#[derive(Debug, Default)]
struct Graph {
    /// Each flight in progress, and the computation that it is a part of.
    flights: BTreeMap<u64, u64>,
    /// Each computation that waits, and for which flights, with the number of waits for each.
    waiting: BTreeMap<u64, BTreeMap<u64, usize>>,
}

/// A wait in progress, until it ends or is dropped.
#[derive(Debug)]
pub(super) struct Wait {
    waits: Arc<Waits>,
    /// The computations that wait; none any more once it has ended.
    waiting: Mutex<Vec<u64>>,
    /// What for.
    flight: u64,
}

impl Waits {
    pub(super) fn begin(&self, flight: u64, computation: u64) {
        self.0.lock().flights.insert(flight, computation);
    }

    pub(super) fn end(&self, flight: u64) {
        self.0.lock().flights.remove(&flight);
    }

    /// Notes that the computations of `waiting` wait for a flight. `None`: its computation waits for one of them itself.
    pub(super) fn follow(self: &Arc<Self>, waiting: &[u64], flight: u64) -> Option<Wait> {
        let mut graph = self.0.lock();
        if !waiting.is_empty() && graph.leads_to(flight, waiting) {
            return None;
        }
        for one in waiting {
            let flights = graph.waiting.entry(*one).or_default();
            *flights.entry(flight).or_default() += 1;
        }
        drop(graph);
        Some(Wait {
            waits: Arc::clone(self),
            waiting: Mutex::new(waiting.to_vec()),
            flight,
        })
    }
}

impl Graph {
    /// Whether the computation of a flight waits for one of `computations`, or is one. What has ended waits for nothing.
    fn leads_to(&self, flight: u64, computations: &[u64]) -> bool {
        let (mut seen, mut next) = (BTreeSet::new(), vec![flight]);
        while let Some(flight) = next.pop() {
            let Some(computation) = self.flights.get(&flight) else {
                continue;
            };
            if computations.contains(computation) {
                return true;
            }
            if seen.insert(*computation) {
                let flights = self.waiting.get(computation).into_iter();
                next.extend(flights.flat_map(BTreeMap::keys));
            }
        }
        false
    }
}

impl Wait {
    /// Ends it, if it has not ended.
    pub(super) fn end(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        if waiting.is_empty() {
            return;
        }
        let mut graph = self.waits.0.lock();
        for one in waiting {
            let Some(flights) = graph.waiting.get_mut(&one) else {
                continue;
            };
            if let Some(count) = flights.get_mut(&self.flight) {
                *count -= 1;
                if *count == 0 {
                    flights.remove(&self.flight);
                }
            }
            if flights.is_empty() {
                graph.waiting.remove(&one);
            }
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Each flight is a computation of its own, with ten times its number.
    fn in_progress(flights: std::ops::Range<u64>) -> Arc<Waits> {
        let waits = Arc::new(Waits::default());
        flights.for_each(|flight| waits.begin(flight, flight * 10));
        waits
    }

    #[test]
    fn a_circle_is_refused_however_long_it_is() {
        let waits = in_progress(0..10);
        let chain: Vec<_> = (0..9)
            .map(|flight| waits.follow(&[flight * 10], flight + 1).unwrap())
            .collect();
        for last in [0, 4, 9] {
            assert!(waits.follow(&[90], last).is_none());
        }
        // What many wait for is no circle, nor is what they wait for twice.
        let again: Vec<_> = (0..9)
            .map(|flight| waits.follow(&[flight * 10], 9))
            .collect();
        assert!(again.iter().all(Option::is_some));
        assert!(waits.follow(&[90, 110], 4).is_none());
        // They wait no longer.
        drop((chain, again));
        assert!(waits.follow(&[90], 0).is_some());
        assert!(waits.0.lock().waiting.is_empty());
    }

    #[test]
    fn all_flights_of_a_computation_wait_for_what_it_waits_for() {
        let waits = Arc::new(Waits::default());
        for (flight, computation) in [(0, 7), (1, 7), (2, 8)] {
            waits.begin(flight, computation);
        }
        let waiting = waits.follow(&[7], 2).unwrap();
        assert!(waits.follow(&[8], 0).is_none());
        assert!(waits.follow(&[8], 1).is_none());
        // One of its flights has ended, and can be waited for by anybody.
        waits.end(0);
        assert!(waits.follow(&[8], 0).is_some());
        waiting.end();
        assert!(waits.follow(&[8], 1).is_some());
    }

    #[test]
    fn of_two_waits_for_the_same_the_second_stays() {
        let waits = in_progress(0..2);
        let first = waits.follow(&[0], 1).unwrap();
        let second = waits.follow(&[0], 1).unwrap();
        first.end();
        drop(first);
        assert!(waits.follow(&[10], 0).is_none());
        drop(second);
        assert!(waits.follow(&[10], 0).is_some());
    }

    #[test]
    fn what_has_ended_is_in_nobodys_way() {
        let waits = in_progress(0..3);
        let _first = waits.follow(&[0], 1).unwrap();
        let _second = waits.follow(&[10], 2).unwrap();
        waits.end(1);
        let _third = waits.follow(&[20], 0).unwrap();
        // Nor does one that has ended wait: a task that it began may go on.
        waits.end(0);
        assert!(waits.follow(&[0], 2).is_some());
    }
}
