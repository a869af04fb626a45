//! The directory in which backups are made on request.

use prestige_core::Error;
use std::fmt::Display;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Permissions of a directory that is made: backups hold what the store holds, for its owner alone.
const MODE: u32 = 0o700;

/// Refuses what is no directory and can become none. Makes nothing: what is still to be opened may fail.
///
/// # Errors
/// [`Error::InvalidArgument`].
pub(crate) fn check(directory: &Path) -> Result<(), Error> {
    // The nearest that is there: the others would be made in it.
    let there = directory
        .ancestors()
        .find(|place| place.symlink_metadata().is_ok());
    match there {
        Some(place) if place.is_dir() => Ok(()),
        Some(place) if place == directory => Err(refused(directory, &"is no directory")),
        Some(place) => {
            let why = format!("cannot be made: {} is no directory", place.display());
            Err(refused(directory, &why))
        }
        // A relative path, in the directory of the process.
        None => Ok(()),
    }
}

/// Makes the directory if there is none, so that the first backup does not find out.
///
/// # Errors
/// [`Error::InvalidArgument`] if it cannot be made, or is no directory.
pub(crate) fn prepare(directory: &Path) -> Result<(), Error> {
    check(directory)?;
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(MODE)
        .create(directory)
        .map_err(|error| refused(directory, &format_args!("cannot be made: {error}")))
}

fn refused(directory: &Path, why: &dyn Display) -> Error {
    Error::InvalidArgument(format!(
        "backup_directory: {} {why}; name a directory that is there, or one that can be made",
        directory.display()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("a").join("b");
        check(&directory).unwrap();
        assert!(!folder.path().join("a").exists());
        prepare(&directory).unwrap();
        let mode = directory.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        prepare(&directory).unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"precious").unwrap();
        for (place, why) in [
            (file.clone(), "is no directory"),
            (file.join("in"), "cannot be made"),
        ] {
            for refuses in [check, prepare] {
                let error = refuses(&place).unwrap_err().to_string();
                assert!(
                    error.contains("backup_directory") && error.contains(why),
                    "{error}"
                );
            }
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    }
}
