//! F13: permessage-deflate (RFC 7692).

use zlib_rs::{Inflate, InflateFlush};

use crate::abi::{
    BINARY, ERR_ENCODING, ERR_PROTOCOL, ERR_TOO_BIG, FACT_EXTENSIONS, OK, Options, Seen, TEXT,
    functions,
};
use crate::pair::{Pair, ROLES, Role};
use crate::support::wire::{self, CLOSE, CONTINUATION, FIN, PING, PONG, frame};

const RSV1: u8 = 0x40;
/// Or-ed into a type: not to be compressed.
const PLAIN: i32 = 16;

/// "Hello" in one block with fixed codes (RFC 7692 §7.2.3.1).
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
/// "Hello" again, which refers to the first one (§7.2.3.2).
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

#[test]
fn f13_messages_are_inflated_whatever_blocks_they_are_made_of() {
    let compressed = |payload: &[u8]| frame(FIN | RSV1 | wire::TEXT, payload);
    let rows: [(&str, Vec<u8>, &[&str]); 14] = [
        ("one block", compressed(HELLO), &["Hello"]),
        (
            "a fragment",
            [
                frame(RSV1 | wire::TEXT, &HELLO[..3]),
                frame(FIN, &HELLO[3..]),
            ]
            .concat(),
            &["Hello"],
        ),
        ("bytes", bytewise(HELLO), &["Hello"]),
        (
            "an earlier message",
            [compressed(HELLO), compressed(HELLO_AGAIN)].concat(),
            &["Hello"; 2],
        ),
        (
            "a stored block",
            compressed(b"\x00\x05\x00\xfa\xffHello\x00"),
            &["Hello"],
        ),
        (
            "a final block",
            compressed(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
            &["Hello"],
        ),
        (
            "a message behind a final block",
            [
                compressed(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
                compressed(HELLO),
            ]
            .concat(),
            &["Hello"; 2],
        ),
        (
            "two blocks",
            compressed(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
            &["Hello"],
        ),
        ("an empty message", compressed(b"\x00"), &[""]),
        ("no bytes at all", compressed(b""), &[""]),
        (
            "empty fragments",
            [frame(RSV1 | wire::TEXT, b""), frame(FIN, HELLO)].concat(),
            &["Hello"],
        ),
        (
            "a plain message",
            frame(FIN | wire::TEXT, b"plain"),
            &["plain"],
        ),
        (
            "plain and compressed",
            [
                compressed(HELLO),
                frame(FIN | wire::TEXT, b"plain"),
                compressed(HELLO_AGAIN),
            ]
            .concat(),
            &["Hello", "plain", "Hello"],
        ),
        (
            "a ping inside",
            [
                frame(RSV1 | wire::TEXT, &HELLO[..3]),
                frame(FIN | PONG, b""),
                frame(FIN, &HELLO[3..]),
            ]
            .concat(),
            &["Hello"],
        ),
    ];
    for role in ROLES {
        for (name, frames, texts) in &rows {
            let mut pair = Pair::compressing(role, &Options::new(), "");
            pair.peer.send(frames);
            for text in *texts {
                let mut seen = pair.seen.next();
                if matches!(seen, Seen::Pong(_)) {
                    seen = pair.seen.next();
                }
                assert_eq!(seen, Seen::text(text), "{name} to a {role:?}");
            }
        }
    }
}

/// A message in fragments of one byte.
fn bytewise(payload: &[u8]) -> Vec<u8> {
    let mut frames = frame(RSV1 | wire::TEXT, b"");
    for byte in payload {
        frames.extend(frame(CONTINUATION, &[*byte]));
    }
    frames.extend(frame(FIN, b""));
    frames
}

#[test]
fn f13_the_first_frame_alone_says_that_a_message_is_compressed() {
    for (frames, code, status) in [
        (frame(FIN | RSV1 | PING, b""), 1002, ERR_PROTOCOL),
        (frame(FIN | RSV1 | PONG, b""), 1002, ERR_PROTOCOL),
        (frame(FIN | RSV1 | CLOSE, b""), 1002, ERR_PROTOCOL),
        (
            [frame(RSV1 | wire::TEXT, HELLO), frame(FIN | RSV1, b"")].concat(),
            1002,
            ERR_PROTOCOL,
        ),
        (
            [frame(wire::TEXT, b"a"), frame(FIN | RSV1, HELLO)].concat(),
            1002,
            ERR_PROTOCOL,
        ),
        (frame(FIN | 0x20 | wire::TEXT, b""), 1002, ERR_PROTOCOL),
        (
            frame(FIN | RSV1 | 0x10 | wire::TEXT, b""),
            1002,
            ERR_PROTOCOL,
        ),
        // Not deflate, the end of a message inside a block, text that is not UTF-8, a bomb.
        (
            frame(FIN | RSV1 | wire::TEXT, b"\xff\xff"),
            1007,
            ERR_ENCODING,
        ),
        (
            frame(FIN | RSV1 | wire::TEXT, &HELLO[..4]),
            1007,
            ERR_ENCODING,
        ),
        (
            frame(FIN | RSV1 | wire::TEXT, b"\x00\x01\x00\xfe\xff\xff\x00"),
            1007,
            ERR_ENCODING,
        ),
        (
            frame(FIN | RSV1 | wire::TEXT, &zeros(1001)),
            1009,
            ERR_TOO_BIG,
        ),
    ] {
        for role in ROLES {
            let options = Options::new().set(functions().options_set_max_message, 1000);
            let mut pair = Pair::compressing(role, &options, "");
            pair.peer.send(&frames);
            let answer = pair.peer.read_to_end();
            assert_eq!(answer.len(), 1, "{frames:x?}");
            assert_eq!(
                answer[0].close_code(),
                Some(code),
                "{frames:x?} to a {role:?}"
            );
            drop(pair.peer);
            let (its, close) = pair.seen.expect_failure();
            assert_eq!((its, close.code), (status, code.into()), "{frames:x?}");
        }
    }
}

/// So many zeros, as a peer compresses them.
fn zeros(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; 1000];
    let mut deflate = zlib_rs::Deflate::new(9, false, 15);
    deflate
        .compress(
            &vec![0; count],
            &mut bytes,
            zlib_rs::DeflateFlush::SyncFlush,
        )
        .unwrap();
    bytes.truncate(usize::try_from(deflate.total_out()).unwrap() - 4);
    bytes
}

#[test]
fn f13_what_is_sent_is_compressed_as_agreed() {
    let text = "the same words over and over, ".repeat(100);
    for (role, parameters, takeover) in [
        (Role::Client, "", true),
        (Role::Client, "; client_no_context_takeover", false),
        (Role::Client, "; client_max_window_bits=9", true),
        (Role::Client, "; client_max_window_bits=8", true),
        (
            Role::Client,
            "; server_max_window_bits=8; client_max_window_bits=15",
            true,
        ),
        (Role::Server, "", true),
        (Role::Server, "; server_no_context_takeover", false),
        (
            Role::Server,
            "; server_max_window_bits=9; client_max_window_bits",
            true,
        ),
        (Role::Server, "; server_max_window_bits=8", true),
    ] {
        let options = Options::new().set(functions().options_set_max_frame, 64);
        let mut pair = Pair::compressing(role, &options, parameters);
        assert_ne!(
            pair.socket.fact(FACT_EXTENSIONS),
            "",
            "{role:?} {parameters}"
        );
        let mut inflate = Inflate::new(false, 15);
        let mut lengths = Vec::new();
        for _ in 0..3 {
            assert_eq!(pair.socket.send_text(&text), OK);
            let payload = message(&mut pair, RSV1 | wire::TEXT);
            lengths.push(payload.len());
            assert!(
                inflated(&mut inflate, &payload) == text.as_bytes(),
                "{role:?} {parameters}"
            );
            if !takeover {
                inflate.reset(false);
            }
        }
        let remembers = lengths[1] < lengths[0];
        assert_eq!(remembers, takeover, "{role:?} {parameters}: {lengths:?}");
    }
}

/// The payload of the next message, whose first byte is this, but for FIN.
fn message(pair: &mut Pair, first: u8) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut expected = first;
    loop {
        let frame = pair.peer.read_frame();
        assert_eq!(frame.first & !FIN, expected);
        payload.extend(frame.payload);
        expected = CONTINUATION;
        if frame.first & FIN != 0 {
            return payload;
        }
    }
}

fn inflated(inflate: &mut Inflate, payload: &[u8]) -> Vec<u8> {
    let input = [payload, b"\0\0\xff\xff"].concat();
    let mut output = vec![0; 1 << 20];
    let before = inflate.total_out();
    inflate
        .decompress(&input, &mut output, InflateFlush::SyncFlush)
        .unwrap();
    output.truncate(usize::try_from(inflate.total_out() - before).unwrap());
    output
}

#[test]
fn f13_short_messages_and_secrets_stay_plain() {
    let long = "x".repeat(2000);
    for role in ROLES {
        let mut pair = Pair::compressing(role, &Options::new(), "");
        assert_eq!(pair.socket.send_text("short"), OK);
        assert_eq!(message(&mut pair, wire::TEXT), b"short");
        let long_bytes = long.as_bytes();
        let sent = pair.socket.send_many(&[
            (TEXT | PLAIN, long_bytes),
            (BINARY | PLAIN, long_bytes),
            (BINARY, long_bytes),
        ]);
        assert_eq!(sent, 3);
        assert_eq!(message(&mut pair, wire::TEXT), long_bytes);
        assert_eq!(message(&mut pair, wire::BINARY), long_bytes);
        assert!(message(&mut pair, RSV1 | wire::BINARY).len() < 100);
        assert_eq!(pair.socket.send_fragment(TEXT | PLAIN, b"a", false), OK);
        assert_eq!(pair.socket.send_fragment(TEXT | PLAIN, b"b", true), OK);
        assert_eq!(message(&mut pair, wire::TEXT), b"ab");
        // Control frames are never compressed.
        assert_eq!(pair.socket.ping(&[b'x'; 125]), OK);
        let ping = pair.peer.read_frame();
        assert_eq!((ping.first, ping.payload), (FIN | PING, vec![b'x'; 125]));
    }
    // Nor is anything without the extension.
    for role in ROLES {
        let mut pair = Pair::new(role);
        assert_eq!(pair.socket.send_text(&long), OK);
        assert_eq!(message(&mut pair, wire::TEXT), long.as_bytes());
    }
}
