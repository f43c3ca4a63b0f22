//! HTTP CONNECT, with a proxy that says what the test makes it say.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::abi::{ERR_CONNECT, ERR_DNS, ERR_PROXY, ERR_TIMEOUT, ERR_URL, Runtime, functions};
use crate::support::{Nobody, RawServer, accepting_response, read_head};
use crate::{
    TARGET, Within, expect_end, expect_failure, expect_in, expect_open, proxy_url, through,
};

const REQUEST: &str = "CONNECT target.invalid:80 HTTP/1.1\r\nHost: target.invalid:80\r\n\r\n";

/// `user:p@ss word`, as a URL has it and as Basic has it.
const CREDENTIALS: &str = "user:p%40ss%20word@";
const BASIC: &str = "Basic dXNlcjpwQHNzIHdvcmQ=";

/// What the proxy answers CONNECT with, and the error that comes of it.
fn refusal(before: &str, answer: &[u8]) -> String {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(TARGET, &through(&proxy_url(before, &proxy)));
    let mut stream = proxy.accept_stream();
    read_head(&mut stream);
    stream.write_all(answer).unwrap();
    let sentence = expect_failure(&client, ERR_PROXY);
    expect_end(&mut stream);
    sentence
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_and_the_server_for_the_upgrade() {
    for scheme in ["", "http://", "HTTP://"] {
        let (runtime, proxy) = (Runtime::new(), RawServer::new());
        let client = runtime.connect(TARGET, &through(&proxy_url(scheme, &proxy)));
        let mut stream = proxy.accept_stream();
        assert_eq!(read_head(&mut stream), REQUEST);
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
        let request = read_head(&mut stream);
        assert!(request.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: target.invalid\r\n"));
        stream.write_all(&accepting_response(&request)).unwrap();
        expect_open(&client, stream);
    }
}

#[test]
fn the_tunnel_leads_to_the_host_and_the_port_of_the_url() {
    for (url, authority) in [
        ("ws://target.invalid:8080/", "target.invalid:8080"),
        ("wss://target.invalid/", "target.invalid:443"),
        ("ws://192.0.2.1/", "192.0.2.1:80"),
        ("ws://[2001:db8::1]:81/", "[2001:db8::1]:81"),
        ("ws://localhost/", "localhost:80"),
    ] {
        let (runtime, proxy) = (Runtime::new(), RawServer::new());
        let _client = runtime.connect(url, &through(&proxy_url("", &proxy)));
        let request = read_head(&mut proxy.accept_stream());
        let expected = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        assert_eq!(request, expected);
    }
}

#[test]
fn the_credentials_of_the_proxy_are_for_the_proxy_alone() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let options = through(&proxy_url(&format!("http://{CREDENTIALS}"), &proxy))
        .set_text(functions().options_set_basic_auth, "server:secret");
    let client = runtime.connect(TARGET, &options);
    let mut stream = proxy.accept_stream();
    let request = read_head(&mut stream);
    expect_in(
        &request,
        &[&format!("\r\nProxy-Authorization: {BASIC}\r\n")],
    );
    assert!(!request.contains("\r\nAuthorization"), "{request}");
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let request = read_head(&mut stream);
    assert!(!request.contains("Proxy-Authorization"), "{request}");
    expect_in(
        &request,
        &["\r\nAuthorization: Basic c2VydmVyOnNlY3JldA==\r\n"],
    );
    stream.write_all(&accepting_response(&request)).unwrap();
    expect_open(&client, stream);
}

#[test]
fn a_proxy_that_wants_credentials_or_others_is_told_from_one_that_refuses() {
    let answer =
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 9\r\n\r\ngo away!\n";
    let sentence = refusal("http://", answer);
    expect_in(&sentence, &["the proxy wants credentials", "407"]);
    let sentence = refusal(&format!("http://{CREDENTIALS}"), answer);
    expect_in(&sentence, &["the proxy refused the credentials", "407"]);
    assert!(
        !sentence.contains("word") && !sentence.contains("user:"),
        "{sentence}"
    );
    for status in [
        "101", "301", "400", "403", "404", "418", "500", "502", "503", "504", "999",
    ] {
        let answer = format!("HTTP/1.1 {status} Because\r\nLocation: http://elsewhere/\r\n\r\n");
        let sentence = refusal("http://", answer.as_bytes());
        expect_in(&sentence, &[status, "Because", "target.invalid:80"]);
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    for answer in [
        "SSH-2.0-OpenSSH_9\r\n".to_owned(),
        "HTTP/2 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nVia : x\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{}", "x".repeat(20_000)),
        format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(20_000)),
    ] {
        let (runtime, proxy) = (Runtime::new(), RawServer::new());
        let client = runtime.connect(TARGET, &through(&proxy_url("", &proxy)));
        let mut stream = proxy.accept_stream();
        read_head(&mut stream);
        // The library may have seen enough before the end.
        let _ = stream.write_all(answer.as_bytes());
        expect_failure(&client, ERR_PROXY);
    }
}

#[test]
fn a_refusal_cannot_command_a_terminal() {
    let sentence = refusal("", b"HTTP/1.1 403 \x1b[31mRed\x07\r\n\r\n");
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
}

#[test]
fn every_success_opens_the_tunnel_whatever_its_fields_say() {
    for answer in [
        "HTTP/1.0 200 Connection established\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 204 x\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 299 x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let (runtime, proxy) = (Runtime::new(), RawServer::new());
        let client = runtime.connect(TARGET, &through(&proxy_url("", &proxy)));
        let mut stream = proxy.accept_stream();
        read_head(&mut stream);
        // A byte at a time.
        for byte in answer.as_bytes() {
            stream.write_all(&[*byte]).unwrap();
        }
        let request = read_head(&mut stream);
        stream.write_all(&accepting_response(&request)).unwrap();
        expect_open(&client, stream);
    }
}

#[test]
fn bytes_behind_the_answer_are_from_nobody() {
    let sentence = refusal(
        "",
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n",
    );
    expect_in(&sentence, &["the proxy sent more than its answer"]);
}

#[test]
fn an_answer_that_is_cut_anywhere_fails() {
    let answer = b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n";
    let runtime = Runtime::new();
    let proxy = RawServer::new();
    for reset in [false, true] {
        for cut in 0..answer.len() {
            let client = runtime.connect(TARGET, &through(&proxy_url("", &proxy)));
            let mut stream = proxy.accept_stream();
            read_head(&mut stream);
            stream.write_all(&answer[..cut]).unwrap();
            end(stream, reset);
            let sentence = expect_failure(&client, ERR_PROXY);
            expect_in(
                &sentence,
                &["the proxy ended the connection", "target.invalid:80"],
            );
            client.socket.release();
        }
    }
}

/// Ends a stream, in order or by a reset.
fn end(stream: TcpStream, reset: bool) {
    if reset {
        let socket = socket2::SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    } else {
        stream.shutdown(Shutdown::Write).unwrap();
    }
}

#[test]
fn a_proxy_that_says_nothing_is_named_by_the_timeout() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let connect_timeout = functions().options_set_connect_timeout_ms;
    for beginning in ["", "HTTP/1.1 2", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let options = through(&proxy_url("", &proxy)).set(connect_timeout, 200);
        let time = Within::ms(700);
        let client = runtime.connect(TARGET, &options);
        let mut stream = proxy.accept_stream();
        stream.write_all(beginning.as_bytes()).unwrap();
        let sentence = expect_failure(&client, ERR_TIMEOUT);
        expect_in(&sentence, &["200 ms", "proxy"]);
        time.check();
    }
}

#[test]
fn a_server_that_says_nothing_behind_the_proxy_is_named_by_the_timeout() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let connect_timeout = functions().options_set_connect_timeout_ms;
    for (url, phase) in [
        (TARGET, "upgrade"),
        ("wss://target.invalid/", "TLS was not established"),
    ] {
        let options = through(&proxy_url("", &proxy))
            .set(connect_timeout, 300)
            .set_text(functions().options_set_tls_ca, crate::tls::authority());
        let client = runtime.connect(url, &options);
        let mut stream = proxy.accept_stream();
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        expect_in(&expect_failure(&client, ERR_TIMEOUT), &[phase]);
    }
}

#[test]
fn a_proxy_that_is_not_there_is_no_way_around_it() {
    let runtime = Runtime::new();
    let nobody = Nobody::new().url().replace("ws://", "http://");
    let client = runtime.connect("ws://127.0.0.1:1/", &through(nobody.trim_end_matches('/')));
    expect_failure(&client, ERR_CONNECT);
    let unknown = format!("{}.invalid", "x".repeat(64));
    let client = runtime.connect("ws://127.0.0.1:1/", &through(&unknown));
    expect_in(&expect_failure(&client, ERR_DNS), &[&unknown]);
}

#[test]
fn what_names_no_proxy_is_refused_and_changes_nothing() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let options = through(&proxy_url("", &proxy));
    for text in [
        "ftp://host",
        "http://",
        "http://host/path",
        "http://host:99999",
        "socks4://host",
        "http://user:secret@ho st",
        "host\r\nX: y",
    ] {
        let status = options.try_set_text(functions().options_set_proxy, text);
        assert_eq!(status, ERR_URL, "{text}");
        assert!(!crate::abi::last_error().contains("secret"));
    }
    let _client = runtime.connect(TARGET, &options);
    assert_eq!(read_head(&mut proxy.accept_stream()), REQUEST);
    // Nothing means none.
    let server = RawServer::new();
    let options = options.set_text(functions().options_set_proxy, "");
    let client = runtime.connect(&server.url(), &options);
    let (mut stream, response) = server.accept();
    stream.write_all(&response).unwrap();
    expect_open(&client, stream);
}

#[test]
fn unix_sockets_are_reached_without_the_proxy() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let path = std::env::temp_dir().join(format!("wsabi-proxy-{}", std::process::id()));
    let url = format!("ws+unix://{}", path.display());
    let (server, _) = runtime.listen_at(&url, &crate::abi::Options::new(), |_, _| {});
    let client = runtime.connect(&url, &through(&proxy_url("", &proxy)));
    assert_eq!(client.seen.next(), crate::abi::Seen::Open);
    assert!(proxy.is_alone());
    server.close();
}
