//! What a server answers to those whom it does not let in (RFC 6455 §4.2, RFC 9110, RFC 9112).

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::abi::{Events, Options, Runtime, Seen, Server, functions};
use crate::support::tls::{Authority, LOCAL};
use crate::support::{REQUEST, read_head};
use crate::{answer, dial, here, upgrade};

struct Served {
    _runtime: Runtime,
    server: Server,
    seen: Events,
}

impl Served {
    fn new() -> Self {
        Self::with(&Options::new())
    }

    fn with(options: &Options) -> Self {
        let runtime = Runtime::new();
        let (server, seen) = runtime.listen(options);
        Self {
            _runtime: runtime,
            server,
            seen,
        }
    }

    /// The request is refused with this status, and the application hears nothing.
    #[track_caller]
    fn refuses(&self, status: u16, request: &str) -> String {
        let answer = answer(self.server.port, request.as_bytes());
        let start = &request[..request.len().min(80)];
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{start:?}: {answer:?}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.len() > 10, "a sentence: {answer:?}");
        let length = format!("\r\nContent-Length: {}", body.len());
        assert!(head.contains(&length), "{answer:?}");
        assert_eq!(self.seen.so_far(), [], "{start:?}");
        answer
    }
}

/// The request that is accepted, with another text in place of one.
fn instead(text: &str, other: &str) -> String {
    let request = str::from_utf8(REQUEST).unwrap();
    assert!(request.contains(text));
    request.replace(text, other)
}

/// The request that is accepted, with a line more.
fn with(line: &str) -> String {
    instead("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
}

#[test]
fn whoever_wants_no_websocket_is_told_what_this_is() {
    let served = Served::new();
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /favicon.ico HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\n\r\n".to_owned(),
        instead("Upgrade: websocket", "Upgrade: h2c"),
        instead("Connection: Upgrade", "Connection: keep-alive"),
        instead("HTTP/1.1", "HTTP/1.0"),
    ] {
        let answer = served.refuses(426, &request);
        for line in [
            "Upgrade: websocket",
            "Connection: Upgrade, close",
            "Sec-WebSocket-Version: 13",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            let line = format!("\r\n{line}\r\n");
            assert!(answer.contains(&line), "{line:?} is not in {answer}");
        }
    }
    for version in [
        "",
        "Sec-WebSocket-Version: 8\r\n",
        "Sec-WebSocket-Version: 0\r\n",
    ] {
        let request = instead("Sec-WebSocket-Version: 13\r\n", version);
        let answer = served.refuses(426, &request);
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"));
    }
}

#[test]
fn what_is_no_such_request_is_refused_with_the_status_that_says_why() {
    let served = Served::new();
    for method in ["POST", "PUT", "OPTIONS", "CONNECT", "get", "GETT"] {
        let answer = served.refuses(405, &instead("GET ", &format!("{method} ")));
        assert!(answer.contains("\r\nAllow: GET\r\n"), "{answer}");
    }
    for version in ["HTTP/2.0", "HTTP/0.9"] {
        served.refuses(505, &instead("HTTP/1.1", version));
    }
    served.refuses(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    for request in [
        instead("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        instead("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        instead(
            "dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZSBpcyBsb25n",
        ),
        instead("dGhlIHNhbXBsZSBub25jZQ==", "!!!!!!!!!!!!!!!!!!!!!!=="),
        with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        instead("Host: 127.0.0.1\r\n", ""),
        with("Host: other"),
        instead("Host: 127.0.0.1", "Host: a b"),
        instead("/path?q=1", "path"),
        instead("/path?q=1", "*"),
        instead("/path?q=1", "/path#part"),
        instead("/path?q=1", "ftp://a/"),
        instead("/path?q=1", "/a b"),
        with("Content-Length: 5"),
        with("Transfer-Encoding: chunked"),
        with("Content-Length: 0\r\nTransfer-Encoding: chunked"),
        with("Sec-WebSocket-Protocol: a b"),
        with("Sec-WebSocket-Extensions: permessage-deflate; ;"),
        with("no colon"),
        with("X : y"),
        with("X: a\r\n folded"),
        with("X: a\rb"),
        with("X: a\0b"),
    ] {
        served.refuses(400, &request);
    }
}

#[test]
fn the_answer_to_head_has_no_body() {
    let served = Served::new();
    for request in [
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        instead("GET ", "HEAD "),
    ] {
        let answer = answer(served.server.port, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.contains("\r\nAllow: GET\r\n"), "{answer}");
        assert!(!answer.contains("\r\nContent-Length: 0\r\n"), "{answer}");
        // RFC 9110 §9.3.2: nothing but the fields that a GET would have got.
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "");
        assert_eq!(served.seen.so_far(), []);
    }
}

#[test]
fn rubbish_is_refused_at_once_though_no_line_ends() {
    let served =
        Served::with(&Options::new().set(functions().options_set_connect_timeout_ms, 60_000));
    let begin = Instant::now();
    for rubbish in [
        "\r\n\r\n",
        "GET / HTTP/3\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "GET /\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03",
        "GET / HTTP/1.1\r\nHost: \0",
        "EHLO example.org\r\nQUIT\r\n\r\n",
    ] {
        served.refuses(400, rubbish);
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_head_of_16_kib_and_100_fields_is_the_most() {
    let served = Served::new();
    let exactly = |len: usize| {
        let room = len - with("X: ").len();
        with(&format!("X: {}", "x".repeat(room)))
    };
    let fields = |count: usize| with(vec!["X: y"; count - 5].join("\r\n").as_str());
    for request in [exactly(16_384), fields(100)] {
        let mut stream = dial(here(served.server.port));
        stream.write_all(request.as_bytes()).unwrap();
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
        assert_eq!(served.seen.next(), Seen::Open);
        drop(stream);
        served.seen.until_close();
    }
    for request in [
        exactly(16_385),
        fields(101),
        format!("GET /{} HTTP/1.1\r\n", "u".repeat(128 << 10)),
        instead("\r\n\r\n", &"\r\nX: y".repeat(10_000)),
    ] {
        served.refuses(431, &request);
    }
}

#[test]
fn unusual_but_legal_requests_are_accepted() {
    let served = Served::new();
    for request in [
        instead("/path?q=1", "http://127.0.0.1/path?q=1"),
        instead("/path?q=1", "/"),
        instead("Upgrade: websocket", "UPGRADE:WebSocket"),
        instead("Connection: Upgrade", "connection: keep-alive, Upgrade"),
        with("Content-Length: 0"),
        with("Origin: https://anywhere.example"),
        with("Sec-WebSocket-Extensions: constructor, x-other; a=\"b\""),
        with("Sec-WebSocket-Protocol: chat, superchat"),
    ] {
        let mut stream = dial(here(served.server.port));
        stream.write_all(request.as_bytes()).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{request:?}: {head}");
        for extra in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
            assert!(!head.contains(extra), "{request:?}: {head}");
        }
        assert_eq!(served.seen.next(), Seen::Open);
        drop(stream);
        served.seen.until_close();
    }
}

#[test]
fn a_full_server_says_so_and_gives_places_back() {
    let served = Served::with(&Options::new().set(functions().options_set_max_connections, 2));
    for _ in 0..10 {
        let first = upgrade(here(served.server.port));
        // A place is taken by whoever connects, also without a request.
        let second = dial(here(served.server.port));
        assert_eq!(served.seen.next(), Seen::Open);
        for _ in 0..3 {
            served.refuses(503, str::from_utf8(REQUEST).unwrap());
        }
        drop(first);
        served.seen.until_close();
        let third = upgrade(here(served.server.port));
        assert_eq!(served.seen.next(), Seen::Open);
        drop((second, third));
        served.seen.until_close();
        // One that says nothing gives its place back unnoticed.
        crate::support::wait_until("a free place", || {
            let mut probe = dial(here(served.server.port));
            probe.write_all(REQUEST).unwrap();
            let is_in = read_head(&mut probe).starts_with("HTTP/1.1 101 ");
            drop(probe);
            if is_in {
                assert_eq!(served.seen.next(), Seen::Open);
                served.seen.until_close();
            }
            is_in
        });
    }
}

#[test]
fn the_time_limit_covers_tls_and_the_request() {
    let identity = Authority::new().issue(LOCAL);
    let limit = functions().options_set_connect_timeout_ms;
    for url in ["ws://127.0.0.1:0/", "wss://127.0.0.1:0/"] {
        let options = Options::new()
            .with_identity(&identity.cert, &identity.key)
            .set(limit, 500);
        let runtime = Runtime::new();
        let (server, seen) = runtime.listen_at(url, &options, |_, _| {});
        let begin = Instant::now();
        for said in [&b""[..], b"GET / HTTP/1.1\r\nHo", b"\x16\x03\x01"] {
            let mut stream = dial(here(server.port));
            let _ = stream.write_all(said);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        assert!(begin.elapsed() >= Duration::from_millis(900), "{url}");
        assert_eq!(seen.so_far(), []);
    }
}

#[test]
fn plain_http_at_the_port_of_tls_is_told_so_in_plain_http() {
    let identity = Authority::new().issue(LOCAL);
    let runtime = Runtime::new();
    let options = Options::new().with_identity(&identity.cert, &identity.key);
    let (server, seen) = runtime.listen_at("wss://127.0.0.1:0/", &options, |_, _| {});
    for request in [
        REQUEST,
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = dial(here(server.port));
        stream.write_all(request).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        let length = head
            .lines()
            .find_map(|it| it.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains("wss://"), "{body}");
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(seen.so_far(), []);
}
