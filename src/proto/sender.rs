//! From messages to bytes: the sending half of a connection, both roles.

use super::buffer::{Buffer, OutOfMemory};
use super::close::CloseFrame;
use super::frame::{HEADER_ROOM, Header, MAX_CONTROL, Opcode};
use super::mask::{self, Key, NoRandomness};
use super::utf8::Utf8;
use super::{MessageKind, Role};
use crate::error::{Error, Result};

/// Why nothing can be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The system has no memory.
    Memory,
    /// The system has no random bytes to mask with.
    Randomness,
}

/// Makes frames, and keeps the order of a message that the application sends in pieces.
#[derive(Debug)]
pub struct Sender {
    role: Role,
    max_frame: usize,
    /// The message that the application sends in pieces, between its first and its last one.
    pieces: Option<Pieces>,
}

/// Where a message that is sent in pieces stands.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    kind: MessageKind,
    utf8: Utf8,
    /// Before the first piece, nothing has been decided.
    compressed: Option<bool>,
}

impl Sender {
    /// Nothing sent yet. Messages are split into frames of at most `max_frame` bytes.
    pub fn new(role: Role, max_frame: u64) -> Self {
        let max_frame = usize::try_from(max_frame).unwrap_or(usize::MAX).max(1);
        Self {
            role,
            max_frame,
            pieces: None,
        }
    }

    /// Fails unless a message can begin.
    pub fn check_message(&self) -> Result<()> {
        if self.pieces.is_some() {
            let sentence = "a message that is sent in pieces has not been finished";
            return Err(Error::State(sentence.into()));
        }
        Ok(())
    }

    /// Appends a whole message, which has been checked. `compressed`: the payload is.
    pub fn append(
        &self,
        kind: MessageKind,
        payload: &[u8],
        compressed: bool,
        out: &mut Buffer,
    ) -> Result<(), Refused> {
        if payload.len() > self.max_frame {
            return self
                .message(kind, payload, compressed)?
                .write(usize::MAX, out);
        }
        self.append_frame(opcode(kind), payload, compressed, out)
    }

    /// Begins a whole message, which is large: it is to be written piece by piece.
    pub fn message<'a>(
        &self,
        kind: MessageKind,
        payload: &'a [u8],
        compressed: bool,
    ) -> Result<Encoding<'a>, Refused> {
        self.encoding(opcode(kind), payload, true, compressed)
    }

    /// Checks the next piece of a message, before it is compressed. Text may be cut inside a
    /// character.
    pub fn check_piece(&self, kind: MessageKind, piece: &[u8], fin: bool) -> Result<Pieces> {
        let mut pieces = self.pieces.unwrap_or(Pieces {
            kind,
            utf8: Utf8::default(),
            compressed: None,
        });
        if pieces.kind != kind {
            let sentence = "the pieces of a message have to be of one type";
            return Err(Error::State(sentence.into()));
        }
        if kind == MessageKind::Text && !(pieces.utf8.feed(piece) && (!fin || pieces.utf8.finish()))
        {
            return Err(Error::Argument(
                "the piece makes the text invalid UTF-8".into(),
            ));
        }
        Ok(pieces)
    }

    /// Begins a piece that has been checked. Whether it is `compressed` is decided by the first one
    /// of its message.
    pub fn piece<'a>(
        &self,
        pieces: &Pieces,
        payload: &'a [u8],
        fin: bool,
        compressed: bool,
    ) -> Result<Encoding<'a>, Refused> {
        let first = pieces.compressed.is_none();
        let opcode = if first {
            opcode(pieces.kind)
        } else {
            Opcode::Continuation
        };
        self.encoding(opcode, payload, fin, first && compressed)
    }

    /// The piece is on its way.
    pub fn accept_piece(&mut self, pieces: Pieces, fin: bool, compressed: bool) {
        self.pieces = (!fin).then_some(Pieces {
            compressed: Some(compressed),
            ..pieces
        });
    }

    /// Appends a ping or a pong, whose payload the caller has limited to [`MAX_CONTROL`] bytes.
    pub fn control(&self, opcode: Opcode, payload: &[u8], out: &mut Buffer) -> Result<(), Refused> {
        debug_assert!(opcode.is_control() && payload.len() <= MAX_CONTROL);
        self.append_frame(opcode, payload, false, out)
    }

    /// Appends a Close frame.
    pub fn close(&self, frame: &CloseFrame, out: &mut Buffer) -> Result<(), Refused> {
        let mut payload = Buffer::new();
        if let Some(code) = frame.code {
            payload.append(&code.to_be_bytes())?;
            payload.append(frame.reason.as_bytes())?;
        }
        self.control(Opcode::Close, payload.bytes(), out)
    }

    /// How many bytes a payload takes in a buffer, at most.
    pub fn wire_len(&self, payload: usize) -> usize {
        let frames = if payload <= self.max_frame {
            1
        } else {
            let full = payload.checked_div(self.max_frame);
            full.unwrap_or(0).saturating_add(1)
        };
        payload.saturating_add(frames.saturating_mul(HEADER_ROOM))
    }

    /// Appends a message of one frame: what nearly every message is.
    fn append_frame(
        &self,
        opcode: Opcode,
        payload: &[u8],
        compressed: bool,
        out: &mut Buffer,
    ) -> Result<(), Refused> {
        let header = Header {
            fin: true,
            rsv1: compressed,
            opcode,
            mask: fresh_mask(self.role)?,
            len: payload.len() as u64,
        };
        let (bytes, used) = header.format();
        let end = used.saturating_add(payload.len());
        let room = out.spare(HEADER_ROOM.saturating_add(payload.len()))?;
        // Copying an array is a matter of two registers, copying a slice one of a call.
        if let Some(room) = room.first_chunk_mut() {
            *room = bytes;
        }
        let room = room.get_mut(used..end).unwrap_or_default();
        match header.mask {
            None => room.copy_from_slice(payload),
            Some(key) => mask::copy(key, 0, payload, room),
        }
        out.fill(end);
        Ok(())
    }

    fn encoding<'a>(
        &self,
        opcode: Opcode,
        payload: &'a [u8],
        fin: bool,
        compressed: bool,
    ) -> Result<Encoding<'a>, Refused> {
        Ok(Encoding {
            role: self.role,
            max_frame: self.max_frame,
            opcode,
            compressed,
            fin,
            rest: payload,
            frame_left: 0,
            offset: 0,
            first_mask: Some(fresh_mask(self.role)?),
            key: None,
            begun: false,
        })
    }
}

impl Refused {
    /// The error of a payload of so many bytes.
    pub fn error(self, len: usize) -> Error {
        Error::Resource(match self {
            Self::Memory => format!("no memory for {len} bytes to send").into(),
            Self::Randomness => "the system has no random bytes to mask with".into(),
        })
    }
}

impl From<OutOfMemory> for Refused {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self::Memory
    }
}

impl From<NoRandomness> for Refused {
    fn from(NoRandomness: NoRandomness) -> Self {
        Self::Randomness
    }
}

impl Pieces {
    /// Whether the message is compressed; none: its first piece decides.
    pub fn compressed(&self) -> Option<bool> {
        self.compressed
    }
}

/// RFC 6455 §5.3: a client masks, and the mask is fresh for every frame.
fn fresh_mask(role: Role) -> Result<Option<Key>, Refused> {
    match role {
        Role::Client => Ok(Some(mask::fresh_key()?)),
        Role::Server => Ok(None),
    }
}

fn opcode(kind: MessageKind) -> Opcode {
    match kind {
        MessageKind::Text => Opcode::Text,
        MessageKind::Binary => Opcode::Binary,
    }
}

/// A payload on its way into a buffer, in one go or piece by piece.
#[derive(Debug)]
pub struct Encoding<'a> {
    role: Role,
    max_frame: usize,
    /// Of the next frame.
    opcode: Opcode,
    /// Whether the next frame says that its message is compressed.
    compressed: bool,
    /// Whether the last frame ends the message.
    fin: bool,
    rest: &'a [u8],
    /// What is missing of the frame under way.
    frame_left: usize,
    offset: usize,
    /// The mask of the first frame, if any: without one, nothing is begun.
    first_mask: Option<Option<Key>>,
    key: Option<Key>,
    begun: bool,
}

impl Encoding<'_> {
    /// Whether every byte is in a buffer.
    pub fn is_done(&self) -> bool {
        self.begun && self.rest.is_empty()
    }

    /// How many bytes of payload are not yet in a buffer.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Appends headers and at most `payload` bytes of payload to `out`, copied and masked in one
    /// pass.
    pub fn write(&mut self, payload: usize, out: &mut Buffer) -> Result<(), Refused> {
        let mut allowance = payload;
        while !self.is_done() && (allowance > 0 || self.rest.is_empty()) {
            if self.frame_left == 0 {
                self.write_header(out)?;
            }
            let len = self.frame_left.min(allowance);
            let (piece, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
            match self.key {
                None => out.append(piece)?,
                Some(key) => {
                    let room = out.spare(piece.len())?;
                    let room = room.get_mut(..piece.len()).unwrap_or_default();
                    mask::copy(key, self.offset, piece, room);
                    out.fill(piece.len());
                }
            }
            self.rest = rest;
            self.offset = self.offset.wrapping_add(len);
            self.frame_left = self.frame_left.saturating_sub(len);
            allowance = allowance.saturating_sub(len);
        }
        Ok(())
    }

    fn write_header(&mut self, out: &mut Buffer) -> Result<(), Refused> {
        let mask = match self.first_mask.take() {
            Some(first) => first,
            None => fresh_mask(self.role)?,
        };
        let len = self.rest.len().min(self.max_frame);
        let header = Header {
            fin: self.fin && len == self.rest.len(),
            rsv1: std::mem::take(&mut self.compressed),
            opcode: self.opcode,
            mask,
            len: len as u64,
        };
        let (bytes, used) = header.format();
        out.append(bytes.get(..used).unwrap_or_default())?;
        self.begun = true;
        self.key = header.mask;
        self.offset = 0;
        self.frame_left = len;
        self.opcode = Opcode::Continuation;
        Ok(())
    }
}
