//! The bytes below the protocol: TCP, a socket file, or TLS over TCP.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::postgres::error::{PgError, Result};

const CONNECT: Duration = Duration::from_secs(10);

/// A two-way stream whose reads can be bounded in time.
pub(super) trait Stream: Read + Write + Send {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        TcpStream::set_read_timeout(self, timeout)
    }
}

impl Stream for UnixStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        UnixStream::set_read_timeout(self, timeout)
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.sock.set_read_timeout(timeout)
    }
}

pub(super) fn socket_file(folder: &str, port: u16) -> Result<Box<dyn Stream>> {
    let path = format!("{folder}/.s.PGSQL.{port}");
    let stream = UnixStream::connect(&path).map_err(|source| PgError::io(format!("connect to {path}"), source))?;
    stream.set_write_timeout(Some(Duration::from_secs(60))).map_err(|source| PgError::io("set a timeout", source))?;
    Ok(Box::new(stream))
}

pub(super) fn tcp(host: &str, port: u16) -> Result<TcpStream> {
    let failed = |source| PgError::io(format!("connect to {host}:{port}"), source);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                stream.set_write_timeout(Some(Duration::from_secs(60))).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Asks for TLS and makes sure of the server's name.
pub(super) fn tls(mut stream: TcpStream, host: &str, ca_file: Option<&Path>) -> Result<Box<dyn Stream>> {
    let failed = |source| PgError::io("start TLS", source);
    stream.set_read_timeout(Some(CONNECT)).map_err(failed)?;
    stream.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).map_err(failed)?;
    let mut answer = [0];
    stream.read_exact(&mut answer).map_err(failed)?;
    if answer != *b"S" {
        return Err(PgError::NoTls);
    }
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| PgError::Tls(format!("`{host}` is no server name")))?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| PgError::Tls(error.to_string()))?
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| PgError::Tls(error.to_string()))?;
    let mut secured = StreamOwned::new(connection, stream);
    while secured.conn.is_handshaking() {
        secured.conn.complete_io(&mut secured.sock).map_err(|error| PgError::Tls(error.to_string()))?;
    }
    Ok(Box::new(secured))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return Ok(roots);
    };
    let unreadable = |error: String| PgError::Tls(format!("{} holds no certificates: {error}", path.display()));
    let certificates =
        rustls::pki_types::CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    Ok(roots)
}
