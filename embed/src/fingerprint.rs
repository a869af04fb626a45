//! Which model a vector came from.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Names a model: vectors are comparable exactly when the `sha256` of their fingerprints is the
/// same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Name for people, for example the model's folder.
    pub model: String,
    /// SHA-256 of everything that shapes a vector, as 64 hexadecimal digits.
    pub sha256: String,
}

impl Fingerprint {
    /// Fingerprint of an embedder without model files: SHA-256 over `parts`, each with its length
    /// before it, so that no two lists of parts run together.
    pub fn from_parts(model: impl Into<String>, parts: &[&[u8]]) -> Self {
        let mut hasher = FingerprintHasher::default();
        for part in parts {
            hasher.part(part);
        }
        hasher.finish(model)
    }
}

/// Builds a fingerprint part by part. Every part is hashed as its length (u64, little endian) and
/// its bytes.
#[derive(Default)]
pub(crate) struct FingerprintHasher(Sha256);

impl FingerprintHasher {
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds a file's content as a part without holding it in memory.
    pub(crate) fn file(&mut self, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        self.0.update(length.to_le_bytes());
        let mut buffer = vec![0_u8; 1 << 16];
        let mut hashed = 0_u64;
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.0.update(buffer.get(..read).unwrap_or_default());
            hashed += read as u64;
        }
        if hashed != length {
            return Err(io::Error::other("the file changed while it was read"));
        }
        Ok(())
    }

    pub(crate) fn finish(self, model: impl Into<String>) -> Fingerprint {
        let mut sha256 = String::with_capacity(64);
        for byte in self.0.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        Fingerprint {
            model: model.into(),
            sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let ab_c = Fingerprint::from_parts("m", &[b"ab", b"c"]);
        assert_ne!(ab_c, Fingerprint::from_parts("m", &[b"a", b"bc"]));
        assert_ne!(ab_c, Fingerprint::from_parts("m", &[b"abc"]));
        assert_eq!(
            ab_c.sha256,
            Fingerprint::from_parts("other name", &[b"ab", b"c"]).sha256
        );
    }

    #[test]
    fn a_file_counts_like_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mut hasher = FingerprintHasher::default();
        hasher.file(&path).unwrap();
        assert_eq!(hasher.finish("m"), Fingerprint::from_parts("m", &[&bytes]));
    }

    #[test]
    fn the_digest_is_the_known_one() {
        // sha256 of eight zero bytes: one empty part.
        assert_eq!(
            Fingerprint::from_parts("m", &[b""]).sha256,
            "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc"
        );
    }
}
