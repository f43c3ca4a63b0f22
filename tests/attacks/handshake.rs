//! A: a hostile server in the opening handshake.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::abi::{
    ERR_ARGUMENT, ERR_HANDSHAKE, ERR_HTTP, ERR_IO, ERR_PROTOCOL, ERR_TIMEOUT, ERR_URL, OK, Options,
    Runtime,
};
use crate::support::wire::{self, FIN, Peer, TEXT, frame};
use crate::support::{RawServer, accepting_response, read_head};
use crate::victim::{Received, Report, Victim};

/// ACCEPT stands for the right key.
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n";

/// How much longer than its own limits something may take on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

struct Attack {
    victim: Victim,
    server: RawServer,
}

impl Attack {
    fn new() -> Self {
        Self {
            victim: Victim::start(),
            server: RawServer::new(),
        }
    }

    /// A connection whose request has been read, and the key that accepts it.
    fn request(&mut self, settings: &str) -> (TcpStream, String) {
        self.victim.connect(&self.server.url(), settings);
        let mut stream = self.server.accept_stream();
        let response = String::from_utf8(accepting_response(&read_head(&mut stream))).unwrap();
        let key = response
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Accept: "));
        (stream, key.unwrap().to_owned())
    }

    /// Answers are refused with this status.
    #[track_caller]
    fn refuses(&mut self, settings: &str, status: i32, answers: &[String]) {
        for answer in answers {
            let (mut stream, key) = self.request(settings);
            // The client may have seen enough before all is written.
            let _ = stream.write_all(answer.replace("ACCEPT", &key).as_bytes());
            self.victim.expect_failure(status, 1006);
            ended(&mut stream);
        }
    }
}

/// Waits until the other side has ended the stream, and gives nothing more.
fn ended(stream: &mut TcpStream) {
    match stream.read(&mut [0; 100]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        result => panic!("{result:?}"),
    }
}

/// The accepting answer, with another line instead of one.
fn instead(line: &str, other: &str) -> String {
    assert!(ACCEPTED.contains(line));
    ACCEPTED.replace(line, other)
}

/// The accepting answer, with a line more.
fn with(line: &str) -> String {
    ACCEPTED.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
}

#[test]
fn a1_a_wrong_accept_key_is_refused() {
    let mut attack = Attack::new();
    let accept = "Sec-WebSocket-Accept: ACCEPT\r\n";
    attack.refuses(
        "",
        ERR_HANDSHAKE,
        &[
            instead(accept, ""),
            instead("ACCEPT", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            instead("ACCEPT", "accept"),
            instead("ACCEPT", "ACCEPTACCEPT"),
            instead(
                accept,
                "Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Accept: other\r\n",
            ),
            instead(
                accept,
                "Sec-WebSocket-Accept: other\r\nSec-WebSocket-Accept: ACCEPT\r\n",
            ),
        ],
    );
    let (mut stream, key) = attack.request("");
    let swapped = ACCEPTED.replace("ACCEPT", &key.to_lowercase());
    stream.write_all(swapped.as_bytes()).unwrap();
    attack.victim.expect_failure(ERR_HANDSHAKE, 1006);
    attack.victim.expect_bounded(0);
}

#[test]
fn a2_an_answer_without_upgrade_is_refused() {
    let mut attack = Attack::new();
    let fields = ["Upgrade: websocket\r\n", "Connection: Upgrade\r\n"];
    let mut answers = fields.map(|field| instead(field, "")).to_vec();
    answers.push(instead("Upgrade: websocket", "Upgrade: h2c"));
    answers.push(instead("Connection: Upgrade", "Connection: close"));
    attack.refuses("", ERR_HANDSHAKE, &answers);
    let statuses = ["200 OK", "204 No Content"];
    let answers =
        statuses.map(|status| with("Content-Length: 0").replace("101 Switching Protocols", status));
    attack.refuses("", ERR_HTTP, &answers);
    attack.victim.expect_bounded(0);
}

#[test]
fn a3_redirects_are_not_followed_and_credentials_stay() {
    let mut attack = Attack::new();
    let other = RawServer::new();
    let (own, other_address) = (attack.server.address(), other.address());
    let answers: Vec<String> = ["301", "302", "303", "307", "308"]
        .iter()
        .flat_map(|status| {
            [
                "/elsewhere".to_owned(),
                format!("ws://{own}/"),
                format!("ws://{other_address}/"),
                format!("wss://{other_address}/"),
                format!("http://user:secret@{other_address}/"),
            ]
            .map(|to| format!("HTTP/1.1 {status} x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))
        })
        .collect();
    attack.refuses("", ERR_HTTP, &answers);
    assert!(attack.server.is_alone() && other.is_alone());
    attack.victim.expect_bounded(0);
}

#[test]
fn a4_of_a_refusals_body_only_so_much_is_read() {
    let mut attack = Attack::new();
    let body = "x".repeat(10_000);
    let answers = ["401", "403", "407", "503"]
        .map(|status| format!("HTTP/1.1 {status} no\r\nContent-Length: 10000\r\n\r\n{body}"));
    attack.refuses("", ERR_HTTP, &answers);
    let endless = [
        ("HTTP/1.1 403 no\r\n\r\n", body.clone()),
        (
            "HTTP/1.1 403 no\r\nContent-Length: 99999999999\r\n\r\n",
            body.clone(),
        ),
        (
            "HTTP/1.1 403 no\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1\r\nx\r\n".repeat(2_000),
        ),
        (
            "HTTP/1.1 403 no\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "x".repeat(10_000),
        ),
    ];
    for (head, more) in endless {
        let (stream, _) = attack.request("");
        let start = Instant::now();
        let sent = pour(stream, head.as_bytes(), more.as_bytes(), 128 << 20);
        assert!(sent < 32 << 20, "{head:?}: {sent} bytes were taken");
        assert!(start.elapsed() < SLACK, "{head:?}");
        attack.victim.expect_failure(ERR_HTTP, 1006);
    }
    attack.victim.expect_bounded(0);
}

/// Writes a beginning, then the same without end, until the other side has enough or `most` bytes
/// are written. Returns how many were.
fn pour(mut stream: TcpStream, beginning: &[u8], more: &[u8], most: usize) -> usize {
    let mut sent = 0;
    let mut piece = beginning;
    while sent < most && stream.write_all(piece).is_ok() {
        sent += piece.len();
        piece = more;
    }
    sent
}

#[test]
fn a5_extensions_that_were_not_offered_are_refused() {
    let mut attack = Attack::new();
    let extensions = |value: &str| with(&format!("Sec-WebSocket-Extensions: {value}"));
    attack.refuses(
        "compression=0",
        ERR_HANDSHAKE,
        &[extensions("permessage-deflate")],
    );
    let wrong = [
        "x-webkit-deflate-frame",
        "permessage-bzip2",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=abc",
        "permessage-deflate; server_max_window_bits=-9",
        "permessage-deflate; server_max_window_bits=4294967311",
        "permessage-deflate; client_max_window_bits=99",
        "constructor",
        "a; b=\"\\c\\c\\c\\c",
    ];
    attack.refuses("", ERR_HANDSHAKE, &wrong.map(extensions));
    // A quoted string that is long and never ends takes no quadratic time.
    let long = format!("a; b=\"{}", "\\c".repeat(8_000));
    attack.refuses("", ERR_HANDSHAKE, &[extensions(&long)]);
    attack.victim.expect_bounded(0);
}

#[test]
fn a6_subprotocols_that_were_not_offered_are_refused() {
    let mut attack = Attack::new();
    let protocol = |value: &str| with(&format!("Sec-WebSocket-Protocol: {value}"));
    attack.refuses("", ERR_HANDSHAKE, &[protocol("chat"), protocol("")]);
    let long = "chat, ".repeat(2_500);
    let spaces = format!("b{}x", " ".repeat(15_000));
    let wrong = ["other", "Chat", "chat, chat", "chat,", "", &long, &spaces].map(protocol);
    attack.refuses("subprotocol=chat", ERR_HANDSHAKE, &wrong);
    attack.victim.expect_bounded(0);
}

#[test]
fn a7_a_head_without_end_is_refused_at_once() {
    let mut attack = Attack::new();
    let many = "X: y\r\n".repeat(20_000);
    let start = "HTTP/1.1 101 Switching Protocols\r\n";
    for (beginning, more) in [
        (start, "X: y\r\n".repeat(1_000)),
        (start, "x".repeat(10_000)),
        ("HTTP/1.1 101 ", "x".repeat(10_000)),
        (&format!("{start}{many}\r\n"), String::new()),
    ] {
        let (stream, _) = attack.request("connect_timeout=60000");
        let start = Instant::now();
        let most = if more.is_empty() { 1 } else { 128 << 20 };
        let sent = pour(stream, beginning.as_bytes(), more.as_bytes(), most);
        assert!(sent < 32 << 20, "{sent} bytes were taken");
        attack.victim.expect_failure(ERR_HANDSHAKE, 1006);
        assert!(start.elapsed() < SLACK);
    }
    // In small pieces, none of which ends a line.
    let (mut stream, _) = attack.request("connect_timeout=60000");
    stream.write_all(start.as_bytes()).unwrap();
    for _ in 0..20_000 {
        if stream.write_all(b"x").is_err() {
            break;
        }
    }
    attack.victim.expect_failure(ERR_HANDSHAKE, 1006);
    attack.victim.expect_bounded(0);
}

#[test]
fn a8_malformed_lines_are_refused() {
    let mut attack = Attack::new();
    let start = "HTTP/1.1 101 Switching Protocols";
    let answers: Vec<String> = ["X : y", "no colon", "X: a\0b", "X: a\rb", "X: a\r\n folded"]
        .iter()
        .map(|line| with(line))
        .chain(
            [
                "HTTP/1.1 0101 x",
                "HTTP/1.1 1O1 x",
                "HTTP/2 101 x",
                "HTTP/1.0 101 x",
                "HTTP/1.1  101 x",
                "HTTP/1.1\t101 x",
                "HTTP/1.1 1010 x",
                "HTTP/1.1 -101 x",
                "HTTP/1.1 ",
                "",
                "SSH-2.0-OpenSSH",
                "\x16\x03\x01\x02",
            ]
            .iter()
            .map(|line| instead(start, line)),
        )
        .collect();
    attack.refuses("", ERR_HANDSHAKE, &answers);
    attack.victim.expect_bounded(0);
}

#[test]
fn a9_a_slow_or_halved_answer_fails_in_time() {
    let mut attack = Attack::new();
    // Silence, and a line every now and then.
    for pace in [Duration::from_secs(10), Duration::from_millis(20)] {
        let start = Instant::now();
        let (stream, _) = attack.request("connect_timeout=400");
        let mut writer = stream.try_clone().unwrap();
        let dripper = thread::spawn(move || {
            let begun = Instant::now();
            let mut due = pace;
            for byte in b"HTTP/1.1 101 Switching Protocols\r\n".iter().cycle() {
                // The pace of the attack, not a wait for something.
                thread::park_timeout(due.saturating_sub(begun.elapsed()));
                if begun.elapsed() > Duration::from_secs(2) || writer.write_all(&[*byte]).is_err() {
                    return;
                }
                due += pace;
            }
        });
        attack.victim.expect_failure(ERR_TIMEOUT, 1006);
        assert!(start.elapsed() < Duration::from_millis(400) + SLACK);
        drop(stream);
        dripper.thread().unpark();
        dripper.join().unwrap();
    }
    // The end at each eighth, in order and by a reset.
    for eighth in 0..8 {
        for reset in [false, true] {
            let (mut stream, key) = attack.request("");
            let answer = ACCEPTED.replace("ACCEPT", &key);
            let part = &answer.as_bytes()[..answer.len() * eighth / 8];
            stream.write_all(part).unwrap();
            if reset {
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
            drop(stream);
            attack.victim.expect_failure(ERR_IO, 1006);
        }
    }
    attack.victim.expect_within(8, Duration::from_millis(500));
}

#[test]
fn a10_what_follows_the_101_is_frames_and_interim_answers_are_skipped() {
    let mut attack = Attack::new();
    let (mut stream, key) = attack.request("");
    let answer = with("Content-Length: 5").replace("ACCEPT", &key) + "hello";
    stream.write_all(answer.as_bytes()).unwrap();
    attack.victim.expect(&Report::Open);
    let mut peer = Peer::new(stream, false);
    assert_eq!(peer.read_frame().close_code(), Some(1002));
    drop(peer);
    attack.victim.expect_failure(ERR_PROTOCOL, 1002);

    let (mut stream, key) = attack.request("");
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    let answer = format!("{interim}{}", ACCEPTED.replace("ACCEPT", &key));
    stream.write_all(answer.as_bytes()).unwrap();
    attack.victim.expect(&Report::Open);
    drop(stream);
    attack.victim.expect_failure(ERR_IO, 1006);

    // Without end, they come to the limit of heads.
    let (stream, _) = attack.request("connect_timeout=60000");
    pour(stream, b"", interim.repeat(100).as_bytes(), 128 << 20);
    attack.victim.expect_failure(ERR_HANDSHAKE, 1006);
    attack.victim.expect_bounded(0);
}

#[test]
fn a11_unusual_but_legal_answers_work() {
    let mut attack = Attack::new();
    let frames = [frame(FIN | TEXT, b"first"), frame(FIN | TEXT, b"second")].concat();
    let expected = Received::of([&b"first"[..], b"second"]);
    let headers: String = (0..90)
        .map(|number| format!("X-Header-{number}: {}\r\n", "v".repeat(115)))
        .collect();
    assert!(headers.len() > 11_000);
    for (answer, segment) in [
        (ACCEPTED.to_owned(), usize::MAX),
        (ACCEPTED.to_owned(), 1),
        (
            instead("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
            usize::MAX,
        ),
        (
            instead("Upgrade: websocket", "UPGRADE:WebSocket"),
            usize::MAX,
        ),
        (
            instead("Sec-WebSocket-Accept: ", "sec-websocket-accept:\t"),
            usize::MAX,
        ),
        (instead(" Switching Protocols", " "), usize::MAX),
        (
            instead(" Switching Protocols", " \u{e4}\u{f6} all right"),
            usize::MAX,
        ),
        (with(headers.trim_end()), usize::MAX),
        (with(headers.trim_end()), 7),
    ] {
        let (mut stream, key) = attack.request("");
        let answer = answer.replace("ACCEPT", &key);
        let bytes = [answer.as_bytes(), &frames, &wire::close(1000, b"")].concat();
        for segment in bytes.chunks(segment.min(bytes.len())) {
            stream.write_all(segment).unwrap();
        }
        drop(stream);
        attack.victim.expect(&Report::Open);
        assert_eq!(attack.victim.expect_clean(1000), expected, "{answer:?}");
    }
    attack.victim.expect_bounded(0);
}

#[test]
fn a12_nothing_can_be_injected() {
    let runtime = Runtime::new();
    let server = RawServer::new();
    let address = server.address();
    for bad in ["\r\n", "\r", "\n", "\0", "\x7f", "\x01"] {
        let injected = format!("a{bad}X-Injected: b");
        let options = Options::new();
        assert_eq!(options.add_header(b"X", injected.as_bytes()), ERR_ARGUMENT);
        assert_eq!(options.add_header(injected.as_bytes(), b"x"), ERR_ARGUMENT);
        assert_eq!(options.add_subprotocol(injected.as_bytes()), ERR_ARGUMENT);
        assert_eq!(options.set_origin(injected.as_bytes()), ERR_ARGUMENT);
        for url in [
            format!("ws://{address}/{injected}"),
            format!("ws://{address}/?{injected}"),
            format!("ws://{injected}/"),
            format!("ws://{injected}@{address}/"),
            format!("{injected}ws://{address}/"),
        ] {
            let (result, _) = runtime.try_connect(url.as_bytes(), &options, |_, _| {});
            let expected = if bad == "\0" { ERR_ARGUMENT } else { ERR_URL };
            assert_eq!(result.err(), Some(expected), "{url:?}");
        }
    }
    for owned in [
        "Host",
        "Upgrade",
        "connection",
        "Sec-WebSocket-Key",
        "Content-Length",
    ] {
        assert_eq!(
            Options::new().add_header(owned.as_bytes(), b"x"),
            ERR_ARGUMENT,
            "{owned}"
        );
    }
    for name in ["", "a b", "a:", "a\u{e4}"] {
        assert_eq!(
            Options::new().add_header(name.as_bytes(), b"x"),
            ERR_ARGUMENT,
            "{name}"
        );
    }
    assert_eq!(Options::new().add_header(b"X", b"y"), OK);
    assert!(server.is_alone());
}

#[test]
fn a13_no_key_comes_twice() {
    const CONNECTIONS: usize = 1_000;
    let mut attack = Attack::new();
    let mut keys = HashSet::new();
    for _ in 0..CONNECTIONS {
        let (stream, key) = attack.request("");
        keys.insert(key);
        drop(stream);
        attack.victim.expect_failure(ERR_IO, 1006);
    }
    assert_eq!(keys.len(), CONNECTIONS);
    attack.victim.expect_bounded(0);
}
