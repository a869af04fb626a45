//! The operations of a sequence, drawn at random. What they do does not depend on what came before, so that a sequence
//! is the same in every run of its seed.

use crate::values::{self, NARROW_KEYS, Values, WIDE_KEYS};
use prestige_core::Metadata;
use prestige_tests::Random;

/// The namespaces: the store's own, two of few keys, one of many.
pub const SPACES: [&str; 4] = ["", "red", "blue", "wide"];

/// Key, number of the value, seconds to live, metadata to add.
pub type NewEntry = (Vec<u8>, u32, Option<u64>, Metadata);

#[derive(Clone, Debug)]
pub enum Operation {
    Put(&'static str, NewEntry),
    PutMany(&'static str, Vec<NewEntry>),
    Get(&'static str, Vec<u8>),
    GetMany(&'static str, Vec<Vec<u8>>),
    ContainsMany(&'static str, Vec<Vec<u8>>),
    Delete(&'static str, Vec<u8>),
    DeleteMany(&'static str, Vec<Vec<u8>>),
    Ttl(&'static str, Vec<u8>),
    Touch(&'static str, Vec<u8>, Option<u64>),
    /// Expiry at a moment so many seconds from now.
    ExpireAt(&'static str, Vec<u8>, i64),
    List {
        space: &'static str,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
    },
    BeginScan {
        space: &'static str,
        prefix: Vec<u8>,
        start: Option<Vec<u8>>,
        limit: Option<u64>,
        keys_only: bool,
    },
    /// The next page of one of the scans that are held.
    Page(u64),
    Advance(u64),
    Sweep(&'static str),
    Prune {
        space: &'static str,
        max_age: u64,
        max_idle: u64,
    },
    /// Eviction down to so many percent of the bytes there are.
    Evict(&'static str, u64),
    Flush,
    Compact,
    DropNamespace(&'static str),
    Verify,
    /// With options drawn anew.
    Reopen(u64),
}

/// Draws operations, frequent ones more often.
pub struct Operations {
    random: Random,
    values: Values,
}

impl Operations {
    pub fn new(seed: u64, values: Values) -> Self {
        Self {
            random: Random::new(seed),
            values,
        }
    }

    fn entry(&mut self, keys: u64) -> NewEntry {
        let key = values::key(self.random.below(keys));
        // The lower numbers more often, so that objects gain and lose many keys.
        let most = 1 + self.random.below(self.values.count());
        let number = self.random.below(most) as u32;
        (key, number, self.ttl(), self.metadata())
    }

    /// Mostly none; otherwise a few pairs of few names, so that they meet.
    fn metadata(&mut self) -> Metadata {
        let pairs = match self.random.below(4) {
            0 => 1 + self.random.below(3),
            _ => 0,
        };
        let pair = |_| {
            let text = "x".repeat(self.random.below(30) as usize);
            (format!("name {}", self.random.below(6)), text)
        };
        (0..pairs).map(pair).collect()
    }

    fn ttl(&mut self) -> Option<u64> {
        match self.random.below(4) {
            0 => Some(self.random.below(20)),
            _ => None,
        }
    }

    fn keys(&mut self, keys: u64, most: u64) -> Vec<Vec<u8>> {
        let count = self.random.below(most);
        (0..count)
            .map(|_| values::key(self.random.below(keys)))
            .collect()
    }

    fn some_key(&mut self, keys: u64) -> Option<Vec<u8>> {
        (self.random.below(2) == 0).then(|| values::key(self.random.below(keys)))
    }
}

impl Iterator for Operations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        let space = SPACES[self.random.below(SPACES.len() as u64) as usize];
        let (keys, most) = if space == "wide" {
            (WIDE_KEYS, 120)
        } else {
            (NARROW_KEYS, 14)
        };
        let key = values::key(self.random.below(keys));
        let rare = self.random.below(8000);
        Some(match self.random.below(100) {
            // Each about once in so many operations: they take milliseconds, not microseconds.
            _ if rare < 4 => Operation::Reopen(self.random.below(1 << 30)),
            _ if rare < 8 => Operation::Flush,
            _ if rare < 9 => Operation::Compact,
            _ if rare < 24 => Operation::Verify,
            _ if rare < 44 => Operation::DropNamespace(space),
            0..26 => Operation::Put(space, self.entry(keys)),
            26..34 => {
                let count = self.random.below(most);
                Operation::PutMany(space, (0..count).map(|_| self.entry(keys)).collect())
            }
            34..52 => Operation::Get(space, key),
            52..57 => Operation::GetMany(space, self.keys(keys, most)),
            57..60 => Operation::ContainsMany(space, self.keys(keys, most)),
            60..70 => Operation::Delete(space, key),
            70..72 => Operation::Touch(space, key, self.ttl()),
            72..73 => Operation::ExpireAt(space, key, self.random.below(20) as i64 - 5),
            73..74 => Operation::Ttl(space, key),
            74..77 => Operation::DeleteMany(space, self.keys(keys, most)),
            77..80 => Operation::List {
                space,
                prefix: values::prefix(&mut self.random),
                after: self.some_key(keys),
                limit: self.random.below(40) as usize,
            },
            80..83 => Operation::BeginScan {
                space,
                prefix: values::prefix(&mut self.random),
                start: self.some_key(keys),
                limit: (self.random.below(3) == 0).then(|| self.random.below(1000)),
                keys_only: self.random.below(2) == 0,
            },
            83..88 => Operation::Page(self.random.below(100)),
            88..95 => Operation::Advance(self.random.below(4)),
            95..97 => Operation::Sweep(space),
            97..98 => Operation::Prune {
                space,
                max_age: self.random.below(60),
                max_idle: self.random.below(60),
            },
            98..99 => Operation::Evict(space, self.random.below(110)),
            _ => Operation::Advance(0),
        })
    }
}
