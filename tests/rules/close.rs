//! K: closing, and the codes that come of it.

use std::io::Write;
use std::iter;

use crate::abi::{
    BINARY, CLOSING, ERR_ABORTED, ERR_ARGUMENT, ERR_IO, ERR_PROTOCOL, OK, Options, Runtime, Seen,
    Socket, functions,
};
use crate::pair::{Pair, ROLES, Role};
use crate::support::RawServer;
use crate::support::wire::{self, CLOSE, FIN, frame};

/// RFC 6455 §7.4 and the registry behind it.
fn may_be_sent(code: i32) -> bool {
    [1000..=1003, 1007..=1014, 3000..=4999]
        .iter()
        .any(|range| range.contains(&code))
}

/// A socket in each state, to which closing means nothing any more, or all.
fn in_every_state(mut check: impl FnMut(Socket, &str)) {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new());
    let _connection = server.accept();
    check(client.socket, "connecting");
    for role in ROLES {
        let mut pair = Pair::new(role);
        check(pair.socket, "open");
        pair.peer.send(&wire::close(1000, b""));
        assert_eq!(pair.peer.read_frame().close_code(), Some(1000));
        check(pair.socket, "closing");
    }
    let pair = Pair::new(Role::Client);
    assert_eq!(pair.socket.abort(), OK);
    pair.seen.until_close();
    check(pair.socket, "closed");
}

#[test]
fn k1_a_code_that_must_not_be_sent_is_refused_in_every_state() {
    let mut tried = 0;
    in_every_state(|socket, state| {
        let before = socket.ready_state();
        let wrong = [i32::MIN, -1, i32::MAX, 65_536 + 1000, 1000 - 65_536];
        for code in wrong.into_iter().chain(1..=70_000) {
            if !may_be_sent(code) {
                assert_eq!(socket.close(code, ""), ERR_ARGUMENT, "{code} while {state}");
                tried += 1;
            }
        }
        assert_eq!(socket.ready_state(), before);
    });
    println!("{tried} codes");
}

#[test]
fn k2_a_reason_of_more_than_123_bytes_is_refused_in_every_state() {
    in_every_state(|socket, state| {
        for reason in ["x".repeat(124), "\u{20ac}".repeat(42), "x".repeat(100_000)] {
            let len = reason.len();
            assert_eq!(
                socket.close(1000, reason),
                ERR_ARGUMENT,
                "{len} while {state}"
            );
        }
    });
    for role in ROLES {
        let mut pair = Pair::new(role);
        let longest = "\u{20ac}".repeat(41);
        assert_eq!(pair.socket.close(1000, &longest), OK);
        assert_eq!(pair.peer.read_frame().payload[2..], *longest.as_bytes());
    }
}

/// What the peer gets of a close, which it answers in kind.
fn close_frame(role: Role, code: i32, reason: &str) -> Vec<u8> {
    let mut pair = Pair::new(role);
    assert_eq!(pair.socket.close(code, reason), OK);
    let sent = pair.peer.read_frame();
    assert_eq!(sent.first, FIN | CLOSE);
    pair.peer.send_frame(FIN | CLOSE, &sent.payload);
    assert_eq!(pair.peer.end(), []);
    let code = if code == 0 { 1005 } else { code };
    pair.seen.expect(&[Seen::clean(code, reason)]);
    sent.payload
}

#[test]
fn k3_close_without_a_code_is_1005_for_both_sides() {
    for role in ROLES {
        assert_eq!(close_frame(role, 0, ""), b"");
    }
}

#[test]
fn k4_close_sends_the_code_and_the_reason_behind_it() {
    for role in ROLES {
        assert_eq!(close_frame(role, 1000, ""), b"\x03\xe8");
        assert_eq!(close_frame(role, 1000, "x"), b"\x03\xe8x");
        assert_eq!(
            close_frame(role, 3000, "\u{20ac}\0"),
            b"\x0b\xb8\xe2\x82\xac\0"
        );
        let longest = "y".repeat(123);
        assert_eq!(close_frame(role, 4999, &longest)[..3], *b"\x13\x87y");
    }
}

#[test]
fn k5_there_is_no_reason_without_a_code() {
    in_every_state(|socket, state| {
        assert_eq!(socket.close(0, "reason"), ERR_ARGUMENT, "{state}");
    });
}

#[test]
fn k6_close_on_a_closing_or_closed_socket_does_nothing() {
    for role in ROLES {
        let mut pair = Pair::with_hook(role, &Options::new(), |socket, seen| {
            if !matches!(seen, Seen::Open) {
                assert_eq!(socket.close(4000, "in the handler"), OK);
            }
        });
        assert_eq!(pair.socket.close(1000, "first"), OK);
        assert_eq!(pair.socket.close(3000, "second"), OK);
        assert_eq!(pair.socket.close(0, ""), OK);
        let frame = pair.peer.read_frame();
        assert_eq!(
            (frame.close_code(), &frame.payload[2..]),
            (Some(1000), &b"first"[..])
        );
        pair.peer.send(&wire::close(1001, b"peer's"));
        assert_eq!(pair.peer.end(), []);
        pair.seen.expect(&[Seen::clean(1001, "peer's")]);
    }
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new());
    assert_eq!(client.socket.abort(), OK);
    client.seen.until_close();
    assert_eq!(client.socket.close(1000, ""), OK);
    assert_eq!(client.socket.release(), OK);
    assert_eq!(client.seen.next(), Seen::Released);
}

#[test]
fn k7_close_before_open_gives_up() {
    for (code, reason) in [(0, ""), (1000, ""), (3000, "changed my mind")] {
        let (runtime, server) = (Runtime::new(), RawServer::new());
        let client = runtime.connect(&server.url(), &Options::new());
        let (stream, response) = server.accept();
        assert_eq!(client.socket.close(code, reason), OK);
        assert!(client.socket.ready_state() >= CLOSING);
        let mut peer = wire::Peer::new(stream, false);
        // Too late for OPEN; the stream may be gone already.
        let _ = peer.stream.write_all(&response);
        let (status, close) = client.seen.expect_failure();
        assert_eq!(
            (status, close.code, close.was_clean),
            (ERR_ABORTED, 1006, false)
        );
        assert_eq!(close.reason, "");
        assert_eq!(peer.read_to_end(), []);
    }
}

#[test]
fn k8_messages_before_close_are_sent_before_the_close_frame() {
    for role in ROLES {
        let mut pair = Pair::new(role);
        let sizes = [3, 1 << 20, 0, 70_000, 5 << 20, 10];
        for size in sizes {
            assert_eq!(pair.socket.send_binary(&vec![b'm'; size]), OK);
        }
        assert_eq!(pair.socket.send_many(&[(BINARY, b"a"), (BINARY, b"b")]), 2);
        assert_eq!(pair.socket.close(1000, ""), OK);
        let frames: Vec<_> = iter::from_fn(|| Some(pair.peer.read_frame()))
            .take(sizes.len() + 3)
            .collect();
        let lengths: Vec<usize> = frames.iter().map(|it| it.payload.len()).collect();
        assert_eq!(lengths, [3, 1 << 20, 0, 70_000, 5 << 20, 10, 1, 1, 2]);
        assert_eq!(frames.last().and_then(wire::Frame::close_code), Some(1000));
    }
}

#[test]
fn k9_a_reason_is_unicode_or_refused() {
    in_every_state(|socket, state| {
        for reason in [&b"\xed\xa0\x80"[..], b"\xff", b"\xe2\x82", b"a\xc0\x80"] {
            assert_eq!(
                socket.close(1000, reason),
                ERR_ARGUMENT,
                "{reason:x?} while {state}"
            );
        }
    });
}

#[test]
fn k10_the_codes_that_an_endpoint_may_send_go_over_the_wire() {
    let mut codes: Vec<i32> = (0..3000).filter(|code| may_be_sent(*code)).collect();
    codes.extend([3000, 3001, 3999, 4000, 4998, 4999]);
    for role in ROLES {
        for code in &codes {
            let wire = u16::try_from(*code).unwrap().to_be_bytes();
            assert_eq!(close_frame(role, *code, ""), wire);
        }
    }
    println!("{} codes", codes.len());
}

/// What a socket makes of a Close frame, and what its own says.
fn closed_by(role: Role, payload: &[u8]) -> (Option<u16>, Vec<Seen>) {
    let mut pair = Pair::new(role);
    pair.peer.send_frame(FIN | CLOSE, payload);
    let answer = pair.peer.end();
    assert_eq!(answer.len(), 1);
    drop(pair.peer);
    (answer[0].close_code(), pair.seen.until_close())
}

#[test]
fn code_1000_is_a_normal_end_by_either_peer() {
    for role in ROLES {
        let (answer, seen) = closed_by(role, b"\x03\xe8");
        assert_eq!(
            (answer, &seen[..]),
            (Some(1000), &[Seen::clean(1000, "")][..])
        );
        assert_eq!(close_frame(role, 1000, ""), b"\x03\xe8");
    }
}

#[test]
fn code_1001_is_going_away() {
    for role in ROLES {
        let (answer, seen) = closed_by(role, b"\x03\xe9down");
        assert_eq!(
            (answer, &seen[..]),
            (Some(1001), &[Seen::clean(1001, "down")][..])
        );
    }
    let mut pair = Pair::new(Role::Server);
    pair.runtime.shutdown(0);
    assert_eq!(pair.peer.read_frame().close_code(), Some(1001));
}

#[test]
fn code_1002_to_1014_come_from_a_close_frame() {
    for role in ROLES {
        for code in [1002, 1003].into_iter().chain(1007..=1014) {
            let payload = u16::to_be_bytes(code);
            let (answer, seen) = closed_by(role, &payload);
            assert_eq!(answer, Some(code));
            assert_eq!(seen, [Seen::clean(code.into(), "")]);
        }
        // Or from ours, where the peer broke a rule.
        for (first, payload, code) in [
            (0xf1, &b""[..], 1002),
            (FIN | wire::TEXT, b"\xff", 1007),
            (FIN | wire::TEXT, b"too long", 1009),
        ] {
            let options = Options::new().set(functions().options_set_max_message, 7);
            let mut pair = Pair::with_options(role, &options);
            pair.peer.send_frame(first, payload);
            assert_eq!(pair.peer.read_frame().close_code(), Some(code));
            assert_eq!(pair.peer.read_to_end(), []);
            drop(pair.peer);
            let (_, close) = pair.seen.expect_failure();
            assert_eq!((close.code, close.was_clean), (code.into(), false));
        }
    }
}

#[test]
fn code_1005_is_a_close_frame_without_a_code() {
    for role in ROLES {
        let (answer, seen) = closed_by(role, b"");
        assert_eq!((answer, &seen[..]), (None, &[Seen::clean(1005, "")][..]));
        let (answer, seen) = closed_by(role, b"\x03\xed");
        assert_eq!((answer, seen[0].status()), (Some(1002), Some(ERR_PROTOCOL)));
    }
}

#[test]
fn code_1006_is_no_close_frame() {
    for role in ROLES {
        // A message that is cut off never comes.
        for begun in [
            &b""[..],
            &frame(wire::TEXT, b"half"),
            b"\x82\x05ab",
            b"\x88\x02\x03",
        ] {
            let mut pair = Pair::new(role);
            pair.peer.send(begun);
            assert_eq!(pair.peer.end(), []);
            let (status, close) = pair.seen.expect_failure();
            assert_eq!((status, close.code, close.was_clean), (ERR_IO, 1006, false));
        }
        let (answer, seen) = closed_by(role, b"\x03\xee");
        assert_eq!((answer, seen[0].status()), (Some(1002), Some(ERR_PROTOCOL)));
    }
}

#[test]
fn code_1015_is_a_violation() {
    for role in ROLES {
        let (answer, seen) = closed_by(role, b"\x03\xf7");
        assert_eq!(answer, Some(1002));
        assert_eq!(seen[0].status(), Some(ERR_PROTOCOL));
        assert_eq!(seen[1..], [Seen::died(1002)]);
    }
}
