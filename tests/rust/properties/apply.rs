//! One sequence: a store and the model beside it.

use crate::model::{Key, Model};
use crate::operation::{NewEntry, Operation};
use crate::scans::Held;
use crate::values::Values;
use prestige_core::{Entry, Error, ManualClock, Options, Store};
use prestige_tests::Random;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const START_US: u64 = 1_700_000_000_000_000;
/// A store, its namespaces and running scans, and the model of them.
pub struct Sequence {
    directory: TempDir,
    clock: Arc<ManualClock>,
    pub store: Store,
    handles: BTreeMap<&'static str, Store>,
    pub scans: Vec<Held>,
    pub model: Model,
}

impl Sequence {
    pub fn new(seed: u64, values: Values) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START_US));
        let mut model = Model::new(values);
        let options = options(&mut model, &clock, seed);
        let store = Store::open(directory.path(), options).unwrap();
        Self {
            directory,
            clock,
            store,
            handles: BTreeMap::new(),
            scans: Vec::new(),
            model,
        }
    }

    /// The handle of a namespace, taken once and then kept.
    pub fn handle(&mut self, space: &'static str) -> &Store {
        self.model.space(space);
        let store = &self.store;
        let handle = self.handles.entry(space);
        handle.or_insert_with(|| store.namespace(space).unwrap())
    }

    pub fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Put(space, entry) => {
                if !entry.3.is_empty() {
                    return self.put_many(space, &[entry]);
                }
                let value = self.model.values.bytes(entry.1);
                let put = self.handle(space).put(&entry.0, &value, entry.2);
                self.model.put(space, &[entry], &[put.unwrap()]);
            }
            Operation::PutMany(space, entries) => self.put_many(space, &entries),
            Operation::Get(space, key) => {
                let found = self.handle(space).get(&key).unwrap();
                assert_eq!(found, self.model.get(space, &key));
                let contains = self.handle(space).contains(&key).unwrap();
                assert_eq!(contains, found.is_some());
                self.check_metadata(space, &key);
            }
            Operation::GetMany(space, keys) => {
                let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                let found = read_many(self.handle(space), &asked);
                let expected = keys.iter().map(|key| self.model.get(space, key));
                assert_eq!(found, expected.collect::<Vec<_>>());
            }
            Operation::ContainsMany(space, keys) => {
                let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                let found = self.handle(space).contains_many(&asked).unwrap();
                let expected = keys.iter().map(|key| self.model.contains(space, key));
                assert_eq!(found, expected.collect::<Vec<_>>());
            }
            Operation::Delete(space, key) => {
                let deleted = self.handle(space).delete(&key);
                let (now, gc) = (self.model.now, self.model.enable_gc);
                let live = |name: &[u8], found: &Key| name == key && found.is_live(now);
                match self.model.remove(space, gc, live) {
                    0 => assert!(matches!(deleted, Err(Error::NotFound(_)))),
                    _ => deleted.unwrap(),
                }
            }
            Operation::DeleteMany(space, keys) => {
                let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                let deleted = self.handle(space).delete_many(&asked).unwrap();
                let (now, gc) = (self.model.now, self.model.enable_gc);
                let live = |name: &[u8], found: &Key| asked.contains(&name) && found.is_live(now);
                assert_eq!(deleted, self.model.remove(space, gc, live));
            }
            Operation::Ttl(space, key) => {
                let found = self.handle(space).ttl(&key);
                match self.model.ttl(space, &key) {
                    None => assert!(matches!(found, Err(Error::NotFound(_)))),
                    Some(left) => assert_eq!(found.unwrap(), left.map(Duration::from_secs)),
                }
            }
            Operation::Touch(space, key, ttl) => {
                let touched = self.handle(space).touch(&key, ttl);
                match self.model.touch(space, &key, ttl) {
                    false => assert!(matches!(touched, Err(Error::NotFound(_)))),
                    true => touched.unwrap(),
                }
            }
            Operation::ExpireAt(space, key, seconds) => {
                let now_us = START_US + self.model.now * 1_000_000;
                let moment_us = now_us.saturating_add_signed(seconds * 1_000_000);
                let set = self.handle(space).expire_at(&key, moment_us);
                match self.model.expire_after(space, &key, seconds) {
                    false => assert!(matches!(set, Err(Error::NotFound(_)))),
                    true => set.unwrap(),
                }
            }
            Operation::List {
                space,
                prefix,
                after,
                limit,
            } => {
                let listed = self
                    .handle(space)
                    .list_keys(&prefix, after.as_deref(), limit);
                let live = self.model.live(space).into_iter().map(|(key, _)| key);
                let expected = live
                    .filter(|key| key.starts_with(&prefix))
                    .filter(|key| after.as_ref().is_none_or(|after| key > after))
                    .take(limit);
                assert_eq!(listed.unwrap(), expected.collect::<Vec<_>>());
            }
            Operation::BeginScan {
                space,
                prefix,
                start,
                limit,
                keys_only,
            } => self.begin_scan(space, &prefix, start.as_deref(), limit, keys_only),
            Operation::Page(which) => self.page(which),
            Operation::Advance(seconds) => {
                self.clock.advance_seconds(seconds);
                self.model.now += seconds;
            }
            Operation::Sweep(space) => self.sweep(space),
            Operation::Prune {
                space,
                max_age,
                max_idle,
            } => {
                let pruned = self.handle(space).prune(max_age, max_idle).unwrap();
                let (now, gc) = (self.model.now, self.model.enable_gc);
                let goes = |_: &[u8], key: &Key| {
                    !key.is_live(now)
                        || (max_age > 0 && key.put_at + max_age < now)
                        || (max_idle > 0 && key.accessed_at + max_idle < now)
                };
                assert_eq!(pruned, self.model.remove(space, gc, goes));
            }
            Operation::Evict(space, percent) => self.evict(space, percent),
            Operation::Flush => self.store.flush().unwrap(),
            Operation::Compact => self.store.compact().unwrap(),
            Operation::DropNamespace(space) => self.drop_namespace(space),
            Operation::Verify => self.check_everything(),
            Operation::Reopen(seed) => self.reopen(seed),
        }
    }

    fn put_many(&mut self, space: &'static str, entries: &[NewEntry]) {
        let values: Vec<_> = entries
            .iter()
            .map(|(_, number, _, _)| self.model.values.bytes(*number))
            .collect();
        let put: Vec<_> = entries
            .iter()
            .zip(&values)
            .map(|((key, _, ttl_seconds, metadata), value)| Entry {
                key,
                value,
                ttl_seconds: *ttl_seconds,
                metadata: Some(metadata),
                lent: None,
            })
            .collect();
        let outcomes = self.handle(space).put_many(&put).unwrap();
        self.model.put(space, entries, &outcomes);
    }

    fn sweep(&mut self, name: &'static str) {
        let swept = self.handle(name).sweep().unwrap();
        let now = self.model.now;
        let before = self.model.spaces[name].objects.len();
        self.model.remove(name, true, |_, key| !key.is_live(now));
        let space = self.model.space(name);
        space.drop_unreferenced(None);
        space.swept_at = Some(now);
        assert_eq!(swept, (before - space.objects.len()) as u64);
    }

    /// How many keys go beyond the least that must is the store's business; which ones go first is not.
    fn evict(&mut self, name: &'static str, percent: u64) {
        self.model.space(name);
        let (before, now) = (self.model.total_bytes(name), self.model.now);
        let target = before * percent / 100;
        let evicted = self.handle(name).evict_lru(target).unwrap();
        if before > target {
            self.model.remove(name, true, |_, key| !key.is_live(now));
            self.model.space(name).drop_unreferenced(None);
        }
        assert_eq!(evicted > 0, self.model.total_bytes(name) > target);
        let keys = self.model.space(name).keys.iter();
        let mut order: Vec<_> = keys.map(|(name, key)| (key.accessed_at, name)).collect();
        order.sort_unstable();
        let gone = order.iter().take(evicted as usize);
        let gone: HashSet<Vec<u8>> = gone.map(|(_, key)| (*key).clone()).collect();
        self.model.remove(name, true, |key, _| gone.contains(key));
        assert!(self.model.total_bytes(name) <= target);
        self.check_space(name);
    }

    fn drop_namespace(&mut self, space: &'static str) {
        let dropped = self.store.drop_namespace(space);
        if space.is_empty() {
            assert!(matches!(dropped, Err(Error::InvalidArgument(_))));
            return;
        }
        if self.model.spaces.remove(space).is_none() {
            assert!(matches!(dropped, Err(Error::NotFound(_))));
            return;
        }
        dropped.unwrap();
        for held in self.scans.iter_mut().filter(|held| held.space == space) {
            held.dropped = true;
        }
        if let Some(handle) = self.handles.remove(space) {
            let refused = handle.put(b"key", b"value", None);
            assert!(matches!(refused, Err(Error::InvalidArgument(_))));
            assert!(matches!(handle.get(b"key"), Err(Error::InvalidArgument(_))));
        }
    }

    fn reopen(&mut self, seed: u64) {
        self.store.close().unwrap();
        for mut held in self.scans.drain(..) {
            assert!(matches!(held.scan.next_keys(), Err(Error::Closed(_))));
        }
        for (_, handle) in std::mem::take(&mut self.handles) {
            assert!(matches!(handle.get(b"key"), Err(Error::Closed(_))));
        }
        let options = options(&mut self.model, &self.clock, seed);
        self.store = Store::open(self.directory.path(), options).unwrap();
        for space in self.model.spaces.values_mut() {
            space.swept_at = None;
        }
    }
}

/// Options of the next opening, drawn from `seed`; the model follows those that change what the store does.
fn options(model: &mut Model, clock: &Arc<ManualClock>, seed: u64) -> Options {
    let mut random = Random::new(seed);
    let mut pick = |choices: &[u64]| choices[random.below(choices.len() as u64) as usize];
    model.enable_gc = pick(&[1, 1, 0]) == 1;
    model.default_ttl = pick(&[0, 0, 50]);
    let mut options = Options {
        enable_gc: model.enable_gc,
        default_ttl_seconds: model.default_ttl,
        clock: clock.clone(),
        // Every read counts, so that the order of eviction is known to the second.
        lru_update_interval_seconds: 0,
        // What has expired stays until the operations remove it.
        reaper_interval_seconds: 0.0,
        value_cache_bytes: pick(&[0, 1 << 16, 8 << 20]),
        block_cache_bytes: pick(&[1 << 20, 64 << 20]),
        write_buffer_bytes: pick(&[1 << 18, 1 << 21, 64 << 20]),
        bloom_bits_per_key: pick(&[0, 10]) as u32,
        ..model.values.options()
    };
    options.semantic.index_save_interval = pick(&[0, 20]);
    options
}

fn read_many(store: &Store, keys: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
    let reader = store.reader().unwrap();
    let found = reader.get_many(keys).unwrap();
    found
        .iter()
        .map(|value| value.as_deref().map(<[u8]>::to_vec))
        .collect()
}
