//! A map that mostly has one entry, as what a single put touches, and takes no allocation then.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use std::hash::Hash;

/// Entries by key, in the order in which they came.
#[derive(Debug)]
pub(crate) struct FewMap<K, V> {
    /// The only entry. `None` as soon as there are two.
    one: Option<(K, V)>,
    /// All entries, if there are more than one or were to be.
    many: IndexMap<K, V, FxBuildHasher>,
}

impl<K, V> Default for FewMap<K, V> {
    fn default() -> Self {
        Self {
            one: None,
            many: IndexMap::default(),
        }
    }
}

impl<K: Hash + Eq + Ord, V> FewMap<K, V> {
    pub(crate) fn with_capacity(entries: usize) -> Self {
        let mut map = Self::default();
        if entries > 1 {
            map.many.reserve(entries);
        }
        map
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match &self.one {
            Some((one, value)) => (one == key).then_some(value),
            None => self.many.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match &mut self.one {
            Some((one, value)) => (one == key).then_some(value),
            None => self.many.get_mut(key),
        }
    }

    /// Sets the value of `key`, be it new or not.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.make_room(&key);
        if self.many.capacity() == 0 {
            self.one = Some((key, value));
        } else {
            self.many.insert(key, value);
        }
    }

    /// The value of `key`; that of `make` if there is none yet.
    pub(crate) fn get_or_try_insert<E>(
        &mut self,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<&mut V, E> {
        self.make_room(&key);
        if self.many.capacity() > 0 {
            return match self.many.entry(key) {
                indexmap::map::Entry::Occupied(entry) => Ok(entry.into_mut()),
                indexmap::map::Entry::Vacant(entry) => Ok(entry.insert(make()?)),
            };
        }
        let entry = match self.one.take() {
            Some(entry) => entry,
            None => (key, make()?),
        };
        Ok(&mut self.one.insert(entry).1)
    }

    /// The entries by ascending key.
    pub(crate) fn into_sorted(mut self) -> impl Iterator<Item = (K, V)> {
        self.many.sort_unstable_keys();
        self.one.into_iter().chain(self.many)
    }

    /// Moves the only entry to where there is room for a second one, if `key` is another.
    fn make_room(&mut self, key: &K) {
        if let Some((one, value)) = self.one.take_if(|(one, _)| one != key) {
            self.many.insert(one, value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_does_as_an_ordered_map_whatever_its_capacity() {
        for capacity in [0, 1, 2, 9] {
            for keys in [vec![], vec![7], vec![7, 7], vec![7, 3], vec![7, 3, 7, 9, 3]] {
                let mut few = FewMap::with_capacity(capacity);
                let mut map = std::collections::BTreeMap::new();
                for (value, key) in keys.iter().enumerate() {
                    if value % 2 == 0 {
                        few.insert(*key, value);
                        map.insert(*key, value);
                    } else {
                        let made: Result<_, ()> = few.get_or_try_insert(*key, || Ok(value));
                        *made.unwrap() += 10;
                        *map.entry(*key).or_insert(value) += 10;
                    }
                    for key in [3, 7, 9] {
                        assert_eq!(few.get(&key), map.get(&key));
                        assert_eq!(few.get_mut(&key), map.get_mut(&key));
                    }
                }
                assert!(few.into_sorted().eq(map), "{capacity} {keys:?}");
            }
        }
    }

    #[test]
    fn what_could_not_be_made_is_not_there() {
        let mut few = FewMap::with_capacity(1);
        assert_eq!(few.get_or_try_insert(1, || Err("full")), Err("full"));
        assert_eq!(few.get(&1), None);
        few.insert(1, 'a');
        assert_eq!(few.get_or_try_insert(2, || Err("full")), Err("full"));
        assert_eq!((few.get(&1), few.get(&2)), (Some(&'a'), None));
    }

    #[test]
    fn one_entry_takes_no_allocation() {
        let mut few = FewMap::with_capacity(1);
        few.insert(1, 'a');
        few.insert(1, 'b');
        assert_eq!((few.get(&1), few.many.capacity()), (Some(&'b'), 0));
    }
}
