//! Scans: keys and values in byte order, a page at a time, as they were when the scan began.

use super::Store;
use crate::db::Snapshot;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::record::KeyRecord;
use crate::schema::user_key;
use crate::store::list::prefix_range;
use std::fmt;
use std::ops::ControlFlow;

/// Most keys of a page.
const PAGE_KEYS: usize = 512;
/// A page of values ends with the one that makes it this long, in bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Which keys a scan gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range<'a> {
    /// Only keys that begin with it.
    pub prefix: &'a [u8],
    /// Only keys from this one on, in byte order.
    pub start: Option<&'a [u8]>,
    /// At most so many keys.
    pub limit: Option<u64>,
}

/// A running scan. It sees the store as it was when it began, holds no lock between pages and does not keep the store
/// from being closed. Its snapshot is given back when it is dropped; until then what was removed or replaced since
/// takes space on disk.
pub struct Scan {
    store: Store,
    snapshot: u64,
    /// Where the next page begins, and where the scan ends, in `keys`.
    next: Vec<u8>,
    end: Vec<u8>,
    left: u64,
    now_us: u64,
}

/// What a page is read from.
struct At<'a> {
    engine: &'a Engine,
    namespace: &'a Namespace,
    snapshot: &'a Snapshot<'a>,
}

impl Store {
    /// Begins a scan over the live keys of `range`.
    ///
    /// # Errors
    /// Only [`Error::Closed`] and [`Error::Forked`].
    pub fn scan(&self, range: Range<'_>) -> Result<Scan> {
        let engine = self.engine()?;
        let namespace = self.namespace_of(&engine)?;
        let (first, end) = prefix_range(namespace.id, range.prefix);
        let start = range
            .start
            .map(|start| user_key(namespace.id, start).into_vec());
        let scan = Scan {
            store: self.view_of(&namespace),
            snapshot: engine.snapshots.take(&engine.db),
            next: start.map_or(first.clone(), |start| start.max(first)),
            end,
            left: range.limit.unwrap_or(u64::MAX),
            now_us: engine.now_us(),
        };
        Ok(scan)
    }
}

impl Scan {
    /// The next keys; none when the scan has ended.
    ///
    /// # Errors
    /// [`Error::Closed`] once the store is closed; [`Error::Io`] or [`Error::Corruption`] if the keys cannot be read.
    pub fn next_keys(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        self.page(|_, key, _| {
            keys.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(keys)
    }

    /// Calls `visit` with the next keys and their values, still in the store's memory. Returns their number: 0 when
    /// the scan has ended.
    ///
    /// # Errors
    /// As [`Scan::next_keys`].
    pub fn next_items(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut bytes = 0;
        self.page(|at, key, record| {
            let value = at
                .engine
                .object_in(at.snapshot, at.namespace, record.object_id)?;
            visit(key, &value);
            bytes += key.len() + value.len();
            Ok(if bytes < PAGE_BYTES {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })
    }

    /// Calls `visit` with at most [`PAGE_KEYS`] keys and their records, until it breaks.
    fn page(
        &mut self,
        mut visit: impl FnMut(&At<'_>, &[u8], &KeyRecord) -> Result<ControlFlow<()>>,
    ) -> Result<usize> {
        let engine = self.store.engine()?;
        let namespace = self.store.namespace_of(&engine)?;
        let wanted = PAGE_KEYS.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 || self.next >= self.end {
            return Ok(0);
        }
        let snapshot = engine.snapshots.get(self.snapshot).ok_or_else(|| {
            Error::InvalidArgument(
                "the store was refreshed since this scan began; begin it anew".to_owned(),
            )
        })?;
        let at = At {
            engine: &engine,
            namespace: &namespace,
            snapshot: snapshot.borrow_dependent(),
        };
        let (mut found, mut last) = (0, None);
        let (now_us, view) = (self.now_us, Some(at.snapshot));
        engine.scan_live(
            &namespace,
            &self.next,
            &self.end,
            now_us,
            view,
            |key, record| {
                found += 1;
                let flow = visit(&at, key, record)?;
                if flow.is_continue() && found < wanted {
                    return Ok(flow);
                }
                last = Some(user_key(namespace.id, key).into_vec());
                Ok(ControlFlow::Break(()))
            },
        )?;
        self.left -= found as u64;
        self.next = match last {
            Some(mut last) => {
                last.push(0);
                last
            }
            None => self.end.clone(),
        };
        Ok(found)
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        // A closed store has given all snapshots back already.
        if let Ok(engine) = self.store.engine() {
            engine.snapshots.release(self.snapshot);
        }
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Scan")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
