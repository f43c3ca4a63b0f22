//! A stream that is TLS or is not, for the clients that are compared and for their server: rustls
//! between the socket and plain reads and writes.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig};

/// A stream.
pub struct Channel {
    stream: TcpStream,
    tls: Option<Box<Connection>>,
}

/// Where the certificates are, for all processes of one run.
const DIRECTORY: &str = "WSABI_BENCH_CERTIFICATES";

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Channel {
    /// A client's.
    pub fn client(port: u16, secure: bool) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let tls = if secure {
            let config = client_config().map_err(io::Error::other)?;
            let name = "localhost".try_into().map_err(io::Error::other)?;
            let client = ClientConnection::new(config, name).map_err(io::Error::other)?;
            Some(Box::new(Connection::Client(client)))
        } else {
            None
        };
        Ok(Self { stream, tls })
    }

    /// A server's, which is plain until [`Self::secure`] is called.
    pub fn server(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, tls: None })
    }

    /// Begins TLS on the side of the server.
    pub fn secure(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        let server = rustls::ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        self.tls = Some(Box::new(Connection::Server(server)));
        Ok(())
    }

    /// Whether the first byte that waits is that of a TLS handshake.
    pub fn begins_with_tls(&self) -> io::Result<bool> {
        let mut byte = [0];
        Ok(self.stream.peek(&mut byte)? == 1 && byte[0] == 22)
    }

    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// Writes the records that wait. False: the system does not take all.
    pub fn write_records(&mut self) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(true)
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(buffer);
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            while tls.wants_write() && tls.is_handshaking() {
                tls.write_tls(&mut self.stream)?;
            }
        }
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.write(bytes);
        };
        while tls.is_handshaking() {
            tls.complete_io(&mut self.stream)?;
        }
        if !self.write_records()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let Some(tls) = &mut self.tls else {
            return Ok(0);
        };
        let written = tls.writer().write(bytes)?;
        self.write_records()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

/// Makes the certificates of one run, which end with this value.
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    pub fn make() -> Result<Self, Failure> {
        let directory = std::env::temp_dir().join(format!("wsabi-bench-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        fs::write(directory.join("ca.pem"), authority.pem())?;
        fs::write(directory.join("cert.pem"), certificate.pem())?;
        fs::write(directory.join("key.pem"), key.serialize_pem())?;
        Ok(Self { directory })
    }

    /// For the processes that are to use them.
    pub fn variable(&self) -> (&'static str, &PathBuf) {
        (DIRECTORY, &self.directory)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The authority of the server's certificate.
pub fn authority() -> io::Result<String> {
    fs::read_to_string(file("ca.pem"))
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(DIRECTORY).unwrap_or_default()).join(name)
}

fn client_config() -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem"))?)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

pub fn server_config() -> Result<Arc<ServerConfig>, Failure> {
    let chain = vec![CertificateDer::from_pem_file(file("cert.pem"))?];
    let key = PrivateKeyDer::from_pem_file(file("key.pem"))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
