//! Reads frames as a connection does, and keeps what it has seen.

use crate::proto::deflate::Inflater;
use crate::proto::{
    Buffer, CloseFrame, Failure, Location, MessageKind, Pool, Received, Receiver, Role,
};

/// Something complete that the peer has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame),
}

/// All that a peer's bytes were taken for.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    pub seen: Vec<Seen>,
    pub failure: Option<Failure>,
}

impl Reading {
    /// Receives `segments` as `role`.
    pub fn new<'a>(
        role: Role,
        max_message: u64,
        inflater: Option<Inflater>,
        segments: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut reader = Reader {
            receiver: Receiver::new(role, max_message, inflater),
            pool: Pool::default(),
            tail: Buffer::new(),
            seen: Vec::new(),
        };
        let mut failure = None;
        for segment in segments {
            if let Err(error) = reader.receive(segment) {
                failure = Some(error);
                break;
            }
        }
        Self {
            seen: reader.seen,
            failure,
        }
    }
}

struct Reader {
    receiver: Receiver,
    pool: Pool,
    /// What could not be used yet.
    tail: Buffer,
    seen: Vec<Seen>,
}

impl Reader {
    fn receive(&mut self, mut segment: &[u8]) -> Result<(), Failure> {
        while !segment.is_empty()
            && self.tail.is_empty()
            && let Some(room) = self.receiver.room()
        {
            let len = room.len().min(segment.len());
            assert!(len > 0, "room without room");
            room[..len].copy_from_slice(&segment[..len]);
            segment = &segment[len..];
            let received = self.receiver.filled(len)?;
            self.see(received, 0)?;
        }
        self.tail.append(segment).unwrap();
        let mut used = 0;
        while let Some(step) = self
            .receiver
            .receive(&mut self.tail.bytes_mut()[used..], &mut self.pool)?
        {
            let is_progress = step.consumed > 0 || step.received.is_some();
            assert!(is_progress, "a step without progress");
            self.see(step.received, used)?;
            used += step.consumed;
        }
        self.tail.consume(used);
        Ok(())
    }

    /// `base`: where in the tail the input of the step began.
    fn see(&mut self, received: Option<Received>, base: usize) -> Result<(), Failure> {
        let tail = self.tail.bytes();
        let piece = |location| match location {
            Location::Input(range) => tail[base..][range].to_vec(),
            Location::Assembled => panic!("a control frame was assembled"),
        };
        let seen = match received {
            None => return Ok(()),
            Some(Received::Message(kind, Location::Assembled)) => {
                let (nul, bytes) = self.receiver.assembled()?.split_last().unwrap();
                assert_eq!(*nul, 0, "no NUL behind a message");
                let seen = Seen::Message(kind, bytes.to_vec());
                self.receiver.recycle(&mut self.pool);
                seen
            }
            Some(Received::Message(kind, location)) => Seen::Message(kind, piece(location)),
            Some(Received::Ping(location)) => Seen::Ping(piece(location)),
            Some(Received::Pong(location)) => Seen::Pong(piece(location)),
            Some(Received::Close(frame)) => Seen::Close(frame),
        };
        self.seen.push(seen);
        Ok(())
    }
}
