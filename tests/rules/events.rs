//! E: events and states.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::abi::{
    CLOSED, CLOSING, CONNECTING, Close, ERR_ABORTED, ERR_CLOSED, ERR_ENCODING, ERR_IO,
    ERR_PROTOCOL, ERR_TIMEOUT, ERR_TOO_BIG, FACT_EXTENSIONS, FACT_SUBPROTOCOL, OK, OPEN, Options,
    Runtime, Seen, Socket, functions,
};
use crate::pair::{Pair, ROLES, Role};
use crate::support::wire::{self, CLOSE, FIN, PING, TEXT, frame};
use crate::support::{Nobody, PATIENCE, RawServer, write};

/// How a connection can end: what it is called, what the two sides do after OPEN, and the events
/// that follow. ERROR stands for its status.
struct End {
    name: &'static str,
    act: fn(&mut Pair),
    error: Option<i32>,
    code: i32,
}

const ENDS: &[End] = &[
    End {
        name: "the peer closes",
        act: |pair| pair.peer.send(&wire::close(3000, b"")),
        error: None,
        code: 3000,
    },
    End {
        name: "we close, and the peer answers",
        act: |pair| {
            assert_eq!(pair.socket.close(3001, ""), OK);
            pair.peer.send(&wire::close(3001, b""));
        },
        error: None,
        code: 3001,
    },
    End {
        name: "both close at once",
        act: |pair| {
            pair.peer.send(&wire::close(3002, b""));
            assert_eq!(pair.socket.close(3003, ""), OK);
        },
        error: None,
        code: 3002,
    },
    End {
        name: "the peer ends TCP",
        act: |pair| drop(pair.peer.end()),
        error: Some(ERR_IO),
        code: 1006,
    },
    End {
        name: "we close, and the peer ends TCP",
        act: |pair| {
            assert_eq!(pair.socket.close(1000, ""), OK);
            pair.peer.end();
        },
        error: Some(ERR_IO),
        code: 1006,
    },
    End {
        name: "we close, and the peer says nothing",
        act: |pair| {
            assert_eq!(pair.socket.close(1000, ""), OK);
            pair.peer.read_to_end();
        },
        error: Some(ERR_TIMEOUT),
        code: 1006,
    },
    End {
        name: "we abort",
        act: |pair| assert_eq!(pair.socket.abort(), OK),
        error: Some(ERR_ABORTED),
        code: 1006,
    },
    End {
        name: "the peer breaks the protocol",
        act: |pair| pair.peer.send_frame(0xff, b""),
        error: Some(ERR_PROTOCOL),
        code: 1002,
    },
    End {
        name: "the peer sends text that is none",
        act: |pair| pair.peer.send_frame(FIN | TEXT, b"\xff"),
        error: Some(ERR_ENCODING),
        code: 1007,
    },
    End {
        name: "the peer sends too much",
        act: |pair| pair.peer.send_frame(FIN | TEXT, &[b'a'; 1001]),
        error: Some(ERR_TOO_BIG),
        code: 1009,
    },
];

/// Calls `look` with every end in both roles, and the events that it has caused.
fn for_every_end(mut look: impl FnMut(&End, &str, Vec<Seen>)) {
    for end in ENDS {
        for role in ROLES {
            let options = Options::new()
                .set(functions().options_set_close_timeout_ms, 100)
                .set(functions().options_set_max_message, 1000);
            let mut pair = Pair::with_options(role, &options);
            (end.act)(&mut pair);
            // What the peer has not done yet, it does now; but not what it left out.
            if end.error != Some(ERR_TIMEOUT) {
                pair.peer.end();
                drop(pair.peer);
            }
            let mut seen = pair.seen.until_close();
            // A server's socket ends by itself, if it has not done so already.
            pair.socket.release();
            drop(pair.runtime);
            seen.extend(pair.seen.so_far());
            look(end, &format!("{} ({role:?})", end.name), seen);
        }
    }
}

#[test]
fn e1_close_comes_once_and_last() {
    for_every_end(|end, name, seen| {
        let letters: String = seen
            .iter()
            .map(|it| match it {
                Seen::Error { .. } => 'E',
                Seen::Close(_) => 'C',
                Seen::Released => 'R',
                _ => '?',
            })
            .collect();
        let expected = if end.error.is_some() { "ECR" } else { "CR" };
        assert_eq!(letters, expected, "{name}");
    });

    // Never established: no OPEN either.
    let (runtime, nobody) = (Runtime::new(), Nobody::new());
    let client = runtime.connect(&nobody.url(), &Options::new());
    client.seen.expect_failure();
    assert_eq!(client.socket.release(), OK);
    assert_eq!(client.seen.next(), Seen::Released);
}

#[test]
fn e2_in_open_everything_is_there() {
    let (told, known) = channel();
    let hook = move |socket: Socket, _: &Seen| {
        let facts = [FACT_SUBPROTOCOL, FACT_EXTENSIONS].map(|fact| socket.fact(fact));
        told.send((socket.ready_state(), facts)).unwrap();
    };
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let options = Options::new().offering(&["chat"]);
    let _client = runtime.connect_with(&server.url(), &options, hook);
    let (mut stream, response) = server.accept();
    let response = String::from_utf8(response).unwrap();
    let line = "\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    write(&mut stream, response.replace("\r\n\r\n", line).as_bytes());
    let (state, facts) = known.recv_timeout(PATIENCE).unwrap();
    assert_eq!(state, OPEN);
    assert_eq!(facts, ["chat", ""]);
}

#[test]
fn e3_no_message_comes_after_close() {
    for role in ROLES {
        let mut pair = Pair::new(role);
        assert_eq!(pair.socket.close(1000, ""), OK);
        let late = [frame(FIN | TEXT, b"late"), frame(FIN | PING, b"late")].concat();
        pair.peer.send(&[late, wire::close(1000, b"")].concat());
        pair.peer.end();
        drop(pair.peer);
        pair.seen.expect(&[Seen::clean(1000, "")]);

        // Called in a handler, it keeps back what has been received already.
        let mut pair = Pair::with_hook(role, &Options::new(), |socket, seen| {
            if *seen == Seen::text("2") {
                assert_eq!(socket.close(1000, ""), OK);
            }
        });
        let messages = [b"1", b"2", b"3"].map(|text| frame(FIN | TEXT, text));
        pair.peer.send(&messages.concat());
        assert_eq!(pair.peer.read_frame().close_code(), Some(1000));
        pair.peer.send(&wire::close(1000, b""));
        pair.peer.end();
        drop(pair.peer);
        pair.seen
            .expect(&[Seen::text("1"), Seen::text("2"), Seen::clean(1000, "")]);
    }
}

#[test]
fn e4_messages_before_the_peers_close_come_first_and_then_it_is_closing() {
    for role in ROLES {
        let mut pair = Pair::new(role);
        let last = [frame(FIN | TEXT, b"last"), wire::close(1000, b"")].concat();
        pair.peer.send(&last);
        assert_eq!(pair.seen.next(), Seen::text("last"));
        assert_eq!(pair.peer.read_frame().close_code(), Some(1000));
        assert_eq!(pair.socket.ready_state(), CLOSING);
        assert_eq!(pair.socket.send_text("too late"), ERR_CLOSED);
        drop(pair.peer);
        pair.seen.expect(&[Seen::clean(1000, "")]);
    }
}

#[test]
fn e5_error_comes_if_and_only_if_the_connection_failed() {
    for_every_end(|end, name, seen| {
        assert_eq!(seen.iter().find_map(Seen::status), end.error, "{name}");
    });
}

#[test]
fn e6_close_tells_code_reason_and_whether_both_sides_agreed() {
    for_every_end(|end, name, seen| {
        let close = seen.iter().find_map(|it| match it {
            Seen::Close(close) => Some(close),
            _ => None,
        });
        let was_clean = end.error.is_none();
        let (code, reason) = (end.code, String::new());
        let expected = Close {
            code,
            reason,
            was_clean,
        };
        assert_eq!(close, Some(&expected), "{name}");
    });
    for (frame, code, reason) in [
        (wire::close(1000, b"bye"), 1000, "bye"),
        (
            wire::close(4999, "\u{20ac}\0\u{10ffff}".as_bytes()),
            4999,
            "\u{20ac}\0\u{10ffff}",
        ),
        (
            wire::close(3000, b"\xef\xbb\xbfmarked"),
            3000,
            "\u{feff}marked",
        ),
        (wire::close(1001, &[b'x'; 123]), 1001, &"x".repeat(123)),
        (frame(FIN | CLOSE, b""), 1005, ""),
    ] {
        for role in ROLES {
            let mut pair = Pair::new(role);
            pair.peer.send(&frame);
            pair.peer.end();
            drop(pair.peer);
            pair.seen.expect(&[Seen::clean(code, reason)]);
        }
    }
}

#[test]
fn e7_open_is_not_missed() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    for _ in 0..100 {
        // The handlers are there before the socket, and so before any event.
        let client = runtime.connect(&server.url(), &Options::new());
        let (mut stream, response) = server.accept();
        write(&mut stream, &response);
        assert_eq!(client.seen.next(), Seen::Open);
    }
}

#[test]
fn e8_the_state_never_goes_back() {
    for end in ENDS {
        let states = Arc::new(Mutex::new(Vec::new()));
        let in_handlers = Arc::clone(&states);
        let options = Options::new()
            .set(functions().options_set_close_timeout_ms, 50)
            .set(functions().options_set_max_message, 1000);
        let (runtime, server) = (Runtime::new(), RawServer::new());
        let client = runtime.connect_with(&server.url(), &options, move |socket, seen| {
            let state = socket.ready_state();
            match seen {
                Seen::Open => assert_eq!(state, OPEN),
                Seen::Close(_) => assert_eq!(state, CLOSED),
                _ => assert!(state >= CLOSING),
            }
            in_handlers.lock().unwrap().push(state);
        });
        let socket = client.socket;
        assert_eq!(socket.ready_state(), CONNECTING);
        let watcher = thread::spawn(move || {
            let mut states = Vec::new();
            while states.last() != Some(&CLOSED) {
                states.push(socket.ready_state());
                thread::yield_now();
            }
            assert!(states.is_sorted(), "{states:?}");
        });
        let (stream, response) = server.accept();
        let mut peer = wire::Peer::new(stream, false);
        peer.send_raw(&response);
        let (socket, open) = client.seen.next_of();
        assert_eq!(open, Seen::Open);
        let mut pair = Pair {
            socket,
            seen: client.seen,
            peer,
            runtime,
        };
        (end.act)(&mut pair);
        drop(pair.peer);
        pair.seen.until_close();
        watcher.join().unwrap();
        assert!(
            states.lock().unwrap().is_sorted(),
            "{}: {states:?}",
            end.name
        );
        assert_eq!(socket.ready_state(), CLOSED);
        assert_eq!(socket.close(1000, ""), OK);
        assert_eq!(socket.abort(), OK);
        assert_eq!(socket.ready_state(), CLOSED);
    }
}

#[test]
fn e10_who_goes_away_says_1001() {
    for role in ROLES {
        let mut pair = Pair::new(role);
        // 0: without waiting.
        pair.runtime.shutdown(0);
        assert_eq!(pair.peer.read_frame().close_code(), Some(1001));
        pair.peer.send(&wire::close(1001, b""));
        pair.peer.end();
        drop(pair.peer);
        pair.seen.expect(&[Seen::clean(1001, "")]);
    }
    // What is not established fails, and nobody is told anything.
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new());
    let _connection = server.accept();
    runtime.shutdown(0);
    let (status, close) = client.seen.expect_failure();
    assert_eq!((status, close.code), (ERR_ABORTED, 1006));

    // A released socket is collected: no event, and no Close frame.
    let mut pair = Pair::new(Role::Client);
    assert_eq!(pair.socket.release(), OK);
    assert_eq!(pair.peer.read_to_end(), []);
    assert_eq!(pair.seen.next(), Seen::Released);
}

#[test]
fn e11_error_tells_a_status_and_a_sentence() {
    for_every_end(|end, name, seen| {
        for it in &seen {
            if let Seen::Error { status, sentence } = it {
                assert_eq!(Some(*status), end.error, "{name}");
                assert!(sentence.len() > 10, "{name}: {sentence:?}");
            }
        }
    });
}
