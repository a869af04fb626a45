//! Object ids: sequential, never handed out twice, not even after a crash.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::lock_order::{Ordered, Rank};
use crate::schema::SYSTEM;
use parking_lot::Mutex;
use rocksdb::WriteBatch;

/// Name of the record in `system`: the first id that was never leased, big-endian.
const RECORD: &[u8] = b"next_object_id";
/// Ids leased at once: one extra write per so many objects, and at most as many ids unused after a crash.
const LEASE: u64 = 65_536;

/// Hands out object ids. A lease is on disk before the first of its ids is used.
#[derive(Debug)]
pub(crate) struct ObjectIds(Mutex<Lease>);

#[derive(Debug)]
struct Lease {
    next: u64,
    end: u64,
}

impl ObjectIds {
    pub(crate) fn load(db: &Db) -> Result<Self> {
        let next = match db.get(SYSTEM, RECORD)? {
            None => 1,
            Some(encoded) => {
                let bytes = encoded
                    .as_ref()
                    .try_into()
                    .map_err(|_| Error::record(SYSTEM, 8, encoded.len()))?;
                u64::from_be_bytes(bytes)
            }
        };
        Ok(Self(Mutex::new(Lease { next, end: next })))
    }

    /// The next id.
    pub(crate) fn take(&self, db: &Db) -> Result<u64> {
        // Held over the lease's write: ids beyond the lease must not be used before it is on disk.
        let mut lease = Ordered::wait(Rank::Last, || self.0.lock());
        if lease.next == lease.end {
            let end = lease.end + LEASE;
            let mut batch = WriteBatch::default();
            batch.put_cf(db.family(SYSTEM)?, RECORD, end.to_be_bytes());
            db.write(batch)?;
            lease.end = end;
        }
        let id = lease.next;
        lease.next += 1;
        Ok(id)
    }
}
