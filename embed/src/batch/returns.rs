//! Whether a leader waits for the callers who have just been answered.
//!
//! Threads that embed one text after the other come back a moment after each round. A leader who begins without them
//! makes them take turns in groups, and a round of eight texts of 14 tokens takes 11.9 ms on two processors, two rounds of
//! four take 13.4 ms, eight of one 21 ms. So after a small round the next leader gives its callers a part of its time, as
//! long as waiting does bring them.

use std::time::{Duration, Instant};

/// Share of the time of a round that the next leader waits for its callers to come back: of the 12 ms of eight texts 1.5.
/// Two processors take up to 1 ms to bring eight threads back that put texts.
const LINGER_SHARE: u32 = 8;
/// The longest wait, whatever a round takes.
const LONGEST_LINGER: Duration = Duration::from_millis(10);

/// A round of so many texts gains nothing worth a wait from more of them.
const ENOUGH_TEXTS: usize = 32;

/// So many rounds begin without a wait after one was in vain. Callers who never come back, as those of a service may,
/// then cost each small round less than a hundredth of its time.
const SKIPPED: u32 = 16;

/// Who is awaited, and whether it was worth it. Guarded by the lock of the queue.
#[derive(Debug)]
pub(super) struct Returns {
    /// How long to wait after a round that took so long.
    linger: fn(Duration) -> Duration,
    /// Until when the callers of the last round are awaited; `None`: not at all.
    until: Option<Instant>,
    /// Callers of the last round.
    answered: usize,
    /// Callers who have come since.
    came: usize,
    /// As many of them had come when the wait began.
    came_before: usize,
    /// Texts of the next round, as far as a wait knows of them.
    texts: usize,
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
            came_before: 0,
            texts: 0,
            skipped: 0,
        }
    }
}

impl Returns {
    /// To be called after a round of so many callers and texts that took so long, before the first of them can come back.
    /// Who comes back from a long round will fill the next one by himself.
    pub(super) fn answered(&mut self, callers: usize, texts: usize, took: Duration) {
        let small = texts < ENOUGH_TEXTS;
        self.until = small.then(|| Instant::now() + (self.linger)(took));
        (self.answered, self.came) = (callers, 0);
    }

    /// A caller has come with so many texts. Whether who waits is to go on.
    pub(super) fn arrived(&mut self, texts: usize) -> bool {
        self.came += 1;
        self.texts += texts;
        self.enough()
    }

    /// Whether there is nobody left to wait for, or no need to.
    pub(super) fn enough(&self) -> bool {
        self.came >= self.answered || self.texts >= ENOUGH_TEXTS
    }

    /// Until when a round that would have so many texts waits; `None`: it begins at once.
    pub(super) fn awaited(&mut self, texts: usize) -> Option<Instant> {
        let until = self.until.filter(|until| Instant::now() < *until)?;
        (self.texts, self.came_before) = (texts, self.came);
        if self.enough() {
            return None;
        }
        let waits = self.skipped == 0;
        self.skipped = self.skipped.saturating_sub(1);
        waits.then_some(until)
    }

    /// The wait is over: it was in vain if it brought fewer than half of those who were missing.
    pub(super) fn waited(&mut self) {
        let brought = self.came - self.came_before;
        let missing = self.answered.saturating_sub(self.came_before);
        if self.texts < ENOUGH_TEXTS && 2 * brought < missing {
            self.skipped = SKIPPED - 1;
        }
    }

    /// Waits far longer than a test takes.
    #[cfg(test)]
    pub(super) fn patient() -> Self {
        Self {
            linger: |_| Duration::from_secs(20),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(returns: &mut Returns, callers: usize) {
        returns.answered(callers, callers, Duration::ZERO);
    }

    #[test]
    fn a_leader_waits_for_as_many_as_were_answered() {
        let mut returns = Returns::patient();
        assert!(returns.awaited(1).is_none());
        answer(&mut returns, 2);
        assert!(returns.awaited(ENOUGH_TEXTS).is_none() && returns.awaited(1).is_some());
        assert!(!returns.arrived(1) && returns.awaited(1).is_some());
        assert!(returns.arrived(1) && returns.awaited(1).is_none());
        answer(&mut returns, 1);
        returns.until = Some(Instant::now());
        assert!(returns.awaited(1).is_none());
    }

    #[test]
    fn who_was_answered_alone_or_with_many_texts_is_not_awaited() {
        let mut returns = Returns::patient();
        answer(&mut returns, 1);
        assert!(returns.arrived(1) && returns.awaited(1).is_none());
        returns.answered(2, ENOUGH_TEXTS, Duration::ZERO);
        assert!(returns.awaited(1).is_none());
    }

    #[test]
    fn enough_texts_end_the_wait_as_all_callers_do() {
        let mut returns = Returns::patient();
        answer(&mut returns, 8);
        assert!(returns.awaited(2).is_some());
        assert!(!returns.arrived(ENOUGH_TEXTS - 3));
        assert!(returns.arrived(1));
        returns.waited();
        assert_eq!(returns.skipped, 0);
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
        // So many come before the wait, and while it lasts.
        let mut round = |before: usize, during: usize| {
            answer(&mut returns, 5);
            (0..before).for_each(|_| _ = returns.arrived(1));
            let waits = returns.awaited(1).is_some();
            if waits {
                (0..during).for_each(|_| _ = returns.arrived(1));
                returns.waited();
            }
            waits
        };
        assert!((0..40).all(|_| round(1, 2)));
        let waits = (0..160).filter(|_| round(1, 1)).count();
        assert_eq!(waits, 10);
        (0..SKIPPED).for_each(|_| _ = round(1, 4));
        // The last one is awaited and does not come.
        let waits = (0..160).filter(|_| round(4, 0)).count();
        assert_eq!(waits, 10);
        (0..SKIPPED).for_each(|_| _ = round(0, 5));
        assert!((0..40).all(|_| round(0, 5)));
    }
}
