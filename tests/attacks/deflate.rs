//! E: permessage-deflate.

use std::thread;
use std::time::Duration;

use zlib_rs::{Deflate, DeflateFlush};

use crate::abi::{ERR_ENCODING, ERR_PROTOCOL, ERR_TOO_BIG, OK, Options, Runtime, Seen, TEXT};
use crate::support::RawServer;
use crate::support::wire::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Peer, frame};
use crate::target::{Role, Target, roles};
use crate::victim::{Received, Report};

const RSV1: u8 = 0x40;
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
/// The same with the final bit, and an empty block behind it.
const HELLO_FINAL: &[u8] = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
/// What a message ends with and is not sent.
const TAIL: usize = 4;

/// Compresses into one message.
fn compressed(data: &[u8]) -> Vec<u8> {
    let mut deflate = Deflate::new(9, false, 15);
    let mut bytes = vec![0; data.len() + 1_000];
    deflate
        .compress(data, &mut bytes, DeflateFlush::SyncFlush)
        .unwrap();
    bytes.truncate(usize::try_from(deflate.total_out()).unwrap() - TAIL);
    bytes
}

/// So many mebibytes of zeros, a thousandth of that on the wire.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut one = compressed(&vec![0; 1 << 20]);
    one.extend(b"\x00\x00\xff\xff");
    let mut bomb = one.repeat(mebibytes);
    bomb.truncate(bomb.len() - TAIL);
    bomb
}

/// The frames of a compressed binary message, of which each has so many bytes.
fn in_frames(payload: &[u8], size: usize) -> Vec<u8> {
    let mut frames = frame(RSV1 | BINARY, b"");
    for piece in payload.chunks(size) {
        frames.extend(frame(CONTINUATION, piece));
    }
    frames.extend(frame(FIN, b""));
    frames
}

/// Messages that fail, each on a connection of its own.
fn fail(role: Role, parameters: &str, settings: &str, attacks: &[Vec<u8>], status: i32, code: u16) {
    let mut target = Target::new(role, settings);
    for frames in attacks {
        let peer = target.compressing_peer(parameters);
        target.fails(peer, frames, status, code);
    }
    target.victim.expect_bounded(1);
}

#[test]
fn e1_bombs_stop_at_the_limit() {
    let bomb = bomb(512);
    assert!(bomb.len() < 1 << 20);
    let ways = [
        frame(FIN | RSV1 | BINARY, &bomb),
        in_frames(&bomb, 4096),
        in_frames(&bomb, 1),
    ];
    for role in roles() {
        let mut target = Target::new(role, "max_message=1000000");
        for frames in &ways {
            let peers: Vec<Peer> = (0..3).map(|_| target.compressing_peer("")).collect();
            let bombers = peers.into_iter().map(|mut peer| {
                let bytes = match role {
                    Role::Client => frames.clone(),
                    Role::Server => wire::masked(frames),
                };
                thread::spawn(move || {
                    // It is refused before all is written.
                    let _ = std::io::Write::write_all(&mut peer.stream, &bytes);
                    peer.stream
                })
            });
            let bombers: Vec<_> = bombers.collect();
            let mut reports: Vec<Report> = (0..6).map(|_| target.victim.report().1).collect();
            bombers.into_iter().for_each(|it| drop(it.join()));
            reports.retain(|report| {
                let died = matches!(report, Report::Close { code: 1009, was_clean: false, received }
                    if received.messages == 0);
                !died && *report != Report::Error(ERR_TOO_BIG)
            });
            assert_eq!(reports, []);
        }
        target.victim.expect_within(16, Duration::from_secs(3));
    }
}

#[test]
fn e2_what_is_not_deflate_data_fails() {
    // Random bytes, a block of the type that is none, a stored block whose lengths differ, a
    // distance to before the beginning.
    let attacks = [
        &b"\xde\xad\xbe\xef\xde\xad\xbe\xef"[..],
        b"\xff",
        b"\x06",
        b"\x00\x05\x00\x00\x00Hello\x00",
        b"\x02\x02\x00",
        b"\x4a\x04\x52\x00",
    ]
    .map(|payload| frame(FIN | RSV1 | BINARY, payload));
    for role in roles() {
        fail(role, "", "", &attacks, ERR_ENCODING, 1007);
    }
    // Noise, and the same again 32 KiB behind: legal, unless a smaller window was agreed on.
    let noise: Vec<u8> = (0..16_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let far = frame(
        FIN | RSV1 | BINARY,
        &compressed(&[&noise[..], &noise].concat()),
    );
    fail(
        Role::Client,
        "; server_max_window_bits=9",
        "",
        std::slice::from_ref(&far),
        ERR_ENCODING,
        1007,
    );
    let offer = "; client_max_window_bits";
    fail(
        Role::Server,
        offer,
        "window=9",
        std::slice::from_ref(&far),
        ERR_ENCODING,
        1007,
    );
    for role in roles() {
        let mut target = Target::new(role, "");
        let mut peer = target.compressing_peer("");
        peer.send(&[far.clone(), wire::close(1000, b"")].concat());
        drop(peer.end());
        let expected = Received::of([&[&noise[..], &noise].concat()[..]]);
        assert_eq!(target.victim.expect_clean(1000), expected);
    }
}

#[test]
fn e3_only_first_frames_of_messages_say_that_they_are_compressed() {
    let mut attacks = [CLOSE, PING, PONG]
        .map(|it| frame(FIN | RSV1 | it, b""))
        .to_vec();
    attacks.push([frame(RSV1 | BINARY, HELLO), frame(FIN | RSV1, b"")].concat());
    attacks.push([frame(BINARY, b"a"), frame(FIN | RSV1, HELLO)].concat());
    attacks.extend([0x10, 0x20, 0x50, 0x60].map(|rsv| frame(FIN | rsv | BINARY, HELLO)));
    for role in roles() {
        fail(role, "", "", &attacks, ERR_PROTOCOL, 1002);
    }
}

#[test]
fn e4_compressed_text_that_is_not_utf_8_fails() {
    let texts = [&b"\xff"[..], b"good and then \xed\xa0\x80", b"cut \xe2\x82"];
    let mut attacks = texts
        .map(|it| frame(FIN | RSV1 | wire::TEXT, &compressed(it)))
        .to_vec();
    // At once: the message goes on.
    let long = [b"\xff".repeat(10), vec![b'a'; 5_000]].concat();
    let payload = compressed(&long);
    let (begun, _) = payload.split_at(payload.len() - 1);
    attacks.push(frame(RSV1 | wire::TEXT, begun));
    for role in roles() {
        fail(role, "", "", &attacks, ERR_ENCODING, 1007);
    }
}

#[test]
fn e5_legal_rarities_lose_nothing() {
    let message = |payload: &[u8]| frame(FIN | RSV1 | BINARY, payload);
    let frames = [
        message(HELLO_FINAL),
        message(HELLO),
        message(HELLO_FINAL),
        message(HELLO_FINAL),
        message(b"\x00"),
        message(b""),
        message(HELLO),
        message(b"\x00\x05\x00\xfa\xffHello\x00"),
        message(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
        frame(FIN | BINARY, b"plain"),
        message(b"\xf2\x00\x11\x00\x00"),
    ];
    let hello = &b"Hello"[..];
    let expected = Received::of([
        hello, hello, hello, hello, b"", b"", hello, hello, hello, b"plain", hello,
    ]);
    for role in roles() {
        let mut target = Target::new(role, "");
        let mut peer = target.compressing_peer("");
        peer.send(&frames.concat());
        peer.send(&wire::close(1000, b""));
        drop(peer.end());
        assert_eq!(target.victim.expect_clean(1000), expected);
        target.victim.expect_bounded(0);
    }
}

#[test]
fn e6_a_message_that_ends_inside_a_block_fails() {
    let long = compressed(
        "some text that is compressed, and some more "
            .repeat(9)
            .as_bytes(),
    );
    let mut attacks = vec![
        frame(FIN | RSV1 | BINARY, &HELLO[..3]),
        frame(FIN | RSV1 | BINARY, &HELLO[..5]),
        frame(FIN | RSV1 | BINARY, b"\x00\x05\x00\xfa\xffHel"),
    ];
    attacks.extend([10, 20, 30].map(|len| frame(FIN | RSV1 | BINARY, &long[..len])));
    for role in roles() {
        fail(role, "", "", &attacks, ERR_ENCODING, 1007);
    }
}

#[test]
fn e7_floods_of_empty_blocks_are_bounded() {
    let stored = b"\x00\x00\x00\xff\xff".repeat(180_000);
    let fixed = b"\x02\x08\x20\x80\x00".repeat(180_000);
    for role in roles() {
        let mut target = Target::new(role, "");
        for blocks in [&stored, &fixed] {
            for size in [blocks.len(), 100] {
                let mut peer = target.compressing_peer("");
                peer.send(&in_frames(&[&blocks[..], b"\x00"].concat(), size));
                peer.send(&wire::close(1000, b""));
                drop(peer.end());
                assert_eq!(target.victim.expect_clean(1000), Received::of([&b""[..]]));
            }
        }
        target.victim.expect_within(8, Duration::from_secs(4));
    }
}

#[test]
fn e8_a_secret_can_be_kept_out_of_compression() {
    const PLAIN: i32 = 16;
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new());
    let (stream, response) = server.accept();
    let mut peer = Peer::new(stream, false);
    let head = &response[..response.len() - 2];
    peer.send_raw(
        &[
            head,
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        ]
        .concat(),
    );
    assert_eq!(client.seen.next(), Seen::Open);
    let secret = "token=0123456789abcdef ".repeat(100);
    // Its length tells nothing, whatever was sent before.
    for guess in ["token=0123456789abcdef ", "token=ffffffffffffffff "] {
        let guess = guess.repeat(100);
        let messages = [(TEXT, guess.as_bytes()), (TEXT | PLAIN, secret.as_bytes())];
        assert_eq!(client.socket.send_many(&messages), 2);
        assert!(peer.read_frame().payload.len() < 200);
        let plain = peer.read_frame();
        assert_eq!(
            (plain.first, plain.payload),
            (FIN | wire::TEXT, secret.clone().into_bytes())
        );
    }
    assert_eq!(client.socket.close(1000, ""), OK);
}

#[test]
fn e9_idle_connections_keep_little_memory_for_compression() {
    const CONNECTIONS: u64 = 100;
    let text = "a text that is worth compressing ".repeat(100);
    // With takeover the peer may refer to what it has sent, so that the window stays.
    for (takeover, kibibytes) in [(0, 8), (1, 64)] {
        let settings = format!("echo=1 ping_interval=20 pong_timeout=0 takeover={takeover}");
        let mut target = Target::frugal(Role::Server, &settings);
        let mut peers = Vec::new();
        let mut open = |count| {
            for _ in 0..count {
                let mut peer = target.compressing_peer("; client_max_window_bits");
                peer.send(&frame(FIN | RSV1 | BINARY, &compressed(text.as_bytes())));
                // A ping may come first. The one that comes last says that the connection is idle.
                while peer.read_frame().first != FIN | RSV1 | BINARY {}
                assert_eq!(peer.read_frame().first, FIN | PING);
                peers.push(peer);
            }
            target.victim.usage().memory
        };
        // What all of them share is there with the first ones.
        let shared = open(CONNECTIONS / 10);
        let each = (open(CONNECTIONS) - shared) / CONNECTIONS;
        println!("takeover={takeover}: {each} KiB for each of {CONNECTIONS} connections");
        assert!(each <= kibibytes);
    }
}
