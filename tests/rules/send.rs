//! S: sending and the buffered amount.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::abi::{
    BINARY, CLOSED, ERR_ARGUMENT, ERR_BUFFER_FULL, ERR_CLOSED, ERR_STATE, OK, OPEN, Options,
    Runtime, Seen, Socket, TEXT, differs, functions,
};
use crate::pair::{Pair, ROLES, Role};
use crate::support::wire::{self, FIN};
use crate::support::{PATIENCE, RawServer, wait_until};

/// Every way to send.
const SENDS: [fn(Socket) -> i32; 5] = [
    |socket| socket.send_text("text"),
    |socket| socket.send_binary(b"binary"),
    |socket| socket.send_many(&[(TEXT, b"a"), (BINARY, b"b")]),
    |socket| socket.send_fragment(TEXT, b"a", true),
    |socket| socket.ping(b"ping"),
];

#[test]
fn s1_before_open_nothing_can_be_sent() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new());
    let (stream, response) = server.accept();
    let statuses = SENDS.map(|send| send(client.socket));
    assert_eq!(statuses, [ERR_STATE; 5]);
    assert_eq!(client.socket.buffered_amount(), 0);
    let mut peer = wire::Peer::new(stream, false);
    peer.send_raw(&response);
    assert_eq!(client.seen.next(), Seen::Open);
    assert_eq!(client.socket.send_text("after"), OK);
    assert_eq!(peer.read_frame().payload, b"after");
}

#[test]
fn s2_from_closing_on_nothing_is_sent_and_the_caller_is_told() {
    for role in ROLES {
        let (ask, asked) = channel();
        let mut pair = Pair::with_hook(role, &Options::new(), move |socket, seen| {
            if matches!(seen, Seen::Close(_)) {
                let statuses = SENDS.map(|send| send(socket));
                ask.send((socket.ready_state(), statuses)).unwrap();
            }
        });
        assert_eq!(pair.socket.close(1000, ""), OK);
        let statuses = SENDS.map(|send| send(pair.socket));
        assert_eq!(statuses, [ERR_CLOSED; 5], "{role:?}");
        assert_eq!(pair.socket.buffered_amount(), 0);
        assert_eq!(pair.peer.read_frame().close_code(), Some(1000));
        pair.peer.send(&wire::close(1000, b""));
        assert_eq!(pair.peer.end(), []);
        pair.seen.expect(&[Seen::clean(1000, "")]);
        let (state, statuses) = asked.recv_timeout(PATIENCE).unwrap();
        assert_eq!((state, statuses), (CLOSED, [ERR_CLOSED; 5]));
    }
}

#[test]
fn s3_the_buffered_amount_counts_the_bytes_of_the_application() {
    if differs("what a handler sends may go out before it returns") {
        return;
    }
    for role in ROLES {
        let (told, amounts) = channel();
        // What a handler sends goes out when it has returned.
        let mut pair = Pair::with_hook(role, &Options::new(), move |socket, seen| {
            if *seen == Seen::text("go") {
                let mut amounts = vec![socket.buffered_amount()];
                for send in [
                    |it: Socket| it.send_text("ascii"),
                    |it: Socket| it.send_text("\u{e9}\u{20ac}\u{10348}"),
                    |it: Socket| it.send_text(""),
                    |it: Socket| it.send_binary(&[0; 126]),
                    |it: Socket| it.send_binary(&[0; 65_000]),
                    |it: Socket| it.send_many(&[(TEXT, b"a"), (BINARY, b"bc")]),
                    |it: Socket| it.send_fragment(TEXT, b"abcd", true),
                    |it: Socket| it.ping(b"not a message"),
                ] {
                    assert!(send(socket) >= 0);
                    amounts.push(socket.buffered_amount());
                }
                told.send(amounts).unwrap();
            }
        });
        pair.peer.send_frame(FIN | wire::TEXT, b"go");
        let amounts = amounts.recv_timeout(PATIENCE).unwrap();
        let sizes: Vec<i64> = amounts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(amounts[0], 0);
        assert_eq!(sizes, [5, 9, 0, 126, 65_000, 3, 4, 0], "{role:?}");
        while pair.peer.read_frame().payload != b"not a message" {}
        wait_until("the amount to be 0", || pair.socket.buffered_amount() == 0);
    }
}

/// A pair whose peer does not read, and whose socket is full: the statuses of the calls that
/// filled it.
fn filled(max_buffered: u64) -> (Pair, usize) {
    let options = Options::new()
        .set(functions().options_set_max_buffered, max_buffered)
        .set(functions().options_set_close_timeout_ms, 100);
    let pair = Pair::with_options(Role::Client, &options);
    let mut taken = 0;
    loop {
        match pair.socket.send_binary(&[7; 100_000]) {
            OK => taken += 1,
            ERR_BUFFER_FULL => return (pair, taken),
            status => panic!("status {status}"),
        }
    }
}

#[test]
fn s3_the_buffered_amount_is_right_at_every_moment() {
    let (mut pair, taken) = filled(8 << 20);
    // So that there is room for small ones.
    let mut sent = taken * 100_000;
    for _ in 0..20 {
        sent -= pair.peer.read_frame().payload.len();
    }
    let amount = |pair: &Pair| usize::try_from(pair.socket.buffered_amount()).unwrap();
    // Until the system takes no more, the amount falls between two calls.
    let (mut exact, mut pings) = (0, 0);
    wait_until("20 messages in a row to be counted", || {
        let before = amount(&pair);
        assert_eq!(pair.socket.ping(b"does not count"), OK);
        assert!(amount(&pair) <= before);
        pings += 1;
        assert_eq!(pair.socket.send_binary(&[8; 126]), OK);
        sent += 126;
        assert!(amount(&pair) <= sent);
        exact = if amount(&pair) == before + 126 {
            exact + 1
        } else {
            0
        };
        exact >= 20
    });
    let mut last = amount(&pair);
    while sent > 0 {
        let frame = pair.peer.read_frame();
        if frame.opcode() == wire::PING {
            pings -= 1;
            continue;
        }
        sent -= frame.payload.len();
        let amount = amount(&pair);
        assert!(amount <= last && amount <= sent, "{amount}, {last}, {sent}");
        last = amount;
    }
    assert_eq!((amount(&pair), pings), (0, 0));
}

#[test]
fn s4_the_buffered_amount_stays_when_the_connection_has_ended() {
    let (pair, _) = filled(1 << 20);
    let before = pair.socket.buffered_amount();
    assert!(before > 0);
    assert_eq!(pair.socket.abort(), OK);
    pair.seen.until_close();
    assert_eq!(pair.socket.buffered_amount(), before);
}

#[test]
fn s5_what_cannot_be_buffered_is_refused_and_the_connection_lives() {
    let (mut pair, taken) = filled(1 << 20);
    assert_eq!(pair.socket.ready_state(), OPEN);
    // A message that could never fit is an error of the caller's.
    assert_eq!(
        pair.socket.send_binary(&vec![0; (1 << 20) + 1]),
        ERR_ARGUMENT
    );
    for _ in 0..taken {
        assert_eq!(pair.peer.read_frame().payload, [7; 100_000]);
    }
    assert_eq!(pair.seen.next(), Seen::Drain);
    assert_eq!(pair.socket.send_text("and on"), OK);
    assert_eq!(pair.peer.read_frame().payload, b"and on");
}

#[test]
fn s6_text_is_unicode_or_refused() {
    for role in ROLES {
        let mut pair = Pair::new(role);
        for text in [
            &b"\xed\xa0\x80"[..],
            b"\xed\xbf\xbf",
            b"\xed\xa0\xbd\xed\xb8\x80",
            b"\xff",
            b"a\x80",
            b"\xc0\x80",
            b"\xf4\x90\x80\x80",
            b"\xe2\x82",
        ] {
            assert_eq!(pair.socket.send_text(text), ERR_ARGUMENT, "{text:x?}");
            assert_eq!(
                pair.socket.send_many(&[(TEXT, text)]),
                ERR_ARGUMENT,
                "{text:x?}"
            );
            assert_eq!(
                pair.socket.send_fragment(TEXT, text, true),
                ERR_ARGUMENT,
                "{text:x?}"
            );
        }
        for text in ["\u{1f600}", "\u{ffff}\u{10ffff}", "\0", "\u{feff}a"] {
            assert_eq!(pair.socket.send_text(text), OK);
            assert_eq!(pair.peer.read_frame().payload, text.as_bytes());
        }
    }
}

#[test]
fn s7_messages_may_be_empty() {
    for role in ROLES {
        let mut pair = Pair::new(role);
        assert_eq!(pair.socket.send_text(""), OK);
        assert_eq!(pair.socket.send_binary(b""), OK);
        for first in [FIN | wire::TEXT, FIN | wire::BINARY] {
            let frame = pair.peer.read_frame();
            assert_eq!((frame.first, frame.payload.len()), (first, 0));
            pair.peer.send_frame(first, b"");
        }
        assert_eq!(pair.seen.next(), Seen::text(""));
        assert_eq!(pair.seen.next(), Seen::binary(b""));
    }
}

#[test]
fn s8_the_lengths_at_which_headers_change_arrive_whole() {
    for role in ROLES {
        let mut pair = Pair::new(role);
        for len in [
            1, 124, 125, 126, 127, 128, 65_000, 65_534, 65_535, 65_536, 65_537, 200_000,
        ] {
            let data: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let text = "x".repeat(len);
            assert_eq!(pair.socket.send_binary(&data), OK);
            assert_eq!(pair.socket.send_text(&text), OK);
            for (first, data) in [
                (FIN | wire::BINARY, &data[..]),
                (FIN | wire::TEXT, text.as_bytes()),
            ] {
                let frame = pair.peer.read_frame();
                assert_eq!(frame.first, first);
                assert!(frame.payload == data, "{len} bytes");
                pair.peer.send_frame(first, data);
            }
            assert!(pair.seen.next() == Seen::binary(data), "{len} bytes");
            assert!(pair.seen.next() == Seen::text(&text), "{len} bytes");
        }
    }
}

#[test]
fn s9_the_callers_memory_is_its_own_after_the_call() {
    for role in ROLES {
        let mut pair = Pair::new(role);
        let mut memory: Vec<u8> = (0..=255).collect();
        assert_eq!(pair.socket.send_binary(&memory[10..20]), OK);
        memory.fill(0xee);
        assert_eq!(
            pair.peer.read_frame().payload,
            (10..20).collect::<Vec<u8>>()
        );
        // Also when the system does not take it at once.
        let mut large = vec![1; 6 << 20];
        assert_eq!(pair.socket.send_binary(&large), OK);
        large.fill(2);
        assert!(pair.peer.read_frame().payload.iter().all(|byte| *byte == 1));
    }
}

#[test]
fn s10_sending_does_not_wait() {
    for role in ROLES {
        let pair = Pair::new(role);
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(pair.socket.send_binary(&[0; 1 << 20]), OK);
        }
        assert!(pair.socket.buffered_amount() > 1 << 20);
        // The peer reads nothing, so that a call that waits would wait for ever.
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
