//! The table of answers: bounded in number and in bytes, so that no client can fill the memory with keys.
//!
//! ```text
//! a slot    in progress          as many bytes as the longest answer that is kept: it may become that
//!           answered             those of its answer
//!           and in any case      SLOT_BYTES
//! ```
//! Only answered slots that nobody is using are forgotten, the oldest first. One in progress is not, however full the table
//! is: the same request would be carried out a second time.

use parking_lot::Mutex;
use prestige_core::Digest;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// What a slot takes besides its answer, about.
pub(super) const SLOT_BYTES: usize = 512;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How long an answer is kept.
    pub kept: Duration,
    /// Most slots.
    pub slots: usize,
    /// Most bytes of all slots.
    pub bytes: usize,
    /// Longest answer that is kept, in bytes.
    pub answer_bytes: usize,
}

/// Slots by key. `T` is an answer.
#[derive(Debug)]
pub(super) struct Table<T> {
    bounds: Bounds,
    by_key: HashMap<Digest, Slot<T>>,
    /// Keys of those that are answered, by when.
    answered: VecDeque<(Instant, Digest)>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot<T> {
    answer: Arc<tokio::sync::Mutex<Option<T>>>,
    /// Requests that carry it out, or wait for it.
    users: usize,
    is_answered: bool,
    /// Its part of the bytes of the table.
    bytes: usize,
}

/// The use of a slot, which stays in the table as long as this lives.
#[derive(Debug)]
pub(super) struct Use<T> {
    table: Arc<Mutex<Table<T>>>,
    key: Digest,
    answer: Arc<tokio::sync::Mutex<Option<T>>>,
}

impl<T> Table<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            by_key: HashMap::new(),
            answered: VecDeque::new(),
            bytes: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The slot of a key, made if there is none; `None`: there is no room for another one.
    pub(super) fn enter(table: &Arc<Mutex<Self>>, key: Digest) -> Option<Use<T>> {
        let mut entered = table.lock();
        let room = SLOT_BYTES + entered.bounds.answer_bytes;
        entered.forget(0, 0);
        if !entered.by_key.contains_key(&key) && !entered.forget(1, room) {
            return None;
        }
        let mut made = 0;
        let slot = entered.by_key.entry(key).or_insert_with(|| {
            made = room;
            Slot {
                answer: Arc::default(),
                users: 0,
                is_answered: false,
                bytes: room,
            }
        });
        slot.users += 1;
        let answer = Arc::clone(&slot.answer);
        entered.bytes += made;
        Some(Use {
            table: Arc::clone(table),
            key,
            answer,
        })
    }

    /// Forgets the answers that were kept long enough, and of the others the oldest, until there is room for so much more.
    /// Whether there is.
    fn forget(&mut self, slots: usize, bytes: usize) -> bool {
        let now = Instant::now();
        let mut in_use = Vec::new();
        let has_room = loop {
            let has_room = self.by_key.len() + slots <= self.bounds.slots
                && self.bytes + bytes <= self.bounds.bytes;
            let Some((since, key)) = self.answered.front().copied() else {
                break has_room;
            };
            if has_room && now.duration_since(since) < self.bounds.kept {
                break true;
            }
            self.answered.pop_front();
            match self.by_key.get(&key) {
                Some(slot) if slot.users > 0 => in_use.push((since, key)),
                _ => self.remove(&key),
            }
        };
        // Still the oldest.
        for entry in in_use.into_iter().rev() {
            self.answered.push_front(entry);
        }
        has_room
    }

    fn remove(&mut self, key: &Digest) {
        if let Some(slot) = self.by_key.remove(key) {
            self.bytes -= slot.bytes;
        }
    }
}

impl<T> Use<T> {
    /// Waits until nobody else carries the request out. `None` inside: it has no answer yet.
    pub(super) async fn lock(&self) -> OwnedMutexGuard<Option<T>> {
        Arc::clone(&self.answer).lock_owned().await
    }

    /// States that the slot has an answer of so many bytes now, which is in the guard that [`Self::lock`] gave.
    pub(super) fn answered(&self, bytes: usize) {
        let mut table = self.table.lock();
        let table = &mut *table;
        if let Some(slot) = table.by_key.get_mut(&self.key)
            && !slot.is_answered
        {
            slot.is_answered = true;
            table.bytes -= slot.bytes;
            slot.bytes = SLOT_BYTES + bytes;
            table.bytes += slot.bytes;
            table.answered.push_back((Instant::now(), self.key));
        }
    }
}

impl<T> Drop for Use<T> {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        if let Some(slot) = table.by_key.get_mut(&self.key) {
            slot.users -= 1;
            // What has failed is tried anew.
            if slot.users == 0 && !slot.is_answered {
                table.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]
    use super::*;

    const ROOM: usize = SLOT_BYTES + 1000;

    fn table(slots: usize, bytes: usize, kept: Duration) -> Arc<Mutex<Table<()>>> {
        let answer_bytes = 1000;
        Arc::new(Mutex::new(Table::new(Bounds {
            kept,
            slots,
            bytes,
            answer_bytes,
        })))
    }

    fn key(number: usize) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    /// Answers a request.
    fn answer(table: &Arc<Mutex<Table<()>>>, number: usize, bytes: usize) {
        let used = Table::enter(table, key(number)).unwrap();
        *used.answer.try_lock().unwrap() = Some(());
        used.answered(bytes);
    }

    fn has(table: &Arc<Mutex<Table<()>>>, number: usize) -> bool {
        table.lock().by_key.contains_key(&key(number))
    }

    /// The bytes of the table are those of its slots.
    fn check(table: &Arc<Mutex<Table<()>>>) {
        let table = table.lock();
        let sum: usize = table.by_key.values().map(|slot| slot.bytes).sum();
        assert_eq!(table.bytes, sum);
        assert!(table.bytes <= table.bounds.bytes && table.by_key.len() <= table.bounds.slots);
        let answered = table.by_key.values().filter(|slot| slot.is_answered);
        assert_eq!(answered.count(), table.answered.len());
    }

    #[test]
    fn the_oldest_answers_are_forgotten_by_number_and_by_bytes() {
        let long = Duration::from_secs(600);
        for (slots, bytes) in [(5, 1 << 20), (1000, 5 * ROOM)] {
            let table = table(slots, bytes, long);
            for number in 0..100 {
                answer(&table, number, 1000);
                check(&table);
            }
            assert!(has(&table, 99) && has(&table, 95) && !has(&table, 94));
        }
        let table = table(1000, 1 << 20, Duration::ZERO);
        answer(&table, 0, 0);
        answer(&table, 1, 0);
        assert!(!has(&table, 0) && has(&table, 1));
    }

    #[test]
    fn what_is_in_progress_is_never_forgotten() {
        for (slots, bytes) in [(3, 1 << 20), (1000, 3 * ROOM)] {
            // However old.
            let table = table(slots, bytes, Duration::ZERO);
            let mut running: Vec<_> = (0..3)
                .map(|number| Table::enter(&table, key(number)).unwrap())
                .collect();
            for number in 3..20 {
                assert!(Table::enter(&table, key(number)).is_none());
            }
            // One that waits for the same.
            running.push(Table::enter(&table, key(0)).unwrap());
            assert!(Arc::ptr_eq(&running[0].answer, &running[3].answer));
            check(&table);
            // An answer that somebody is about to read is not forgotten either.
            running[1].answered(10);
            assert!(Table::enter(&table, key(3)).is_none());
            assert!(has(&table, 1));
            running.remove(1);
            drop(Table::enter(&table, key(3)).unwrap());
            assert!(!has(&table, 1) && !has(&table, 3));
            check(&table);
            drop(running);
            assert_eq!(table.lock().by_key.len(), 0);
            check(&table);
        }
    }
}
