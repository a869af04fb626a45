//! Whose vector each slot of the graph holds, and which slots are dead.

use std::collections::{HashMap, HashSet};
use std::mem::size_of;

/// The slots of a graph, counted from 0 in the order of adding; none is ever used twice.
///
/// Invariants: `dead` is as long as `ids`. `alive` holds the slots that are not dead, each under
/// its id; an id that was removed and added again also has a dead slot.
#[derive(Default)]
pub struct Slots {
    ids: Vec<u64>,
    dead: Vec<bool>,
    alive: HashMap<u64, usize>,
}

impl Slots {
    /// The slots as they were saved. An id that is alive twice is the error.
    pub fn from_table(ids: Vec<u64>, dead: Vec<bool>) -> Result<Self, u64> {
        let mut alive = HashMap::with_capacity(ids.len());
        for (slot, (id, dead)) in ids.iter().zip(&dead).enumerate() {
            if !dead && alive.insert(*id, slot).is_some() {
                return Err(*id);
            }
        }
        Ok(Self { ids, dead, alive })
    }

    /// Number of slots, dead ones included, and the number the next one will have.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The id of each slot, and whether the slot is dead.
    pub fn table(&self) -> (&[u64], &[bool]) {
        (&self.ids, &self.dead)
    }

    /// Ids and slots of the living, in no order.
    pub fn alive(&self) -> &HashMap<u64, usize> {
        &self.alive
    }

    /// Gives the next slot to `id`, which is not alive.
    pub fn push(&mut self, id: u64) {
        self.alive.insert(id, self.ids.len());
        self.ids.push(id);
        self.dead.push(false);
    }

    /// Uses up the next slot for nothing.
    pub fn push_dead(&mut self, id: u64) {
        self.ids.push(id);
        self.dead.push(true);
    }

    /// Marks the slot of `id` as dead. Returns whether it was alive.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(slot) = self.alive.remove(&id) else {
            return false;
        };
        if let Some(dead) = self.dead.get_mut(slot) {
            *dead = true;
        }
        true
    }

    /// The id of a slot, if it is alive and not in `hidden`.
    pub fn shown(&self, slot: u64, hidden: &HashSet<u64>) -> Option<u64> {
        let slot = slot as usize;
        let id = *self.ids.get(slot)?;
        (self.dead.get(slot) == Some(&false) && !hidden.contains(&id)).then_some(id)
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.ids.capacity() * size_of::<u64>()
            + self.dead.capacity()
            + self.alive.capacity() * size_of::<(u64, usize)>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )]
    use super::*;

    #[test]
    fn an_id_may_return_in_another_slot() {
        let mut slots = Slots::default();
        slots.push(7);
        slots.push(8);
        assert!(slots.remove(7));
        assert!(!slots.remove(7));
        slots.push_dead(9);
        slots.push(7);
        let none = HashSet::new();
        let shown = |slots: &Slots| {
            (0..5)
                .map(|slot| slots.shown(slot, &none))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&slots), [None, Some(8), None, Some(7), None]);
        assert_eq!(slots.shown(3, &HashSet::from([7])), None);
        assert_eq!(slots.len(), 4);

        let (ids, dead) = slots.table();
        let loaded = Slots::from_table(ids.to_vec(), dead.to_vec()).unwrap();
        assert_eq!(shown(&loaded), shown(&slots));
        assert_eq!(loaded.alive(), slots.alive());
        assert_eq!(
            Slots::from_table(vec![4, 4], vec![false, false]).err(),
            Some(4)
        );
    }
}
