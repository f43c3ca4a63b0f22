//! H: the opening handshake, as a client judges it.

use std::collections::HashSet;
use std::io::Write;

use crate::abi::{
    Client, Close, ERR_CONNECT, ERR_HANDSHAKE, ERR_HTTP, ERR_IO, ERR_TIMEOUT, FACT_EXTENSIONS,
    Options, Runtime, Seen, functions,
};
use crate::support::wire::{self, FIN, TEXT, frame};
use crate::support::{Nobody, RawServer, accepting_response, read_head};

/// A client whose request has been answered with `answer`, in which ACCEPT is the right key; and
/// the end of the stream.
struct Answered {
    _runtime: Runtime,
    server: RawServer,
    client: Client,
}

fn answered(answer: &str) -> Answered {
    answered_to(&Options::new(), answer)
}

fn answered_to(options: &Options, answer: &str) -> Answered {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), options);
    let mut stream = server.accept_stream();
    let request = read_head(&mut stream);
    let answer = answer.replace("ACCEPT", &accept_key(&request));
    // The client may have seen enough before all is written.
    let _ = stream.write_all(answer.as_bytes());
    Answered {
        _runtime: runtime,
        server,
        client,
    }
}

fn accept_key(request: &str) -> String {
    let response = String::from_utf8(accepting_response(request)).unwrap();
    let key = response
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Accept: "));
    key.unwrap().to_owned()
}

/// The error of an answer that is refused, after which the only event is CLOSE with 1006.
#[track_caller]
fn refused(answer: &str) -> i32 {
    let (status, close) = answered(answer).client.seen.expect_failure();
    assert_eq!((close.code, close.was_clean), (1006, false), "{answer:?}");
    status
}

#[track_caller]
fn are_refused(answers: &[&str]) {
    for answer in answers {
        assert_eq!(refused(answer), ERR_HANDSHAKE, "{answer:?}");
    }
}

#[track_caller]
fn are_accepted(answers: &[&str]) {
    for answer in answers {
        assert_eq!(
            answered(answer).client.seen.next(),
            Seen::Open,
            "{answer:?}"
        );
    }
}

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n";

/// The accepting answer, with more lines.
fn with(lines: &str) -> String {
    ACCEPTED.replace("\r\n\r\n", &format!("\r\n{lines}\r\n\r\n"))
}

#[test]
fn h1_the_request_has_the_fields_of_the_rfc_and_a_fresh_key() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let address = server.address();
    let mut keys = HashSet::new();
    for origin in ["", "https://example.org"] {
        for _ in 0..50 {
            let options = Options::new();
            assert_eq!(options.set_origin(origin.as_bytes()), 0);
            let _client = runtime.connect(&server.url(), &options);
            let request = read_head(&mut server.accept_stream());
            let mut lines: HashSet<&str> = request.trim_end().split("\r\n").collect();
            let key = lines
                .iter()
                .find(|it| it.starts_with("Sec-WebSocket-Key: "));
            let key = key.copied().unwrap();
            assert!(lines.remove(key));
            let key = data_encoding::BASE64.decode(&key.as_bytes()[19..]).unwrap();
            assert_eq!(key.len(), 16);
            assert!(keys.insert(key), "the key came before");
            let host = format!("Host: {address}");
            let origin_line = format!("Origin: {origin}");
            let mut expected = HashSet::from([
                "GET / HTTP/1.1",
                &host,
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            ]);
            if !origin.is_empty() {
                expected.insert(&origin_line);
            }
            assert_eq!(lines, expected);
        }
    }
}

#[test]
fn h2_only_101_is_a_success_and_no_redirect_is_followed() {
    for (status, more) in [
        ("200 OK", ""),
        ("201 Created", ""),
        ("204 No Content", ""),
        ("301 Moved Permanently", "Location: /elsewhere\r\n"),
        ("302 Found", "Location: ws://127.0.0.1:PORT/\r\n"),
        ("303 See Other", "Location: /\r\n"),
        (
            "307 Temporary Redirect",
            "Location: http://127.0.0.1:PORT/\r\n",
        ),
        ("308 Permanent Redirect", "Location: //127.0.0.1:PORT/\r\n"),
        (
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"a\"\r\n",
        ),
        ("403 Forbidden", ""),
        ("404 Not Found", ""),
        ("407 Proxy Authentication Required", ""),
        ("426 Upgrade Required", "Sec-WebSocket-Version: 8\r\n"),
        ("500 Internal Server Error", ""),
        ("503 Service Unavailable", "Retry-After: 1\r\n"),
        ("599 ", ""),
    ] {
        let port = RawServer::new().address().port().to_string();
        let more = more.replace("PORT", &port);
        // All that a 101 needs is there, too.
        let head = with(&format!("{more}Content-Length: 0"));
        let head = head.replace("101 Switching Protocols", status);
        let answered = answered(&head);
        let socket = answered.client.socket;
        let (error, close) = answered.client.seen.expect_failure();
        assert_eq!((error, close.code), (ERR_HTTP, 1006), "{status}");
        let number: i32 = status[..3].parse().unwrap();
        assert_eq!(socket.response_status(), number);
        assert!(answered.server.is_alone(), "{status}: nobody comes again");
    }
}

#[test]
fn h3_upgrade_and_connection_are_lists_of_tokens_in_any_letter_case() {
    let fields = |upgrade: &str, connection: &str| {
        ACCEPTED
            .replace("Upgrade: websocket\r\n", upgrade)
            .replace("Connection: Upgrade\r\n", connection)
    };
    const UPGRADE: &str = "Upgrade: websocket\r\n";
    const CONNECTION: &str = "Connection: Upgrade\r\n";
    for (upgrade, connection) in [
        ("upgrade:WebSocket\r\n", "CONNECTION:UPGRADE\r\n"),
        (
            "Upgrade: \t websocket \t\r\n",
            "Connection: \t upgrade \t\r\n",
        ),
        (
            "Upgrade: h2c, websocket\r\n",
            "Connection: keep-alive, Upgrade\r\n",
        ),
        (
            "Upgrade: h2c\r\nUpgrade: websocket\r\n",
            "Connection: a\r\nConnection: Upgrade,\r\n",
        ),
    ] {
        are_accepted(&[&fields(upgrade, connection)]);
    }
    for (upgrade, connection) in [
        ("", CONNECTION),
        (UPGRADE, ""),
        ("Upgrade:\r\n", CONNECTION),
        (UPGRADE, "Connection:\r\n"),
        ("Upgrade: h2c\r\n", CONNECTION),
        ("Upgrade: websockets\r\n", CONNECTION),
        ("Upgrade: web socket\r\n", CONNECTION),
        (UPGRADE, "Connection: keep-alive\r\n"),
        (UPGRADE, "Connection: close\r\n"),
        (UPGRADE, "Connection: Upgraded\r\n"),
        (UPGRADE, "Connection: \"Upgrade\"\r\n"),
    ] {
        are_refused(&[&fields(upgrade, connection)]);
    }
}

#[test]
fn h4_the_accept_key_is_the_right_one() {
    let line = |line: &str| ACCEPTED.replace("Sec-WebSocket-Accept: ACCEPT\r\n", line);
    are_accepted(&[
        &line("Sec-WebSocket-Accept:ACCEPT\r\n"),
        &line("sec-websocket-accept: \t ACCEPT \t \r\n"),
    ]);
    are_refused(&[
        &line(""),
        &line("Sec-WebSocket-Accept:\r\n"),
        &line("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        &line("Sec-WebSocket-Accept: ACCEPT=\r\n"),
        &line("Sec-WebSocket-Accept: ACCEPT, ACCEPT\r\n"),
        &line("Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Accept: ACCEPT\r\n"),
        &line("Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Accept: x\r\n"),
        &line("Sec-WebSocket-Key: ACCEPT\r\n"),
    ]);
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new());
    let mut stream = server.accept_stream();
    let key = accept_key(&read_head(&mut stream));
    let swapped: String = key
        .chars()
        .map(|it| match it.is_lowercase() {
            true => it.to_ascii_uppercase(),
            false => it.to_ascii_lowercase(),
        })
        .collect();
    stream
        .write_all(ACCEPTED.replace("ACCEPT", &swapped).as_bytes())
        .unwrap();
    assert_eq!(client.seen.expect_failure().0, ERR_HANDSHAKE);
}

#[test]
fn h5_an_extension_that_was_not_offered_fails_the_connection() {
    let extended = |value: &str| with(&format!("Sec-WebSocket-Extensions: {value}"));
    for extensions in [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate;client_no_context_takeover ; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; client_max_window_bits=\"15\"; server_max_window_bits=15",
    ] {
        let answered = answered(&extended(extensions));
        assert_eq!(answered.client.seen.next(), Seen::Open, "{extensions}");
        let fact = answered.client.socket.fact(FACT_EXTENSIONS);
        assert_eq!(fact, extensions);
    }
    for extensions in [
        "foo",
        "permessage-deflate, foo",
        "foo; a=b, permessage-deflate",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate",
        "permessage-deflate; foo",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=-9",
        "permessage-deflate; server_max_window_bits=abc",
        "permessage-deflate; server_max_window_bits=4294967311",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=99",
        "permessage-deflate;",
        "\"permessage-deflate\"",
        "\"",
    ] {
        are_refused(&[&extended(extensions)]);
    }

    let none = answered(ACCEPTED);
    assert_eq!(none.client.seen.next(), Seen::Open);
    assert_eq!(none.client.socket.fact(FACT_EXTENSIONS), "");

    let options = Options::new().set(functions().options_set_compression, 0);
    let (status, _) = answered_to(&options, &extended("permessage-deflate"))
        .client
        .seen
        .expect_failure();
    assert_eq!(status, ERR_HANDSHAKE);
}

#[test]
fn h6_the_response_comes_in_any_segments_also_together_with_frames() {
    let frames = [frame(FIN | TEXT, b"first"), wire::close(1000, b"")].concat();
    let expected = [Seen::Open, Seen::text("first"), Seen::clean(1000, "")];
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let length = ACCEPTED.len() + 22 + frames.len();
    for segment in [
        1,
        2,
        3,
        7,
        50,
        length - frames.len() - 1,
        length - 3,
        length,
    ] {
        let client = runtime.connect(&server.url(), &Options::new());
        let mut stream = server.accept_stream();
        let answer = ACCEPTED.replace("ACCEPT", &accept_key(&read_head(&mut stream)));
        let bytes = [answer.as_bytes(), &frames].concat();
        for segment in bytes.chunks(segment) {
            stream.write_all(segment).unwrap();
        }
        drop(stream);
        assert_eq!(client.seen.until_close(), expected, "segments of {segment}");
    }
}

#[test]
fn h7_the_head_is_limited_and_well_formed() {
    are_accepted(&[
        &with(&["X: y"; 97].join("\r\n")),
        &with(&format!("X: {}", "y".repeat(16_000))),
        &with("X:"),
        &with("X: \u{e4}"),
    ]);
    are_refused(&[
        &with(&["X: y"; 98].join("\r\n")),
        &with(&format!("X: {}", "y".repeat(16_384))),
        &with("X: y\r\n folded"),
        &with("X: y\r\n\tfolded"),
        &with("X: a\0b"),
        &with("X: a\rb"),
        &with("X: a\nY: b"),
        &with("X: a\x7fb"),
        &with("X : y"),
        &with(" X: y"),
        &with("no colon"),
        &with(": no name"),
        &with("X(: y"),
        &ACCEPTED.replace("HTTP/1.1", "HTTP/1.0"),
        &ACCEPTED.replace("HTTP/1.1", "HTTP/2"),
        &ACCEPTED.replace("HTTP/1.1", "http/1.1"),
        &ACCEPTED.replace("HTTP/1.1", "HTTP/1.12"),
        &ACCEPTED.replace("HTTP/1.1", "ICY"),
        &ACCEPTED.replace(" 101 ", " 0101 "),
        &ACCEPTED.replace(" 101 ", " 1O1 "),
        &ACCEPTED.replace(" 101 ", " 10 "),
        &ACCEPTED.replace(" 101 ", "  101 "),
        &ACCEPTED.replace(" 101 ", " +101 "),
        &ACCEPTED.replace(" 101 Switching Protocols", ""),
        &format!("\r\n{ACCEPTED}"),
        &ACCEPTED.replace("\r\n", "\n"),
    ]);
}

#[test]
fn h8_every_failure_to_connect_is_error_and_close_with_1006() {
    let short = || Options::new().set(functions().options_set_connect_timeout_ms, 50);
    let runtime = Runtime::new();
    let (silent, leaving) = (RawServer::new(), RawServer::new());
    let nobody = Nobody::new();
    let timed_out = runtime.connect(&silent.url(), &short());
    let refused = runtime.connect(&nobody.url(), &Options::new());
    let left = runtime.connect(&leaving.url(), &Options::new());
    drop(leaving.accept());
    let answered_500 = answered("HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n");
    let answered_nonsense = answered("nonsense\r\n\r\n");
    for (client, status) in [
        (&timed_out, ERR_TIMEOUT),
        (&refused, ERR_CONNECT),
        (&left, ERR_IO),
        (&answered_500.client, ERR_HTTP),
        (&answered_nonsense.client, ERR_HANDSHAKE),
    ] {
        let seen = client.seen.until_close();
        let [
            Seen::Error {
                status: its,
                sentence,
            },
            Seen::Close(close),
        ] = seen.as_slice()
        else {
            panic!("{seen:?}");
        };
        let expected = Close {
            code: 1006,
            reason: String::new(),
            was_clean: false,
        };
        assert_eq!((*its, close), (status, &expected), "{sentence}");
        assert!(!sentence.is_empty());
    }
}

#[test]
fn h9_cookies_are_told_and_not_kept() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let answer = with("Set-Cookie: a=b; Path=/\r\nSet-Cookie: c=d");
    for _ in 0..2 {
        let client = runtime.connect(&server.url(), &Options::new());
        let mut stream = server.accept_stream();
        let request = read_head(&mut stream);
        assert!(!request.contains("Cookie"), "{request}");
        let answer = answer.replace("ACCEPT", &accept_key(&request));
        stream.write_all(answer.as_bytes()).unwrap();
        assert_eq!(client.seen.next(), Seen::Open);
        assert_eq!(
            client.socket.response_header("set-COOKIE"),
            "a=b; Path=/, c=d"
        );
    }
    let options = Options::new();
    assert_eq!(options.add_header(b"Cookie", b"a=b"), 0);
    let _client = runtime.connect(&server.url(), &options);
    assert!(read_head(&mut server.accept_stream()).contains("\r\nCookie: a=b\r\n"));
}

#[test]
fn h10_credentials_of_the_url_become_basic_authorization() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let address = server.address();
    for (credentials, field) in [
        ("", None),
        (
            "Aladdin:open%20sesame@",
            Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ),
        ("user@", Some("Basic dXNlcjo=")),
        (":pw@", Some("Basic OnB3")),
        ("a%C3%A4:%40:b@", Some("Basic YcOkOkA6Yg==")),
    ] {
        let _client = runtime.connect(&format!("ws://{credentials}{address}/"), &Options::new());
        let request = read_head(&mut server.accept_stream());
        let found = request
            .lines()
            .find_map(|line| line.strip_prefix("Authorization: "));
        assert_eq!(found, field, "{credentials}");
    }
}
