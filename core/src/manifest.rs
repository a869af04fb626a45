//! Checks the MANIFEST before RocksDB reads it: some flipped bits in the headers of its records send RocksDB's reader
//! into an endless loop, and a store that does not open must say so.

use crate::error::{Error, Result};
use crate::log_file;
use crate::version_edit::Edits;
use std::path::Path;

/// Refuses the MANIFEST that `CURRENT` in `path` names if it is damaged. A write that was cut short at its end is left
/// to RocksDB, which does without it.
///
/// Returns the number of the oldest write-ahead log that is still needed, or 0 if that is not known.
pub(crate) fn check(path: &Path) -> Result<u64> {
    let current = path.join("CURRENT");
    let name = std::fs::read(&current).map_err(|error| Error::io("read", &current, &error))?;
    let Ok(name) = std::str::from_utf8(&name) else {
        return Err(Error::Corruption(format!(
            "{} does not name a MANIFEST; restore the store from a backup",
            current.display()
        )));
    };
    let manifest = path.join(name.trim_end());
    // A file that cannot be read is reported by RocksDB, with what it was looking for.
    if !manifest.is_file() {
        return Ok(0);
    }
    let mut edits = Edits::default();
    log_file::check(&manifest, &mut edits)?;
    Ok(edits.oldest_log().unwrap_or_else(|| {
        tracing::debug!(
            manifest = %manifest.display(),
            "a record is not understood, so logs that are no longer needed are checked too"
        );
        0
    }))
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
        for bit in (0..healthy.len() * 8).step_by(37) {
            let mut bytes = healthy.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&manifest, &bytes).unwrap();
            let refused = matches!(check(directory.path()), Err(Error::Corruption(_)));
            assert!(refused, "bit {bit} of {}", healthy.len() * 8);
        }
    }
}
