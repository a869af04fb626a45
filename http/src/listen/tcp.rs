//! TCP addresses.

use prestige_core::Error;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};

/// Binds the first address of `host` that can be had.
///
/// # Errors
/// [`Error::InvalidArgument`] if `host` does not resolve, or if it is `loopback_only` and another address;
/// [`Error::Io`] if the address cannot be listened on.
pub(super) fn bind(
    host: &str,
    port: u16,
    loopback_only: bool,
) -> Result<(TcpListener, SocketAddr), Error> {
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| {
            Error::InvalidArgument(format!("the host {host:?} does not resolve: {error}"))
        })?
        .collect();
    let refused =
        |error: std::io::Error| Error::Io(format!("cannot listen on {host} port {port}: {error}"));
    let listener = TcpListener::bind(addresses.as_slice()).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    // Of the address that was bound: a name may have several. Nobody is accepted meanwhile.
    if loopback_only && !address.ip().is_loopback() {
        return Err(Error::InvalidArgument(format!(
            "the host {host:?} is reached from other machines, and without a token everybody there could read and \
             change the store: give a token, or listen on 127.0.0.1 or a Unix socket"
        )));
    }
    listener.set_nonblocking(true).map_err(refused)?;
    Ok((listener, address))
}
