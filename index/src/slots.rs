//! Which ids share each slot of the graph, and which slots are dead.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem::size_of;

/// The slots of a graph, counted from 0 in the order of adding.
///
/// A slot holds one vector. Ids whose vectors are equal share it: one is its owner, the others are
/// its twins. A slot without ids is dead.
///
/// Invariants: `dead` is as long as `owners`, and true in `dead_count` places. `by_id` names each
/// owner of a slot that is not dead, and each twin, once. A slot in `twins` has at least one, and
/// is not dead.
#[derive(Default)]
pub struct Slots {
    /// The owner of each slot; of a dead one the last it had.
    owners: Vec<u64>,
    dead: Vec<bool>,
    dead_count: usize,
    /// In order, so that files are the same whatever the order of adding.
    twins: HashMap<usize, BTreeSet<u64>>,
    by_id: HashMap<u64, usize>,
}

impl Slots {
    /// The slots as they were saved; `twins` are pairs of slot and id.
    ///
    /// # Errors
    ///
    /// What does not fit.
    pub fn from_tables(
        owners: Vec<u64>,
        dead_slots: &[u32],
        twins: &[(u32, u64)],
    ) -> Result<Self, String> {
        let mut dead = vec![false; owners.len()];
        for slot in dead_slots {
            match dead.get_mut(*slot as usize) {
                Some(dead) if !*dead => *dead = true,
                _ => return Err(format!("slot {slot} cannot be dead")),
            }
        }
        let mut slots = Self {
            by_id: HashMap::with_capacity(owners.len()),
            dead_count: dead_slots.len(),
            ..Self::default()
        };
        for (slot, (id, dead)) in owners.iter().zip(&dead).enumerate() {
            if !dead && slots.by_id.insert(*id, slot).is_some() {
                return Err(format!("id {id} is named twice"));
            }
        }
        slots.owners = owners;
        slots.dead = dead;
        for (slot, id) in twins {
            let slot = *slot as usize;
            if slots.dead.get(slot) != Some(&false) || slots.contains(*id) {
                return Err(format!("id {id} cannot share slot {slot}"));
            }
            slots.join(*id, slot);
        }
        Ok(slots)
    }

    /// Number of slots, dead ones included; the number the next one will have.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Number of dead slots.
    pub fn dead_count(&self) -> usize {
        self.dead_count
    }

    /// The slot of every id, in no order.
    pub fn by_id(&self) -> &HashMap<u64, usize> {
        &self.by_id
    }

    pub fn contains(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// The owner of each slot; of a dead one the last it had.
    pub fn owners(&self) -> &[u64] {
        &self.owners
    }

    /// Dead slots, ascending.
    pub fn dead_slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.dead
            .iter()
            .enumerate()
            .filter(|(_, dead)| **dead)
            .map(|(slot, _)| slot)
    }

    /// Slot and id of every twin, ascending.
    pub fn twins(&self) -> Vec<(usize, u64)> {
        let pairs = self
            .twins
            .iter()
            .flat_map(|(slot, ids)| ids.iter().map(|id| (*slot, *id)));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        pairs
    }

    /// Gives a new slot to `id`, which has none.
    pub fn push(&mut self, id: u64) {
        self.by_id.insert(id, self.owners.len());
        self.owners.push(id);
        self.dead.push(false);
    }

    /// Uses up a new slot for nothing.
    pub fn push_dead(&mut self, id: u64) {
        self.owners.push(id);
        self.dead.push(true);
        self.dead_count += 1;
    }

    /// Lets `id`, which has no slot, share that of an equal vector; a dead slot comes to life.
    pub fn join(&mut self, id: u64, slot: usize) {
        match (self.dead.get_mut(slot), self.owners.get_mut(slot)) {
            (Some(dead), Some(owner)) if *dead => {
                *dead = false;
                *owner = id;
                self.dead_count -= 1;
            }
            _ => {
                self.twins.entry(slot).or_default().insert(id);
            }
        }
        self.by_id.insert(id, slot);
    }

    /// Takes the slot from `id`. Returns whether it had one.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(slot) = self.by_id.remove(&id) else {
            return false;
        };
        let owner = self.owners.get_mut(slot).filter(|owner| **owner == id);
        match self.twins.get_mut(&slot) {
            Some(twins) => {
                match owner {
                    Some(owner) => *owner = twins.pop_first().unwrap_or(id),
                    None => {
                        twins.remove(&id);
                    }
                }
                if twins.is_empty() {
                    self.twins.remove(&slot);
                }
            }
            None => {
                if let Some(dead) = self.dead.get_mut(slot) {
                    *dead = true;
                    self.dead_count += 1;
                }
            }
        }
        true
    }

    /// The ids of a slot that are not in `hidden`: its owner, then its twins, ascending.
    pub fn shown<'a>(
        &'a self,
        slot: u64,
        hidden: &'a HashSet<u64>,
    ) -> impl Iterator<Item = u64> + 'a {
        let slot = slot as usize;
        let alive = self.dead.get(slot) == Some(&false);
        let owner = self.owners.get(slot).filter(|_| alive);
        let twins = self.twins.get(&slot).into_iter().flatten();
        owner
            .into_iter()
            .chain(twins)
            .copied()
            .filter(|id| !hidden.contains(id))
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        let twins: usize = self.twins.values().map(BTreeSet::len).sum();
        self.owners.capacity() * size_of::<u64>()
            + self.dead.capacity()
            + self.by_id.capacity() * size_of::<(u64, usize)>()
            + self.twins.capacity() * size_of::<(usize, BTreeSet<u64>)>()
            + twins * size_of::<u64>()
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

    fn all(slots: &Slots) -> Vec<Vec<u64>> {
        let none = HashSet::new();
        (0..=slots.len() as u64)
            .map(|slot| slots.shown(slot, &none).collect())
            .collect()
    }

    fn saved_and_loaded(slots: &Slots) -> Slots {
        let dead: Vec<u32> = slots.dead_slots().map(|slot| slot as u32).collect();
        let twins: Vec<_> = slots
            .twins()
            .iter()
            .map(|(slot, id)| (*slot as u32, *id))
            .collect();
        Slots::from_tables(slots.owners().to_vec(), &dead, &twins).unwrap()
    }

    #[test]
    fn ids_leave_and_return() {
        let mut slots = Slots::default();
        slots.push(7);
        slots.push(8);
        assert!(slots.remove(7));
        assert!(!slots.remove(7));
        slots.push_dead(9);
        slots.push(7);
        assert_eq!(all(&slots), [vec![], vec![8], vec![], vec![7], vec![]]);
        assert_eq!((slots.len(), slots.dead_count()), (4, 2));
        // A dead slot comes to life for another id.
        slots.join(5, 0);
        assert_eq!(all(&slots), [vec![5], vec![8], vec![], vec![7], vec![]]);
        assert_eq!(slots.dead_count(), 1);
        assert_eq!(all(&saved_and_loaded(&slots)), all(&slots));
    }

    #[test]
    fn twins_share_until_the_last_leaves() {
        let mut slots = Slots::default();
        slots.push(9);
        for id in [3, 5, 1] {
            slots.join(id, 0);
        }
        assert_eq!(all(&slots)[0], [9, 1, 3, 5]);
        assert_eq!(
            slots.shown(0, &HashSet::from([9, 3])).collect::<Vec<_>>(),
            [1, 5]
        );
        let loaded = saved_and_loaded(&slots);
        assert_eq!(all(&loaded), all(&slots));
        assert_eq!(loaded.by_id(), slots.by_id());

        assert!(slots.remove(9));
        assert_eq!(all(&slots)[0], [1, 3, 5]);
        assert!(slots.remove(5));
        assert!(slots.remove(1));
        assert_eq!(all(&slots)[0], [3]);
        assert!(slots.twins().is_empty());
        assert_eq!(slots.dead_count(), 0);
        assert!(slots.remove(3));
        assert_eq!(slots.dead_count(), 1);
        assert!(slots.by_id().is_empty());
    }

    #[test]
    fn tables_that_contradict_themselves_are_refused() {
        let refused = |dead: &[u32], twins: &[(u32, u64)]| {
            Slots::from_tables(vec![4, 6], dead, twins).err().unwrap()
        };
        assert!(Slots::from_tables(vec![4, 4], &[], &[]).is_err());
        assert!(Slots::from_tables(vec![4, 4], &[0], &[]).is_ok());
        assert!(refused(&[2], &[]).contains("slot 2"));
        assert!(refused(&[1, 1], &[]).contains("slot 1"));
        assert!(refused(&[1], &[(1, 5)]).contains("id 5"));
        assert!(refused(&[], &[(2, 5)]).contains("id 5"));
        assert!(refused(&[], &[(1, 4)]).contains("id 4"));
        assert!(refused(&[], &[(1, 5), (0, 5)]).contains("id 5"));
    }
}
