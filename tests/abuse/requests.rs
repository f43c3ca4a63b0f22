//! Requests that are meant to hurt.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::abi::{ERR_ARGUMENT, ERR_PROTOCOL, OK, Options, Request, Runtime, Seen, Socket};
use crate::bystander::{Bystander, dial};
use crate::crowds::read_to_end;
use crate::support::wire::{self, BINARY, FIN, Peer, TEXT, frame, masked};
use crate::support::{REQUEST, read_head};
use crate::target::{Role, Target};
use crate::victim::Received;
use crate::{alone, scale};

/// The request that is accepted, with lines more.
fn with(lines: &str) -> Vec<u8> {
    let (head, end) = REQUEST.split_at(REQUEST.len() - 2);
    [head, lines.as_bytes(), end].concat()
}

/// Writes a beginning and then the same without end, until the other side has enough. Returns how
/// many bytes were taken.
fn pour(mut stream: TcpStream, beginning: &[u8], more: &[u8]) -> usize {
    const MOST: usize = 128 << 20;
    let mut sent = 0;
    let mut piece = beginning;
    while sent < MOST && stream.write_all(piece).is_ok() {
        sent += piece.len();
        piece = more;
    }
    sent
}

#[test]
fn s2_heads_without_end_are_refused_at_once() {
    let _alone = alone();
    let target = Target::new(Role::Server, "quiet=1 echo=1 connect_timeout=60000");
    let bystander = Bystander::watch(target.port);
    let start = &REQUEST[..REQUEST.len() - 2];
    for (beginning, more) in [
        (start, &b"X: y\r\n"[..]),
        (start, &[b'x'; 1_000]),
        (b"GET /", &[b'u'; 1_000]),
        (b"GET / HTTP/1.1\r\nX:", b" "),
        (b"", b"\r\n"),
        (b"", &[b'G'; 1_000]),
    ] {
        let more = more.repeat(10);
        let floods: Vec<_> = (0..scale(8, 100))
            .map(|_| {
                let (stream, beginning, more) =
                    (dial(target.port), beginning.to_vec(), more.clone());
                thread::spawn(move || pour(stream, &beginning, &more))
            })
            .collect();
        for flood in floods {
            let sent = flood.join().unwrap();
            assert!(sent < 32 << 20, "{sent} bytes were taken");
        }
    }
    bystander.report("heads without end");
    target.victim.expect_within(8, Duration::from_secs(5));
}

#[test]
fn s2_fields_that_parse_slowly_elsewhere_are_quick() {
    let _alone = alone();
    let target = Target::new(Role::Server, "quiet=1 echo=1 subprotocol=chat");
    let bystander = Bystander::watch(target.port);
    let [good, bad] = ["101 Switching Protocols", "400 Bad Request"];
    let fields = [
        // CVE-2020-7662.
        (
            format!("Sec-WebSocket-Extensions: a; b=\"{}", "\\c".repeat(7_900)),
            bad,
        ),
        (
            format!("Sec-WebSocket-Extensions: {}", "a;b,".repeat(3_900)),
            good,
        ),
        (
            format!(
                "Sec-WebSocket-Extensions: permessage-deflate{}",
                "; a=1".repeat(3_000)
            ),
            good,
        ),
        (
            format!(
                "Sec-WebSocket-Extensions: {}a",
                "permessage-deflate,".repeat(800)
            ),
            good,
        ),
        // CVE-2021-32640.
        (
            format!("Sec-WebSocket-Protocol: b{}x", " ".repeat(15_900)),
            bad,
        ),
        (
            format!("Sec-WebSocket-Protocol: {}b", "a,".repeat(7_900)),
            good,
        ),
        (
            format!("Connection: Upgrade, {}b", ",".repeat(15_900)),
            good,
        ),
        (format!("Upgrade: websocket, {}", "w/".repeat(7_900)), good),
    ];
    let rounds = scale(20, 500);
    for _ in 0..rounds {
        for (field, status) in &fields {
            let mut stream = dial(target.port);
            stream.write_all(&with(&format!("{field}\r\n"))).unwrap();
            let head = read_head(&mut stream);
            let start = &field[..50];
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                "{start}: {head}"
            );
        }
    }
    bystander.report("fields that parse slowly elsewhere");
    // Quadratic, one of them would take a second.
    let each = Duration::from_millis(10);
    let most = Duration::from_secs(5) + each * (rounds * fields.len()) as u32;
    target.victim.expect_within(8, most);
}

#[test]
fn s4_nothing_behind_a_request_is_taken_for_another_or_for_frames() {
    let _alone = alone();
    let mut target = Target::new(Role::Server, "");
    let frames = masked(&frame(FIN | TEXT, b"smuggled"));
    let second = String::from_utf8_lossy(REQUEST);
    for request in [
        with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        with("Transfer-Encoding: chunked\r\n"),
        with("Transfer-Encoding: identity\r\n"),
        with("Content-Length: 100\r\n"),
        with("Content-Length: 0\r\nContent-Length: 5\r\n"),
        with("Content-Length: +0\r\n"),
        with("Host: other\r\n"),
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
    ] {
        let mut stream = dial(target.port);
        let bytes = [&request[..], second.as_bytes(), &frames].concat();
        stream.write_all(&bytes).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 4"), "{head}");
        assert!(head.contains("\r\nConnection: ") && head.contains("close\r\n"));
        let rest = String::from_utf8(read_to_end(&mut stream)).unwrap();
        assert!(!rest.contains("HTTP/1.1 101"), "one answer: {rest}");
    }
    // Nobody has been told of any of them: the next one is the first.
    let mut peer = target.peer();
    peer.send(&wire::close(1000, b""));
    drop(peer.end());
    assert_eq!(target.victim.expect_clean(1000).messages, 0);
    target.victim.expect_bounded(0);
}

#[test]
fn s5_frames_before_the_answer_are_taken_when_it_is_given() {
    let _alone = alone();
    let target = Target::new(Role::Server, "");
    let early = [
        frame(FIN | TEXT, b"early"),
        frame(FIN | BINARY, &[7; 100_000]),
    ]
    .concat();
    let bytes = [REQUEST, &masked(&early)].concat();
    for size in [bytes.len(), 1_000, 7] {
        let mut peer = Peer::new(target.connect(), true);
        bytes.chunks(size).for_each(|it| peer.send_raw(it));
        assert!(read_head(&mut peer.stream).starts_with("HTTP/1.1 101 "));
        target.victim.expect(&crate::victim::Report::Open);
        peer.send(&wire::close(1000, b""));
        drop(peer.end());
        let expected = Received::of([&b"early"[..], &[7; 100_000]]);
        assert_eq!(target.victim.expect_clean(1000), expected);
    }
    // What is no frame fails as it does later.
    let mut peer = Peer::new(target.connect(), true);
    peer.send_raw(&[REQUEST, REQUEST].concat());
    assert!(read_head(&mut peer.stream).starts_with("HTTP/1.1 101 "));
    target.victim.expect(&crate::victim::Report::Open);
    assert_eq!(peer.read_frame().close_code(), Some(1002));
    drop(peer);
    target.victim.expect_failure(ERR_PROTOCOL, 1002);
    target.victim.expect_bounded(1);
}

#[test]
fn s6_whom_foreign_pages_send_the_application_keeps_out() {
    let _alone = alone();
    let runtime = Runtime::new();
    let judge = |handle: Socket, seen: &Seen| {
        if let Seen::Request(_) = seen {
            let request = Request(handle.0);
            match request.header("Origin").as_str() {
                "https://own.example" => drop(request.accept("")),
                _ => assert_eq!(request.reject(403, "not from there"), OK),
            }
        }
    };
    let (server, _seen) = runtime.listen_with(&Options::new().asking(), judge);
    for (origins, status) in [
        ("Origin: https://own.example\r\n", 101),
        ("", 403),
        ("Origin:\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: http://own.example\r\n", 403),
        ("Origin: https://own.example:444\r\n", 403),
        ("Origin: https://own.example.evil.example\r\n", 403),
        // Several are none that a browser sends.
        (
            "Origin: https://own.example\r\nOrigin: https://evil.example\r\n",
            403,
        ),
        ("X-Origin: https://own.example\r\n", 403),
    ] {
        let mut stream = dial(server.port);
        stream.write_all(&with(origins)).unwrap();
        let head = read_head(&mut stream);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "{origins}: {head}");
    }
}

#[test]
fn s12_only_what_was_offered_is_answered_and_nothing_is_injected() {
    let _alone = alone();
    let runtime = Runtime::new();
    let options = Options::new().offering(&["chat", "superchat"]);
    for (name, value) in [
        ("X", "a\r\nInjected: b"),
        ("X\r\nInjected", "b"),
        ("X", "a\nb"),
        ("X", "a\0"),
        ("Sec-WebSocket-Protocol", "other"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Connection", "close"),
    ] {
        assert_eq!(
            options.add_header(name.as_bytes(), value.as_bytes()),
            ERR_ARGUMENT
        );
    }
    let (server, seen) = runtime.listen(&options);
    for (offer, answered) in [
        ("Sec-WebSocket-Protocol: other", None),
        ("Sec-WebSocket-Protocol: Chat, CHAT", None),
        ("Sec-WebSocket-Protocol: chatter, superchats", None),
        ("Sec-WebSocket-Protocol: constructor, __proto__", None),
        (
            "Sec-WebSocket-Protocol: other, superchat",
            Some("Sec-WebSocket-Protocol: superchat"),
        ),
        (
            "Sec-WebSocket-Protocol: superchat\r\nSec-WebSocket-Protocol: chat",
            Some("Sec-WebSocket-Protocol: chat"),
        ),
        ("Sec-WebSocket-Extensions: constructor", None),
        ("Sec-WebSocket-Extensions: __proto__; a=b, toString", None),
        ("Sec-WebSocket-Extensions: x-webkit-deflate-frame", None),
        (
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99",
            None,
        ),
    ] {
        let mut stream = dial(server.port);
        stream.write_all(&with(&format!("{offer}\r\n"))).unwrap();
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{offer}: {head}");
        let chosen: Vec<_> = head
            .lines()
            .filter(|it| it.starts_with("Sec-WebSocket-") && !it.contains("-Accept"))
            .collect();
        assert_eq!(chosen, answered.into_iter().collect::<Vec<_>>(), "{offer}");
        assert_eq!(seen.next(), Seen::Open);
        drop(stream);
        seen.until_close();
    }
}
