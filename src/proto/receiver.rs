//! From bytes to messages: the receiving half of a connection, both roles.

use std::ops::Range;

use super::buffer::{Buffer, OutOfMemory, Pool};
use super::close::{self, BadClose, CloseFrame};
use super::deflate::{InflateError, Inflater};
use super::frame::{BadHeader, Header, Opcode};
use super::mask::{self, Key};
use super::utf8::{self, Utf8};
use super::{MessageKind, Role};
use crate::error::Error;

/// What was found at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input it took.
    pub consumed: usize,
    /// What is complete now.
    pub received: Option<Received>,
}

/// Something complete.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A message; text has been found to be UTF-8.
    Message(MessageKind, Location),
    /// A ping, which wants an answer.
    Ping(Location),
    /// A pong.
    Pong(Location),
    /// The peer's last frame.
    Close(CloseFrame),
}

/// Where a payload is, so that it need not be copied.
#[derive(Debug, PartialEq, Eq)]
pub enum Location {
    /// In the input, unmasked.
    Input(Range<usize>),
    /// In [`Receiver::assembled`].
    Assembled,
}

/// Why the connection has to fail (RFC 6455 §7.1.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the Close frame.
    pub code: u16,
    /// For the application. The peer learns only the code.
    pub error: Error,
}

/// Below this, what is missing of a payload is read with what follows it.
const WORTH_A_READ: u64 = 16 << 10;
/// The first step in which a message's buffer grows.
const FIRST_ROOM: usize = 64 << 10;

/// Reads frames and puts messages together.
pub struct Receiver {
    role: Role,
    max_message: u64,
    /// Inflates messages, where permessage-deflate was agreed on.
    inflater: Option<Inflater>,
    /// The message under way: its first frame has come, its last one has not been completed.
    message: Option<Message>,
    /// The data frame under way: its header has come, its payload not wholly.
    frame: Option<Rest>,
    /// What has come of a message that did not come in one piece.
    assembly: Buffer,
    utf8: Utf8,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: MessageKind,
    compressed: bool,
}

/// What is missing of a data frame.
#[derive(Debug)]
struct Rest {
    left: u64,
    mask: Option<Key>,
    /// Bytes of payload so far: where in the mask's key the next one begins.
    offset: usize,
    fin: bool,
}

impl Receiver {
    /// Nothing received yet. With an inflater, messages may be compressed.
    pub fn new(role: Role, max_message: u64, inflater: Option<Inflater>) -> Self {
        Self {
            role,
            max_message,
            inflater,
            message: None,
            frame: None,
            assembly: Buffer::new(),
            utf8: Utf8::default(),
            closed: false,
        }
    }

    /// Takes the next frame, or a piece of one, off the front of `input`, which is unmasked in
    /// place. `None`: the rest has to come first; give these bytes again in front of it.
    pub fn receive(&mut self, input: &mut [u8], pool: &mut Pool) -> Result<Option<Step>, Failure> {
        if self.closed {
            // RFC 6455 §5.5.1: what follows a Close frame is not looked at.
            let consumed = input.len();
            return Ok((consumed > 0).then_some(Step {
                consumed,
                received: None,
            }));
        }
        if self.frame.is_some() {
            let consumed = self.take_payload(input, pool)?;
            let received = self.end_frame()?;
            let progress = consumed > 0 || received.is_some();
            return Ok(progress.then_some(Step { consumed, received }));
        }
        let compression = self.inflater.is_some();
        let Some((header, used)) = Header::parse(input, self.role, compression)? else {
            return Ok(None);
        };
        if header.opcode.is_control() {
            return self.receive_control(header, used, input);
        }
        let message = self.check_order(&header)?;
        if !message.compressed {
            self.check_size(header.len)?;
        }
        let whole = usize::try_from(header.len)
            .ok()
            .and_then(|len| Some(used..used.checked_add(len)?))
            .filter(|range| range.end <= input.len());
        if let Some(range) = whole
            && header.fin
            && self.message.is_none()
            && !message.compressed
        {
            let payload = input.get_mut(range.clone()).unwrap_or_default();
            if let Some(key) = header.mask {
                mask::apply(key, 0, payload);
            }
            if message.kind == MessageKind::Text && !utf8::is_valid(payload) {
                return Err(not_utf8());
            }
            let received = Some(Received::Message(
                message.kind,
                Location::Input(range.clone()),
            ));
            return Ok(Some(Step {
                consumed: range.end,
                received,
            }));
        }
        self.message = Some(message);
        self.frame = Some(Rest {
            left: header.len,
            mask: header.mask,
            offset: 0,
            fin: header.fin,
        });
        let payload = input.get_mut(used..).unwrap_or_default();
        let taken = self.take_payload(payload, pool)?;
        let received = self.end_frame()?;
        Ok(Some(Step {
            consumed: used.saturating_add(taken),
            received,
        }))
    }

    /// Room for the payload under way, if so much is missing that reading straight into the
    /// message pays. Tell with [`Self::filled`] how much has been read. It grows with what has
    /// come, never from the declared length.
    pub fn room(&mut self) -> Option<&mut [u8]> {
        let left = self.frame.as_ref()?.left;
        if left < WORTH_A_READ || self.message?.compressed {
            return None;
        }
        let owned = self.assembly.capacity().saturating_sub(self.assembly.len());
        let most = FIRST_ROOM.max(self.assembly.len()).max(owned);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let wanted = left.min(most);
        // With the NUL that follows a whole message; its buffer need not double for that.
        let whole = self.assembly.len().saturating_add(left).saturating_add(1);
        let room = self.assembly.spare_within(wanted.saturating_add(1), whole);
        // Without memory here, the bytes go through the shared buffer, and fail there.
        room.ok()?.get_mut(..wanted)
    }

    /// Takes the first `len` bytes of [`Self::room`] as received.
    pub fn filled(&mut self, len: usize) -> Result<Option<Received>, Failure> {
        let before = self.assembly.len();
        self.assembly.fill(len);
        if let Some(rest) = &mut self.frame {
            let piece = self.assembly.range_mut(before..before.saturating_add(len));
            if let Some(key) = rest.mask {
                mask::apply(key, rest.offset, piece);
            }
            rest.advance(len);
            let is_text = self.message.is_some_and(|it| it.kind == MessageKind::Text);
            if is_text && !self.utf8.feed(piece) {
                return Err(not_utf8());
            }
        }
        self.end_frame()
    }

    /// The payload that [`Location::Assembled`] names, and a NUL behind it.
    pub fn assembled(&mut self) -> Result<&[u8], Failure> {
        let whole = self.assembly.len().saturating_add(1);
        if let Some(nul) = self.assembly.spare_within(1, whole)?.first_mut() {
            *nul = 0;
        }
        self.assembly.fill(1);
        Ok(self.assembly.bytes())
    }

    /// Gives memory back that an idle connection does not need.
    pub fn rest(&mut self) {
        if let Some(inflater) = &mut self.inflater {
            inflater.release();
        }
    }

    /// Gives the memory of an assembled message back, after it was looked at.
    pub fn recycle(&mut self, pool: &mut Pool) {
        pool.give(std::mem::take(&mut self.assembly));
    }

    fn receive_control(
        &mut self,
        header: Header,
        used: usize,
        input: &mut [u8],
    ) -> Result<Option<Step>, Failure> {
        let range = used..used.saturating_add(usize::try_from(header.len).unwrap_or(usize::MAX));
        let Some(payload) = input.get_mut(range.clone()) else {
            return Ok(None);
        };
        if let Some(key) = header.mask {
            mask::apply(key, 0, payload);
        }
        let consumed = range.end;
        let received = match header.opcode {
            Opcode::Ping => Received::Ping(Location::Input(range)),
            Opcode::Pong => Received::Pong(Location::Input(range)),
            _ => {
                self.closed = true;
                Received::Close(CloseFrame::parse(payload)?)
            }
        };
        Ok(Some(Step {
            consumed,
            received: Some(received),
        }))
    }

    /// RFC 6455 §5.4: the frames of two messages never mix.
    fn check_order(&self, header: &Header) -> Result<Message, Failure> {
        let kind = match (header.opcode, self.message) {
            (Opcode::Continuation, Some(message)) => return Ok(message),
            (Opcode::Continuation, None) => {
                return Err(protocol("a continuation without a message"));
            }
            (_, Some(_)) => return Err(protocol("a message begins inside another one")),
            (Opcode::Text, None) => MessageKind::Text,
            (_, None) => MessageKind::Binary,
        };
        Ok(Message {
            kind,
            compressed: header.rsv1,
        })
    }

    /// Before any memory is asked for: the header alone is enough to refuse. Of a compressed
    /// message the size shows while it is inflated.
    fn check_size(&self, len: u64) -> Result<(), Failure> {
        let total = len.saturating_add(self.assembly.len() as u64);
        if total <= self.max_message {
            return Ok(());
        }
        Err(too_big(&format!("of {total} bytes"), self.max_message))
    }

    /// Moves what `input` has of the payload under way into the assembly.
    fn take_payload(&mut self, input: &mut [u8], pool: &mut Pool) -> Result<usize, Failure> {
        let Some(rest) = &mut self.frame else {
            return Ok(0);
        };
        let taken = usize::try_from(rest.left)
            .unwrap_or(usize::MAX)
            .min(input.len());
        let piece = input.get_mut(..taken).unwrap_or_default();
        if let Some(key) = rest.mask {
            mask::apply(key, rest.offset, piece);
        }
        rest.advance(taken);
        let ends = rest.left == 0 && rest.fin;
        let Some(message) = self.message else {
            return Ok(taken);
        };
        if self.assembly.capacity() == 0 {
            self.assembly = pool.take();
        }
        let before = self.assembly.len();
        match &mut self.inflater {
            Some(inflater) if message.compressed => {
                let max = usize::try_from(self.max_message).unwrap_or(usize::MAX);
                let limit = max.saturating_sub(before);
                inflater
                    .inflate(piece, ends, limit, &mut self.assembly)
                    .map_err(|error| cannot_inflate(error, self.max_message))?;
            }
            _ => self.assembly.append(piece)?,
        }
        let after = self.assembly.len();
        let text = self.assembly.range_mut(before..after);
        if message.kind == MessageKind::Text && !self.utf8.feed(text) {
            return Err(not_utf8());
        }
        Ok(taken)
    }

    /// Ends the data frame under way if nothing of it is missing, and its message with its last.
    fn end_frame(&mut self) -> Result<Option<Received>, Failure> {
        let Some(rest) = self.frame.take_if(|rest| rest.left == 0) else {
            return Ok(None);
        };
        if !rest.fin {
            return Ok(None);
        }
        let Some(Message { kind, .. }) = self.message.take() else {
            return Ok(None);
        };
        if kind == MessageKind::Text && !self.utf8.finish() {
            return Err(not_utf8());
        }
        Ok(Some(Received::Message(kind, Location::Assembled)))
    }
}

impl Rest {
    fn advance(&mut self, len: usize) {
        self.left = self.left.saturating_sub(len as u64);
        self.offset = self.offset.wrapping_add(len);
    }
}

impl From<BadHeader> for Failure {
    fn from(bad: BadHeader) -> Self {
        protocol(bad.to_string())
    }
}

impl From<BadClose> for Failure {
    fn from(bad: BadClose) -> Self {
        match bad {
            BadClose::Length => protocol("a Close frame with one byte of payload"),
            BadClose::Code(code) => protocol(format!(
                "a Close frame with code {code}, which must not be sent"
            )),
            BadClose::Reason => Self {
                code: close::INVALID_DATA,
                error: Error::Encoding("the close reason is not UTF-8".into()),
            },
        }
    }
}

impl From<OutOfMemory> for Failure {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self {
            code: close::TOO_BIG,
            error: Error::Resource("no memory for the message under way".into()),
        }
    }
}

fn cannot_inflate(error: InflateError, max_message: u64) -> Failure {
    match error {
        InflateError::TooBig => too_big("that inflates further", max_message),
        InflateError::Memory => OutOfMemory.into(),
        // RFC 7692 names no code. What cannot be decoded is not consistent with the type of its
        // message, which is what RFC 6455 §7.4.1 means with 1007, and what Autobahn expects.
        InflateError::Invalid(why) => Failure {
            code: close::INVALID_DATA,
            error: Error::Encoding(format!("a compressed message does not inflate: {why}").into()),
        },
    }
}

fn too_big(what: &str, max_message: u64) -> Failure {
    let sentence = format!("message {what} is over the limit of {max_message}");
    Failure {
        code: close::TOO_BIG,
        error: Error::TooBig(sentence.into()),
    }
}

fn protocol(sentence: impl Into<crate::error::Sentence>) -> Failure {
    Failure {
        code: close::PROTOCOL_ERROR,
        error: Error::Protocol(sentence.into()),
    }
}

fn not_utf8() -> Failure {
    Failure {
        code: close::INVALID_DATA,
        error: Error::Encoding("text is not UTF-8".into()),
    }
}
