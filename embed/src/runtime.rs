//! Finds the ONNX Runtime shared library.
//!
//! The library is not part of this crate: the Python package `onnxruntime` brings it (in
//! `onnxruntime/capi`), or the user names one.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::EmbedError;

/// Environment variable that names the library and beats every other way to find it.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// Where a folder given as a hint may keep the library: itself, `onnxruntime`, or `site-packages`.
const FOLDERS: [&str; 3] = ["", "capi", "onnxruntime/capi"];

/// An existing ONNX Runtime shared library file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLibrary(PathBuf);

impl RuntimeLibrary {
    /// Finds the library: the file named by the environment variable `ORT_DYLIB_PATH`, else `hint`,
    /// which is the library itself or a folder that holds it (the newest version is taken), such as
    /// `<site-packages>/onnxruntime/capi`.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Runtime`] when neither leads to a file; it names both ways to provide one. A
    /// variable that is set but wrong is an error too: it was set on purpose.
    pub fn find(hint: Option<&Path>) -> Result<Self, EmbedError> {
        let variable = env::var_os(VARIABLE).filter(|value| !value.is_empty());
        Self::resolve(variable.as_deref().map(Path::new), hint)
    }

    /// Path of the library file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn resolve(variable: Option<&Path>, hint: Option<&Path>) -> Result<Self, EmbedError> {
        let (origin, place) = match (variable, hint) {
            (Some(path), _) => (format!("{} (from {VARIABLE})", path.display()), path),
            (None, Some(path)) => (path.display().to_string(), path),
            (None, None) => {
                return Err(EmbedError::Runtime {
                    place: "anywhere".to_owned(),
                    reason: format!("expected a file named by {VARIABLE}, found it unset"),
                });
            }
        };
        let found = if place.is_dir() {
            newest_library(place).ok_or("found a folder without an ONNX Runtime library in it")
        } else if place.is_file() {
            Ok(place.to_path_buf())
        } else {
            Err("no such file")
        };
        let file = found.map_err(|reason| EmbedError::Runtime {
            place: origin,
            reason: reason.to_owned(),
        })?;
        // The loader looks up relative paths beside the executable first, not where the user means.
        Ok(Self(std::path::absolute(&file).unwrap_or(file)))
    }
}

/// The library with the highest version in `folder` or one of its usual subfolders.
fn newest_library(folder: &Path) -> Option<PathBuf> {
    FOLDERS
        .iter()
        .filter_map(|sub| fs::read_dir(folder.join(sub)).ok())
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| {
            let version = library_version(entry.file_name().to_str()?)?;
            Some((version, entry.path()))
        })
        .filter(|(_, path)| path.is_file())
        .max()
        .map(|(_, path)| path)
}

/// Version of a file named like the library on any platform (`libonnxruntime.so.1.32.0`,
/// `libonnxruntime.1.32.0.dylib`, `onnxruntime.dll`), empty when the name has none; `None` for
/// other files, such as `libonnxruntime_providers_….so`.
fn library_version(name: &str) -> Option<Vec<u32>> {
    let version = if let Some(rest) = name.strip_prefix("libonnxruntime.so") {
        rest
    } else if let Some(rest) = name.strip_prefix("libonnxruntime") {
        rest.strip_suffix(".dylib")?
    } else {
        name.strip_prefix("onnxruntime")?.strip_suffix(".dll")?
    };
    if version.is_empty() {
        return Some(Vec::new());
    }
    version
        .strip_prefix('.')?
        .split('.')
        .map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn touch(path: &Path) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
        path.to_path_buf()
    }

    #[test]
    fn names_of_all_platforms_are_known() {
        assert_eq!(
            library_version("libonnxruntime.so.1.32.0"),
            Some(vec![1, 32, 0])
        );
        assert_eq!(library_version("libonnxruntime.so"), Some(vec![]));
        assert_eq!(
            library_version("libonnxruntime.1.20.1.dylib"),
            Some(vec![1, 20, 1])
        );
        assert_eq!(library_version("libonnxruntime.dylib"), Some(vec![]));
        assert_eq!(library_version("onnxruntime.dll"), Some(vec![]));
        for other in [
            "libonnxruntime_providers_shared.so",
            "libonnxruntime_providers_shared.dylib",
            "onnxruntime_pybind11_state.so",
            "onnxruntime_providers_shared.dll",
            "libonnxruntime.so.1.32.0.bak",
            "libonnxruntime.soup",
        ] {
            assert_eq!(library_version(other), None, "{other}");
        }
    }

    #[test]
    fn the_variable_beats_the_hint_and_the_newest_version_wins() {
        let folder = tempfile::tempdir().unwrap();
        let capi = folder.path().join("onnxruntime/capi");
        touch(&capi.join("libonnxruntime.so.1.9.0"));
        touch(&capi.join("libonnxruntime_providers_shared.so"));
        let newest = touch(&capi.join("libonnxruntime.so.1.32.0"));
        let named = touch(&folder.path().join("my.so"));

        for hint in [
            folder.path(),
            &folder.path().join("onnxruntime"),
            &capi,
            &newest,
        ] {
            assert_eq!(
                RuntimeLibrary::resolve(None, Some(hint)).unwrap().path(),
                newest
            );
        }
        let both = RuntimeLibrary::resolve(Some(&named), Some(&capi)).unwrap();
        assert_eq!(both.path(), named);
    }

    #[test]
    fn what_is_missing_is_named_with_both_ways_out() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.so");
        let existing = touch(&folder.path().join("libonnxruntime.so"));
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        for (variable, hint, named) in [
            (None, None, "ORT_DYLIB_PATH"),
            (None, Some(missing.as_path()), "missing.so"),
            (None, Some(empty.as_path()), "empty"),
            // A wrong variable is not passed over in silence for a good hint.
            (
                Some(missing.as_path()),
                Some(existing.as_path()),
                "missing.so (from ORT_DYLIB_PATH)",
            ),
        ] {
            let text = RuntimeLibrary::resolve(variable, hint)
                .unwrap_err()
                .to_string();
            assert!(text.contains(named), "{text}");
            assert!(text.contains("pip install onnxruntime"), "{text}");
            assert!(text.contains("ORT_DYLIB_PATH"), "{text}");
        }
    }
}
