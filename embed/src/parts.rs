//! Work on many items that is divided among a few threads while the caller waits.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most threads of one call; others wait for the processors, too.
const MOST_THREADS: usize = 4;

/// What `work` makes of parts of `items`, which follow one another: one part for each processor, but at most `useful`.
/// The calling thread does one of them.
pub fn in_parts<T, R>(
    items: &[T],
    useful: usize,
    name: &str,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R>
where
    T: Sync,
    R: Send,
{
    let useful = useful.min(MOST_THREADS).min(items.len());
    if useful < 2 {
        return vec![work(items)];
    }
    let mut parts = items.chunks(items.len().div_ceil(processors().min(useful)));
    let first = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let started: Vec<_> = parts
            .map(|part| {
                let builder = std::thread::Builder::new().name(name.to_owned());
                (part, builder.spawn_scoped(scope, || work(part)))
            })
            .collect();
        let mut done = vec![work(first)];
        for (part, thread) in started {
            // Where a thread could not be had, its part is done here.
            let result = thread.ok().and_then(|thread| thread.join().ok());
            done.push(result.unwrap_or_else(|| work(part)));
        }
        done
    })
}

/// What `aside` gives on each of at most `helpers` threads of their own, and what `own` gives on the calling one, at the
/// same time: worth it where all take much longer than to start a thread, some 30 µs.
///
/// A thread may begin late, where the processors are busy, so `aside` should take its work from [`Turns`] that `own` takes
/// from, too. Where no thread can be had, `aside` is not called at all; what panicked gives nothing.
pub fn beside<A: Send, R>(
    helpers: usize,
    name: &str,
    aside: impl Fn() -> A + Sync,
    own: impl FnOnce() -> R,
) -> (Vec<A>, R) {
    if helpers == 0 {
        return (Vec::new(), own());
    }
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..helpers)
            .filter_map(|_| {
                let builder = std::thread::Builder::new().name(name.to_owned());
                builder.spawn_scoped(scope, &aside).ok()
            })
            .collect();
        let own = own();
        let asides = started.into_iter().filter_map(|thread| thread.join().ok());
        (asides.collect(), own)
    })
}

/// How many threads to start for work of which `useful` threads could each do a part, besides the calling one. `busy`:
/// processors that others are known to use. A thread that has to wait for one is waited for, too.
#[must_use]
pub fn spare_threads(useful: usize, busy: usize) -> usize {
    let useful = useful.min(MOST_THREADS);
    if useful < 2 {
        return 0;
    }
    useful
        .min(processors().saturating_sub(busy))
        .saturating_sub(1)
}

/// On Linux the answer is read from several files, so it is asked for once.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Positions that some threads share out among them while they work: whoever is free takes the next ones, so none waits
/// for one that is late.
#[derive(Debug)]
pub struct Turns {
    next: AtomicUsize,
    end: usize,
    step: usize,
}

impl Turns {
    /// The positions below `end`, to be taken `step` at a time.
    #[must_use]
    pub fn new(end: usize, step: usize) -> Self {
        let next = AtomicUsize::new(0);
        let step = step.max(1);
        Self { next, end, step }
    }

    /// Positions that nobody else gets; `None` when all are taken.
    pub fn take(&self) -> Option<Range<usize>> {
        let start = self.next.fetch_add(self.step, Ordering::Relaxed);
        (start < self.end).then(|| start..self.end.min(start.saturating_add(self.step)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_started_for_processors_that_are_free() {
        let free = processors().min(MOST_THREADS);
        assert_eq!(spare_threads(100, 0), free - 1);
        assert_eq!(spare_threads(2, 0), free.min(2) - 1);
        for (useful, busy) in [(0, 0), (1, 0), (100, processors()), (100, processors() + 9)] {
            assert_eq!(spare_threads(useful, busy), 0);
        }
        assert_eq!(spare_threads(100, processors() - 1), 0);
    }

    #[test]
    fn both_are_done_at_the_same_time() {
        let met = std::sync::Barrier::new(3);
        let wait = || {
            met.wait();
            7
        };
        assert_eq!(beside(2, "test", wait, wait), (vec![7, 7], 7));
        assert_eq!(beside(0, "test", wait, || 5), (vec![], 5));
    }

    #[test]
    fn a_panic_aside_is_left_aside() {
        let fails = || assert_eq!(1 + 1, 3, "on purpose");
        assert_eq!(beside(1, "test", fails, || 7), (vec![], 7));
    }

    #[test]
    fn every_position_is_taken_once() {
        for (end, step) in [(0, 1), (1, 8), (1000, 16), (1000, 0)] {
            let turns = Turns::new(end, step);
            let take = || {
                std::iter::from_fn(|| turns.take())
                    .flatten()
                    .collect::<Vec<_>>()
            };
            let (asides, own) = beside(3, "test", take, take);
            let mut all: Vec<_> = asides.into_iter().flatten().chain(own).collect();
            all.sort_unstable();
            assert_eq!(all, (0..end).collect::<Vec<_>>());
            assert_eq!(turns.take(), None);
        }
    }

    #[test]
    fn parts_follow_one_another_whatever_their_number() {
        for items in [0_usize, 1, 2, 3, 7, 100] {
            let all: Vec<usize> = (0..items).collect();
            for useful in [0, 1, 2, 3, 9] {
                let done = in_parts(&all, useful, "test", <[usize]>::to_vec);
                assert_eq!(done.concat(), all, "{items} items, {useful} parts");
            }
        }
    }
}
