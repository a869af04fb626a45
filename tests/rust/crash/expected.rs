//! What must be in the store after some steps of a thread, and whether it is.

use crate::script::{FLEETING, PLACES, Place, Step, key, metadata, namespace, value};
use prestige_core::{Error, Metadata, Range, Store};
use std::collections::{BTreeMap, BTreeSet};

/// A key that was put.
#[derive(Clone, Copy, Debug)]
struct Cell {
    value: u32,
    /// It has a TTL, or was evicted perhaps.
    may_be_gone: bool,
}

/// What a thread has put and not removed.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    cells: BTreeMap<(Place, u64), Cell>,
    /// Namespaces of the thread that exist.
    places: BTreeSet<Place>,
}

impl Expected {
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Put(place, number, value, fleeting) => {
                self.put(*place, *number, *value, *fleeting);
            }
            Step::PutMany(place, entries) => {
                for (number, value) in entries {
                    self.put(*place, *number, *value, false);
                }
            }
            Step::Delete(place, number) => {
                self.places.insert(*place);
                self.cells.remove(&(*place, *number));
            }
            Step::DeleteMany(place, numbers) => {
                self.places.insert(*place);
                for number in numbers {
                    self.cells.remove(&(*place, *number));
                }
            }
            Step::Evict(_) => {
                self.places.insert(Place::Evicted);
                let evicted = self.cells.iter_mut();
                evicted
                    .filter(|((place, _), _)| *place == Place::Evicted)
                    .for_each(|(_, cell)| cell.may_be_gone = true);
            }
            Step::DropNamespace => {
                self.places.remove(&Place::Dropped);
                self.cells.retain(|(place, _), _| *place != Place::Dropped);
            }
            Step::Sweep | Step::Flush => {}
        }
    }

    fn put(&mut self, place: Place, number: u64, value: u32, may_be_gone: bool) {
        self.places.insert(place);
        self.cells
            .insert((place, number), Cell { value, may_be_gone });
    }

    /// The first difference from what the store holds; `None` if there is none.
    pub fn difference(&self, found: &Found) -> Option<String> {
        for place in [Place::Evicted, Place::Dropped] {
            // The first step in a namespace makes it, before the write that is acknowledged.
            let (there, expected) = (found.places.contains(&place), self.places.contains(&place));
            let empty = !found.cells.keys().any(|(other, _)| *other == place);
            if there != expected && !(there && empty) {
                return Some(format!("{place:?} exists: {there}, expected: {expected}"));
            }
        }
        for (name, cell) in &self.cells {
            match found.cells.get(name) {
                None if cell.may_be_gone => {}
                None => return Some(format!("{name:?} is lost, expected {cell:?}")),
                Some((bytes, pairs)) if *bytes == value(cell.value) => {
                    // Another key of the value may have added the pair, or been the only one that had.
                    let mut pairs = pairs.clone();
                    pairs.remove(FLEETING);
                    if pairs != metadata(cell.value, false) {
                        return Some(format!("{name:?} has {pairs:?}, expected {cell:?}"));
                    }
                }
                Some((bytes, _)) => {
                    let bytes = bytes.escape_ascii();
                    return Some(format!("{name:?} is {bytes}, expected {cell:?}"));
                }
            }
        }
        let stranger = found
            .cells
            .keys()
            .find(|name| !self.cells.contains_key(name));
        stranger.map(|name| format!("{name:?} should not be there"))
    }

    /// Goes on from what was found, which does not contradict this.
    pub fn settle(&mut self, found: &Found) {
        self.cells.retain(|name, _| found.cells.contains_key(name));
        self.places.clone_from(&found.places);
    }
}

/// What a thread's places hold.
pub struct Found {
    cells: BTreeMap<(Place, u64), (Vec<u8>, Metadata)>,
    places: BTreeSet<Place>,
}

impl Found {
    pub fn of(store: &Store, thread: u64) -> Self {
        let (mut cells, mut places) = (BTreeMap::new(), BTreeSet::new());
        let names = store.namespaces().unwrap();
        for place in PLACES {
            let name = namespace(thread, place);
            if !name.is_empty() && !names.contains(&name) {
                continue;
            }
            places.insert(place);
            let numbers: BTreeMap<Vec<u8>, u64> = (0..100)
                .map(|number| (key(thread, place, number), number))
                .collect();
            let prefix = if name.is_empty() {
                format!("{thread}/").into_bytes()
            } else {
                Vec::new()
            };
            let view = store.namespace(&name).unwrap();
            let mut scan = view
                .scan(Range {
                    prefix: &prefix,
                    ..Range::default()
                })
                .unwrap();
            let mut keep = |key: &[u8], value: &[u8]| {
                match view.metadata(key) {
                    Ok(pairs) => drop(cells.insert((place, numbers[key]), (value.to_vec(), pairs))),
                    // It has expired since it was read.
                    Err(error) => assert!(matches!(error, Error::NotFound(_)), "{error}"),
                }
            };
            while scan.next_items(&mut keep).unwrap() > 0 {}
        }
        Self { cells, places }
    }
}
