//! A file that appears under its name complete, or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use crate::error::IndexError;

/// Bytes read at a time while a checksum is computed.
const BLOCK: usize = 1 << 16;

/// CRC-32C and number of the bytes seen so far.
#[derive(Clone, Copy, Default)]
pub struct Checksum {
    pub crc32c: u32,
    pub length: u64,
}

impl Checksum {
    fn update(&mut self, bytes: &[u8]) {
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.length += bytes.len() as u64;
    }

    /// Of everything that is left to read.
    pub fn of(reader: &mut impl Read) -> io::Result<Self> {
        let mut sum = Self::default();
        let mut block = vec![0; BLOCK];
        loop {
            match reader.read(&mut block) {
                Ok(0) => return Ok(sum),
                Ok(read) => sum.update(block.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The file under its temporary name. Removed when dropped, unless it was [kept](Appending::keep).
pub struct Temporary {
    directory: PathBuf,
    target: PathBuf,
    path: PathBuf,
}

impl Temporary {
    /// Chooses the temporary name of `directory`/`file_name`; touches nothing yet.
    pub fn new(directory: &Path, file_name: &str) -> Result<Self, IndexError> {
        check_name(file_name)?;
        Ok(Self {
            directory: directory.to_owned(),
            target: directory.join(file_name),
            path: directory.join(format!("{file_name}.tmp")),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the temporary file empty.
    pub fn create(&self) -> Result<(), IndexError> {
        File::create(&self.path).map_err(failed("create", &self.path))?;
        Ok(())
    }

    /// Opens the temporary file behind what is in it already, which must be `expected` bytes.
    pub fn append(self, expected: u64) -> Result<Appending, IndexError> {
        let mut file = File::options()
            .read(true)
            .append(true)
            .open(&self.path)
            .map_err(failed("open", &self.path))?;
        let sum = Checksum::of(&mut file).map_err(failed("read", &self.path))?;
        if sum.length != expected {
            let reason = format!(
                "{} of {expected} bytes arrived, is the disk full?",
                sum.length
            );
            return Err(failed("write", &self.path)(io::Error::other(reason)));
        }
        Ok(Appending {
            writer: BufWriter::with_capacity(BLOCK, file),
            sum,
            temporary: self,
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing under this name any more. A file that cannot be removed
        // is in nobody's way: the next save of this name replaces it.
        drop(fs::remove_file(&self.path));
    }
}

/// A temporary file open for more bytes.
pub struct Appending {
    writer: BufWriter<File>,
    sum: Checksum,
    temporary: Temporary,
}

impl Appending {
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.writer
            .write_all(bytes)
            .map_err(failed("write", &self.temporary.path))?;
        self.sum.update(bytes);
        Ok(())
    }

    /// Makes the file durable and gives it its name.
    pub fn keep(mut self) -> Result<Checksum, IndexError> {
        let Temporary {
            directory,
            target,
            path,
        } = &self.temporary;
        self.writer.flush().map_err(failed("write", path))?;
        self.writer
            .get_ref()
            .sync_all()
            .map_err(failed("sync", path))?;
        fs::rename(path, target).map_err(failed("rename", path))?;
        sync_directory(directory)?;
        Ok(self.sum)
    }
}

/// Makes a rename durable. Only Unix lets a directory be opened for that; elsewhere the rename
/// itself must do.
fn sync_directory(directory: &Path) -> Result<(), IndexError> {
    if cfg!(unix) {
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(failed("sync", directory))?;
    }
    Ok(())
}

/// Refuses names that would lead out of the directory.
pub fn check_name(file_name: &str) -> Result<(), IndexError> {
    let mut components = Path::new(file_name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) if name == file_name => Ok(()),
        _ => Err(IndexError::InvalidFileName {
            name: file_name.to_owned(),
        }),
    }
}

/// Turns an I/O error into ours, for `map_err`.
pub fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IndexError {
    let path = path.to_owned();
    move |source| IndexError::Io {
        action,
        path,
        source,
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
    fn only_plain_names() {
        check_name("vectors-1").unwrap();
        for bad in ["", ".", "..", "/", "a/b", "a/", "/a", "./a", "../a"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_dropped_file_leaves_the_former_one() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("name");
        fs::write(&target, "former").unwrap();

        let temporary = Temporary::new(directory.path(), "name").unwrap();
        temporary.create().unwrap();
        let mut appending = temporary.append(0).unwrap();
        appending.write(b"later").unwrap();
        drop(appending);
        assert_eq!(fs::read(&target).unwrap(), b"former");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_kept_file_has_the_checksum_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let temporary = Temporary::new(directory.path(), "name").unwrap();
        fs::write(temporary.path(), "begun ").unwrap();
        let mut appending = temporary.append(6).unwrap();
        appending.write(b"and ").unwrap();
        appending.write(b"done").unwrap();
        let sum = appending.keep().unwrap();

        let bytes = fs::read(directory.path().join("name")).unwrap();
        assert_eq!(bytes, b"begun and done");
        assert_eq!((sum.length, sum.crc32c), (14, crc32c::crc32c(&bytes)));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_short_beginning_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let temporary = Temporary::new(directory.path(), "name").unwrap();
        fs::write(temporary.path(), "begu").unwrap();
        assert!(matches!(
            temporary.append(5),
            Err(IndexError::Io {
                action: "write",
                ..
            })
        ));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
