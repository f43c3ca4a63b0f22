//! B: frames, to a client and to a server.

use std::collections::HashSet;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::abi::{Delivery, ERR_IO, ERR_PROTOCOL, ERR_TOO_BIG};
use crate::support::wire::{
    self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame, masked,
};
use crate::target::{Role, Target, roles};
use crate::victim::Received;

/// Frames that break the protocol, to either role.
#[track_caller]
fn break_the_protocol(attacks: &[Vec<u8>]) {
    fail(attacks, "", ERR_PROTOCOL, 1002);
}

#[track_caller]
fn fail(attacks: &[Vec<u8>], settings: &str, status: i32, code: u16) {
    for role in roles() {
        let mut target = Target::new(role, settings);
        for frames in attacks {
            let peer = target.peer();
            target.fails(peer, frames, status, code);
        }
        target.victim.expect_bounded(0);
    }
}

#[test]
fn b1_a_wrong_mask_fails_before_anything_is_delivered() {
    for (role, bytes) in [
        (Role::Client, masked(&frame(FIN | TEXT, b"evil"))),
        (Role::Server, frame(FIN | TEXT, b"evil")),
    ] {
        let mut target = Target::new(role, "");
        let mut peer = target.peer();
        peer.send_raw(&bytes);
        assert_eq!(peer.read_frame().close_code(), Some(1002));
        drop(peer);
        assert_eq!(target.victim.expect_failure(ERR_PROTOCOL, 1002).messages, 0);
        target.victim.expect_bounded(0);
    }
}

#[test]
fn b2_reserved_bits_and_opcodes_fail() {
    let bits = (1..8).map(|rsv| frame(FIN | rsv << 4 | TEXT, b"x"));
    let opcodes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(|opcode| frame(FIN | opcode, b"x"));
    break_the_protocol(&bits.chain(opcodes).collect::<Vec<_>>());
}

#[test]
fn b3_fragmented_and_long_control_frames_fail() {
    let attacks = [CLOSE, PING, PONG].map(|opcode| {
        [
            frame(opcode, b""),
            frame(FIN | opcode, &[b'x'; 126]),
            frame(FIN | opcode, &[b'x'; 70_000]),
        ]
    });
    break_the_protocol(attacks.as_flattened());
}

#[test]
fn b4_lengths_in_a_form_that_is_too_long_fail() {
    break_the_protocol(&[
        b"\x82\x7e\x00\x05hello".to_vec(),
        b"\x82\x7e\x00\x00".to_vec(),
        b"\x82\x7e\x00\x7d".to_vec(),
        b"\x82\x7f\0\0\0\0\0\0\0\x05hello".to_vec(),
        b"\x82\x7f\0\0\0\0\0\0\xff\xff".to_vec(),
    ]);
}

#[test]
fn b5_a_declared_length_costs_nothing() {
    let header = |len: u64| [&[0x82, 127][..], &len.to_be_bytes()].concat();
    break_the_protocol(&[header(1 << 63), header(u64::MAX)]);
    fail(
        &[header((1 << 63) - 1), header(1 << 30)],
        "",
        ERR_TOO_BIG,
        1009,
    );
    // Allowed, and then it only drips.
    for role in roles() {
        let mut target = Target::new(role, "max_message=2000000000");
        let mut peers: Vec<_> = (0..10).map(|_| target.peer()).collect();
        for peer in &mut peers {
            peer.send(&[&header(1 << 30)[..], b"drip"].concat());
        }
        for mut peer in peers {
            drop(peer.end());
            target.victim.expect_failure(ERR_IO, 1006);
        }
        target.victim.expect_bounded(0);
        let address_space = target.victim.usage().address_space;
        assert!(address_space < 128 << 10, "{address_space} KiB");
    }
}

#[test]
fn b6_the_limit_holds_for_the_sum_of_the_fragments() {
    let parts = |sizes: &[usize]| {
        let mut frames = frame(BINARY, &vec![b'x'; sizes[0]]);
        for size in &sizes[1..] {
            frames.extend(frame(CONTINUATION, &vec![b'x'; *size]));
        }
        frames.extend(frame(FIN, b""));
        frames
    };
    let settings = "max_message=100000";
    let over = [
        frame(FIN | BINARY, &[b'x'; 100_001]),
        parts(&[100_001]),
        parts(&[50_000, 50_001]),
        parts(&[0, 99_999, 1, 1]),
        parts(&[1_000; 101]),
    ];
    fail(&over, settings, ERR_TOO_BIG, 1009);
    for role in roles() {
        let mut target = Target::new(role, settings);
        for exactly in [
            frame(FIN | BINARY, &[b'x'; 100_000]),
            parts(&[100_000]),
            parts(&[50_000, 0, 50_000]),
            parts(&[1_000; 100]),
        ] {
            let mut peer = target.peer();
            peer.send(&[exactly, wire::close(1000, b"")].concat());
            drop(peer.end());
            let expected = Received::of([&[b'x'; 100_000][..]]);
            assert_eq!(target.victim.expect_clean(1000), expected);
        }
    }
}

#[test]
fn b7_frames_of_messages_that_mix_fail() {
    break_the_protocol(&[
        frame(FIN, b"continuation"),
        frame(CONTINUATION, b""),
        [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(),
        [frame(BINARY, b"a"), frame(TEXT, b"b")].concat(),
    ]);
}

#[test]
fn b8_floods_of_tiny_fragments_are_bounded() {
    for role in roles() {
        let mut target = Target::new(role, "max_message=2000000");
        let mut peer = target.peer();
        let empty = as_sent(role, &frame(CONTINUATION, b"").repeat(10_000));
        let single = as_sent(role, &frame(CONTINUATION, b"x").repeat(10_000));
        peer.send_frame(BINARY, b"");
        for _ in 0..30 {
            peer.send_raw(&empty);
        }
        for _ in 0..90 {
            peer.send_raw(&single);
        }
        peer.send(&[frame(FIN, b""), wire::close(1000, b"")].concat());
        drop(peer.end());
        let expected = Received::of([&vec![b'x'; 900_000][..]]);
        assert_eq!(target.victim.expect_clean(1000), expected);
        // The message, and what its buffer has grown by.
        target.victim.expect_within(8 + 4, Duration::from_secs(3));
    }
}

fn as_sent(role: Role, frames: &[u8]) -> Vec<u8> {
    match role {
        Role::Client => frames.to_vec(),
        Role::Server => masked(frames),
    }
}

#[test]
fn b9_a_flood_of_pings_whose_pongs_nobody_reads_is_bounded() {
    for role in roles() {
        let mut target = Target::new(role, "");
        let mut peer = target.peer();
        let pings = as_sent(role, &frame(FIN | PING, &[b'p'; 125]).repeat(1_000));
        for _ in 0..300 {
            peer.send_raw(&pings);
        }
        peer.send_frame(FIN | PING, b"the last one");
        peer.send(&frame(FIN | TEXT, b"alive"));
        // What was held back is one pong, the latest.
        let mut pongs = 0;
        loop {
            let pong = peer.read_frame();
            assert_eq!(pong.first, FIN | PONG);
            pongs += 1;
            if pong.payload == b"the last one" {
                break;
            }
        }
        println!("{pongs} pongs for 300,001 pings");
        peer.send(&wire::close(1000, b""));
        drop(peer.end());
        assert_eq!(
            target.victim.expect_clean(1000),
            Received::of([&b"alive"[..]])
        );
        let waiting = Delivery::of_tests().waiting();
        target
            .victim
            .expect_within(8 + waiting, Duration::from_secs(3));
    }
}

#[test]
fn b10_pings_inside_messages_and_tiny_messages_are_handled_in_order() {
    for role in roles() {
        let mut target = Target::new(role, "");
        let mut peer = target.peer();
        peer.send(&frame(TEXT, b"a"));
        for number in 0..100u8 {
            peer.send(&frame(FIN | PONG, b"unasked"));
            peer.send(&frame(FIN | PING, &[number]));
            assert_eq!(peer.read_frame().payload, [number]);
            peer.send(&frame(CONTINUATION, b"b"));
        }
        peer.send(&frame(FIN, b"c"));
        let tiny: Vec<[u8; 2]> = (0..20_000u16).map(u16::to_be_bytes).collect();
        let frames: Vec<u8> = tiny.iter().flat_map(|it| frame(FIN | BINARY, it)).collect();
        peer.send(&frames);
        peer.send(&wire::close(1000, b""));
        drop(peer.end());
        let text = format!("a{}c", "b".repeat(100));
        let messages = tiny.iter().map(|it| &it[..]);
        let expected = Received::of([text.as_bytes()].into_iter().chain(messages));
        assert_eq!(target.victim.expect_clean(1000), expected);
        target.victim.expect_bounded(0);
    }
}

#[test]
fn b11_a_bad_header_fails_though_its_payload_is_withheld() {
    let start = Instant::now();
    // After the length, and before any of it.
    break_the_protocol(&[
        vec![0x83, 100],
        vec![0xf1, 100],
        vec![0x89, 126],
        vec![0x09, 100],
        vec![0x82, 126, 0, 5],
        [frame(TEXT, b"a"), vec![0x81, 100]].concat(),
    ]);
    // Two processes, twelve connections.
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn b12_a_thousand_good_messages_before_a_violation_are_delivered() {
    for role in roles() {
        let mut target = Target::new(role, "");
        let mut peer = target.peer();
        let messages: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        let mut frames: Vec<u8> = messages
            .iter()
            .flat_map(|message| frame(FIN | TEXT, message.as_bytes()))
            .collect();
        frames.extend(frame(0x83, b""));
        frames.extend(frame(FIN | TEXT, b"never"));
        peer.send(&frames);
        assert_eq!(peer.read_frame().close_code(), Some(1002));
        drop(peer);
        let expected = Received::of(messages.iter().map(String::as_bytes));
        assert_eq!(target.victim.expect_failure(ERR_PROTOCOL, 1002), expected);
        target.victim.expect_bounded(0);
    }
}

#[test]
fn b13_the_stream_may_end_at_any_place() {
    let frames = [
        frame(FIN | TEXT, b"whole"),
        frame(BINARY, &[b'x'; 130]),
        frame(FIN | PING, b"ping"),
        frame(FIN, b"end"),
    ]
    .concat();
    for role in roles() {
        let mut target = Target::new(role, "");
        let bytes = as_sent(role, &frames);
        let whole = Received::of([&b"whole"[..]]);
        for cut in (0..bytes.len()).step_by(3) {
            for reset in [false, true] {
                let mut peer = target.peer();
                peer.send_raw(&bytes[..cut]);
                if reset {
                    SockRef::from(&peer.stream)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                }
                drop(peer);
                let received = target.victim.expect_failure(ERR_IO, 1006);
                // A reset may throw away what has been sent. Halves never come.
                assert!(received == whole || received.messages == 0, "cut at {cut}");
                let first = if role == Role::Client { 7 } else { 11 };
                assert!(
                    reset || (received == whole) == (cut >= first),
                    "cut at {cut}"
                );
            }
        }
        target.victim.expect_bounded(0);
    }
}

#[test]
fn b14_masks_do_not_repeat() {
    let mut target = Target::new(Role::Client, "echo=1");
    let mut peer = target.peer();
    let mut keys = Vec::new();
    for round in 0..100 {
        let payload = vec![b'x'; round % 3];
        peer.send(&frame(FIN | BINARY, &payload));
        let echo = peer.read_frame();
        assert_eq!(echo.payload, payload);
        keys.push(u32::from_be_bytes(echo.key.unwrap()));
    }
    let distinct: HashSet<u32> = keys.iter().copied().collect();
    assert!(distinct.len() >= 99 && !distinct.contains(&0));
    let steps: HashSet<u32> = keys
        .windows(2)
        .map(|it| it[1].wrapping_sub(it[0]))
        .collect();
    assert!(steps.len() >= 98);
    let ones: u32 = keys.iter().map(|key| key.count_ones()).sum();
    assert!((1280..1920).contains(&ones), "{ones} of 3200 bits");
}

#[test]
fn b15_a_reader_with_hardly_any_room_sees_the_exact_stream() {
    for role in roles() {
        let mut target = Target::narrow(role, "echo=1");
        let mut peer = target.peer();
        let messages: Vec<Vec<u8>> = (0..60)
            .map(|number| vec![number as u8; number * number * 20])
            .collect();
        let mut writer = peer.stream.try_clone().unwrap();
        let mut bytes = Vec::new();
        for message in &messages {
            bytes.extend(as_sent(role, &frame(FIN | BINARY, message)));
            bytes.extend(as_sent(role, &frame(FIN | PING, b"between")));
        }
        let sender = thread::spawn(move || writer.write_all(&bytes).unwrap());
        // Pongs may be left out, but never tear a message.
        let mut expected = messages.iter();
        while expected.len() > 0 {
            let frame = peer.read_frame();
            match frame.opcode() {
                PONG => assert_eq!(frame.payload, b"between"),
                _ => assert!(frame.payload == *expected.next().unwrap()),
            }
        }
        sender.join().unwrap();
        peer.send(&wire::close(1000, b""));
        drop(peer.end());
        let expected = Received::of(messages.iter().map(Vec::as_slice));
        assert_eq!(target.victim.expect_clean(1000), expected);
        target.victim.expect_bounded(8);
    }
}
