//! What is made under a temporary name beside its place and moved there when it is complete and durable, so that
//! neither a failure nor the end of the process leaves half of it under the final name.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory in the making. Dropped before it is published, it is removed.
#[derive(Debug)]
pub(crate) struct StagedDirectory {
    place: Place,
    /// The rest of a failure that is to be removed.
    remove: bool,
}

/// A file in the making. Dropped before it is published, it is removed.
#[derive(Debug)]
pub(crate) struct StagedFile {
    place: Place,
    file: File,
    remove: bool,
}

/// A final name, and a temporary one beside it.
#[derive(Debug)]
struct Place {
    target: PathBuf,
    temporary: PathBuf,
    parent: PathBuf,
}

impl Place {
    /// `outside`: a directory that the target must not be, nor lie in.
    fn of(target: &Path, outside: &Path) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let absolute = std::path::absolute(target)
            .map_err(|error| Error::io("find the directory of", target, &error))?;
        // Through symbolic links, so that the temporary name is on the file system of the final one.
        let resolved = absolute.canonicalize().unwrap_or(absolute);
        let (Some(parent), Some(name)) = (resolved.parent(), resolved.file_name()) else {
            return Err(Error::InvalidArgument(format!(
                "{} has no name of its own that could be created",
                target.display()
            )));
        };
        let parent = parent
            .canonicalize()
            .map_err(|error| Error::io("find the directory", parent, &error))?;
        let target = parent.join(name);
        let outside = outside
            .canonicalize()
            .map_err(|error| Error::io("find the directory", outside, &error))?;
        if target.starts_with(&outside) {
            return Err(Error::InvalidArgument(format!(
                "{} lies in {}, whose files it would mix with; choose a place outside of it",
                target.display(),
                outside.display()
            )));
        }
        let mut temporary = name.to_owned();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        temporary.push(format!(".partial-{}-{number}", std::process::id()));
        Ok(Self {
            temporary: parent.join(temporary),
            target,
            parent,
        })
    }

    fn publish(&self) -> Result<()> {
        std::fs::rename(&self.temporary, &self.target)
            .map_err(|error| Error::io("create", &self.target, &error))?;
        sync(&self.parent)
    }
}

impl StagedDirectory {
    /// Makes sure that a directory can be made at `target`, outside of the directory `outside`: nothing is there, or
    /// an empty directory. Nothing is created yet.
    pub(crate) fn at(target: &Path, outside: &Path) -> Result<Self> {
        let place = Place::of(target, outside)?;
        match std::fs::read_dir(&place.target).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(occupied(&place.target, "a directory that is not empty")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return Err(occupied(&place.target, "a file"));
            }
            Err(error) => return Err(Error::io("read", &place.target, &error)),
        }
        Ok(Self {
            place,
            remove: true,
        })
    }

    /// Where the directory is to be made.
    pub(crate) fn path(&self) -> &Path {
        &self.place.temporary
    }

    /// Makes everything in it durable and gives it its name.
    pub(crate) fn publish(mut self) -> Result<()> {
        sync_tree(self.path())?;
        self.place.publish()?;
        self.remove = false;
        Ok(())
    }
}

impl Drop for StagedDirectory {
    fn drop(&mut self) {
        // RocksDB makes a checkpoint under a temporary name of its own.
        let mut of_rocksdb = self.place.temporary.clone().into_os_string();
        of_rocksdb.push(".tmp");
        for path in [self.place.temporary.as_path(), of_rocksdb.as_ref()] {
            if self.remove && path.exists() {
                report(path, std::fs::remove_dir_all(path));
            }
        }
    }
}

impl StagedFile {
    /// Creates a file that will replace the file `target`, if there is one; outside of the directory `outside`.
    pub(crate) fn create(target: &Path, outside: &Path) -> Result<Self> {
        let place = Place::of(target, outside)?;
        if place.target.is_dir() {
            return Err(occupied(&place.target, "a directory"));
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&place.temporary)
            .map_err(|error| Error::io("create", &place.temporary, &error))?;
        Ok(Self {
            place,
            file,
            remove: true,
        })
    }

    /// The open file, to be written without a position of its own.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file durable and gives it its name.
    pub(crate) fn publish(mut self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|error| Error::io("sync", &self.place.temporary, &error))?;
        self.place.publish()?;
        self.remove = false;
        Ok(())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if self.remove {
            let path = &self.place.temporary;
            report(path, std::fs::remove_file(path));
        }
    }
}

fn report(path: &Path, removed: std::io::Result<()>) {
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "an unfinished copy stays");
    }
}

fn occupied(path: &Path, what: &str) -> Error {
    Error::InvalidArgument(format!(
        "{} is {what}; name a place where nothing is yet",
        path.display()
    ))
}

/// Syncs the files of a directory, and the directories themselves after what they list.
fn sync_tree(directory: &Path) -> Result<()> {
    let entries =
        std::fs::read_dir(directory).map_err(|error| Error::io("read", directory, &error))?;
    for entry in entries {
        let path = entry
            .map_err(|error| Error::io("read", directory, &error))?
            .path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            sync(&path)?;
        }
    }
    sync(directory)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io("sync", path, &error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write as _;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn nothing_has_the_final_name_before_it_is_published_and_nothing_is_left_of_a_failure() {
        let root = tempfile::tempdir().unwrap();
        let store = root.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let target = root.path().join("copy");
        let staged = StagedDirectory::at(&target, &store).unwrap();
        std::fs::create_dir(staged.path()).unwrap();
        std::fs::write(staged.path().join("file"), "text").unwrap();
        assert!(!target.exists());
        drop(staged);
        assert_eq!(names(root.path()), ["store"]);

        std::fs::create_dir(&target).unwrap();
        let staged = StagedDirectory::at(&target, &store).unwrap();
        std::fs::create_dir(staged.path()).unwrap();
        std::fs::write(staged.path().join("file"), "text").unwrap();
        staged.publish().unwrap();
        assert_eq!(names(root.path()), ["copy", "store"]);
        assert_eq!(names(&target), ["file"]);

        let file = root.path().join("file");
        std::fs::write(&file, "old").unwrap();
        let staged = StagedFile::create(&file, &store).unwrap();
        staged.file().write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"old");
        drop(staged);
        assert_eq!(names(root.path()), ["copy", "file", "store"]);
        let staged = StagedFile::create(&file, &store).unwrap();
        staged.file().write_all(b"new").unwrap();
        staged.publish().unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(names(root.path()), ["copy", "file", "store"]);
    }

    #[test]
    fn occupied_and_forbidden_places_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let store = root.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = |target: &Path| StagedDirectory::at(target, &store).unwrap_err();
        for target in [
            store.clone(),
            store.join("copy"),
            store.join("../store/copy"),
            root.path().to_path_buf(),
            file,
            PathBuf::from("/"),
        ] {
            let error = refused(&target);
            assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
        }
        #[cfg(unix)]
        {
            let link = root.path().join("link");
            std::os::unix::fs::symlink(&store, &link).unwrap();
            assert!(matches!(
                refused(&link.join("copy")),
                Error::InvalidArgument(_)
            ));
        }
        assert!(matches!(
            refused(&root.path().join("no/such")),
            Error::Io(_)
        ));
        assert!(matches!(
            StagedFile::create(root.path(), &store),
            Err(Error::InvalidArgument(_))
        ));
    }
}
