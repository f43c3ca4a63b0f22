//! What waits to be sent on one connection: plain state behind the link's lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::settings::Settings;
use crate::error::{Error, Result};
use crate::net::Transport;
use crate::proto::frame::{MAX_CONTROL, Opcode};
use crate::proto::{Buffer, CloseFrame, Encoding, OutOfMemory, Pool, Role, Sender};

/// The states of the browser's WebSocket object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub enum ReadyState {
    /// Not yet established.
    Connecting = 0,
    /// Messages can be sent.
    Open = 1,
    /// The end has begun.
    Closing = 2,
    /// Over.
    Closed = 3,
}

/// The sending half of a connection.
pub struct Outbox {
    pub state: ReadyState,
    pub sender: Sender,
    pub transport: Option<Arc<Transport>>,
    /// What is being written, or has been in part. Whoever sets `writing` borrows it.
    pub front: Buffer,
    /// What comes behind it.
    pub back: Buffer,
    /// Some thread is writing, without the lock.
    pub writing: bool,
    /// The system takes no more; the I/O thread continues when it does.
    pub blocked: bool,
    /// Since the write under way began, the system has said that it takes more.
    pub unblocked: bool,
    /// A batch of events is being delivered, at whose end the I/O thread writes.
    pub corked: bool,
    /// The I/O thread has been asked to attend.
    pub called: bool,
    /// When a thread of the application last wrote by itself.
    pub last_write: Option<Instant>,
    /// When the application last sent a message.
    pub last_message: Option<Instant>,
    /// Payload bytes that were accepted and not yet given to the system.
    pub buffered: u64,
    /// What `front` and `back` hold, frame run by frame run.
    marks: VecDeque<Mark>,
    /// The buffered amount at which the application wants a drain event.
    pub drain_at: Option<u64>,
    /// The pong that waits while the system takes nothing.
    pong: Option<Box<[u8]>>,
    /// The latest ping of the application or of the keepalive.
    ping: Option<Box<(Instant, Vec<u8>)>>,
    pub wishes: Wishes,
    pub bytes_sent: u64,
    pub payload_sent: u64,
    pub messages_sent: u64,
}

/// What the application, or a failed write, wants of the I/O thread.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Drop the connection.
    pub abort: bool,
    /// A Close frame has been sent, or the connection is not to be established.
    pub close: bool,
    /// The drain event is due.
    pub drain: bool,
    /// Writing has failed.
    pub broken: Option<Error>,
}

/// A run of bytes in the buffers: how many, and how many of its payload's are not yet written.
#[derive(Clone, Copy, Debug)]
struct Mark {
    wire: usize,
    payload: usize,
}

/// A buffer that an idle connection may keep.
const KEPT: usize = 256;
const KEPT_MARKS: usize = 16;

impl Outbox {
    /// Not yet connected.
    pub fn new(role: Role, settings: &Settings) -> Self {
        Self {
            state: ReadyState::Connecting,
            sender: Sender::new(role, settings.max_frame),
            transport: None,
            front: Buffer::new(),
            back: Buffer::new(),
            writing: false,
            blocked: false,
            unblocked: false,
            corked: false,
            called: false,
            last_write: None,
            last_message: None,
            buffered: 0,
            marks: VecDeque::new(),
            drain_at: None,
            pong: None,
            ping: None,
            wishes: Wishes::default(),
            bytes_sent: 0,
            payload_sent: 0,
            messages_sent: 0,
        }
    }

    /// Fails unless messages can be sent.
    pub fn check_open(&self) -> Result<()> {
        match self.state {
            ReadyState::Open => Ok(()),
            ReadyState::Connecting => Err(Error::State(
                "the socket is connecting; send after the open event".into(),
            )),
            ReadyState::Closing => Err(Error::Closed("the socket is closing".into())),
            ReadyState::Closed => Err(Error::Closed("the socket is closed".into())),
        }
    }

    /// Fails if `len` more bytes of payload do not fit, and remembers to say when they will.
    pub fn check_room(&mut self, len: usize, settings: &Settings) -> Result<()> {
        let len = len as u64;
        let max = settings.max_buffered;
        if len > max {
            let sentence = format!("message of {len} bytes never fits in max_buffered of {max}");
            return Err(Error::Argument(sentence.into()));
        }
        let room = max - self.buffered.min(max);
        if len > room {
            self.drain_at = Some(settings.low_water.min(max - len));
            let sentence = format!("message of {len} bytes does not fit, {room} of {max} are free");
            return Err(Error::BufferFull(sentence.into()));
        }
        Ok(())
    }

    /// Appends a message, or a piece of one, and counts it as `payload` bytes.
    pub fn append(&mut self, mut encoding: Encoding<'_>, payload: usize) -> Result<()> {
        let before = self.back.len();
        self.back
            .spare(encoding.wire_len())
            .map_err(|_| no_memory(payload))?;
        encoding
            .write(usize::MAX, &mut self.back)
            .map_err(|_| no_memory(payload))?;
        self.accept(payload);
        self.mark(self.back.len() - before, payload);
        Ok(())
    }

    /// Counts a payload as accepted.
    pub fn accept(&mut self, payload: usize) {
        self.buffered += payload as u64;
        self.payload_sent += payload as u64;
    }

    /// Remembers to say when the buffered amount has fallen to `low_water`, if it is above.
    pub fn watch(&mut self, low_water: u64) {
        if self.drain_at.is_none() && self.buffered > low_water {
            self.drain_at = Some(low_water);
        }
    }

    /// Notes that `wire` bytes behind all others hold `payload` bytes of payload.
    pub fn mark(&mut self, wire: usize, payload: usize) {
        self.marks.push_back(Mark { wire, payload });
    }

    /// Notes the same for what was put behind `front`, and so before `back`.
    pub fn mark_front(&mut self, wire: usize, payload: usize) {
        let mut behind = self.back.len();
        let mut at = self.marks.len();
        while behind > 0 && at > 0 {
            at -= 1;
            behind = behind.saturating_sub(self.marks[at].wire);
        }
        self.marks.insert(at, Mark { wire, payload });
    }

    /// Appends bytes of the handshake.
    pub fn append_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.back
            .append(bytes)
            .map_err(|_| no_memory(bytes.len()))?;
        self.mark(bytes.len(), 0);
        Ok(())
    }

    /// Appends a control frame.
    pub fn append_control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), OutOfMemory> {
        let before = self.back.len();
        self.sender.control(opcode, payload, &mut self.back)?;
        self.mark(self.back.len() - before, 0);
        Ok(())
    }

    /// Appends a Close frame; nothing is sent behind it.
    pub fn append_close(&mut self, frame: &CloseFrame) -> Result<(), OutOfMemory> {
        let before = self.back.len();
        self.pong = None;
        self.sender.close(frame, &mut self.back)?;
        self.mark(self.back.len() - before, 0);
        Ok(())
    }

    /// Answers a ping. While the system takes nothing, only the latest one is answered (RFC 6455
    /// §5.5.3), so that a peer which sends pings and does not read costs nothing.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), OutOfMemory> {
        if self.state != ReadyState::Open {
            return Ok(());
        }
        if self.blocked {
            self.pong = Some(payload.into());
            return Ok(());
        }
        self.append_control(Opcode::Pong, payload)
    }

    /// Sends a ping and remembers when.
    pub fn ping(&mut self, payload: &[u8], now: Instant) -> Result<()> {
        debug_assert!(payload.len() <= MAX_CONTROL);
        self.append_control(Opcode::Ping, payload)
            .map_err(|_| no_memory(payload.len()))?;
        self.ping = Some(Box::new((now, payload.to_vec())));
        Ok(())
    }

    /// How long ago the ping was sent that this pong answers.
    pub fn round_trip(&mut self, pong: &[u8], now: Instant) -> Option<Duration> {
        let ping = self.ping.take_if(|ping| ping.1 == pong)?;
        Some(now.saturating_duration_since(ping.0))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.front.is_empty() && self.back.is_empty() && !self.writing
    }

    /// Makes `front` the next bytes to write. False: there are none, or it is not the time.
    pub fn prepare(&mut self) -> bool {
        if self.writing || self.blocked || self.transport.is_none() {
            return false;
        }
        if self.front.is_empty() {
            std::mem::swap(&mut self.front, &mut self.back);
        }
        !self.front.is_empty()
    }

    /// Counts bytes that the system took.
    pub fn written(&mut self, bytes: usize) {
        self.bytes_sent += bytes as u64;
        if self.front.is_empty() && self.back.is_empty() {
            self.marks.clear();
            self.buffered = 0;
            return;
        }
        let mut left = bytes;
        while let Some(mark) = self.marks.front_mut() {
            let step = left.min(mark.wire);
            mark.wire -= step;
            left -= step;
            // A header comes before its payload: what is left of the run is payload first.
            // A compressed one is over when its run is.
            let compressed = mark.payload > mark.wire + step && mark.wire > 0;
            let payload = if compressed {
                mark.payload
            } else {
                mark.payload.min(mark.wire)
            };
            self.buffered -= (mark.payload - payload) as u64;
            mark.payload = payload;
            if mark.wire > 0 {
                break;
            }
            self.marks.pop_front();
        }
    }

    /// After writing: queues the waiting pong, notices that the drain event is due, and gives
    /// memory back that an idle connection should not own.
    pub fn settle(&mut self, pool: impl FnOnce(Buffer, Buffer)) {
        if !self.blocked
            && let Some(pong) = self.pong.take()
        {
            // Without memory for a few bytes the pong is lost, which the RFC allows.
            let _ = self.append_control(Opcode::Pong, &pong);
        }
        if self.drain_at.is_some_and(|at| self.buffered <= at) {
            self.drain_at = None;
            self.wishes.drain = true;
        }
        if self.is_empty() && self.front.capacity().max(self.back.capacity()) > KEPT {
            pool(
                std::mem::take(&mut self.front),
                std::mem::take(&mut self.back),
            );
        }
        if self.marks.is_empty() && self.marks.capacity() > KEPT_MARKS {
            self.marks = VecDeque::new();
        }
    }

    /// Forgets everything that waits: it will never be written.
    pub fn discard(&mut self) {
        self.transport = None;
        self.front = Buffer::new();
        self.back = Buffer::new();
        self.marks = VecDeque::new();
        self.pong = None;
        self.ping = None;
    }

    /// Borrows memory for the next bytes, if there is none.
    pub fn borrow(&mut self, pool: impl FnOnce() -> Buffer) {
        if self.back.capacity() == 0 {
            self.back = pool();
        }
    }
}

/// Puts a pair of buffers back.
pub fn give_back(pool: &mut Pool, front: Buffer, back: Buffer) {
    for buffer in [front, back] {
        if buffer.capacity() > 0 {
            pool.give(buffer);
        }
    }
}

/// The error of a payload that found no memory.
pub fn no_memory(len: usize) -> Error {
    Error::Resource(format!("no memory for {len} bytes to send").into())
}
