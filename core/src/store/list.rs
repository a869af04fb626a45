//! Listing keys in byte order.

use crate::db::Snapshot;
use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::record::KeyRecord;
use crate::schema::{KEYS, NamespaceId, PREFIX_BYTES, namespace_end, user_key, user_part};
use std::ops::ControlFlow;

impl Engine {
    /// At most `limit` live keys that begin with `prefix` and, given `after`, come after it.
    pub(crate) fn list_keys(
        &self,
        namespace: &Namespace,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let (first, end) = prefix_range(namespace.id, prefix);
        let start = match after {
            Some(key) => {
                let mut next = user_key(namespace.id, key).into_vec();
                next.push(0);
                next.max(first)
            }
            None => first,
        };
        let mut keys = Vec::new();
        if limit == 0 {
            return Ok(keys);
        }
        self.scan_live(namespace, &start, &end, self.now_us(), None, |key, _| {
            keys.push(key.to_vec());
            Ok(if keys.len() < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(keys)
    }

    /// Calls `visit` with every key from `start` on and before `end`, names in `keys` both, that has not expired at
    /// `now_us`, and its record, in order, until it breaks.
    pub(crate) fn scan_live(
        &self,
        namespace: &Namespace,
        start: &[u8],
        end: &[u8],
        now_us: u64,
        snapshot: Option<&Snapshot<'_>>,
        mut visit: impl FnMut(&[u8], &KeyRecord) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        if start >= end {
            return Ok(());
        }
        let scanned = self.db.scan(KEYS, start, end, snapshot, |encoded, record| {
            let record = KeyRecord::decode(record)?;
            if record.is_expired(now_us) {
                return Ok(ControlFlow::Continue(()));
            }
            visit(user_part(encoded)?, &record)
        });
        // A drop removes files, which takes entries from under a snapshot too: neither an end nor an error that was found
        // meanwhile says anything.
        namespace.check_exists()?;
        scanned
    }
}

/// Where in `keys` the keys that begin with `prefix` begin and end.
pub(crate) fn prefix_range(namespace: NamespaceId, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let first = user_key(namespace, prefix).into_vec();
    let end = successor(&first).unwrap_or_else(|| namespace_end(namespace));
    (first, end)
}

/// The first byte string after every one that begins with `prefix`, kept within its namespace; `None` where only the
/// end of the namespace will do.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix
        .iter()
        .rposition(|&byte| byte != 0xff)
        .filter(|&last| last >= PREFIX_BYTES)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        assert_eq!(successor(b"\0\0\0\0ab"), Some(b"\0\0\0\0ac".to_vec()));
        assert_eq!(successor(b"\0\0\0\0a\xff\xff"), Some(b"\0\0\0\0b".to_vec()));
        assert_eq!(successor(b"\0\0\0\0\xff"), None);
        assert_eq!(successor(b"\0\0\0\0"), None);
    }
}
