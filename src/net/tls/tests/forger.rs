//! A peer that makes whatever records it likes, with the keys of its connection.

use std::sync::{Arc, Mutex};

use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{AeadKey, Iv, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::tls13::{HkdfExpander, OkmBlock, expand};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ClientConnection, ConnectionTrafficSecrets, ContentType, KeyLog, ProtocolVersion,
    ServerConnection, SupportedCipherSuite, Tls13CipherSuite,
};

use super::ends::{
    Ends, Ours, Role, Theirs, host, our_server, our_trusting_client, their_client_with,
    their_server_with,
};
use crate::net::tls::provider::provider;

/// Types of handshake messages.
pub const NEW_SESSION_TICKET: u8 = 4;
pub const KEY_UPDATE: u8 = 24;

/// The peer's direction of an established connection.
pub struct Forger {
    suite: &'static Tls13CipherSuite,
    secret: Vec<u8>,
    sequence: u64,
}

impl Forger {
    /// A connection, of which the peer has sent nothing yet under the keys for data. It cannot
    /// send any more but through the forger.
    pub fn new(role: Role) -> (Ours, Theirs, Self) {
        let secrets = Arc::new(Secrets::default());
        let key_log = Arc::clone(&secrets);
        let (ours, theirs, label) = match role {
            Role::Client => {
                let config = their_server_with(one_suite(), &TLS13, |config| {
                    config.key_log = key_log;
                    config.send_tls13_tickets = 0;
                });
                let theirs = Theirs::new(ServerConnection::new(config).unwrap());
                (our_trusting_client(), theirs, "SERVER_TRAFFIC_SECRET_0")
            }
            Role::Server => {
                let config = their_client_with(one_suite(), &TLS13, |config| {
                    config.key_log = key_log;
                });
                let theirs = Theirs::new(ClientConnection::new(config, host()).unwrap());
                (our_server(), theirs, "CLIENT_TRAFFIC_SECRET_0")
            }
        };
        let ours = Ours::new(ours);
        let Ends { ours, theirs } = Ends { ours, theirs }.established();
        let SupportedCipherSuite::Tls13(suite) = one_suite().cipher_suites[0] else {
            unreachable!("a suite of TLS 1.3");
        };
        let forger = Self {
            suite,
            secret: secrets.of(label),
            sequence: 0,
        };
        (ours, theirs, forger)
    }

    pub fn data(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.record(ContentType::ApplicationData, bytes)
    }

    /// A message of the handshake, in one record.
    pub fn handshake(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        self.record(ContentType::Handshake, &message(kind, body))
    }

    /// The same, in records of so many bytes.
    pub fn handshake_in(&mut self, pieces: usize, kind: u8, body: &[u8]) -> Vec<u8> {
        let message = message(kind, body);
        let records = message
            .chunks(pieces)
            .map(|piece| self.record(ContentType::Handshake, piece));
        records.collect::<Vec<_>>().concat()
    }

    /// A KeyUpdate, in records of so many bytes.
    pub fn key_update(&mut self, pieces: usize) -> Vec<u8> {
        const REQUESTED: u8 = 1;
        let records = self.handshake_in(pieces, KEY_UPDATE, &[REQUESTED]);
        // RFC 8446 §7.2.
        let expander = self.expander();
        let next: [u8; 32] = expand(&*expander, &label("traffic upd", 32));
        self.secret = next.into();
        self.sequence = 0;
        records
    }

    pub fn record(&mut self, kind: ContentType, bytes: &[u8]) -> Vec<u8> {
        let expander = self.expander();
        let key: AeadKey = expand(&*expander, &label("key", 32));
        let iv: Iv = expand(&*expander, &label("iv", 12));
        let message = OutboundPlainMessage {
            typ: kind,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(bytes),
        };
        let mut encrypter = self.suite.aead_alg.encrypter(key, iv);
        let record = encrypter.encrypt(message, self.sequence).unwrap().encode();
        self.sequence += 1;
        record
    }

    fn expander(&self) -> Box<dyn HkdfExpander> {
        let secret = OkmBlock::new(&self.secret);
        self.suite.hkdf_provider.expander_for_okm(&secret)
    }
}

/// A client of the library with a server of TLS 1.2, and a record of the server's.
pub fn client_with_record_of_tls12(kind: ContentType, bytes: &[u8]) -> (Ours, Vec<u8>) {
    let suite = CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
    let provider = only(suite);
    let config = their_server_with(Arc::clone(&provider), &TLS12, |config| {
        config.enable_secret_extraction = true;
    });
    let theirs = Theirs::new(ServerConnection::new(config).unwrap());
    let ours = Ours::new(our_trusting_client());
    let Ends { ours, theirs } = Ends { ours, theirs }.established();
    let (sequence, secrets) = theirs.connection.dangerous_extract_secrets().unwrap().tx;
    let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else {
        unreachable!("keys of another suite");
    };
    let SupportedCipherSuite::Tls12(suite) = provider.cipher_suites[0] else {
        unreachable!("a suite of TLS 1.2");
    };
    let mut encrypter = suite.aead_alg.encrypter(key, iv.as_ref(), &[]);
    let message = OutboundPlainMessage {
        typ: kind,
        version: ProtocolVersion::TLSv1_2,
        payload: OutboundChunks::Single(bytes),
    };
    (ours, encrypter.encrypt(message, sequence).unwrap().encode())
}

/// A ticket that says nothing, and is valid.
pub fn ticket() -> Vec<u8> {
    let mut body = vec![0, 0, 0x1c, 0x20, 0, 0, 0, 0];
    // A nonce, the ticket, no extensions.
    body.extend([1, 7, 0, 1, 7, 0, 0]);
    body
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &len[1..], body].concat()
}

/// What HKDF-Expand-Label (RFC 8446 §7.1) expands, for so many bytes.
fn label(label: &str, len: u8) -> Vec<&'static [u8]> {
    let label = format!("tls13 {label}");
    let mut info = vec![0, len, label.len() as u8];
    info.extend(label.as_bytes());
    info.push(0);
    vec![info.leak()]
}

/// The suite whose keys have the size that can be given to rustls.
fn one_suite() -> Arc<CryptoProvider> {
    only(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256)
}

fn only(suite: CipherSuite) -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&provider());
    provider.cipher_suites.retain(|it| it.suite() == suite);
    Arc::new(provider)
}

#[derive(Debug, Default)]
struct Secrets(Mutex<Vec<(String, Vec<u8>)>>);

impl Secrets {
    fn of(&self, label: &str) -> Vec<u8> {
        let secrets = self.0.lock().unwrap();
        let mut found = secrets.iter().filter(|(it, _)| it == label);
        found.next().unwrap().1.clone()
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        let mut secrets = self.0.lock().unwrap();
        secrets.push((label.to_owned(), secret.to_owned()));
    }
}
