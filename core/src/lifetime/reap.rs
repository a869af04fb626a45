//! The reaper: a background thread removes what has expired.

use super::Due;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::schema::EXPIRY;
use std::time::{Duration, Instant};

/// Most batches of one turn: access times and checkpoints are written by the same thread, and what is left is removed
/// in its next turn.
const TURN_BATCHES: usize = 64;

/// When the reaper runs. In real time, whatever clock the store has.
pub(crate) struct Reaper {
    /// `None`: never.
    interval: Option<Duration>,
    /// End of the last round.
    last: Instant,
    /// The last turn left something to remove.
    unfinished: bool,
}

impl Reaper {
    /// A reaper that runs every `interval_seconds`, the first time when they have passed; 0: never.
    pub(crate) fn new(interval_seconds: f64) -> Self {
        let interval = Duration::try_from_secs_f64(interval_seconds).unwrap_or(Duration::MAX);
        Self {
            interval: (interval_seconds > 0.0).then_some(interval),
            last: Instant::now(),
            unfinished: false,
        }
    }

    /// Longest sleep that misses no round.
    pub(crate) fn interval(&self) -> Duration {
        self.interval.unwrap_or(Duration::MAX)
    }

    /// Removes expired keys if it is time to. `stopped`: whether to leave off at once.
    pub(crate) fn run(&mut self, engine: &Engine, stopped: impl Fn() -> bool) -> Result<()> {
        let due = |interval| self.unfinished || self.last.elapsed() >= interval;
        if !self.interval.is_some_and(due) {
            return Ok(());
        }
        let (mut result, mut left) = (Ok(()), TURN_BATCHES);
        for namespace in engine.namespaces.all() {
            let reaped = engine.reap(&namespace, &mut left, &stopped);
            // What fails in one namespace, or ends with it, is no reason to leave the others.
            if reaped.is_err() && namespace.check_exists().is_ok() {
                result = result.and(reaped);
            }
        }
        self.unfinished = left == 0;
        self.last = Instant::now();
        result
    }
}

impl Engine {
    /// Removes expired keys of a namespace, at most `left` batches, and counts them off.
    fn reap(
        &self,
        namespace: &Namespace,
        left: &mut usize,
        stopped: impl Fn() -> bool,
    ) -> Result<()> {
        let due = Due::expired(self.now_us(), self.options.enable_gc);
        let mut cursor = Vec::new();
        // Most namespaces have nothing to remove, and their frontier says so.
        while *left > 0 && !stopped() && namespace.frontiers.get(EXPIRY) < due.before_us {
            if self.remove_batch(namespace, &due, &mut cursor)?.is_none() {
                break;
            }
            *left -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
