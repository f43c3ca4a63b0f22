//! A connection in memory: at one end the library's layer, used as a transport uses it, at the
//! other a rustls of its own.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, Connection, Error, RootCertStore, ServerConfig,
    ServerConnection, SupportedProtocolVersion,
};

use super::pair::{Authority, HOST, Identity, serving, trusting};
use crate::net::tls::provider::provider;
use crate::net::tls::session::GAP;
use crate::net::tls::{Config, Ending, Layer, Peer, Session, pem};
use crate::proto::Buffer;

/// What the library's end is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    Client,
    Server,
}

pub type Version = &'static SupportedProtocolVersion;

/// Both roles in both versions.
pub const CASES: [(Role, Version); 4] = [
    (Role::Client, &TLS13),
    (Role::Server, &TLS13),
    (Role::Client, &TLS12),
    (Role::Server, &TLS12),
];

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("one"));
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| AUTHORITY.issue(&[HOST]));

/// Where the plaintext goes in the library's buffer, behind bytes of somebody else.
const AT: usize = 7;
const FOREIGN: [u8; AT] = *b"foreign";
/// As much as a worker's buffer takes in one read.
const READ: usize = 200 << 10;

/// The library's end.
pub struct Ours {
    pub layer: Layer,
    buffer: Vec<u8>,
    /// All plaintext so far.
    pub received: Vec<u8>,
    pub ending: Option<Ending>,
}

impl Ours {
    pub fn new(session: Session) -> Self {
        Self {
            layer: Layer::new(session),
            buffer: Vec::new(),
            received: Vec::new(),
            ending: None,
        }
    }

    /// Takes bytes, as after one read.
    pub fn give(&mut self, bytes: &[u8]) {
        for bytes in bytes.chunks(READ) {
            let place = self.layer.place(AT);
            let end = place + bytes.len();
            // No more room than was asked for.
            self.buffer.resize(end.max(self.buffer.len()), 0);
            self.buffer[..AT].copy_from_slice(&FOREIGN);
            self.buffer[place..end].copy_from_slice(bytes);
            let opened = self.layer.open(&mut self.buffer[..end], AT, end);
            assert_eq!(self.buffer[..AT], FOREIGN);
            self.received.extend(&self.buffer[AT..opened.end]);
            if let Some(ending) = opened.ending {
                assert_eq!(self.ending, None, "it ends once");
                self.ending = Some(ending);
            }
        }
    }

    /// The same, as after reads of at most so many bytes.
    pub fn give_in(&mut self, pieces: usize, bytes: &[u8]) {
        for piece in bytes.chunks(pieces) {
            self.give(piece);
        }
    }

    /// The records for `plain`, behind those that wait.
    pub fn say(&mut self, plain: &[u8]) -> Vec<u8> {
        let (mut bytes, mut spare) = (Buffer::new(), Buffer::new());
        bytes.append(plain).unwrap();
        self.layer.seal(&mut bytes, &mut spare).unwrap();
        assert!(spare.is_empty() && !self.layer.has_outgoing());
        bytes.bytes().to_vec()
    }

    /// What waits to be sent.
    pub fn take(&mut self) -> Vec<u8> {
        let is_there = self.layer.has_outgoing();
        let bytes = self.say(b"");
        assert_eq!(!bytes.is_empty(), is_there);
        bytes
    }

    pub fn close(&mut self) -> Vec<u8> {
        self.layer.close();
        self.take()
    }

    /// How many received bytes are kept for later.
    pub fn kept(&self) -> usize {
        self.layer.place(0) - GAP
    }

    #[track_caller]
    pub fn expect(&mut self, plain: &[u8]) {
        assert_eq!(self.received.len(), plain.len(), "{:?}", self.ending);
        assert!(self.received == plain);
        self.received.clear();
    }

    /// Fails unless TLS has failed. Returns the error.
    #[track_caller]
    pub fn expect_failure(&self) -> Error {
        match &self.ending {
            Some(Ending::Failed(error)) => error.clone(),
            ending => panic!("{ending:?}"),
        }
    }
}

/// The other end.
pub struct Theirs {
    pub connection: Connection,
    /// All plaintext so far.
    pub received: Vec<u8>,
}

impl Theirs {
    pub fn new(connection: impl Into<Connection>) -> Self {
        let mut connection = connection.into();
        connection.set_buffer_limit(None);
        Self {
            connection,
            received: Vec::new(),
        }
    }

    pub fn give(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            if self.connection.read_tls(&mut bytes).unwrap() == 0 {
                return Ok(());
            }
            self.connection.process_new_packets()?;
            match self.connection.reader().read_to_end(&mut self.received) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        Ok(())
    }

    pub fn say(&mut self, plain: &[u8]) -> Vec<u8> {
        self.connection.writer().write_all(plain).unwrap();
        self.take()
    }

    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    pub fn close(&mut self) -> Vec<u8> {
        self.connection.send_close_notify();
        self.take()
    }

    #[track_caller]
    pub fn expect(&mut self, plain: &[u8]) {
        assert_eq!(self.received.len(), plain.len());
        assert!(self.received == plain);
        self.received.clear();
    }
}

/// Both.
pub struct Ends {
    pub ours: Ours,
    pub theirs: Theirs,
}

impl Ends {
    pub fn new(role: Role, version: Version) -> Self {
        match role {
            Role::Client => Self::with_server(version, |_| {}),
            Role::Server => Self::with_client(version, |_| {}),
        }
    }

    /// The other end is a server with changed settings.
    pub fn with_server(version: Version, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let connection = ServerConnection::new(their_server(version, change)).unwrap();
        Self {
            ours: Ours::new(our_client(&trusting(&AUTHORITY))),
            theirs: Theirs::new(connection),
        }
    }

    /// The other end is a client with changed settings.
    pub fn with_client(version: Version, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let config = their_client(version, change);
        let connection = ClientConnection::new(config, host()).unwrap();
        Self {
            ours: Ours::new(our_server()),
            theirs: Theirs::new(connection),
        }
    }

    /// Lets both talk until neither has anything to say.
    pub fn talk(&mut self) {
        self.talk_in(usize::MAX);
    }

    /// The same; the library reads so many bytes at a time.
    pub fn talk_in(&mut self, pieces: usize) {
        loop {
            let said = self.ours.take();
            self.theirs.give(&said).unwrap();
            let answer = self.theirs.take();
            self.ours.give_in(pieces, &answer);
            if said.is_empty() && answer.is_empty() {
                return;
            }
        }
    }

    /// After the handshake.
    pub fn established(mut self) -> Self {
        self.talk();
        assert!(self.ours.layer.is_established(), "{:?}", self.ours.ending);
        assert!(!self.theirs.connection.is_handshaking());
        self
    }
}

pub fn host() -> ServerName<'static> {
    ServerName::try_from(HOST).unwrap()
}

pub fn our_client(config: &Config) -> Session {
    Session::client(config.client(Peer::Server).unwrap(), host()).unwrap()
}

/// A client that trusts the others here.
pub fn our_trusting_client() -> Session {
    our_client(&trusting(&AUTHORITY))
}

pub fn our_server() -> Session {
    Session::server(serving(&IDENTITY).server().unwrap()).unwrap()
}

pub fn their_server(version: Version, change: impl FnOnce(&mut ServerConfig)) -> Arc<ServerConfig> {
    their_server_with(provider(), version, change)
}

pub fn their_client(version: Version, change: impl FnOnce(&mut ClientConfig)) -> Arc<ClientConfig> {
    their_client_with(provider(), version, change)
}

pub fn their_server_with(
    provider: Arc<CryptoProvider>,
    version: Version,
    change: impl FnOnce(&mut ServerConfig),
) -> Arc<ServerConfig> {
    let identity = pem::identity(&IDENTITY.cert, &IDENTITY.key).unwrap();
    let resolver = rustls::sign::SingleCertAndKey::from(identity);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    change(&mut config);
    Arc::new(config)
}

pub fn their_client_with(
    provider: Arc<CryptoProvider>,
    version: Version,
    change: impl FnOnce(&mut ClientConfig),
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in pem::authorities("pem", &AUTHORITY.pem()).unwrap() {
        roots.add(authority).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    change(&mut config);
    Arc::new(config)
}

/// Bytes that do not repeat soon.
pub fn noise(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|place| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

/// How many records there are.
pub fn count_records(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let [_, _, _, high, low, rest @ ..] = bytes {
        bytes = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
        count += 1;
    }
    assert!(bytes.is_empty());
    count
}
