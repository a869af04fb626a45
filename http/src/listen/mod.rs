//! Where connections come from, and what becomes of them.

mod accept;
mod connection;
mod tcp;
mod tls;
mod unix;

pub(crate) use accept::{Serving, accept};

use crate::config::Config;
use prestige_core::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use unix::UnixSocket;

/// What a server listens on: bound, and not accepting yet.
pub(crate) struct Bound {
    tcp: Option<(std::net::TcpListener, SocketAddr)>,
    tls: Option<TlsAcceptor>,
    unix: Option<UnixSocket>,
}

impl Bound {
    /// Binds everything that `config` names, so that a refusal reaches the caller and the port is known.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a host that does not resolve or is reached from elsewhere without tokens, and for
    /// certificates that do not fit; [`Error::Busy`] if somebody listens on the Unix socket; [`Error::Io`] if the
    /// system refuses.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let listen = &config.listen;
        let tls = listen.tls.as_ref().map(tls::acceptor).transpose()?;
        let tcp = listen
            .host
            .as_deref()
            .map(|host| tcp::bind(host, listen.port, config.tokens.is_empty()))
            .transpose()?;
        let unix = listen
            .unix_socket
            .as_deref()
            .map(|path| UnixSocket::bind(path, listen.unix_socket_mode))
            .transpose()?;
        Ok(Self { tcp, tls, unix })
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(|(_, address)| *address)
    }

    pub(crate) fn unix_socket(&self) -> Option<PathBuf> {
        self.unix.as_ref().map(|socket| socket.path().to_path_buf())
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// What to accept from. To be called inside of a runtime.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses.
    pub(crate) fn into_listeners(self) -> Result<Vec<Listener>, Error> {
        let refused =
            |error: std::io::Error| Error::Io(format!("cannot accept connections: {error}"));
        let mut listeners = Vec::new();
        if let Some((listener, _)) = self.tcp {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(refused)?;
            listeners.push(Listener::Tcp(listener, self.tls));
        }
        if let Some(socket) = self.unix {
            let (listener, socket) = socket.into_parts();
            let listener = tokio::net::UnixListener::from_std(listener).map_err(refused)?;
            listeners.push(Listener::Unix(listener, Arc::new(socket)));
        }
        Ok(listeners)
    }
}

/// One source of connections.
pub(crate) enum Listener {
    Tcp(tokio::net::TcpListener, Option<TlsAcceptor>),
    /// The file of the socket goes with it.
    Unix(
        tokio::net::UnixListener,
        #[expect(
            dead_code,
            reason = "it is there to be dropped, which removes the file"
        )]
        Arc<unix::SocketFile>,
    ),
}

/// `path` as error messages show it.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
