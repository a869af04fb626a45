//! Where the ordered families of a namespace begin.
//!
//! RocksDB keeps what was removed as a tombstone until compaction, and a scan steps over each. Sweeps and evictions
//! remove from the beginning, so a scan from the beginning would step over everything removed before it, again and
//! again. A frontier is a time (of `orphans` an object id) before which the family has no entry: scans begin there,
//! and each tombstone is stepped over a bounded number of times.
//!
//! Invariant: no acknowledged write has an entry before its frontier. Writers lower it after they have written and
//! before they acknowledge. A scan that found nothing before some entry raises it in two steps: it sets the frontier,
//! and then looks once more at what the frontier now hides. An entry written before the first step is seen by that
//! look; one written after it lowers the frontier itself. Lowering is always a read-modify-write, so one of the two
//! orders holds.

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::schema::{ACCESS, CREATED, EXPIRY, ORPHANS, numbered_key, split_number};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

const FAMILIES: [&str; 4] = [EXPIRY, CREATED, ACCESS, ORPHANS];

/// The frontiers of a namespace; only in memory, 0 when a store is opened.
#[derive(Debug, Default)]
pub(crate) struct Frontiers([AtomicU64; 4]);

/// The lowest numbers that a write puts into the families.
#[derive(Debug)]
pub(crate) struct Lowest([u64; 4]);

impl Default for Lowest {
    fn default() -> Self {
        Self([u64::MAX; 4])
    }
}

impl Lowest {
    /// Takes note of a new entry.
    pub(crate) fn add(&mut self, family: &str, number: u64) {
        if let Some(lowest) = position(family).and_then(|i| self.0.get_mut(i)) {
            *lowest = number.min(*lowest);
        }
    }
}

impl Frontiers {
    /// To be called after entries were written and before the write is acknowledged.
    pub(crate) fn lower(&self, written: &Lowest) {
        for (frontier, lowest) in self.0.iter().zip(written.0) {
            if lowest != u64::MAX {
                frontier.fetch_min(lowest, Ordering::AcqRel);
            }
        }
    }

    /// A number before which `family` has no entry.
    pub(crate) fn get(&self, family: &str) -> u64 {
        self.slot(family)
            .map_or(0, |frontier| frontier.load(Ordering::Acquire))
    }

    fn slot(&self, family: &str) -> Option<&AtomicU64> {
        position(family).and_then(|i| self.0.get(i))
    }
}

fn position(family: &str) -> Option<usize> {
    FAMILIES.iter().position(|name| *name == family)
}

impl Engine {
    /// Calls `visit` with the number and the rest of every entry of an ordered family from `cursor` on and with a
    /// number below `before`, in order, until it breaks. An empty cursor: from the beginning.
    pub(crate) fn scan_ordered(
        &self,
        namespace: &Namespace,
        family: &'static str,
        cursor: &[u8],
        before: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let frontier = namespace.frontiers.get(family);
        let (start, end) = (
            numbered_key(namespace.id, frontier),
            numbered_key(namespace.id, before),
        );
        let begins_there = cursor <= &start[..];
        let start = if begins_there { &start[..] } else { cursor };
        let mut first = None;
        if start < &end[..] {
            self.db.scan(family, start, &end, None, |entry, _| {
                let (number, rest) = split_number(family, entry)?;
                first.get_or_insert(number);
                visit(number, rest)
            })?;
        }
        if begins_there {
            self.raise_frontier(namespace, family, frontier, first.unwrap_or(before))?;
        }
        Ok(())
    }

    fn raise_frontier(
        &self,
        namespace: &Namespace,
        family: &'static str,
        from: u64,
        to: u64,
    ) -> Result<()> {
        let Some(frontier) = namespace.frontiers.slot(family) else {
            return Ok(());
        };
        if to <= from
            || frontier
                .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
                .is_err()
        {
            return Ok(());
        }
        let (start, end) = (
            numbered_key(namespace.id, from),
            numbered_key(namespace.id, to),
        );
        let mut hidden = None;
        let looked = self.db.scan(family, &start, &end, None, |entry, _| {
            hidden = Some(split_number(family, entry)?.0);
            Ok(ControlFlow::Break(()))
        });
        let lowest = if looked.is_err() { Some(from) } else { hidden };
        if let Some(lowest) = lowest {
            frontier.fetch_min(lowest, Ordering::AcqRel);
        }
        looked
    }
}

#[cfg(test)]
mod tests;
