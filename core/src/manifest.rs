//! Checks the MANIFEST before RocksDB reads it: some flipped bits in the headers of its records send RocksDB's reader
//! into an endless loop, and a store that does not open must say so.
//!
//! The MANIFEST is a log file of blocks of 32 KiB. A record does not cross a block; where fewer bytes are left than a
//! header takes, the rest of the block is zero.
//!
//! ```text
//! 0        4        6      7
//! │ CRC-32C │ length │ type │ (log number:4, recyclable types only) │ payload │    little-endian
//! ```
//! The checksum is over type, log number and payload, masked by a rotation and a constant, as in RocksDB's
//! `util/crc32c.h`.

use crate::error::{Error, Result};
use std::path::Path;

const BLOCK: usize = 32_768;
const HEADER: usize = 7;
const MASK: u32 = 0xa282_ead8;

/// Refuses the MANIFEST that `CURRENT` in `path` names if a record of it does not have its checksum. What is cut short
/// at its end is left to RocksDB, which knows how much of a tail it may drop.
pub(crate) fn check(path: &Path) -> Result<()> {
    let current = path.join("CURRENT");
    let name = std::fs::read(&current).map_err(|error| Error::io("read", &current, &error))?;
    let Ok(name) = std::str::from_utf8(&name) else {
        return Err(damaged(&current, "does not name a MANIFEST"));
    };
    let manifest = path.join(name.trim_end());
    // A file that cannot be read is reported by RocksDB, with what it was looking for.
    let Ok(bytes) = std::fs::read(&manifest) else {
        return Ok(());
    };
    for block in bytes.chunks(BLOCK) {
        if !block_is_sound(block) {
            return Err(damaged(
                &manifest,
                "has a record that does not fit its checksum",
            ));
        }
    }
    Ok(())
}

fn block_is_sound(mut block: &[u8]) -> bool {
    while let Some((header, rest)) = block.split_first_chunk::<HEADER>() {
        let [c0, c1, c2, c3, l0, l1, _] = *header;
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        // Zeros fill up what was allocated ahead.
        if *header == [0; HEADER] {
            return true;
        }
        // Types from 5 on are of recycled files and have a log number in front of the payload; RocksDB does not
        // recycle a MANIFEST, and numbers from 9 on are of records that may be skipped, as one of length `length`.
        let Some((_, after)) = rest.split_at_checked(length) else {
            return true;
        };
        let covered = block.get(HEADER - 1..HEADER + length).unwrap_or_default();
        if masked(crc32c::crc32c(covered)) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return false;
        }
        block = after;
    }
    true
}

fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(MASK)
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::Corruption(format!(
        "{} {what}; restore the store from a backup",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::{Options, Store};

    #[test]
    fn a_real_manifest_passes_and_flipped_bits_in_its_records_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), Options::default()).unwrap();
        store.put(b"key", &[7; 1000], None).unwrap();
        store.flush().unwrap();
        store.close().unwrap();
        check(directory.path()).unwrap();
        let current = std::fs::read_to_string(directory.path().join("CURRENT")).unwrap();
        let manifest = directory.path().join(current.trim_end());
        let healthy = std::fs::read(&manifest).unwrap();
        let mut refused = 0;
        for bit in (0..healthy.len() * 8).step_by(5) {
            let mut bytes = healthy.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&manifest, &bytes).unwrap();
            refused += usize::from(matches!(check(directory.path()), Err(Error::Corruption(_))));
        }
        // A length that grows beyond the end looks like a record cut short; those are RocksDB's to judge.
        let flipped = (healthy.len() * 8).div_ceil(5);
        assert!(refused * 100 > flipped * 98, "{refused} of {flipped}");
    }
}
