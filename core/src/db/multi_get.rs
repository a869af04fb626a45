//! Reading many keys of a family at once.

use super::Db;
use crate::error::Result;
use prestige_embed::{Turns, beside};
use rocksdb::{ColumnFamily, DBPinnableSlice};
use std::time::{Duration, Instant};

/// Keys that a thread looks up at a time.
const KEYS_PER_TURN: usize = 64;
/// Keys of which a thread more has enough to do, where each takes as long as [`LONG_LOOKUP`].
const KEYS_PER_THREAD: usize = 128;
/// Between a key whose block is in the block cache and one whose block is not: a `get_many` of 1,000, which looks up each key
/// twice, takes 1.9 µs a key from a store of 100,000 and 11.9 µs from one of 3,000,000.
const LONG_LOOKUP: Duration = Duration::from_micros(3);

/// What RocksDB has for a key.
type Found<'a> = std::result::Result<Option<DBPinnableSlice<'a>>, rocksdb::Error>;

impl Db {
    /// The values of `keys`, in their order. They may be of different moments, as single reads would be.
    ///
    /// The first of many keys tell what each takes: where that is long, other threads look up a part of the rest, as far as
    /// RocksDB's own jobs leave processors for them.
    pub(crate) fn multi_get<K: AsRef<[u8]>>(
        &self,
        family: &str,
        keys: &[K],
    ) -> Result<Vec<Option<DBPinnableSlice<'_>>>> {
        let Some(family) = self.readable(family)? else {
            return Ok(keys.iter().map(|_| None).collect());
        };
        self.multi_get_with(family, keys, |took, others| {
            let enough = others / KEYS_PER_THREAD;
            if enough == 0 || took < LONG_LOOKUP * KEYS_PER_TURN as u32 {
                return 0;
            }
            self.spare_threads(1 + enough)
        })
    }

    /// As [`Self::multi_get`]; `helpers` is told how long the first [`KEYS_PER_TURN`] keys took and how many others there are,
    /// and says how many threads help with those.
    fn multi_get_with<K: AsRef<[u8]>>(
        &self,
        family: &ColumnFamily,
        keys: &[K],
        helpers: impl FnOnce(Duration, usize) -> usize,
    ) -> Result<Vec<Option<DBPinnableSlice<'_>>>> {
        // RocksDB wants them in order, and takes longer to put them there.
        let names = keys.iter().map(AsRef::as_ref).enumerate();
        let mut ordered: Vec<(&[u8], usize)> = names.map(|(at, name)| (name, at)).collect();
        ordered.sort_unstable();
        let (first, rest) = ordered.split_at(ordered.len().min(KEYS_PER_TURN));
        let start = Instant::now();
        let mut found = vec![(0, self.ordered_get(family, first))];
        match helpers(start.elapsed(), rest.len()) {
            _ if rest.is_empty() => {}
            0 => found.push((first.len(), self.ordered_get(family, rest))),
            helpers => {
                let turns = Turns::new(rest.len(), KEYS_PER_TURN);
                let look_up = || {
                    let mut done = Vec::new();
                    while let Some(turn) = turns.take() {
                        let start = first.len() + turn.start;
                        let names = rest.get(turn).unwrap_or_default();
                        done.push((start, self.ordered_get(family, names)));
                    }
                    done
                };
                let (asides, own) = beside(helpers, "prestige-get", look_up, look_up);
                found.extend(asides.into_iter().flatten().chain(own));
            }
        }
        let mut values: Vec<Option<DBPinnableSlice<'_>>> = keys.iter().map(|_| None).collect();
        let mut number = 0;
        for (start, part) in found {
            let places = ordered.iter().skip(start);
            for ((_, at), value) in places.zip(part) {
                number += 1;
                if let Some(slot) = values.get_mut(*at) {
                    *slot = value?;
                }
            }
        }
        if number < keys.len() {
            // Those of a thread that panicked are missing.
            for (slot, key) in values.iter_mut().zip(keys) {
                *slot = self.db().get_pinned_cf(family, key)?;
            }
        }
        Ok(values)
    }

    /// The values of names in ascending order.
    fn ordered_get(&self, family: &ColumnFamily, names: &[(&[u8], usize)]) -> Vec<Found<'_>> {
        let names = names.iter().map(|(name, _)| *name);
        self.db().batched_multi_get_cf(family, names, true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::options::Options;
    use crate::schema::KEYS;
    use rocksdb::WriteBatch;

    #[test]
    fn many_keys_have_the_values_that_each_has_alone() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(directory.path(), &Options::default()).unwrap();
        let family = db.family(KEYS).unwrap();
        let name = |number: usize| format!("{:x}", number * 0x9e37_79b1 % 100_003).into_bytes();
        let mut batch = WriteBatch::default();
        for number in (0..2000).filter(|number| number % 7 != 0) {
            batch.put_cf(family, name(number), number.to_le_bytes());
        }
        db.write(batch).unwrap();
        for count in [0, 1, 2, 63, 64, 65, 128, 193, 2500] {
            // Some keys are not there, some come twice.
            let keys: Vec<_> = (0..count).map(|number| name(number % 1999)).collect();
            let alone: Vec<_> = keys.iter().map(|key| db.get(KEYS, key).unwrap()).collect();
            let alone: Vec<_> = alone.iter().map(Option::as_deref).collect();
            for helpers in [0, 1, 3] {
                let others = count.saturating_sub(KEYS_PER_TURN);
                let all = db.multi_get_with(family, &keys, |_, rest| {
                    assert_eq!(rest, others);
                    helpers
                });
                let all = all.unwrap();
                let all: Vec<_> = all.iter().map(Option::as_deref).collect();
                assert_eq!(all, alone, "{count} keys, {helpers} helpers");
            }
        }
    }
}
