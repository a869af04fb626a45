//! Unix sockets: their permissions, and what earlier servers have left.

use super::shown;
use prestige_core::Error;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A listening socket and its file.
pub(crate) struct UnixSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket, removed when this is dropped; unless another server has put its own there since.
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device, inode and time of the last change: inodes are used again at once.
type Identity = (u64, u64, i64, i64);

fn identity(path: &Path) -> std::io::Result<Identity> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}

impl UnixSocket {
    /// Listens on `path`, for those whom `mode` allows to write to it. A socket on which nobody listens is replaced.
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody listens there; [`Error::InvalidArgument`] if there is something else;
    /// [`Error::Io`] if the system refuses.
    pub(crate) fn bind(path: &Path, mode: u32) -> Result<Self, Error> {
        // Absolute, so that the file can be removed when the process has changed its directory.
        let path = std::path::absolute(path).map_err(|error| refused(path, &error))?;
        remove_stale(&path)?;
        let refused = |error: std::io::Error| refused(&path, &error);
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(refused)?;
        let address = SockAddr::unix(&path).map_err(refused)?;
        socket.bind(&address).map_err(refused)?;
        // Before anybody can connect, which listening allows.
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(refused)?;
        let identity = identity(&path).map_err(refused)?;
        let file = SocketFile {
            path: path.clone(),
            identity,
        };
        socket.listen(BACKLOG).map_err(refused)?;
        socket.set_nonblocking(true).map_err(refused)?;
        Ok(Self {
            listener: socket.into(),
            file,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    pub(crate) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

fn refused(path: &Path, error: &std::io::Error) -> Error {
    Error::Io(format!("cannot listen on {}: {error}", shown(path)))
}

fn remove_stale(path: &Path) -> Result<(), Error> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(path, &error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(Error::InvalidArgument(format!(
            "cannot listen on {}: it exists and is no socket; remove it or choose another path",
            shown(path)
        )));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Error::Busy(format!(
            "another server listens on {}; stop it or choose another path",
            shown(path)
        ))),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| refused(path, &error))
        }
        Err(error) => Err(refused(path, &error)),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = identity(&self.path).is_ok_and(|found| found == self.identity);
        if ours {
            // Gone already is as good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_nobody_uses_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let first = UnixSocket::bind(&path, 0o600).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(
            UnixSocket::bind(&path, 0o600),
            Err(Error::Busy(_))
        ));
        // As after a kill: the file is left, and nobody listens.
        let (listener, file) = first.into_parts();
        drop(listener);
        let second = UnixSocket::bind(&path, 0o660).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        // The first one's end does not take the second one's file.
        drop(file);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn other_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"precious").unwrap();
        assert!(matches!(
            UnixSocket::bind(&path, 0o600),
            Err(Error::InvalidArgument(_))
        ));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let absent = directory.path().join("absent").join("socket");
        assert!(matches!(
            UnixSocket::bind(&absent, 0o600),
            Err(Error::Io(_))
        ));
        let long = directory.path().join("x".repeat(200));
        assert!(matches!(UnixSocket::bind(&long, 0o600), Err(Error::Io(_))));
    }
}
