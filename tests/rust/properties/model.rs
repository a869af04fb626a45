//! What a store is, said as simply as possible: maps of keys to the objects of their values, and times in seconds.

use crate::operation::NewEntry;
use crate::values::Values;
use prestige_core::{Dedup, Health, Metadata, PutOutcome};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A key that was put. Times are seconds since the start of the sequence.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The group of its value; names its object.
    pub group: u32,
    pub put_at: u64,
    pub accessed_at: u64,
    pub expires_at: Option<u64>,
}

/// A stored value.
#[derive(Clone, Debug)]
pub struct Object {
    /// The value whose bytes are stored: the first of its group that came.
    pub number: u32,
    pub id: u64,
    pub metadata: Metadata,
}

/// A namespace.
#[derive(Default)]
pub struct Space {
    pub keys: BTreeMap<Vec<u8>, Key>,
    /// By group; those without a key are the orphans.
    pub objects: HashMap<u32, Object>,
    /// The latest put or access, of keys that are gone by now, too.
    pub used_at: u64,
    /// When the last sweep ended, since the store was opened.
    pub swept_at: Option<u64>,
}

/// A store.
pub struct Model {
    pub values: Values,
    /// Lengths of the values, in bytes, by number.
    sizes: Vec<u64>,
    pub spaces: BTreeMap<String, Space>,
    pub now: u64,
    pub enable_gc: bool,
    pub default_ttl: u64,
    /// The highest object id seen: a new object has a higher one.
    pub newest_id: u64,
}

impl Key {
    pub fn is_live(&self, now: u64) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}

impl Model {
    pub fn new(values: Values) -> Self {
        let numbers = 0..values.count() as u32;
        Self {
            values,
            sizes: numbers
                .map(|number| values.bytes(number).len() as u64)
                .collect(),
            spaces: BTreeMap::from([(String::new(), Space::default())]),
            now: 0,
            enable_gc: true,
            default_ttl: 0,
            newest_id: 0,
        }
    }

    pub fn space(&mut self, name: &str) -> &mut Space {
        self.spaces.entry(name.to_owned()).or_default()
    }

    /// The live keys of a namespace with the values they read.
    pub fn live(&self, space: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let space = &self.spaces[space];
        let live = space.keys.iter().filter(|(_, key)| key.is_live(self.now));
        live.map(|(name, key)| (name.clone(), self.bytes(space, key)))
            .collect()
    }

    fn bytes(&self, space: &Space, key: &Key) -> Vec<u8> {
        self.values.bytes(space.objects[&key.group].number)
    }

    /// What a read of `key` gives. It counts as an access.
    pub fn get(&mut self, space: &str, key: &[u8]) -> Option<Vec<u8>> {
        let now = self.now;
        let found = self.space(space).keys.get_mut(key)?;
        if !found.is_live(now) {
            return None;
        }
        found.accessed_at = now;
        let found = *found;
        self.space(space).used_at = now;
        Some(self.bytes(&self.spaces[space], &found))
    }

    /// The metadata of the value of a live key.
    pub fn metadata(&self, space: &str, key: &[u8]) -> Option<&Metadata> {
        let space = self.spaces.get(space)?;
        let key = space.keys.get(key).filter(|key| key.is_live(self.now))?;
        Some(&space.objects[&key.group].metadata)
    }

    pub fn contains(&self, space: &str, key: &[u8]) -> bool {
        let found = self.spaces[space].keys.get(key);
        found.is_some_and(|key| key.is_live(self.now))
    }

    /// The seconds that a live key has left; the inner `None`: it does not expire.
    pub fn ttl(&self, space: &str, key: &[u8]) -> Option<Option<u64>> {
        let found = self.spaces[space].keys.get(key)?;
        let left = found.expires_at.map(|at| at.saturating_sub(self.now));
        found.is_live(self.now).then_some(left)
    }

    /// Whether there is such a key, which now expires anew.
    pub fn touch(&mut self, space: &str, key: &[u8], ttl: Option<u64>) -> bool {
        let (now, ttl) = (self.now, ttl.unwrap_or(self.default_ttl));
        let space = self.space(space);
        let found = space.keys.get_mut(key).filter(|key| key.is_live(now));
        let Some(found) = found else {
            return false;
        };
        found.accessed_at = now;
        found.expires_at = (ttl > 0).then_some(now + ttl);
        space.used_at = now;
        true
    }

    /// Whether there is such a key, which now expires so many seconds from now, or is gone.
    pub fn expire_after(&mut self, space: &str, key: &[u8], seconds: i64) -> bool {
        let (now, gc) = (self.now, self.enable_gc);
        if seconds <= 0 {
            return self.remove(space, gc, |name, found| name == key && found.is_live(now)) > 0;
        }
        let found = self.space(space).keys.get_mut(key);
        let Some(found) = found.filter(|key| key.is_live(now)) else {
            return false;
        };
        found.expires_at = Some(now.saturating_add_signed(seconds));
        true
    }

    /// Puts `entries` and checks what the store said of each distinct key, in the order of their first appearance.
    pub fn put(&mut self, name: &str, entries: &[NewEntry], outcomes: &[PutOutcome]) {
        let mut distinct: Vec<&NewEntry> = Vec::new();
        for entry in entries {
            match distinct.iter_mut().find(|earlier| earlier.0 == entry.0) {
                Some(earlier) => *earlier = entry,
                None => distinct.push(entry),
            }
        }
        assert_eq!(distinct.len(), outcomes.len());
        let (values, now, mut newest_id) = (self.values, self.now, self.newest_id);
        let (default_ttl, enable_gc) = (self.default_ttl, self.enable_gc);
        let space = self.space(name);
        let mut released = HashSet::new();
        for ((key, number, ttl, metadata), outcome) in distinct.into_iter().zip(outcomes) {
            let group = values.group(*number);
            match space.objects.get(&group) {
                Some(object) => {
                    assert!(
                        values.explains(outcome.dedup, *number, object.number),
                        "{outcome:?}, expected the object of {object:?}"
                    );
                    assert_eq!(outcome.object_id, object.id);
                }
                None => {
                    assert_eq!(outcome.dedup, Dedup::New);
                    assert!(outcome.object_id > newest_id, "an object id was used twice");
                    newest_id = outcome.object_id;
                    let (number, id) = (*number, outcome.object_id);
                    let metadata = Metadata::new();
                    let object = Object {
                        number,
                        id,
                        metadata,
                    };
                    space.objects.insert(group, object);
                }
            }
            let object = space.objects.get_mut(&group).unwrap();
            object.metadata.extend(metadata.clone());
            let ttl = ttl.unwrap_or(default_ttl);
            let put = Key {
                group,
                put_at: now,
                accessed_at: now,
                expires_at: (ttl > 0).then_some(now + ttl),
            };
            released.extend(space.keys.insert(key.clone(), put).map(|old| old.group));
            space.used_at = now;
        }
        if enable_gc {
            space.drop_unreferenced(Some(&released));
        }
        self.newest_id = newest_id;
    }

    /// Removes the keys that satisfy `condition`; returns their number. `delete_orphans`: their objects go with the last
    /// key.
    pub fn remove(
        &mut self,
        space: &str,
        delete_orphans: bool,
        condition: impl Fn(&[u8], &Key) -> bool,
    ) -> u64 {
        let space = self.space(space);
        let mut released = HashSet::new();
        let before = space.keys.len();
        space.keys.retain(|name, key| {
            let goes = condition(name, key);
            if goes {
                released.insert(key.group);
            }
            !goes
        });
        if delete_orphans {
            space.drop_unreferenced(Some(&released));
        }
        (before - space.keys.len()) as u64
    }

    /// Checks every figure of a namespace.
    pub fn check_health(&self, name: &str, health: &Health) {
        let space = &self.spaces[name];
        let (keys, objects) = (space.keys.len() as u64, space.objects.len() as u64);
        assert_eq!(health.total_keys, keys);
        assert_eq!(health.total_objects, objects);
        assert_eq!(health.total_bytes, self.total_bytes(name));
        let ratio = if objects > 0 {
            keys as f64 / objects as f64
        } else {
            1.0
        };
        assert_eq!(health.dedup_ratio, ratio);
        let size = |key: &Key| self.sizes[space.objects[&key.group].number as usize];
        let logical: u64 = space.keys.values().map(size).sum();
        assert_eq!(
            health.bytes_saved,
            logical.saturating_sub(self.value_bytes(space))
        );
        let live = |key: &&Key| key.is_live(self.now);
        let alive = space.keys.values().filter(live).count() as u64;
        assert_eq!(health.expired_keys, keys - alive);
        let referenced: BTreeSet<_> = space.keys.values().map(|key| key.group).collect();
        assert_eq!(health.orphaned_objects, objects - referenced.len() as u64);
        let oldest = space.keys.values().map(|key| key.put_at).min();
        assert_eq!(
            health.oldest_key_age_seconds,
            oldest.map_or(0, |at| self.now - at)
        );
        // Accesses are written a moment later, puts at once.
        let latest_put = space.keys.values().map(|key| key.put_at).max();
        let (least, most) =
            latest_put.map_or((0, 0), |at| (self.now - space.used_at, self.now - at));
        assert!((least..=most).contains(&health.newest_access_age_seconds));
        let swept = space.swept_at.map(|at| self.now - at);
        assert_eq!(health.last_sweep_age_seconds, swept);
        assert!(health.index_ok);
    }

    pub fn total_bytes(&self, name: &str) -> u64 {
        let space = &self.spaces[name];
        let keys: usize = space.keys.keys().map(Vec::len).sum();
        let metadata = space.objects.values();
        let metadata = metadata.map(|object| record_bytes(&object.metadata));
        keys as u64 + self.value_bytes(space) + metadata.sum::<u64>()
    }

    fn value_bytes(&self, space: &Space) -> u64 {
        let size = |object: &Object| self.sizes[object.number as usize];
        space.objects.values().map(size).sum()
    }
}

/// Bytes that metadata counts: one, and four a pair more than its text.
fn record_bytes(metadata: &Metadata) -> u64 {
    let pairs = metadata
        .iter()
        .map(|(name, text)| 4 + name.len() + text.len());
    match metadata.len() {
        0 => 0,
        _ => 1 + pairs.sum::<usize>() as u64,
    }
}

impl Space {
    /// Drops objects without a key: of the groups `among`, or all of them.
    pub fn drop_unreferenced(&mut self, among: Option<&HashSet<u32>>) {
        if among.is_some_and(HashSet::is_empty) {
            return;
        }
        let referenced: HashSet<u32> = self.keys.values().map(|key| key.group).collect();
        self.objects.retain(|group, _| {
            referenced.contains(group) || among.is_some_and(|among| !among.contains(group))
        });
    }
}
