//! Time, injectable so that tests of TTL and eviction never sleep.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Source of the current time. Every time in the store is microseconds since the Unix epoch, UTC.
pub trait Clock: Send + Sync + Debug {
    /// Microseconds since the Unix epoch.
    fn now_us(&self) -> u64;
}

/// The system's wall clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> u64 {
        // A clock before 1970 reads as the epoch: nothing expires, nothing fails.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| {
                u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
            })
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `now_us` microseconds since the Unix epoch.
    #[must_use]
    pub fn new(now_us: u64) -> Self {
        Self(AtomicU64::new(now_us))
    }

    /// Moves the clock forward by `seconds`.
    pub fn advance_seconds(&self, seconds: u64) {
        self.0
            .fetch_add(seconds.saturating_mul(MICROS_PER_SECOND), Ordering::SeqCst);
    }

    /// Moves the clock by `micros`, forth or back, at most to the ends of time.
    pub fn move_by(&self, micros: i64) {
        let moved = |now_us: u64| Some(now_us.saturating_add_signed(micros));
        // Never an error, since the closure always gives a time.
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, moved);
    }

    /// Puts the clock to `now_us` microseconds since the Unix epoch.
    pub fn set(&self, now_us: u64) {
        self.0.store(now_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Microseconds in a second.
pub(crate) const MICROS_PER_SECOND: u64 = 1_000_000;

/// The moment `seconds` after `now_us`, or the end of time where the sum does not fit.
pub(crate) fn after_seconds(now_us: u64, seconds: u64) -> u64 {
    now_us.saturating_add(seconds.saturating_mul(MICROS_PER_SECOND))
}

/// The moment `seconds` before `now_us`, or the epoch.
pub(crate) fn before_seconds(now_us: u64, seconds: u64) -> u64 {
    now_us.saturating_sub(seconds.saturating_mul(MICROS_PER_SECOND))
}
