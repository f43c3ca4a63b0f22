//! Resumption, limits of time, and ends before the handshake is over.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{HandshakeKind, ServerConfig};

use crate::abi::{
    ERR_ABORTED, ERR_TIMEOUT, FACT_TLS_CIPHER, FACT_TLS_VERSION, OK, Options, Runtime, Seen,
    functions,
};
use crate::ends::{Served, TlsServer, connected_with, expect_open, trusting, upgrade};
use crate::support::RawServer;
use crate::support::tls::{Authority, LOCAL, VERSIONS, client_config, server_config};
use crate::support::wire::{self, FIN, TEXT};

/// How much longer than its own limits something may take on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

fn resuming_server(authority: &Authority, config: impl FnOnce(&mut ServerConfig)) -> TlsServer {
    let mut server = server_config(&authority.issue(LOCAL), &VERSIONS);
    config(&mut server);
    TlsServer::with(server)
}

#[test]
fn g_a_client_resumes_sessions_unless_that_is_off() {
    let authority = Authority::new();
    for version in VERSIONS {
        for (on, expected) in [(1, HandshakeKind::Resumed), (0, HandshakeKind::Full)] {
            let server = TlsServer::with(server_config(&authority.issue(LOCAL), &[version]));
            let options = trusting(&authority).set(functions().options_set_tls_resumption, on);
            for expected in [HandshakeKind::Full, expected, expected] {
                let runtime = Runtime::new();
                let client = runtime.connect(&server.url(), &options);
                let mut peer = server.upgrade();
                assert_eq!(peer.stream.conn.handshake_kind(), Some(expected));
                // It has the ticket when it has the message behind it.
                peer.send_frame(FIN | TEXT, b"data");
                assert_eq!(client.seen.next(), Seen::Open);
                assert_eq!(client.seen.next(), Seen::text("data"));
                client.socket.release();
            }
        }
    }
}

#[test]
fn g_a_server_resumes_sessions_unless_that_is_off() {
    for version in VERSIONS {
        for (on, expected) in [(1, HandshakeKind::Resumed), (0, HandshakeKind::Full)] {
            let served =
                Served::with(|options, _| options.set(functions().options_set_tls_resumption, on));
            let config = std::sync::Arc::new(client_config(&served.authority, None, &[version]));
            for expected in [HandshakeKind::Full, expected, expected] {
                let mut peer = upgrade(served.port, config.clone());
                assert_eq!(peer.stream.conn.handshake_kind(), Some(expected));
                peer.send(&wire::close(1000, b""));
                assert_eq!(peer.read_frame().close_code(), Some(1000));
            }
        }
    }
}

#[test]
fn a_session_for_one_name_or_of_other_options_is_not_resumed() {
    let authority = Authority::new();
    let server = resuming_server(&authority, |_| {});
    let options = trusting(&authority);
    expect_open(&server, "localhost", &options);
    let peer = expect_open(&server, "127.0.0.1", &options);
    assert_eq!(peer.stream.conn.handshake_kind(), Some(HandshakeKind::Full));
    let peer = expect_open(&server, "localhost", &trusting(&authority));
    assert_eq!(peer.stream.conn.handshake_kind(), Some(HandshakeKind::Full));
}

#[test]
fn the_facts_tell_version_and_cipher() {
    let authority = Authority::new();
    for (version, name) in VERSIONS.into_iter().zip(["TLSv1.3", "TLSv1.2"]) {
        let server = TlsServer::with(server_config(&authority.issue(LOCAL), &[version]));
        let (_runtime, client, peer) = connected_with(&server, &trusting(&authority));
        assert_eq!(client.socket.fact(FACT_TLS_VERSION), name);
        let suite = peer.stream.conn.negotiated_cipher_suite().unwrap().suite();
        let theirs = format!("{suite:?}").replace("TLS13_", "TLS_");
        assert_eq!(client.socket.fact(FACT_TLS_CIPHER), theirs);
    }
    let served = Served::new();
    let _peer = upgrade(served.port, served.client_config());
    let (socket, _) = served.seen.next_of();
    assert_eq!(socket.fact(FACT_TLS_VERSION), "TLSv1.3");
    assert!(socket.fact(FACT_TLS_CIPHER).starts_with("TLS_"));
}

#[test]
fn g_the_connect_timeout_covers_the_handshake() {
    let limit = Duration::from_millis(300);
    let options = Options::new().set(functions().options_set_connect_timeout_ms, 300);
    // Silence, half a record, and a byte now and then.
    for said in [&b""[..], &[22, 3, 3, 0, 200, 2], b"drip"] {
        let server = RawServer::new();
        let runtime = Runtime::new();
        let begin = Instant::now();
        let url = format!("wss://localhost:{}/", server.address().port());
        let client = runtime.connect(&url, trusting_nobody(&options));
        let mut stream = server.accept_stream();
        if said == b"drip" {
            drip(&mut stream);
        } else {
            stream.write_all(said).unwrap();
        }
        let (status, close) = client.seen.expect_failure();
        assert_eq!((status, close.code), (ERR_TIMEOUT, 1006));
        assert!(begin.elapsed() >= limit && begin.elapsed() < limit + SLACK);
    }
}

/// So that nothing has to be loaded.
fn trusting_nobody(options: &Options) -> &Options {
    let ca = Authority::new().pem();
    assert_eq!(options.try_set_text(functions().options_set_tls_ca, ca), OK);
    options
}

/// A record that comes in bytes, until nobody takes them any more.
fn drip(stream: &mut TcpStream) {
    let mut record = vec![22, 3, 3, 1, 0, 2, 0, 0, 0xfc, 3, 3];
    record.resize(100, 0);
    for byte in record {
        if stream.write_all(&[byte]).is_err() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A client whose handshake has begun, with a server that says nothing.
fn waiting() -> (Runtime, crate::abi::Client, TcpStream) {
    let server = RawServer::new();
    let runtime = Runtime::new();
    let url = format!("wss://localhost:{}/", server.address().port());
    let options = Options::new();
    let client = runtime.connect(&url, trusting_nobody(&options));
    let mut stream = server.accept_stream();
    stream.read_exact(&mut [0; 5]).unwrap();
    (runtime, client, stream)
}

#[test]
fn abort_ends_the_handshake_at_once() {
    let (_runtime, client, mut stream) = waiting();
    assert_eq!(client.socket.abort(), OK);
    let (status, close) = client.seen.expect_failure();
    assert_eq!((status, close.code), (ERR_ABORTED, 1006));
    expect_end(&mut stream);
}

#[test]
fn close_ends_the_handshake_at_once() {
    let (_runtime, client, mut stream) = waiting();
    assert_eq!(client.socket.close(1000, ""), OK);
    let seen = client.seen.until_close();
    assert_eq!(seen.last(), Some(&Seen::died(1006)), "{seen:?}");
    expect_end(&mut stream);
}

#[test]
fn release_ends_the_handshake_without_an_event() {
    let (_runtime, client, mut stream) = waiting();
    assert_eq!(client.socket.release(), OK);
    assert_eq!(client.seen.next(), Seen::Released);
    expect_end(&mut stream);
}

#[test]
fn runtime_free_ends_the_handshake() {
    let (runtime, client, mut stream) = waiting();
    let begin = Instant::now();
    assert_eq!(runtime.free(), OK);
    assert!(begin.elapsed() < SLACK);
    expect_end(&mut stream);
    let seen = client.seen.so_far();
    assert_eq!(seen.last(), Some(&Seen::Released), "{seen:?}");
}

/// The other end of the stream is gone.
fn expect_end(stream: &mut TcpStream) {
    // Unread bytes make a reset of it.
    let _ = stream.read_to_end(&mut Vec::new());
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
}
