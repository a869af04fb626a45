//! Where a server listens: addresses, Unix sockets, TLS.

use crate::Running;
use crate::client::{get, read_answer, send};
use prestige_core::{Error, Options, Store};
use prestige_http::{Config, Listen, Server, Tls, Tokens};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

fn refused(listen: Listen, tokens: Tokens) -> Error {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path(), Options::default()).unwrap());
    let config = Config {
        listen,
        tokens,
        ..Config::default()
    };
    Server::start(store, config).unwrap_err()
}

#[test]
fn other_machines_need_a_token() {
    for host in ["0.0.0.0", "::"] {
        let error = refused(Listen::tcp(host, 0), Tokens::none());
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
        assert!(error.to_string().contains("token"), "{error}");
    }
    let running = Running::start(Config {
        listen: Listen::tcp("0.0.0.0", 0),
        tokens: Tokens::admin("secret").unwrap(),
        ..Config::default()
    });
    assert_eq!(get(&running.server, "/livez").status, 200);
}

#[test]
fn a_unix_socket_is_served_under_any_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let running = Running::start(Config {
        listen: Listen::unix(&path),
        ..Config::default()
    });
    assert_eq!(running.server.url(), format!("unix://{}", path.display()));
    assert_eq!(running.server.unix_socket(), Some(path.as_path()));
    assert!(running.server.address().is_none());
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut connection = UnixStream::connect(&path).unwrap();
    let headers = [("Host", "anything.example")];
    send(&mut connection, "GET /health", &headers, b"");
    assert_eq!(read_answer(&mut connection).status, 200);
    running.server.stop();
    assert!(!path.exists());
}

#[test]
fn a_socket_in_use_is_not_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let running = Running::start(Config {
        listen: Listen::unix(&path),
        ..Config::default()
    });
    let error = refused(Listen::unix(&path), Tokens::none());
    assert!(matches!(error, Error::Busy(_)), "{error}");
    let mut connection = UnixStream::connect(&path).unwrap();
    send(&mut connection, "GET /livez", &[], b"");
    assert_eq!(read_answer(&mut connection).status, 200);
    drop(running);
}

#[test]
fn both_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let running = Running::start(Config {
        listen: Listen {
            unix_socket: Some(path.clone()),
            ..Listen::default()
        },
        ..Config::default()
    });
    assert_eq!(get(&running.server, "/livez").status, 200);
    let mut connection = UnixStream::connect(&path).unwrap();
    send(&mut connection, "GET /livez", &[], b"");
    assert_eq!(read_answer(&mut connection).status, 200);
}

/// A certificate for `localhost` and its key, as PEM files.
fn certificate(directory: &Path) -> (Tls, rustls::pki_types::CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls {
        certificate: directory.join("certificate.pem"),
        key: directory.join("key.pem"),
    };
    std::fs::write(&tls.certificate, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    (tls, made.cert.der().clone())
}

#[test]
fn tls_by_the_certificate_that_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let (tls, trusted) = certificate(directory.path());
    let running = Running::start(Config {
        listen: Listen {
            tls: Some(tls),
            ..Listen::default()
        },
        ..Config::default()
    });
    assert!(running.server.url().starts_with("https://127.0.0.1:"));
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(running.server.address().unwrap()).unwrap();
    let mut connection = StreamOwned::new(client, stream);
    send(&mut connection, "GET /health", &[], b"");
    assert_eq!(read_answer(&mut connection).status, 200);
    // Plain HTTP is no answer there, and hurts nobody.
    let mut plain = TcpStream::connect(running.server.address().unwrap()).unwrap();
    send(&mut plain, "GET /livez", &[], b"");
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!answer.starts_with(b"HTTP"));
}

#[test]
fn certificates_that_do_not_fit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (good, _) = certificate(directory.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let (other, _) = certificate(elsewhere.path());
    let garbage = directory.path().join("garbage.pem");
    std::fs::write(&garbage, b"no certificate").unwrap();
    let absent = directory.path().join("absent.pem");
    for (certificate, key) in [
        (&good.certificate, &other.key),
        (&garbage, &good.key),
        (&good.certificate, &garbage),
        (&absent, &good.key),
        (&good.certificate, &absent),
    ] {
        let listen = Listen {
            tls: Some(Tls {
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            ..Listen::default()
        };
        let error = refused(listen, Tokens::none());
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
}
