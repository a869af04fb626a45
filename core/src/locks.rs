//! Lock stripes for keys and digests.
//!
//! Lock order of the whole store: **key stripes (ascending) → digest stripes (ascending) → semantic lock → index**.
//! Whoever holds a lock takes none that stands before it, so no circle of waiting threads can form. Before all of them
//! stand, in this order, the locks that are held while access times are written, while a namespace's index is loaded and
//! while its checkpoint is written; dropping a namespace takes the latter two, and then every key stripe. `lock_order`
//! has all of them.
//!
//! Stripes are mutexes, not reader-writer locks: only writers take them (readers never lock), and a writer of a key
//! or digest always changes it. `parking_lot` gives them a timed wait.

use crate::error::{Error, Result};
use crate::lock_order::{Ordered, Rank};
use crate::schema::NamespaceId;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use std::time::Duration;

/// Number of stripes: with 16 writers, two meet on one stripe in about one of eight puts, for microseconds.
pub(crate) const STRIPES: usize = 64;

/// Mutexes that share out an unbounded set of keys; each guards a `T`.
#[derive(Debug)]
pub(crate) struct Stripes<T> {
    stripes: [Mutex<T>; STRIPES],
    timeout: Duration,
    /// Of the stripe of a number.
    rank: fn(usize) -> Rank,
}

/// Numbers of stripes: few, unless a batch needs them.
pub(crate) type StripeNumbers = SmallVec<[usize; 4]>;

/// Guards of some stripes, with their numbers, ascending.
pub(crate) type StripeGuards<'a, T> = SmallVec<[(usize, Ordered<MutexGuard<'a, T>>); 4]>;

impl<T: Default> Stripes<T> {
    pub(crate) fn new(timeout: Duration, rank: fn(usize) -> Rank) -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::new(T::default())),
            timeout,
            rank,
        }
    }

    /// Locks the stripes numbered `wanted` (below [`STRIPES`]), each once, in ascending order.
    pub(crate) fn lock(&self, mut wanted: StripeNumbers) -> Result<StripeGuards<'_, T>> {
        wanted.sort_unstable();
        wanted.dedup();
        let mut guards = StripeGuards::with_capacity(wanted.len());
        for (number, stripe) in wanted
            .iter()
            .filter_map(|&n| self.stripes.get(n).map(|stripe| (n, stripe)))
        {
            let guard =
                Ordered::wait_for((self.rank)(number), || stripe.try_lock_for(self.timeout))
                    .ok_or_else(|| self.timed_out())?;
            guards.push((number, guard));
        }
        Ok(guards)
    }

    /// Locks every stripe: nothing that needs one runs meanwhile.
    pub(crate) fn lock_all(&self) -> Result<StripeGuards<'_, T>> {
        self.lock((0..STRIPES).collect())
    }

    /// Adds a stripe to `guards` if it is free now. Whether `guards` holds it afterwards.
    pub(crate) fn extend<'a>(&'a self, guards: &mut StripeGuards<'a, T>, wanted: usize) -> bool {
        let position = match guards.binary_search_by_key(&wanted, |(number, _)| *number) {
            Ok(_) => return true,
            Err(position) => position,
        };
        match self.stripes.get(wanted).and_then(Mutex::try_lock) {
            Some(guard) => {
                let guard = Ordered::tried((self.rank)(wanted), guard);
                guards.insert(position, (wanted, guard));
                true
            }
            None => false,
        }
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut(format!(
            "another thread has been working on the same key or value for {} ms; try again, or raise lock_timeout_ms",
            self.timeout.as_millis()
        ))
    }
}

/// Stripe of a key: FNV-1a over its namespace and bytes, with the last step of MurmurHash3 to mix what differs only at
/// the end. The stripe is no part of any file but the counters', which are a sum.
pub(crate) fn key_stripe(namespace: NamespaceId, key: &[u8]) -> usize {
    let hash = namespace
        .prefix()
        .iter()
        .chain(key)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed >> 32) as usize % STRIPES
}

/// Stripe of a digest: SHA-256 is evenly spread already.
pub(crate) fn digest_stripe(digest: &crate::digest::Digest) -> usize {
    let [first, ..] = digest.0;
    usize::from(first) % STRIPES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use smallvec::smallvec;

    #[test]
    fn stripes_are_locked_once_each_in_ascending_order() {
        let stripes: Stripes<()> = Stripes::new(Duration::from_millis(10), Rank::Key);
        let guards = stripes.lock(smallvec![5, 1, 5, 63]).unwrap();
        assert_eq!(
            guards.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            [1, 5, 63]
        );
    }

    #[test]
    fn a_held_stripe_times_out_and_leaves_nothing_locked() {
        let stripes: Stripes<()> = Stripes::new(Duration::from_millis(10), Rank::Key);
        let held = stripes.lock(smallvec![7]).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(matches!(
                    stripes.lock(smallvec![3, 7]),
                    Err(Error::TimedOut(_))
                ))
            });
        });
        drop(held);
        assert_eq!(stripes.lock_all().unwrap().len(), STRIPES);
    }

    #[test]
    fn keys_spread_over_the_stripes() {
        let mut hits = [0_u32; STRIPES];
        for i in 0..64_000 {
            *hits
                .get_mut(key_stripe(
                    NamespaceId::DEFAULT,
                    format!("key_{i}").as_bytes(),
                ))
                .unwrap() += 1;
        }
        assert!(
            hits.iter().all(|&count| (700..1300).contains(&count)),
            "{hits:?}"
        );
    }
}
