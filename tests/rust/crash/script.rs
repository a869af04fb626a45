//! What a thread of the child does, step by step. Child and parent draw the same steps from the same seed, so the parent
//! knows what an acknowledged number of steps amounts to, and which step may have been under way.

use prestige_core::Metadata;
use prestige_tests::Random;

/// Keys of a thread in one of its places.
const KEYS: u64 = 60;
/// Values, shared by all threads: their refcounts are what the threads fight over.
const VALUES: u64 = 400;

/// Where a thread puts its keys. Nobody else writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The store's own namespace, under a prefix of the thread.
    Shared,
    /// A namespace of the thread, evicted now and then.
    Evicted,
    /// A namespace of the thread, dropped now and then.
    Dropped,
}

pub const PLACES: [Place; 3] = [Place::Shared, Place::Evicted, Place::Dropped];

#[derive(Clone, Debug)]
pub enum Step {
    /// Of a key that expires a second later, or never.
    Put(Place, u64, u32, bool),
    PutMany(Place, Vec<(u64, u32)>),
    Delete(Place, u64),
    DeleteMany(Place, Vec<u64>),
    Sweep,
    /// Of [`Place::Evicted`], down to so many percent of its bytes.
    Evict(u64),
    /// Of [`Place::Dropped`].
    DropNamespace,
    Flush,
}

/// The endless script of one thread in one life of the child.
pub struct Script(Random);

impl Script {
    pub fn new(seed: u64, thread: u64) -> Self {
        Self(Random::new(seed * 64 + thread))
    }

    fn pair(&mut self) -> (u64, u32) {
        (self.0.below(KEYS), self.0.below(VALUES) as u32)
    }
}

impl Iterator for Script {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let place = PLACES[self.0.below(3) as usize];
        let (key, value) = self.pair();
        Some(match self.0.below(40) {
            0..18 => Step::Put(place, key, value, self.0.below(5) == 0),
            18..24 => {
                let count = 1 + self.0.below(40);
                Step::PutMany(place, (0..count).map(|_| self.pair()).collect())
            }
            24..31 => Step::Delete(place, key),
            31..34 => {
                let count = 1 + self.0.below(30);
                Step::DeleteMany(place, (0..count).map(|_| self.pair().0).collect())
            }
            34..36 => Step::Sweep,
            36..38 => Step::Evict(40 + self.0.below(60)),
            38 => Step::DropNamespace,
            _ => Step::Flush,
        })
    }
}

/// Name of the namespace that a place of a thread is in.
pub fn namespace(thread: u64, place: Place) -> String {
    match place {
        Place::Shared => String::new(),
        Place::Evicted => format!("evicted {thread}"),
        Place::Dropped => format!("dropped {thread}"),
    }
}

pub fn key(thread: u64, place: Place, number: u64) -> Vec<u8> {
    match place {
        Place::Shared => format!("{thread}/{number}").into_bytes(),
        _ => number.to_string().into_bytes(),
    }
}

/// What every put of a value gives it, if it has metadata at all; a fleeting put adds a pair.
pub fn metadata(number: u32, fleeting: bool) -> Metadata {
    let mut metadata = Metadata::new();
    if number.is_multiple_of(3) {
        metadata.insert(
            "value".to_owned(),
            format!("{number} ").repeat(number as usize % 40),
        );
        if fleeting {
            metadata.insert(FLEETING.to_owned(), String::new());
        }
    }
    metadata
}

/// Name of the pair that a fleeting put adds.
pub const FLEETING: &str = "fleeting";

/// Texts without a word in common, so that a semantic store keeps each as it is; some longer than others, a few so long
/// that they are kept in files of their own.
pub fn value(number: u32) -> Vec<u8> {
    let sentence = format!("v{number}a v{number}b v{number}c. ");
    let times = 1 + number % 40 * if number.is_multiple_of(16) { 30 } else { 1 };
    sentence.repeat(times as usize).into_bytes()
}
