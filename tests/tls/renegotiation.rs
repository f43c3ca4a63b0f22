//! Clients that want to negotiate anew on a connection of TLS 1.2.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 as SUITE;
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

use crate::abi::{Close, ERR_TLS, Seen};
use crate::ends::{Served, dial, upgrade};
use crate::support::tls::{ask, client_config_of_tls12};
use crate::support::wire::{FIN, TEXT, frame, masked};
use crate::support::{PATIENCE, tell};

/// A client of an open WebSocket, which makes records of any kind with the keys of its connection.
struct Forger {
    stream: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
    /// A message that wants to negotiate.
    hello: Vec<u8>,
}

impl Forger {
    fn new(served: &Served) -> Self {
        let mut config = client_config_of_tls12(&served.authority, SUITE.suite());
        config.enable_secret_extraction = true;
        let mut hello = Vec::new();
        let mut other = ask(dial(served.port), config.clone());
        other.conn.write_tls(&mut hello).unwrap();
        let (_header, hello) = hello.split_at(5);
        let stream = upgrade(served.port, config).stream;
        let (sequence, secrets) = stream.conn.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else {
            panic!("keys of another suite");
        };
        let SupportedCipherSuite::Tls12(suite) = SUITE else {
            panic!("a suite of another version");
        };
        Self {
            stream: stream.sock,
            encrypter: suite.aead_alg.encrypter(key, iv.as_ref(), &[]),
            sequence,
            hello: hello.to_vec(),
        }
    }

    fn record(&mut self, kind: ContentType, bytes: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ: kind,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(bytes),
        };
        let record = self.encrypter.encrypt(message, self.sequence).unwrap();
        self.sequence += 1;
        record.encode()
    }

    fn attempt(&mut self) -> Vec<u8> {
        let hello = self.hello.clone();
        self.record(ContentType::Handshake, &hello)
    }

    fn text(&mut self, text: &str) -> Vec<u8> {
        let frame = masked(&frame(FIN | TEXT, text.as_bytes()));
        self.record(ContentType::ApplicationData, &frame)
    }
}

#[test]
fn g_the_first_renegotiation_is_declined_and_a_flood_of_them_ends_the_connection() {
    let served = Served::new();
    let mut bystander = upgrade(served.port, served.client_config());
    assert_eq!(served.seen.next(), Seen::Open);
    let begin = Instant::now();
    for _ in 0..20 {
        let mut forger = Forger::new(&served);
        assert_eq!(served.seen.next(), Seen::Open);
        let records = [
            forger.text("before"),
            forger.attempt(),
            // It was told that there will be none (RFC 5246 §7.2.2), and may go on.
            forger.text("behind"),
        ];
        forger.stream.write_all(&records.concat()).unwrap();
        assert_eq!(served.seen.next(), Seen::text("before"));
        assert_eq!(served.seen.next(), Seen::text("behind"));
        let flood: Vec<_> = (0..1_000).flat_map(|_| forger.attempt()).collect();
        // It may be refused before all is written.
        let _ = forger.stream.write_all(&flood);
        let (status, close) = served.seen.expect_failure();
        let expected = Close {
            code: 1006,
            reason: String::new(),
            was_clean: false,
        };
        assert_eq!((status, close), (ERR_TLS, expected));
        // The server has ended TCP as well.
        if let Err(error) = forger.stream.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        bystander.send_frame(FIN | TEXT, b"not disturbed");
        assert_eq!(served.seen.next(), Seen::text("not disturbed"));
    }
    tell(format_args!("20 floods ended in {:.1?}", begin.elapsed()));
    assert!(begin.elapsed() < PATIENCE);
}
