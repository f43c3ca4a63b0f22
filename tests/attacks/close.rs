//! C: the end of a connection.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::abi::{
    ERR_ARGUMENT, ERR_BUFFER_FULL, ERR_CLOSED, ERR_ENCODING, ERR_IO, ERR_PROTOCOL, ERR_TIMEOUT, OK,
    Options, Runtime, Seen,
};
use crate::support::RawServer;
use crate::support::wire::{self, CLOSE, FIN, PING, Peer, TEXT, frame};
use crate::target::{Role, Target, roles};
use crate::victim::Report;

/// How much longer than its own limits something may take on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

#[test]
fn c1_close_with_a_bad_code_or_length_fails() {
    for role in roles() {
        let mut target = Target::new(role, "");
        let peer = target.peer();
        target.fails(peer, &frame(FIN | CLOSE, b"\x03"), ERR_PROTOCOL, 1002);
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
        ] {
            let peer = target.peer();
            target.fails(peer, &wire::close(code, b""), ERR_PROTOCOL, 1002);
        }
        target.victim.expect_bounded(0);
    }
}

#[test]
fn c2_a_reason_that_is_not_utf_8_fails() {
    for role in roles() {
        let mut target = Target::new(role, "");
        for reason in [
            &b"\xff"[..],
            b"ab\xc3",
            b"\xe2\x82",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
        ] {
            let peer = target.peer();
            target.fails(peer, &wire::close(1000, reason), ERR_ENCODING, 1007);
        }
        target.victim.expect_bounded(0);
    }
}

#[test]
fn c3_every_good_code_is_echoed_and_reported() {
    for role in roles() {
        let mut target = Target::new(role, "");
        let codes = (1000..=1003)
            .chain(1007..=1014)
            .chain([3000, 3999, 4000, 4999]);
        for code in codes {
            for reason in [&b""[..], &[b'r'; 123]] {
                let mut peer = target.peer();
                peer.send(&wire::close(code, reason));
                assert_eq!(peer.read_frame().close_code(), Some(code));
                drop(peer);
                target.victim.expect_clean(code.into());
            }
        }
        let mut peer = target.peer();
        peer.send(&frame(FIN | CLOSE, b""));
        assert_eq!(peer.read_frame().close_code(), None);
        drop(peer);
        target.victim.expect_clean(1005);
        target.victim.expect_bounded(0);
    }
}

#[test]
fn c4_what_follows_close_is_ignored() {
    for role in roles() {
        let mut target = Target::new(role, "");
        for more in [
            frame(FIN | TEXT, b"late"),
            frame(FIN | PING, b"late"),
            wire::close(3000, b"second"),
            wire::close(5, b"\xff"),
            b"\xff\xff\xff\xffgarbage".to_vec(),
            vec![0; 100_000],
        ] {
            let mut peer = target.peer();
            peer.send(&wire::close(1000, b""));
            // The server may have ended the stream already.
            let _ = peer.stream.write_all(&more);
            drop(peer.end());
            assert_eq!(target.victim.expect_clean(1000).messages, 0);
        }
        target.victim.expect_bounded(0);
    }
}

#[test]
fn c5_a_peer_that_does_not_close_is_left_in_time() {
    for role in roles() {
        let mut target = Target::new(role, "close=1000 close_timeout=300");
        let flood = frame(FIN | TEXT, &[b'f'; 10_000]).repeat(10);
        for act in [
            // Says nothing.
            |_: &mut Peer, _: &[u8]| {},
            // Sends everything but a Close frame.
            |peer: &mut Peer, flood: &[u8]| while peer.stream.write_all(flood).is_ok() {},
        ] {
            let start = Instant::now();
            let mut peer = target.peer();
            assert_eq!(peer.read_frame().close_code(), Some(1000));
            let bytes = match role {
                Role::Client => flood.clone(),
                Role::Server => wire::masked(&flood),
            };
            act(&mut peer, &bytes);
            assert_eq!(target.victim.expect_failure(ERR_TIMEOUT, 1006).messages, 0);
            assert!(start.elapsed() < Duration::from_millis(300) + SLACK);
            // The socket is really closed.
            assert_eq!(peer.read_to_end(), []);
        }
        // Answers, and keeps the stream.
        let start = Instant::now();
        let mut peer = target.peer();
        assert_eq!(peer.read_frame().close_code(), Some(1000));
        peer.send(&wire::close(1000, b""));
        target.victim.expect_clean(1000);
        assert!(start.elapsed() < Duration::from_millis(300) + SLACK);
        assert_eq!(peer.read_to_end(), []);
        target.victim.expect_bounded(0);
    }
}

#[test]
fn c6_close_inside_a_message_never_delivers_the_half() {
    for role in roles() {
        let mut target = Target::new(role, "");
        let mut peer = target.peer();
        peer.send(&[frame(TEXT, b"half"), wire::close(1001, b"")].concat());
        drop(peer.end());
        assert_eq!(target.victim.expect_clean(1001).messages, 0);
    }
}

#[test]
fn c7_the_application_cannot_close_with_what_must_not_be_sent() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new());
    let (stream, response) = server.accept();
    let mut peer = Peer::new(stream, false);
    peer.send_raw(&response);
    assert_eq!(client.seen.next(), Seen::Open);
    let long = [b'x'; 124];
    for (code, reason) in [
        (1005, &b""[..]),
        (1006, b""),
        (1015, b""),
        (999, b""),
        (5000, b""),
        (-1, b""),
        (65_536 + 1000, b""),
        (0, b"reason without code"),
        (1000, &long),
        (1000, b"\xff"),
        (1000, b"\xe2\x82"),
    ] {
        assert_eq!(client.socket.close(code, reason), ERR_ARGUMENT, "{code}");
    }
    assert_eq!(client.socket.send_text("still open"), OK);
    assert_eq!(peer.read_frame().payload, b"still open");
}

#[test]
fn c8_both_sides_may_close_at_once_and_twice() {
    for role in roles() {
        let mut target = Target::new(role, "close=1000");
        for _ in 0..50 {
            let mut peer = target.peer();
            peer.send(&[wire::close(3000, b""), wire::close(3001, b"")].concat());
            let answer = peer.end();
            assert_eq!(answer.len(), 1);
            target.victim.expect_clean(3000);
        }
        target.victim.expect_bounded(0);
    }
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new());
    let (stream, response) = server.accept();
    let mut peer = Peer::new(stream, false);
    peer.send_raw(&response);
    assert_eq!(client.seen.next(), Seen::Open);
    assert_eq!(client.socket.close(1000, ""), OK);
    assert_eq!(client.socket.close(1000, ""), OK);
    assert_eq!(client.socket.send_text("late"), ERR_CLOSED);
    assert_eq!(peer.end().len(), 1);
}

#[test]
fn c9_close_while_a_write_is_under_way_is_no_deadlock() {
    for role in roles() {
        let mut target = Target::new(role, "flood=100000 max_buffered=8000000");
        let (mut peer, count) = flooded(&mut target);
        peer.send(&wire::close(1000, b""));
        for _ in 0..count {
            assert_eq!(peer.read_frame().payload.len(), 100_000);
        }
        assert_eq!(peer.read_frame().close_code(), Some(1000));
        drop(peer);
        target.victim.expect_clean(1000);

        // A peer that also ends its side of the stream, before all has been sent.
        let (mut peer, _) = flooded(&mut target);
        peer.send(&wire::close(1000, b""));
        peer.stream.shutdown(Shutdown::Write).unwrap();
        target.victim.expect_failure(ERR_IO, 1000);

        // A peer that closes but does not read, so that our Close frame never leaves.
        let settings = "flood=100000 max_buffered=8000000 close_timeout=300";
        let mut target = Target::new(role, settings);
        let (mut peer, _) = flooded(&mut target);
        let start = Instant::now();
        peer.send(&wire::close(1000, b""));
        target.victim.expect_failure(ERR_TIMEOUT, 1000);
        assert!(start.elapsed() < Duration::from_millis(300) + SLACK);
        target.victim.expect_bounded(8);
    }
}

/// A peer for which more waits than the system takes, and how many messages that is.
fn flooded(target: &mut Target) -> (Peer, usize) {
    let peer = target.peer();
    let (_, report) = target.victim.report();
    let Report::Flooded(count, ERR_BUFFER_FULL) = report else {
        panic!("{report:?}");
    };
    (peer, count)
}
