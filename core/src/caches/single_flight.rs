//! Single flight: of many callers who miss the same key at once, one computes, and all get what it got.
//!
//! 1. Whoever joins first **leads**: it computes, stores, and then ends the flight with the outcome.
//! 2. Whoever joins before that end **follows** and waits for it.
//! 3. A flight leaves the table before its outcome is seen. So a failure is that of the callers who were there already,
//!    and the next call tries again; and whoever begins a flight looks once more into the store first, since what it
//!    missed may have been stored in between.
//! 4. A leader that goes without an outcome (an interrupt, a panic) leaves its followers to begin anew.
//! 5. A **computation**, a call with all the flights it leads, may wait for another one, but not in a circle (`waits`).

use crate::error::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

mod waits;

use waits::Wait;
pub(crate) use waits::Waits;

/// Longest sleep of a follower between two looks at whether its own caller wants it to end.
const PAUSE: Duration = Duration::from_millis(50);

/// Of the next computation or flight of the process.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The number of a new computation.
pub(crate) fn new_computation() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// The flights in progress.
pub(crate) struct SingleFlight<K, T> {
    /// Held for a few instructions, and no other lock meanwhile but that of `waits`, which comes after it.
    running: Mutex<HashMap<K, Arc<Flight<T>>>>,
    /// Of all flights in the store.
    waits: Arc<Waits>,
}

/// What one computation is about to give, and those who wait for it.
pub(crate) struct Flight<T> {
    /// No other flight of the process has it.
    number: u64,
    /// What it is a part of.
    computation: u64,
    /// The thread that computes, if it is one from beginning to end.
    leader: Option<ThreadId>,
    /// Held for a few instructions, and no other lock meanwhile.
    state: Mutex<State<T>>,
    ended: Condvar,
}

struct State<T> {
    outcome: Option<Outcome<T>>,
    /// Called at the end, by those who do not wait in a thread.
    listeners: Vec<Box<dyn FnOnce() + Send>>,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome<T> {
    /// With what was wanted.
    Value(T),
    /// With an error, for everyone.
    Failed(Error),
    /// Without one: who still wants it begins anew.
    Abandoned,
}

/// The part of a caller in a flight.
pub(crate) enum Joined<K: Eq + Hash, T: Clone> {
    Leads(Lead<K, T>),
    Follows(Follow<T>),
}

/// The part of a caller who waits for a flight.
#[derive(Clone)]
pub(crate) struct Follow<T> {
    flight: Arc<Flight<T>>,
    /// That the computations of the caller wait for it.
    wait: Arc<Wait>,
}

impl<T> Follow<T> {
    /// Waits no longer. Its outcome can be had all the same.
    pub(crate) fn release(&self) {
        self.wait.end();
    }
}

impl<T> Deref for Follow<T> {
    type Target = Flight<T>;

    fn deref(&self) -> &Flight<T> {
        &self.flight
    }
}

/// The duty to end a flight.
pub(crate) struct Lead<K: Eq + Hash, T: Clone> {
    flights: Arc<SingleFlight<K, T>>,
    key: K,
    flight: Arc<Flight<T>>,
}

impl<K: Copy + Eq + Hash, T: Clone> SingleFlight<K, T> {
    /// `waits`: of the store, whose flights must not wait for each other in a circle.
    pub(crate) fn new(waits: &Arc<Waits>) -> Arc<Self> {
        Arc::new(Self {
            running: Mutex::new(HashMap::new()),
            waits: Arc::clone(waits),
        })
    }

    /// Begins the flight of `key`, or joins the one in progress. `waits`: the caller will compute or wait in this thread;
    /// one that computes must not wait. `computing`: the computations that the caller is a part of, and must not wait for
    /// either. `computation`: the one that the flight will be a part of, if it begins.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it must not: the function asks for what it is computing, or for what waits for that.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: K,
        waits: bool,
        computing: &[u64],
        computation: u64,
    ) -> Result<Joined<K, T>> {
        let this_thread = waits.then(|| std::thread::current().id());
        let mut running = self.running.lock();
        match running.entry(key) {
            Entry::Occupied(entry)
                if (waits && entry.get().leader == this_thread)
                    || computing.contains(&entry.get().computation) =>
            {
                Err(Error::InvalidArgument(
                    "the function asks the cache for what it is computing, and would wait for itself; compute it \
                     without the cache there"
                        .to_owned(),
                ))
            }
            Entry::Occupied(entry) => {
                let flight = Arc::clone(entry.get());
                let wait = self.waits.follow(computing, flight.number);
                let wait = wait.ok_or_else(|| {
                    Error::InvalidArgument(
                        "the function asks the cache for what another function is computing that waits for this one: \
                         both would wait for ever; compute it without the cache there"
                            .to_owned(),
                    )
                })?;
                Ok(Joined::Follows(Follow {
                    flight,
                    wait: Arc::new(wait),
                }))
            }
            Entry::Vacant(entry) => {
                let flight = Arc::new(Flight {
                    number: NUMBERS.fetch_add(1, Ordering::Relaxed),
                    computation,
                    leader: this_thread,
                    state: Mutex::new(State {
                        outcome: None,
                        listeners: Vec::new(),
                    }),
                    ended: Condvar::new(),
                });
                self.waits.begin(flight.number, computation);
                entry.insert(Arc::clone(&flight));
                Ok(Joined::Leads(Lead {
                    flights: Arc::clone(self),
                    key,
                    flight,
                }))
            }
        }
    }
}

impl<T: Clone> Flight<T> {
    /// Waits for the end. An error of `check`, called now and then, ends the waiting alone.
    pub(crate) fn wait(&self, check: impl Fn() -> Result<()>) -> Result<Outcome<T>> {
        let mut state = self.state.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return Ok(outcome.clone());
            }
            if self.ended.wait_for(&mut state, PAUSE).timed_out() && state.outcome.is_none() {
                drop(state);
                check()?;
                state = self.state.lock();
            }
        }
    }
}

impl<T: Clone> Flight<T> {
    /// How it has ended, if it has.
    pub(crate) fn outcome(&self) -> Option<Outcome<T>> {
        self.state.lock().outcome.clone()
    }

    /// Has `listener` called at the end, or at once if that was before.
    pub(crate) fn listen(&self, listener: Box<dyn FnOnce() + Send>) {
        let mut state = self.state.lock();
        if state.outcome.is_none() {
            state.listeners.push(listener);
            return;
        }
        drop(state);
        listener();
    }
}

impl<K: Eq + Hash, T: Clone> Lead<K, T> {
    /// The computation that the flight is a part of.
    pub(crate) fn computation(&self) -> u64 {
        self.flight.computation
    }

    /// Ends the flight.
    pub(crate) fn end(self, outcome: Outcome<T>) {
        self.flight.finish(&self.flights, &self.key, outcome);
    }
}

impl<K: Eq + Hash, T: Clone> Drop for Lead<K, T> {
    fn drop(&mut self) {
        // Does nothing where there is an outcome already.
        self.flight
            .finish(&self.flights, &self.key, Outcome::Abandoned);
    }
}

impl<T> Flight<T> {
    fn finish<K: Eq + Hash>(&self, flights: &SingleFlight<K, T>, key: &K, outcome: Outcome<T>) {
        // Only its leader ends a flight, so nobody comes between this look and what follows.
        if self.state.lock().outcome.is_some() {
            return;
        }
        flights.running.lock().remove(key);
        flights.waits.end(self.number);
        let listeners = {
            let mut state = self.state.lock();
            state.outcome = Some(outcome);
            std::mem::take(&mut state.listeners)
        };
        self.ended.notify_all();
        for listener in listeners {
            listener();
        }
    }
}

impl<T> Outcome<T> {
    /// What `error` is to those who wait for the same.
    pub(crate) fn of_error(error: &Error) -> Self {
        match error {
            Error::Callback(failure) if failure.is_interrupt() => Self::Abandoned,
            _ => Self::Failed(error.clone()),
        }
    }
}

impl<K, T> fmt::Debug for SingleFlight<K, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SingleFlight")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
