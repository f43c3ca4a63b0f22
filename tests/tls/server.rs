//! The library's server and clients of every kind.

use std::io::{Read, Write};

use crate::abi::{Client, ERR_ARGUMENT, OK, Options, Runtime, Seen, functions};
use crate::ends::{Served, dial, expect_refusal, secure, trusting, upgrade};
use crate::impostors::demanding;
use crate::support::tls::{Authority, ClientStream, VERSIONS, ask, client_config, shake_hands};
use crate::support::wire::{self, FIN, Peer, TEXT, frame};
use crate::support::{REQUEST, read_head};

/// The server still serves.
#[track_caller]
fn expect_alive(served: &Served) {
    let mut peer = upgrade(served.port, served.client_config());
    let (_, open) = served.seen.next_of();
    assert_eq!(open, Seen::Open);
    peer.send_frame(FIN | TEXT, b"alive");
    assert_eq!(served.seen.next(), Seen::text("alive"));
    leave(peer, served);
}

/// Closes a connection in the way it should be.
#[track_caller]
fn leave(mut peer: Peer<ClientStream>, served: &Served) {
    peer.send(&wire::close(1000, b""));
    assert_eq!(peer.read_to_end().len(), 1);
    drop(peer);
    assert_eq!(served.seen.next(), Seen::clean(1000, ""));
}

#[test]
fn g_a_client_that_shows_no_certificate_where_one_is_demanded_is_refused() {
    let served = demanding();
    let runtime = Runtime::new();
    let client = runtime.connect(&served.url(), &trusting(&served.authority));
    let sentence = expect_refusal(&client);
    assert!(sentence.starts_with("certificate demanded: "), "{sentence}");
    assert_eq!(served.seen.so_far(), []);
}

#[test]
fn g_a_client_of_another_authority_is_refused() {
    let served = demanding();
    let stranger = Authority::new().issue(&["client"]);
    let runtime = Runtime::new();
    let options = trusting(&served.authority).with_identity(&stranger.cert, &stranger.key);
    let sentence = expect_refusal(&runtime.connect(&served.url(), &options));
    assert!(
        sentence.starts_with("own certificate refused: "),
        "{sentence}"
    );
    assert_eq!(served.seen.so_far(), []);
}

#[test]
fn g_a_client_with_the_certificate_that_is_demanded_is_served() {
    let served = demanding();
    let friend = served.authority.issue(&["client"]);
    let runtime = Runtime::new();
    let options = trusting(&served.authority).with_identity(&friend.cert, &friend.key);
    for _ in 0..3 {
        // Resumed, as well.
        let client = runtime.connect(&served.url(), &options);
        assert_eq!(client.seen.next(), Seen::Open);
        assert_eq!(served.seen.next(), Seen::Open);
        assert_eq!(client.socket.close(1000, ""), OK);
        client.seen.expect(&[Seen::clean(1000, "")]);
        assert_eq!(served.seen.next(), Seen::clean(1000, ""));
    }
    for version in VERSIONS {
        let config = client_config(&served.authority, Some(&friend), &[version]);
        let peer = upgrade(served.port, config);
        assert_eq!(served.seen.next(), Seen::Open);
        leave(peer, &served);
    }
}

#[test]
fn g_a_client_that_is_somebody_may_meet_a_server_that_does_not_ask() {
    let served = Served::new();
    let anybody = Authority::new().issue(&["client"]);
    let runtime = Runtime::new();
    let options = trusting(&served.authority).with_identity(&anybody.cert, &anybody.key);
    let client = runtime.connect(&served.url(), &options);
    assert_eq!(client.seen.next(), Seen::Open);
}

#[test]
fn g_plain_http_on_the_port_of_tls_is_refused_in_plain_http() {
    let served = Served::new();
    let mut stream = dial(served.port);
    stream.write_all(REQUEST).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 400 "));
    expect_alive(&served);
}

#[test]
fn g_a_client_that_speaks_plainly_to_a_secure_server_hears_no_answer() {
    let served = Served::new();
    let runtime = Runtime::new();
    let url = format!("ws://localhost:{}/", served.port);
    let client = runtime.connect(&url, &Options::new());
    client.seen.expect_failure();
    // And the other way round, a secure client and a plain server.
    let (plain, _seen) = runtime.listen(&Options::new());
    let url = format!("wss://localhost:{}/", plain.port);
    let sentence = expect_refusal(&runtime.connect(&url, &trusting(&served.authority)));
    assert!(sentence.starts_with("not TLS: "), "{sentence}");
}

#[test]
fn g_a_client_hello_may_come_in_fragments() {
    let served = Served::new();
    for size in [1, 2, 7, 100] {
        for version in VERSIONS {
            let config = client_config(&served.authority, None, &[version]);
            let mut stream = ask(dial(served.port), config);
            let mut hello = Vec::new();
            stream.conn.write_tls(&mut hello).unwrap();
            // The same message in other records (RFC 8446 §5.1).
            let (header, message) = hello.split_at(5);
            for piece in message.chunks(size) {
                let len = (piece.len() as u16).to_be_bytes();
                stream
                    .sock
                    .write_all(&[&header[..3], &len, piece].concat())
                    .unwrap();
            }
            shake_hands(&mut stream).unwrap();
            let mut peer = Peer::over(stream, true);
            peer.send_raw(REQUEST);
            assert!(read_head(&mut peer.stream).starts_with("HTTP/1.1 101 "));
            assert_eq!(served.seen.next(), Seen::Open);
            leave(peer, &served);
        }
    }
}

#[test]
fn g_a_client_hello_may_come_in_segments() {
    let served = Served::new();
    let mut stream = ask(dial(served.port), served.client_config());
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello).unwrap();
    for byte in &hello {
        stream.sock.write_all(std::slice::from_ref(byte)).unwrap();
    }
    shake_hands(&mut stream).unwrap();
    expect_alive(&served);
}

#[test]
fn g_a_client_that_does_not_trust_the_server_leaves_it_unharmed() {
    let served = Served::new();
    let config = client_config(&Authority::new(), None, &VERSIONS);
    secure(served.port, config).unwrap_err();
    expect_alive(&served);
}

#[test]
fn g_a_client_that_offers_http2_only_is_refused() {
    let served = Served::new();
    for version in VERSIONS {
        let mut config = client_config(&served.authority, None, &[version]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let error = secure(served.port, config).unwrap_err();
        assert!(
            error.to_string().contains("NoApplicationProtocol"),
            "{error}"
        );
    }
    expect_alive(&served);
}

#[test]
fn a_request_may_come_with_the_end_of_the_handshake() {
    let served = Served::new();
    for version in VERSIONS {
        let config = client_config(&served.authority, None, &[version]);
        let mut stream = ask(dial(served.port), config);
        // Held back by rustls until the handshake is over, and then sent at once.
        stream.conn.writer().write_all(REQUEST).unwrap();
        let messages = wire::masked(&frame(FIN | TEXT, b"at once"));
        stream.conn.writer().write_all(&messages).unwrap();
        let mut peer = Peer::over(stream, true);
        assert!(read_head(&mut peer.stream).starts_with("HTTP/1.1 101 "));
        assert_eq!(served.seen.next(), Seen::Open);
        assert_eq!(served.seen.next(), Seen::text("at once"));
        leave(peer, &served);
    }
}

#[test]
fn a_server_that_is_full_says_so_within_tls() {
    let served = Served::with(|options, _| options.set(functions().options_set_max_connections, 2));
    let first = upgrade(served.port, served.client_config());
    let second = upgrade(served.port, served.client_config());
    for _ in 0..2 {
        assert_eq!(served.seen.next(), Seen::Open);
    }
    let mut third = secure(served.port, served.client_config()).unwrap();
    third.write_all(REQUEST).unwrap();
    assert!(read_head(&mut third).starts_with("HTTP/1.1 503 "));
    third.read_to_end(&mut Vec::new()).unwrap();
    leave(second, &served);
    let _third = upgrade(served.port, served.client_config());
    assert_eq!(served.seen.next(), Seen::Open);
    drop(first);
}

#[test]
fn a_server_of_wss_needs_an_identity() {
    let runtime = Runtime::new();
    let status = runtime.refuse_listen("wss://127.0.0.1:0/", &Options::new());
    assert_eq!(status, ERR_ARGUMENT);
}

#[test]
fn shutdown_of_the_runtime_closes_secure_connections_cleanly() {
    let served = Served::new();
    let client_runtime = Runtime::new();
    let Client { socket: _, seen } =
        client_runtime.connect(&served.url(), &trusting(&served.authority));
    assert_eq!(seen.next(), Seen::Open);
    assert_eq!(served.seen.next(), Seen::Open);
    assert_eq!(served.runtime.shutdown(10_000), OK);
    seen.expect(&[Seen::clean(1001, "")]);
    assert_eq!(served.seen.next(), Seen::clean(1001, ""));
}
