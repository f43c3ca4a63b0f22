//! TLS to the proxy, and TLS through it to the server.

use std::io::Write;

use crate::abi::{ERR_PROXY, ERR_TIMEOUT, ERR_TLS, OK, Options, Runtime, Seen, functions};
use crate::support::wire::{FIN, TEXT, frame};
use crate::support::{RawServer, accepting_response, read_head};
use crate::tls::{Identity, authority};
use crate::{TARGET, expect_failure, expect_in, proxy_url, through};

fn secure_proxy(proxy: &RawServer) -> Options {
    through(&proxy_url("https://", proxy)).set_text(functions().options_set_tls_ca, authority())
}

#[test]
fn a_proxy_is_asked_through_tls_and_gives_plain_text_to_the_server() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(TARGET, &secure_proxy(&proxy));
    let mut stream = Identity::of("127.0.0.1").secure(proxy.accept_stream());
    expect_in(
        &read_head(&mut stream),
        &["CONNECT target.invalid:80 HTTP/1.1\r\n"],
    );
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let request = read_head(&mut stream);
    stream.write_all(&accepting_response(&request)).unwrap();
    stream.write_all(&frame(FIN | TEXT, b"down")).unwrap();
    assert_eq!(client.seen.next(), Seen::Open);
    assert_eq!(client.seen.next(), Seen::text("down"));
}

#[test]
fn tls_with_the_server_goes_inside_tls_with_the_proxy() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let server = Identity::of("target.invalid");
    // Pins are not for the proxy, whose key is another.
    let options = secure_proxy(&proxy).set_text(functions().options_add_tls_pin, server.pin());
    let client = runtime.connect("wss://target.invalid/", &options);
    let mut outer = Identity::of("127.0.0.1").secure(proxy.accept_stream());
    expect_in(
        &read_head(&mut outer),
        &["CONNECT target.invalid:443 HTTP/1.1\r\n"],
    );
    outer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let mut inner = server.secure(outer);
    let request = read_head(&mut inner);
    inner.write_all(&accepting_response(&request)).unwrap();
    assert_eq!(client.seen.next(), Seen::Open);
    for len in [0, 1, 125, 20_000, 300_000] {
        let text = "x".repeat(len);
        inner
            .write_all(&frame(FIN | TEXT, text.as_bytes()))
            .unwrap();
        assert_eq!(client.seen.next(), Seen::text(&text));
    }
    let stats = client.socket.stats();
    assert!(
        stats.tls_ns > 0 && stats.tcp_ns > 0 && stats.upgrade_ns > 0,
        "{stats:?}"
    );
    assert_eq!(client.socket.send_text("up"), OK);
    let mut up = [0; 8];
    std::io::Read::read_exact(&mut inner, &mut up).unwrap();
    assert_eq!(up[..2], [FIN | TEXT, 0x82]);
}

#[test]
fn the_proxys_certificate_is_verified_as_a_servers() {
    let runtime = Runtime::new();
    let proxy = RawServer::new();
    let client = runtime.connect(TARGET, &secure_proxy(&proxy));
    let mut stream = Identity::of("other.invalid").secure(proxy.accept_stream());
    let _ = stream.flush();
    let sentence = expect_failure(&client, ERR_TLS);
    expect_in(
        &sentence,
        &[
            "certificate for another host:",
            "other.invalid",
            "127.0.0.1",
        ],
    );
    // The server name of the options is the server's.
    let options =
        secure_proxy(&proxy).set_text(functions().options_set_tls_server_name, "other.invalid");
    let client = runtime.connect(TARGET, &options);
    let mut stream = Identity::of("other.invalid").secure(proxy.accept_stream());
    let _ = stream.flush();
    expect_in(
        &expect_failure(&client, ERR_TLS),
        &["certificate for another host:"],
    );
}

#[test]
fn a_proxy_that_does_not_speak_tls_is_told_from_one_that_is_silent() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(TARGET, &secure_proxy(&proxy));
    let mut stream = proxy.accept_stream();
    stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .unwrap();
    expect_in(&expect_failure(&client, ERR_TLS), &["not TLS:", "proxy"]);
    let options = secure_proxy(&proxy).set(functions().options_set_connect_timeout_ms, 200);
    let client = runtime.connect(TARGET, &options);
    let _stream = proxy.accept_stream();
    let sentence = expect_failure(&client, ERR_TIMEOUT);
    expect_in(&sentence, &["while TLS with the proxy was not established"]);
}

#[test]
fn an_answer_inside_tls_that_is_cut_anywhere_fails() {
    let answer = b"HTTP/1.1 200 OK\r\n\r\n";
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let identity = Identity::of("127.0.0.1");
    for cut in 0..answer.len() {
        let client = runtime.connect(TARGET, &secure_proxy(&proxy));
        let mut stream = identity.secure(proxy.accept_stream());
        read_head(&mut stream);
        stream.write_all(&answer[..cut]).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        drop(stream);
        expect_in(
            &expect_failure(&client, ERR_PROXY),
            &["the proxy ended the connection"],
        );
        client.socket.release();
    }
}

#[test]
fn a_tunnel_that_loses_tls_is_no_refusal() {
    // Without close_notify, anybody on the way may have cut it.
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(TARGET, &secure_proxy(&proxy));
    let mut stream = Identity::of("127.0.0.1").secure(proxy.accept_stream());
    read_head(&mut stream);
    drop(stream);
    expect_in(&expect_failure(&client, ERR_TLS), &["truncated:", "proxy"]);
}

#[test]
fn a_proxy_that_refuses_says_so_inside_tls() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(TARGET, &secure_proxy(&proxy));
    let mut stream = Identity::of("127.0.0.1").secure(proxy.accept_stream());
    read_head(&mut stream);
    stream.write_all(b"HTTP/1.1 407 Who\r\n\r\n").unwrap();
    expect_in(&expect_failure(&client, ERR_PROXY), &["407"]);
}
