//! SOCKS5, with a proxy that says what the test makes it say.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::abi::{Client, ERR_PROXY, ERR_TIMEOUT, Runtime, functions};
use crate::support::{RawServer, accepting_response, read_head};
use crate::{TARGET, expect_end, expect_failure, expect_in, expect_open, proxy_url, through};

/// Connected, at 127.0.0.1:80.
const GRANTED: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80];

/// A client that has been told to use the proxy, and the proxy's end of the connection.
fn begin(runtime: &Runtime, url: &str, before: &str) -> (Client, TcpStream) {
    let proxy = RawServer::new();
    let client = runtime.connect(url, &through(&proxy_url(before, &proxy)));
    (client, proxy.accept_stream())
}

/// Reads exactly this.
#[track_caller]
fn expect(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expected);
}

/// The request to connect to a name.
fn request_for(name: &str, port: u16) -> Vec<u8> {
    let head = [5, 1, 0, 3, name.len() as u8];
    [&head, name.as_bytes(), &port.to_be_bytes()].concat()
}

/// Accepts the upgrade that comes through the tunnel.
fn serve(client: &Client, mut stream: TcpStream) {
    let request = read_head(&mut stream);
    stream.write_all(&accepting_response(&request)).unwrap();
    expect_open(client, stream);
}

#[test]
fn a_name_is_resolved_by_the_proxy_or_here() {
    let runtime = Runtime::new();
    for (before, url, request) in [
        ("socks5h://", TARGET, request_for("target.invalid", 80)),
        (
            "socks5h://",
            "ws://localhost:8/",
            request_for("localhost", 8),
        ),
        (
            "socks5h://",
            "ws://192.0.2.1/",
            vec![5, 1, 0, 1, 192, 0, 2, 1, 0, 80],
        ),
        (
            "socks5://",
            "ws://192.0.2.1:258/",
            vec![5, 1, 0, 1, 192, 0, 2, 1, 1, 2],
        ),
        (
            "socks5://",
            "ws://[2001:db8::7]/",
            vec![
                5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 80,
            ],
        ),
        (
            "SOCKS5://",
            "ws://localhost:9/",
            vec![
                5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9,
            ],
        ),
    ] {
        let (client, mut stream) = begin(&runtime, url, before);
        expect(&mut stream, &[5, 1, 0]);
        stream.write_all(&[5, 0]).unwrap();
        expect(&mut stream, &request);
        stream.write_all(GRANTED).unwrap();
        serve(&client, stream);
    }
}

#[test]
fn every_address_of_a_name_is_tried() {
    const V6: &[u8] = &[
        5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9,
    ];
    const V4: &[u8] = &[5, 1, 0, 1, 127, 0, 0, 1, 0, 9];
    let runtime = Runtime::new();
    for is_granted in [true, false] {
        let proxy = RawServer::new();
        let options = through(&proxy_url("socks5://", &proxy));
        let client = runtime.connect("ws://localhost:9/", &options);
        let mut stream = proxy.accept_stream();
        expect(&mut stream, &[5, 1, 0]);
        stream.write_all(&[5, 0]).unwrap();
        expect(&mut stream, V6);
        // Behind the refusal, which ends the connection (RFC 1928 §6), something is lost with it.
        stream.write_all(&[5, 8, 0, 1]).unwrap();
        expect_end(&mut stream);
        let mut stream = proxy.accept_stream();
        expect(&mut stream, &[5, 1, 0]);
        stream.write_all(&[5, 0]).unwrap();
        expect(&mut stream, V4);
        if is_granted {
            stream.write_all(GRANTED).unwrap();
            serve(&client, stream);
        } else {
            stream.write_all(&[5, 5]).unwrap();
            let sentence = expect_failure(&client, ERR_PROXY);
            expect_in(&sentence, &["127.0.0.1:9", "connection refused"]);
            assert!(proxy.is_alone());
        }
    }
}

#[test]
fn user_and_password_are_offered_and_given_where_they_are_wanted() {
    let runtime = Runtime::new();
    let before = "socks5h://us%3Aer:p%40ss@";
    let (client, mut stream) = begin(&runtime, TARGET, before);
    expect(&mut stream, &[5, 2, 0, 2]);
    stream.write_all(&[5, 2]).unwrap();
    expect(&mut stream, b"\x01\x05us:er\x04p@ss");
    stream.write_all(&[1, 0]).unwrap();
    expect(&mut stream, &request_for("target.invalid", 80));
    stream.write_all(GRANTED).unwrap();
    serve(&client, stream);
    // Not wanted.
    let (client, mut stream) = begin(&runtime, TARGET, before);
    expect(&mut stream, &[5, 2, 0, 2]);
    stream.write_all(&[5, 0]).unwrap();
    expect(&mut stream, &request_for("target.invalid", 80));
    stream.write_all(GRANTED).unwrap();
    serve(&client, stream);
}

#[test]
fn a_method_that_was_not_offered_is_refused() {
    let runtime = Runtime::new();
    for (before, answer, says) in [
        ("socks5h://", &[5, 0xff], "wants credentials"),
        ("socks5h://", &[5, 2], "not offered"),
        ("socks5h://", &[5, 1], "not offered"),
        ("socks5h://", &[4, 0], "version 0x04"),
        ("socks5h://", b"HT", "version 0x48"),
        ("socks5h://user:secret@", &[5, 0xff], "neither"),
        ("socks5h://user:secret@", &[5, 1], "not offered"),
    ] {
        let (client, mut stream) = begin(&runtime, TARGET, before);
        stream.write_all(answer).unwrap();
        expect_in(&expect_failure(&client, ERR_PROXY), &[says]);
        expect_end(&mut stream);
    }
}

#[test]
fn refused_credentials_are_not_in_the_sentence() {
    let runtime = Runtime::new();
    for status in [1, 0xff] {
        let (client, mut stream) = begin(&runtime, TARGET, "socks5h://user:secret@");
        stream.write_all(&[5, 2]).unwrap();
        expect(&mut stream, &[5, 2, 0, 2]);
        expect(&mut stream, b"\x01\x04user\x06secret");
        stream.write_all(&[1, status]).unwrap();
        let sentence = expect_failure(&client, ERR_PROXY);
        expect_in(&sentence, &["the proxy refused the credentials"]);
        assert!(
            !sentence.contains("secret") && !sentence.contains("user"),
            "{sentence}"
        );
    }
}

#[test]
fn every_reply_code_has_its_sentence() {
    let runtime = Runtime::new();
    for (code, says) in [
        (1, "general failure"),
        (2, "its rules forbid it"),
        (3, "network unreachable"),
        (4, "host unreachable"),
        (5, "connection refused"),
        (6, "TTL expired"),
        (7, "does not know CONNECT"),
        (8, "type of address"),
        (9, "unknown reason"),
        (0xff, "unknown reason"),
    ] {
        let (client, mut stream) = begin(&runtime, TARGET, "socks5h://");
        expect(&mut stream, &[5, 1, 0]);
        stream.write_all(&[5, 0]).unwrap();
        expect(&mut stream, &request_for("target.invalid", 80));
        // Some proxies say no more than the code.
        stream.write_all(&[5, code]).unwrap();
        let sentence = expect_failure(&client, ERR_PROXY);
        expect_in(
            &sentence,
            &[says, "target.invalid:80", &format!("{code:#04x}")],
        );
    }
}

#[test]
fn replies_come_in_any_segments_with_any_kind_of_address() {
    let runtime = Runtime::new();
    let v6: &[u8] = &[
        5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80,
    ];
    for reply in [
        GRANTED,
        v6,
        b"\x05\x00\x00\x03\x04name\x00\x50",
        b"\x05\x00\x00\x03\x00\x00\x50",
    ] {
        for whole in [true, false] {
            let (client, mut stream) = begin(&runtime, TARGET, "socks5h://");
            let answers = [&[5, 0], reply].concat();
            let size = if whole { answers.len() } else { 1 };
            for piece in answers.chunks(size) {
                stream.write_all(piece).unwrap();
            }
            expect(&mut stream, &[5, 1, 0]);
            expect(&mut stream, &request_for("target.invalid", 80));
            serve(&client, stream);
        }
    }
    let (client, mut stream) = begin(&runtime, TARGET, "socks5h://");
    stream
        .write_all(&[&[5, 0], GRANTED, b"HTTP"].concat())
        .unwrap();
    expect_in(
        &expect_failure(&client, ERR_PROXY),
        &["more than its answer"],
    );
}

#[test]
fn replies_that_are_malformed_or_cut_anywhere_fail() {
    let runtime = Runtime::new();
    for reply in [[4, 0, 0, 1], [5, 0, 1, 1], [5, 0, 0, 2], [5, 0, 0, 0]] {
        let (client, mut stream) = begin(&runtime, TARGET, "socks5h://");
        stream.write_all(&[&[5, 0], &reply[..]].concat()).unwrap();
        expect_failure(&client, ERR_PROXY);
    }
    let answers = [&[5, 2, 1, 0], GRANTED].concat();
    for cut in 0..answers.len() {
        let (client, mut stream) = begin(&runtime, TARGET, "socks5h://user:secret@");
        expect(&mut stream, &[5, 2, 0, 2]);
        stream.write_all(&answers[..cut]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let sentence = expect_failure(&client, ERR_PROXY);
        expect_in(&sentence, &["the proxy ended the connection"]);
        assert!(!sentence.contains("secret"), "{sentence}");
    }
}

#[test]
fn a_socks_proxy_that_says_nothing_is_named_by_the_timeout() {
    let runtime = Runtime::new();
    for beginning in [&[][..], &[5], &[5, 0], &[5, 0, 5, 0, 0]] {
        let proxy = RawServer::new();
        let options = through(&proxy_url("socks5h://", &proxy))
            .set(functions().options_set_connect_timeout_ms, 200);
        let client = runtime.connect(TARGET, &options);
        let mut stream = proxy.accept_stream();
        stream.write_all(beginning).unwrap();
        expect_in(&expect_failure(&client, ERR_TIMEOUT), &["200 ms", "proxy"]);
    }
}
