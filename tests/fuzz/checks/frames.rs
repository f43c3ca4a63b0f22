//! Frames and messages, in both roles, compressed and plain.

use super::input::Input;
use super::reading::{Reading, Seen};
use crate::proto::deflate::{Deflater, Inflater};
use crate::proto::frame::Opcode;
use crate::proto::{Buffer, MessageKind, Role, Sender, close};

/// What a peer sends means the same however it is cut; what was understood is understood again
/// when it is sent on.
pub fn frames(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let (role, other) = match input.has(0) {
        false => (Role::Client, Role::Server),
        true => (Role::Server, Role::Client),
    };
    let max_message = [10, 200, 70_000, 1 << 20][input.number(1, 2)];
    let max_frame = [1, 7, 126, u64::MAX][input.number(3, 2)];
    let compression = input.has(5).then(|| Compression {
        window_bits: if input.has(6) { 9 } else { 15 },
        takeover: input.has(7),
    });
    let read = |input: Input<'_>, bytes: &[u8]| {
        let inflater = compression.map(Compression::inflater);
        Reading::new(role, max_message, inflater, input.segments(bytes))
    };

    let whole = read(input.uncut(), input.bytes);
    let cut = read(input, input.bytes);
    check(&whole, max_message);
    if compression.is_none() {
        assert_eq!(whole, cut, "the cuts matter");
    } else {
        // Which of several faults of a compressed message comes up first depends on the cuts.
        assert_eq!(whole.seen, cut.seen, "the cuts matter");
        assert_eq!(whole.failure.is_some(), cut.failure.is_some());
    }

    for step in [None, Some(100)] {
        let mut forward = Forward {
            sender: Sender::new(other, max_frame),
            deflater: compression.map(Compression::deflater),
            step,
            out: Buffer::new(),
        };
        for seen in &whole.seen {
            forward.send(seen);
        }
        let again = read(input, forward.out.bytes());
        assert_eq!((&again.seen, again.failure), (&whole.seen, None));
    }
}

#[derive(Clone, Copy)]
struct Compression {
    window_bits: u8,
    takeover: bool,
}

impl Compression {
    fn inflater(self) -> Inflater {
        Inflater::new(self.window_bits, self.takeover)
    }

    fn deflater(self) -> Deflater {
        Deflater::new(1, self.window_bits, self.takeover)
    }
}

fn check(reading: &Reading, max_message: u64) {
    for seen in &reading.seen {
        match seen {
            Seen::Message(kind, payload) => {
                assert!(payload.len() as u64 <= max_message);
                assert!(*kind == MessageKind::Binary || str::from_utf8(payload).is_ok());
            }
            Seen::Ping(payload) | Seen::Pong(payload) => assert!(payload.len() <= 125),
            Seen::Close(frame) => {
                assert!(frame.code.is_none_or(close::is_wire_code));
                assert!(frame.code.is_some() || frame.reason.is_empty());
            }
        }
    }
    if let Some(failure) = &reading.failure {
        assert!(matches!(failure.code, 1002 | 1007 | 1009));
    }
}

/// Sends what was seen.
struct Forward {
    sender: Sender,
    deflater: Option<Deflater>,
    /// How much of a message is written at a time; none: all of it.
    step: Option<usize>,
    out: Buffer,
}

impl Forward {
    fn send(&mut self, seen: &Seen) {
        let (sender, out) = (&self.sender, &mut self.out);
        match seen {
            Seen::Message(kind, payload) => match &mut self.deflater {
                None => self.send_message(*kind, payload, false),
                Some(deflater) => {
                    let mut compressed = Buffer::new();
                    deflater.compress(payload, true, &mut compressed).unwrap();
                    self.send_message(*kind, compressed.bytes(), true);
                }
            },
            Seen::Ping(payload) => sender.control(Opcode::Ping, payload, out).unwrap(),
            Seen::Pong(payload) => sender.control(Opcode::Pong, payload, out).unwrap(),
            Seen::Close(frame) => sender.close(frame, out).unwrap(),
        }
    }

    fn send_message(&mut self, kind: MessageKind, payload: &[u8], compressed: bool) {
        let (sender, out) = (&self.sender, &mut self.out);
        let most = out.len() + sender.wire_len(payload.len());
        match self.step {
            None => sender.append(kind, payload, compressed, out).unwrap(),
            Some(step) => {
                let mut encoding = sender.message(kind, payload, compressed).unwrap();
                while !encoding.is_done() {
                    encoding.write(step, out).unwrap();
                }
            }
        }
        assert!(out.len() <= most, "longer than foretold");
    }
}
