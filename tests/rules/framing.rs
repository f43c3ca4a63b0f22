//! F: frames (RFC 6455 §5), in both roles.

use std::collections::HashSet;

use crate::abi::{
    BINARY, ERR_ENCODING, ERR_PROTOCOL, ERR_TOO_BIG, OK, Options, Seen, TEXT, functions,
};
use crate::pair::{Pair, ROLES, Role};
use crate::support::wire::{self, CLOSE, CONTINUATION, FIN, PING, PONG, frame, masked};

const PROTOCOL: (u16, i32) = (1002, ERR_PROTOCOL);
const ENCODING: (u16, i32) = (1007, ERR_ENCODING);
const TOO_BIG: (u16, i32) = (1009, ERR_TOO_BIG);

/// A socket that gets these bytes as they are fails: it says so with a Close frame, to which the
/// peer need not answer, and then by ERROR and CLOSE. Nothing else comes.
#[track_caller]
fn fails_raw(role: Role, bytes: &[u8], (code, status): (u16, i32)) {
    let mut pair = Pair::new(role);
    pair.peer.send_raw(bytes);
    let answer = pair.peer.read_to_end();
    let answer: Vec<_> = answer.iter().map(wire::Frame::close_code).collect();
    assert_eq!(answer, [Some(code)], "{bytes:02x?} to a {role:?}");
    drop(pair.peer);
    let (its, close) = pair.seen.expect_failure();
    assert_eq!(
        (its, close.code),
        (status, code.into()),
        "{bytes:02x?} to a {role:?}"
    );
    assert!(!close.was_clean);
}

/// The same for frames, in both roles.
#[track_caller]
fn fails(frames: &[u8], expected: (u16, i32)) {
    fails_raw(Role::Client, frames, expected);
    fails_raw(Role::Server, &masked(frames), expected);
}

/// A socket that gets these frames tells these events.
#[track_caller]
fn tells(frames: &[u8], expected: &[Seen]) {
    for role in ROLES {
        let mut pair = Pair::new(role);
        pair.peer.send(frames);
        for event in expected {
            assert_eq!(pair.seen.next(), *event, "{frames:02x?} to a {role:?}");
        }
    }
}

#[test]
fn f1_clients_mask_and_servers_do_not() {
    for first in [
        FIN | wire::TEXT,
        wire::BINARY,
        FIN | CLOSE,
        FIN | PING,
        FIN | PONG,
    ] {
        for payload in [&b""[..], b"\x03\xe8", &[b'x'; 125]] {
            fails_raw(Role::Client, &masked(&frame(first, payload)), PROTOCOL);
            fails_raw(Role::Server, &frame(first, payload), PROTOCOL);
        }
    }
    // A mask of zeros is a mask.
    fails_raw(Role::Client, b"\x81\x81\0\0\0\0a", PROTOCOL);
}

#[test]
fn f2_reserved_bits_need_an_extension() {
    for reserved in 1..8 {
        for opcode in [CONTINUATION, wire::TEXT, wire::BINARY, CLOSE, PING, PONG] {
            fails(&frame(FIN | reserved << 4 | opcode, b""), PROTOCOL);
        }
    }
}

#[test]
fn f3_reserved_opcodes_fail_the_connection() {
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        for fin in [0, FIN] {
            fails(&frame(fin | opcode, b""), PROTOCOL);
        }
    }
}

#[test]
fn f4_control_frames_are_whole_and_short() {
    for opcode in [CLOSE, PING, PONG] {
        fails(&frame(opcode, b""), PROTOCOL);
        fails(&frame(FIN | opcode, &[0; 126]), PROTOCOL);
        // The header is enough.
        fails(&[FIN | opcode, 126], PROTOCOL);
        fails(&[FIN | opcode, 127], PROTOCOL);
    }
    tells(&frame(FIN | PING, &[7; 125]), &[Seen::Ping(vec![7; 125])]);
}

#[test]
fn f5_the_frames_of_messages_do_not_mix() {
    for frames in [
        frame(FIN, b"continuation"),
        frame(CONTINUATION, b""),
        [frame(wire::TEXT, b"a"), frame(FIN | wire::TEXT, b"b")].concat(),
        [frame(wire::TEXT, b"a"), frame(FIN | wire::BINARY, b"b")].concat(),
        [frame(wire::BINARY, b""), frame(wire::BINARY, b"")].concat(),
        [
            frame(wire::BINARY, b"a"),
            frame(0, b"b"),
            frame(wire::TEXT, b""),
        ]
        .concat(),
    ] {
        fails(&frames, PROTOCOL);
    }
    let mut pair = Pair::new(Role::Client);
    let message = [frame(wire::TEXT, b"a"), frame(FIN, b"b")].concat();
    pair.peer.send(&[message, frame(FIN, b"c")].concat());
    pair.peer.read_to_end();
    drop(pair.peer);
    let seen = pair.seen.until_close();
    assert_eq!(seen[0], Seen::text("ab"));
    assert_eq!(seen[1].status(), Some(ERR_PROTOCOL));
}

#[test]
fn f6_a_length_of_64_bits_has_no_top_bit_and_costs_no_memory() {
    let header = |len: u64| [&[0x82, 127][..], &len.to_be_bytes()].concat();
    for (len, expected) in [
        (1 << 63, PROTOCOL),
        (u64::MAX, PROTOCOL),
        ((1 << 63) - 1, TOO_BIG),
        (1 << 40, TOO_BIG),
        ((16 << 20) + 1, TOO_BIG),
    ] {
        fails_raw(Role::Client, &header(len), expected);
        let mut bytes = header(len);
        bytes[1] |= 0x80;
        bytes.extend_from_slice(&[1, 2, 3, 4]);
        fails_raw(Role::Server, &bytes, expected);
    }
}

#[test]
fn f7_a_close_frame_has_no_payload_or_a_legal_code_and_a_reason() {
    fails(&frame(FIN | CLOSE, b"\x03"), PROTOCOL);
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 5001, 9999, 65_535,
    ] {
        fails(&wire::close(code, b""), PROTOCOL);
        fails(&wire::close(code, b"reason"), PROTOCOL);
    }
    for reason in [
        &b"\xff"[..],
        b"\xc3\x28",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"ab\xf4\x90\x80\x80",
    ] {
        fails(&wire::close(1000, reason), ENCODING);
    }
}

#[test]
fn f8_text_that_is_not_utf_8_fails_at_its_first_wrong_byte() {
    for (good, bad) in [
        (&b""[..], &b"\xff"[..]),
        (b"", b"\x80"),
        (b"", b"\xc0"),
        (b"", b"\xc1"),
        (b"", b"\xf5"),
        (b"\xe0", b"\x9f"),
        (b"\xed", b"\xa0"),
        (b"\xf0", b"\x8f"),
        (b"\xf4", b"\x90"),
        (b"\xe2\x82", b"a"),
        (b"\xf0\x9f\x98", b"\xff"),
        (
            "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes(),
            b"\xed\xa0",
        ),
    ] {
        // In one frame; cut before the wrong byte; and in a frame and a message that do not end,
        // of which the wrong byte is the last that has come.
        fails(&frame(FIN | wire::TEXT, &[good, bad].concat()), ENCODING);
        fails(
            &[frame(wire::TEXT, good), frame(FIN, bad)].concat(),
            ENCODING,
        );
        fails(&[frame(wire::TEXT, good), frame(0, bad)].concat(), ENCODING);
        let mut unfinished = vec![wire::TEXT, 100];
        unfinished.extend_from_slice(good);
        unfinished.extend_from_slice(bad);
        fails(&unfinished, ENCODING);
    }
    // A character that the end of the message cuts.
    fails(&frame(FIN | wire::TEXT, b"\xe2\x82"), ENCODING);
    fails(
        &[frame(wire::TEXT, b"\xe2\x82"), frame(FIN, b"")].concat(),
        ENCODING,
    );
    // One that frames cut.
    let pieces = [
        frame(wire::TEXT, b"\xf0"),
        frame(0, b"\x9f\x98"),
        frame(FIN, b"\x80"),
    ];
    tells(&pieces.concat(), &[Seen::text("\u{1f600}")]);
    tells(
        &frame(FIN | wire::BINARY, b"\xff"),
        &[Seen::binary(b"\xff")],
    );
}

#[test]
fn f9_a_ping_is_answered_with_its_payload_and_a_pong_needs_no_ping() {
    for role in ROLES {
        let mut pair = Pair::new(role);
        for payload in [&b""[..], b"ping", &[0xff; 125], b"\0"] {
            pair.peer.send_frame(FIN | PONG, b"nobody asked");
            pair.peer.send_frame(FIN | PING, payload);
            let pong = pair.peer.read_frame();
            assert_eq!((pong.first, &pong.payload[..]), (FIN | PONG, payload));
            assert_eq!(pair.seen.next(), Seen::Pong(b"nobody asked".into()));
            assert_eq!(pair.seen.next(), Seen::Ping(payload.into()));
        }
        // Many at once: in order, and the last one is answered.
        let pings: Vec<Vec<u8>> = (0..100).map(|i| frame(FIN | PING, &[i])).collect();
        pair.peer.send(&pings.concat());
        let mut answered = Vec::new();
        while answered.last() != Some(&99) {
            let pong = pair.peer.read_frame();
            assert_eq!(pong.first, FIN | PONG);
            answered.extend(pong.payload);
        }
        assert!(answered.is_sorted());
        assert_eq!(pair.socket.ping(b"ours"), OK);
        assert_eq!(pair.peer.read_frame().payload, b"ours");
    }
}

#[test]
fn f10_close_is_answered_and_the_server_ends_tcp_first() {
    for role in ROLES {
        for ours_first in [false, true] {
            let mut pair = Pair::new(role);
            if ours_first {
                assert_eq!(pair.socket.close(3000, ""), OK);
                assert_eq!(pair.peer.read_frame().close_code(), Some(3000));
                // From then on only the peer's Close frame counts.
                pair.peer.send_frame(FIN | wire::TEXT, b"still");
                pair.peer.send_frame(FIN | PING, b"still");
            }
            pair.peer.send(&wire::close(3000, b""));
            if !ours_first {
                assert_eq!(pair.peer.read_frame().close_code(), Some(3000));
            }
            // What follows a Close frame is not looked at.
            pair.peer.send_raw(b"garbage \xff\xff");
            match role {
                Role::Server => assert_eq!(pair.peer.try_read_frame(), None),
                Role::Client => assert_eq!(pair.peer.end(), []),
            }
            drop(pair.peer);
            pair.seen.expect(&[Seen::clean(3000, "")]);
        }
    }
}

#[test]
fn f11_control_frames_may_come_inside_a_fragmented_message() {
    let frames = [
        frame(wire::TEXT, b"\xe2"),
        frame(FIN | PING, b"1"),
        frame(0, b"\x82"),
        frame(FIN | PONG, b"2"),
        frame(0, b""),
        frame(FIN | PING, b""),
        frame(FIN, b"\xac"),
    ];
    let expected = [
        Seen::Ping(b"1".into()),
        Seen::Pong(b"2".into()),
        Seen::Ping(b"".into()),
        Seen::text("\u{20ac}"),
    ];
    tells(&frames.concat(), &expected);
    // Also the other way round.
    for role in ROLES {
        let mut pair = Pair::new(role);
        assert_eq!(pair.socket.send_fragment(BINARY, b"a", false), OK);
        assert_eq!(pair.socket.ping(b"1"), OK);
        pair.peer.send_frame(FIN | PING, b"2");
        assert_eq!(pair.seen.next(), Seen::Ping(b"2".into()));
        assert_eq!(pair.socket.send_fragment(BINARY, b"b", true), OK);
        let mut frames: Vec<_> = (0..4).map(|_| pair.peer.read_frame()).collect();
        let data = frames.extract_if(.., |frame| frame.opcode() < CLOSE);
        let data: Vec<_> = data.map(|frame| (frame.first, frame.payload)).collect();
        assert_eq!(data, [(wire::BINARY, b"a".to_vec()), (FIN, b"b".to_vec())]);
        let control: Vec<_> = frames
            .iter()
            .map(|it| (it.first, &it.payload[..]))
            .collect();
        assert_eq!(control, [(FIN | PING, &b"1"[..]), (FIN | PONG, b"2")]);
        // A Close frame ends the message: it never comes.
        pair.peer
            .send(&[frame(wire::TEXT, b"half"), wire::close(1000, b"")].concat());
        pair.peer.end();
        drop(pair.peer);
        pair.seen.expect(&[Seen::clean(1000, "")]);
    }
}

#[test]
fn f12_every_frame_of_a_client_has_a_fresh_mask() {
    let options = Options::new().set(functions().options_set_max_frame, 10);
    let mut pair = Pair::with_options(Role::Client, &options);
    for _ in 0..100 {
        assert_eq!(pair.socket.send_text(""), OK);
        assert_eq!(
            pair.socket.send_many(&[(TEXT, b"ab"), (BINARY, &[0; 25])]),
            2
        );
        assert_eq!(pair.socket.ping(b""), OK);
        pair.peer.send_frame(FIN | PING, b"answer");
        assert_eq!(pair.seen.next(), Seen::Ping(b"answer".into()));
    }
    assert_eq!(pair.socket.close(1000, ""), OK);
    let mut keys = Vec::new();
    loop {
        let frame = pair.peer.read_frame();
        keys.push(u32::from_be_bytes(frame.key.unwrap()));
        if frame.opcode() == CLOSE {
            break;
        }
    }
    // Empty text, text, three frames of binary, ping, pong: each time.
    assert_eq!(keys.len(), 701);
    let distinct: HashSet<u32> = keys.iter().copied().collect();
    assert!(distinct.len() >= 700, "{} keys", distinct.len());
    let steps: HashSet<u32> = keys
        .windows(2)
        .map(|pair| pair[1].wrapping_sub(pair[0]))
        .collect();
    assert!(steps.len() >= 699, "{} steps", steps.len());
    let ones: u32 = keys.iter().map(|key| key.count_ones()).sum();
    let share = f64::from(ones) / f64::from(32 * 701);
    assert!((0.4..0.6).contains(&share), "{share}");
}
