//! Both halves of both roles, joined by byte buffers.

use super::frame::Opcode;
use super::*;
use crate::error::Error;

mod exhaustive;

/// One end: what it sends is in `out`, what it receives it keeps.
struct Peer {
    sender: Sender,
    receiver: Receiver,
    pool: Pool,
    out: Buffer,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame),
}

impl Peer {
    fn new(role: Role) -> Self {
        Self::with_limits(role, u64::MAX, 1 << 20)
    }

    fn with_limits(role: Role, max_frame: u64, max_message: u64) -> Self {
        Self {
            sender: Sender::new(role, max_frame),
            receiver: Receiver::new(role, max_message, None),
            pool: Pool::default(),
            out: Buffer::new(),
        }
    }

    fn send(&mut self, kind: MessageKind, payload: &[u8]) {
        self.sender.check_message().unwrap();
        self.sender
            .append(kind, payload, false, &mut self.out)
            .unwrap();
    }

    fn send_piece(&mut self, kind: MessageKind, piece: &[u8], fin: bool) {
        let pieces = self.sender.check_piece(kind, piece, fin).unwrap();
        let mut encoding = self.sender.piece(&pieces, piece, fin, false).unwrap();
        self.sender.accept_piece(pieces, fin, false);
        encoding.write(usize::MAX, &mut self.out).unwrap();
    }

    fn take_out(&mut self) -> Vec<u8> {
        let bytes = self.out.bytes().to_vec();
        self.out.clear();
        bytes
    }

    /// Receives `bytes` in segments that end at `cuts`, as a connection would: what is not
    /// consumed is given again.
    fn receive(&mut self, bytes: &[u8], cuts: &[usize]) -> Result<Vec<Seen>, Failure> {
        let mut seen = Vec::new();
        let mut held = Vec::new();
        let mut start = 0;
        for &end in cuts.iter().chain([&bytes.len()]) {
            let mut segment = &bytes[start..end];
            start = end;
            if held.is_empty()
                && let Some(room) = self.receiver.room()
            {
                let len = room.len().min(segment.len());
                room[..len].copy_from_slice(&segment[..len]);
                segment = &segment[len..];
                let received = self.receiver.filled(len)?;
                seen.extend(received.map(|received| self.look(received, &[])));
            }
            held.extend_from_slice(segment);
            self.receive_held(&mut held, &mut seen)?;
        }
        assert!(held.is_empty() || seen.iter().all(|it| !matches!(it, Seen::Close(_))));
        Ok(seen)
    }

    fn receive_held(&mut self, held: &mut Vec<u8>, seen: &mut Vec<Seen>) -> Result<(), Failure> {
        let mut used = 0;
        while let Some(step) = self.receiver.receive(&mut held[used..], &mut self.pool)? {
            if let Some(received) = step.received {
                seen.push(self.look(received, &held[used..]));
            }
            used += step.consumed;
        }
        held.drain(..used);
        Ok(())
    }

    fn look(&mut self, received: Received, input: &[u8]) -> Seen {
        let mut bytes = |location| match location {
            Location::Input(range) => input[range].to_vec(),
            Location::Assembled => {
                let (nul, bytes) = self.receiver.assembled().unwrap().split_last().unwrap();
                assert_eq!(*nul, 0);
                let bytes = bytes.to_vec();
                self.receiver.recycle(&mut self.pool);
                bytes
            }
        };
        match received {
            Received::Message(kind, location) => Seen::Message(kind, bytes(location)),
            Received::Ping(location) => Seen::Ping(bytes(location)),
            Received::Pong(location) => Seen::Pong(bytes(location)),
            Received::Close(frame) => Seen::Close(frame),
        }
    }
}

fn pair(role: Role) -> (Peer, Peer) {
    let other = if role == Role::Client {
        Role::Server
    } else {
        Role::Client
    };
    (Peer::new(role), Peer::new(other))
}

#[test]
fn messages_of_every_length_arrive_in_both_directions() {
    for role in [Role::Client, Role::Server] {
        let (mut from, mut to) = pair(role);
        for len in [0, 1, 2, 125, 126, 127, 128, 65535, 65536, 65537, 300_000] {
            let data: Vec<u8> = (0..len).map(|i| (i % 253) as u8).collect();
            from.send(MessageKind::Binary, &data);
            let text = "é".repeat(len / 2);
            from.send(MessageKind::Text, text.as_bytes());
            let expected = [
                Seen::Message(MessageKind::Binary, data),
                Seen::Message(MessageKind::Text, text.into_bytes()),
            ];
            let bytes = from.take_out();
            assert!(to.receive(&bytes, &[]).unwrap() == expected, "{len}");
            let cuts: Vec<usize> = (0..bytes.len()).step_by(4096).collect();
            assert!(to.receive(&bytes, &cuts).unwrap() == expected, "{len}");
        }
    }
}

/// A conversation with everything in it: fragments, control frames between them, an end.
fn transcript(from: &mut Peer) -> (Vec<u8>, Vec<Seen>) {
    from.send(MessageKind::Text, "Grüße".as_bytes());
    from.send_piece(MessageKind::Text, b"a\xe2", false);
    from.sender
        .control(Opcode::Ping, b"now?", &mut from.out)
        .unwrap();
    from.send_piece(MessageKind::Text, b"", false);
    from.send_piece(MessageKind::Text, b"\x82\xac", true);
    from.sender
        .control(Opcode::Pong, b"", &mut from.out)
        .unwrap();
    from.send(MessageKind::Binary, &[7; 130]);
    let frame = CloseFrame {
        code: Some(1000),
        reason: "bye".into(),
    };
    from.sender.close(&frame, &mut from.out).unwrap();
    let seen = vec![
        Seen::Message(MessageKind::Text, "Grüße".into()),
        Seen::Ping(b"now?".into()),
        Seen::Message(MessageKind::Text, "a€".into()),
        Seen::Pong(b"".into()),
        Seen::Message(MessageKind::Binary, vec![7; 130]),
        Seen::Close(frame),
    ];
    (from.take_out(), seen)
}

#[test]
fn a_transcript_may_be_cut_at_any_two_places() {
    let mut tried = 0;
    for role in [Role::Client, Role::Server] {
        let (mut from, _) = pair(role);
        let (bytes, expected) = transcript(&mut from);
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let (_, mut to) = pair(role);
                assert_eq!(to.receive(&bytes, &[first, second]).unwrap(), expected);
                tried += 1;
            }
        }
    }
    println!("{tried} pairs of cuts");
}

#[test]
fn what_follows_a_close_frame_is_not_looked_at() {
    let (mut from, mut to) = pair(Role::Client);
    from.sender
        .close(&CloseFrame::empty(), &mut from.out)
        .unwrap();
    let mut bytes = from.take_out();
    bytes.extend_from_slice(b"\xff\xff\xff garbage");
    assert_eq!(
        to.receive(&bytes, &[]).unwrap(),
        [Seen::Close(CloseFrame::empty())]
    );
}

#[test]
fn messages_are_split_at_the_largest_frame() {
    let mut from = Peer::with_limits(Role::Server, 10, 1 << 20);
    from.send(MessageKind::Binary, &[1; 25]);
    from.send(MessageKind::Binary, &[2; 10]);
    from.send(MessageKind::Binary, b"");
    let bytes = from.take_out();
    let heads = [0, 12, 24, 31, 43].map(|at| [bytes[at], bytes[at + 1]]);
    assert_eq!(
        heads,
        [[0x02, 10], [0x00, 10], [0x80, 5], [0x82, 10], [0x82, 0]]
    );
    assert_eq!(
        Peer::new(Role::Client).receive(&bytes, &[]).unwrap().len(),
        3
    );
}

#[test]
fn a_large_message_can_be_encoded_piece_by_piece() {
    for step in [1, 7, 64, 1000] {
        let mut from = Peer::with_limits(Role::Client, 100, 1 << 20);
        let data: Vec<u8> = (0..1000).map(|i| i as u8).collect();
        let mut encoding = from
            .sender
            .message(MessageKind::Binary, &data, false)
            .unwrap();
        let most = from.sender.wire_len(data.len());
        while !encoding.is_done() {
            encoding.write(step, &mut from.out).unwrap();
        }
        let bytes = from.take_out();
        assert!(bytes.len() <= most);
        let seen = Peer::new(Role::Server).receive(&bytes, &[]).unwrap();
        assert_eq!(seen, [Seen::Message(MessageKind::Binary, data)]);
    }
}

#[test]
fn pieces_of_a_message_keep_their_order() {
    let mut peer = Peer::new(Role::Client);
    peer.send_piece(MessageKind::Text, b"a", false);
    let sender = &peer.sender;
    assert!(matches!(sender.check_message(), Err(Error::State(_))));
    let other = sender.check_piece(MessageKind::Binary, b"", true);
    assert!(matches!(other, Err(Error::State(_))));
    let bad = sender.check_piece(MessageKind::Text, b"\xff", false);
    assert!(matches!(bad, Err(Error::Argument(_))));
    let cut = sender.check_piece(MessageKind::Text, b"\xe2\x82", true);
    assert!(matches!(cut, Err(Error::Argument(_))));
    peer.send_piece(MessageKind::Text, b"b", true);
    let seen = Peer::new(Role::Server)
        .receive(&peer.take_out(), &[])
        .unwrap();
    assert_eq!(seen, [Seen::Message(MessageKind::Text, b"ab".into())]);
}

/// What a client makes of the server's bytes.
fn failure(bytes: &[u8], max_message: u64) -> Failure {
    let mut client = Peer::with_limits(Role::Client, u64::MAX, max_message);
    client.receive(bytes, &[]).unwrap_err()
}

#[test]
fn violations_fail_with_the_code_of_the_rfc() {
    for (code, bytes) in [
        (1002, &b"\x83\x00"[..]),
        (1002, b"\x8b\x00"),
        (1002, b"\xc1\x00"),
        (1002, b"\xa1\x00"),
        (1002, b"\x91\x00"),
        (1002, b"\x81\x84\x01\x02\x03\x04abcd"),
        (1002, b"\x09\x00"),
        (1002, b"\x89\x7e\x00\x7e"),
        (1002, b"\x82\x7e\x00\x05"),
        (1002, b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"),
        (1002, b"\x80\x00"),
        (1002, b"\x01\x00\x81\x00"),
        (1002, b"\x01\x00\x82\x00"),
        (1002, b"\x88\x01\x03"),
        (1002, b"\x88\x02\x03\xed"),
        (1007, b"\x88\x04\x03\xe8\xc3\x28"),
        (1007, b"\x81\x01\xff"),
        (1007, b"\x81\x02\xe2\x82"),
        (1007, b"\x01\x05\xf4\x90"),
        (1007, b"\x01\x02\xe2\x82\x80\x01a"),
        (1009, b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"),
        (1009, b"\x82\x7f\x00\x00\x00\x00\x40\x00\x00\x00"),
    ] {
        assert_eq!(failure(bytes, 1000).code, code, "{bytes:02x?}");
    }
}

#[test]
fn a_server_refuses_frames_without_mask() {
    let failure = Peer::new(Role::Server)
        .receive(b"\x81\x04abcd", &[])
        .unwrap_err();
    assert_eq!(failure.code, close::PROTOCOL_ERROR);
}

#[test]
fn the_limit_holds_for_the_sum_of_the_fragments() {
    let fragments = |sizes: &[usize]| {
        let mut server = Peer::new(Role::Server);
        for (i, &size) in sizes.iter().enumerate() {
            server.send_piece(MessageKind::Binary, &vec![0; size], i + 1 == sizes.len());
        }
        server.take_out()
    };
    let mut client = Peer::with_limits(Role::Client, u64::MAX, 100);
    let exact = client.receive(&fragments(&[40, 0, 60]), &[]).unwrap();
    assert_eq!(exact, [Seen::Message(MessageKind::Binary, vec![0; 100])]);
    assert_eq!(failure(&fragments(&[40, 61]), 100).code, close::TOO_BIG);
    assert_eq!(failure(&fragments(&[101]), 100).code, close::TOO_BIG);
}

#[test]
fn good_messages_before_a_violation_are_delivered() {
    let mut server = Peer::new(Role::Server);
    for _ in 0..1000 {
        server.send(MessageKind::Binary, b"good");
    }
    let mut bytes = server.take_out();
    bytes.extend_from_slice(b"\x83\x00");
    let mut client = Peer::new(Role::Client);
    let mut seen = Vec::new();
    assert!(client.receive_held(&mut bytes, &mut seen).is_err());
    assert_eq!(seen.len(), 1000);
}

#[test]
fn a_declared_length_costs_no_memory() {
    let mut client = Peer::with_limits(Role::Client, u64::MAX, u64::MAX);
    client
        .receive(b"\x82\x7f\x00\x00\x00\x40\x00\x00\x00\x00abc", &[])
        .unwrap();
    assert!(client.receiver.room().unwrap().len() <= 64 << 10);
}

#[test]
fn a_large_message_takes_hardly_more_memory_than_its_size() {
    const SIZE: usize = 1 << 20;
    let mut client = Peer::with_limits(Role::Client, u64::MAX, u64::MAX);
    client
        .receive(b"\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00", &[])
        .unwrap();
    let mut left = SIZE;
    while left > 0 {
        let room = client.receiver.room().map_or(0, |room| room.len());
        let received = if room > 0 {
            client.receiver.filled(room).unwrap()
        } else {
            let mut rest = vec![0; left];
            client
                .receiver
                .receive(&mut rest, &mut client.pool)
                .unwrap()
                .unwrap()
                .received
        };
        left -= if room > 0 { room } else { left };
        assert_eq!(received.is_some(), left == 0);
    }
    assert_eq!(client.receiver.assembled().unwrap().len(), SIZE + 1);
    client.receiver.recycle(&mut client.pool);
    assert!(client.pool.take().capacity() <= SIZE + 1);
}

#[test]
fn a_flood_of_tiny_fragments_is_one_message() {
    let mut server = Peer::new(Role::Server);
    for _ in 0..100_000 {
        server.send_piece(MessageKind::Binary, b"x", false);
        server.send_piece(MessageKind::Binary, b"", false);
    }
    server.send_piece(MessageKind::Binary, b"", true);
    let seen = Peer::new(Role::Client)
        .receive(&server.take_out(), &[])
        .unwrap();
    assert_eq!(
        seen,
        [Seen::Message(MessageKind::Binary, vec![b'x'; 100_000])]
    );
}

#[test]
fn every_frame_has_a_fresh_mask() {
    let mut client = Peer::with_limits(Role::Client, 1, 1 << 20);
    client.send(MessageKind::Binary, &[0; 64]);
    let bytes = client.take_out();
    let keys: std::collections::HashSet<&[u8]> = bytes.chunks(7).map(|it| &it[2..6]).collect();
    assert!(keys.len() >= 63);
}
