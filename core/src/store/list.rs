//! Listing keys in byte order.

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::record::KeyRecord;
use crate::schema::{KEYS, PREFIX_BYTES, namespace_end, user_key, user_part};
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
        let now_us = self.now_us();
        let first = user_key(namespace.id, prefix);
        let end = successor(&first).unwrap_or_else(|| namespace_end(namespace.id));
        let start = match after {
            Some(key) => {
                let mut next = user_key(namespace.id, key);
                next.push(0);
                next.max(first)
            }
            None => first,
        };
        let mut keys = Vec::new();
        if limit == 0 || start >= end {
            return Ok(keys);
        }
        self.db.scan(KEYS, &start, &end, None, |encoded, record| {
            if !KeyRecord::decode(record)?.is_expired(now_us) {
                keys.push(user_part(encoded)?.to_vec());
            }
            Ok(if keys.len() < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(keys)
    }
}

/// The first byte string after every one that begins with `prefix`, kept within its namespace; `None` where only the
/// end of the namespace will do.
pub(super) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
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
