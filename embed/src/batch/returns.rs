//! Whether a leader waits for the callers who have just been answered.
//!
//! Threads that embed one text after the other come back a moment after each round. A leader who begins without them
//! makes them take turns in groups, and a round of eight texts of 14 tokens takes 11.9 ms on two processors, two rounds of
//! four take 13.4 ms, eight of one 21 ms. So the leader gives them a part of the time of their round, as long as it sees
//! that they do come.

use std::time::{Duration, Instant};

/// Share of the time of a round that the next leader waits for its callers to come back: of the 12 ms of eight texts 1.5.
/// Two processors take up to 1 ms to bring eight threads back that put texts.
const LINGER_SHARE: u32 = 8;
/// The longest wait, whatever a round takes.
const LONGEST_LINGER: Duration = Duration::from_millis(10);

/// A round of so many texts gains nothing worth a wait from more of them.
const ENOUGH_TEXTS: usize = 32;

/// So many rounds begin without a wait after one was in vain. Callers who never come back, as those of a service may,
/// then cost each round less than a hundredth of its time.
const SKIPPED: u32 = 16;

/// Who is awaited, and whether it was worth it. Guarded by the lock of the queue.
#[derive(Debug)]
pub(super) struct Returns {
    /// How long to wait after a round that took so long.
    linger: fn(Duration) -> Duration,
    /// Until when the callers of the last round are awaited; `None` before the first.
    until: Option<Instant>,
    /// Callers of the last round.
    answered: usize,
    /// Callers who have come since.
    came: usize,
    /// Rounds still to begin without a wait.
    skipped: u32,
}

impl Default for Returns {
    fn default() -> Self {
        Self {
            linger: |took| (took / LINGER_SHARE).min(LONGEST_LINGER),
            until: None,
            answered: 0,
            came: 0,
            skipped: 0,
        }
    }
}

impl Returns {
    /// To be called after a round of so many callers that took so long, before the first of them can come back.
    pub(super) fn answered(&mut self, callers: usize, took: Duration) {
        self.until = Some(Instant::now() + (self.linger)(took));
        (self.answered, self.came) = (callers, 0);
    }

    /// A caller has come. Whether as many have as were answered.
    pub(super) fn arrived(&mut self) -> bool {
        self.came += 1;
        self.all_came()
    }

    pub(super) fn all_came(&self) -> bool {
        self.came >= self.answered
    }

    /// Until when a round that would have so many texts waits; `None`: it begins at once.
    pub(super) fn awaited(&mut self, texts: usize) -> Option<Instant> {
        let until = self.until.filter(|until| Instant::now() < *until)?;
        if self.all_came() || texts >= ENOUGH_TEXTS {
            return None;
        }
        let waits = self.skipped == 0;
        self.skipped = self.skipped.saturating_sub(1);
        waits.then_some(until)
    }

    /// The wait is over: it was in vain if fewer than half of the callers have come.
    pub(super) fn waited(&mut self) {
        if 2 * self.came < self.answered {
            self.skipped = SKIPPED - 1;
        }
    }

    /// Waits as good as for ever.
    #[cfg(test)]
    pub(super) fn patient() -> Self {
        Self {
            linger: |_| Duration::from_secs(3600),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_waits_for_as_many_as_were_answered() {
        let mut returns = Returns::patient();
        assert!(returns.awaited(1).is_none());
        returns.answered(2, Duration::ZERO);
        assert!(returns.awaited(1).is_some() && returns.awaited(ENOUGH_TEXTS).is_none());
        assert!(!returns.arrived() && returns.awaited(1).is_some());
        assert!(returns.arrived() && returns.awaited(1).is_none());
        returns.answered(1, Duration::ZERO);
        returns.until = Some(Instant::now());
        assert!(!returns.all_came() && returns.awaited(1).is_none());
    }

    #[test]
    fn the_wait_is_a_share_of_the_round_and_bounded() {
        let linger = Returns::default().linger;
        let millis = Duration::from_millis;
        assert_eq!(linger(millis(16)), millis(2));
        assert_eq!(linger(millis(1000)), millis(10));
        assert_eq!(linger(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn after_a_wait_in_vain_only_one_round_of_sixteen_waits() {
        let mut returns = Returns::patient();
        let mut round = |came: usize| {
            returns.answered(4, Duration::ZERO);
            (0..came).for_each(|_| _ = returns.arrived());
            let waits = returns.awaited(1).is_some();
            if waits {
                returns.waited();
            }
            waits
        };
        assert!((0..40).all(|_| round(2)));
        let waits = (0..160).filter(|_| round(1)).count();
        assert_eq!(waits, 10);
        (0..SKIPPED).for_each(|_| _ = round(2));
        assert!((0..40).all(|_| round(3)));
    }
}
