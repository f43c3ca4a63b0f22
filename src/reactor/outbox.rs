//! What waits to be sent on one connection: plain state behind the link's lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::backlog::Backlog;
use super::chunk::{CHUNK, Chunk, Framed};
use super::deferred::Deferred;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::net::Transport;
use crate::proto::frame::{MAX_CONTROL, Opcode};
use crate::proto::{Buffer, CloseFrame, Encoding, MessageKind, Pool, Refused, Role, Sender};

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
    /// Which of the socket's connections this is: what was begun for another one has no effect.
    pub epoch: u32,
    pub sender: Sender,
    pub transport: Option<Arc<Transport>>,
    /// What waits. Whoever sets `writing` borrows its front.
    pub backlog: Backlog,
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
    /// When a thread of the application last had a message written, by itself or by the I/O
    /// thread.
    pub last_push: Option<Instant>,
    /// When the application last sent a message.
    pub last_message: Option<Instant>,
    /// Payload bytes that were accepted and not yet given to the system.
    pub buffered: u64,
    /// The buffered amount at which the application wants a drain event.
    pub drain_at: Option<u64>,
    /// What was published while a message was sent in pieces, and follows it.
    pub deferred: Deferred,
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
    /// The library panicked over it on another thread.
    pub defect: Option<Error>,
}

/// Behind so many waiting bytes, only the latest ping is answered.
const MUCH: usize = 64 << 10;

impl Outbox {
    /// Not yet connected.
    pub fn new(role: Role, settings: &Settings) -> Self {
        Self {
            state: ReadyState::Connecting,
            epoch: 0,
            sender: Sender::new(role, settings.max_frame),
            transport: None,
            backlog: Backlog::default(),
            writing: false,
            blocked: false,
            unblocked: false,
            corked: false,
            called: false,
            last_push: None,
            last_message: None,
            buffered: 0,
            drain_at: None,
            deferred: Deferred::default(),
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

    /// The same, of the connection that had this epoch: what was begun for it is not for another.
    pub fn check_same(&self, epoch: u32) -> Result<()> {
        self.check_open()?;
        if self.epoch == epoch {
            return Ok(());
        }
        Err(Error::State(
            "the connection was lost meanwhile, and has been made anew".into(),
        ))
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

    /// Appends a message whose payload on the wire is `wire`, and counts it as `payload` bytes.
    pub fn append(
        &mut self,
        kind: MessageKind,
        wire: &[u8],
        compressed: bool,
        payload: usize,
        pool: &Mutex<Pool>,
    ) -> Result<()> {
        self.append_with(wire.len(), payload, pool, |sender, out| {
            sender.append(kind, wire, compressed, out)
        })
    }

    /// Appends a piece of a message, and counts it as `payload` bytes.
    pub fn append_piece(
        &mut self,
        mut piece: Encoding<'_>,
        payload: usize,
        pool: &Mutex<Pool>,
    ) -> Result<()> {
        self.append_with(piece.left(), payload, pool, |_, out| {
            piece.write(usize::MAX, out)
        })
    }

    /// Appends a message that other connections send as well.
    pub fn append_framed(&mut self, message: &Arc<Framed>, pool: &Mutex<Pool>) -> Result<()> {
        self.backlog
            .append_framed(message, pool)
            .map_err(|cause| Refused::from(cause).error(message.payload))?;
        self.accept(message.payload);
        Ok(())
    }

    /// Whether nobody will write what waits unless the I/O thread is called.
    pub fn needs_call(&self, is_current: bool) -> bool {
        let is_awaited = self.called || self.corked && is_current;
        !is_awaited && !self.blocked && !self.writing
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

    /// Appends bytes of the handshake.
    pub fn append_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.backlog
            .tail()
            .append(bytes)
            .map_err(|cause| Refused::from(cause).error(bytes.len()))
    }

    /// Appends a control frame.
    pub fn append_control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Refused> {
        self.sender.control(opcode, payload, self.backlog.tail())
    }

    /// Appends a Close frame; nothing is sent behind it.
    pub fn append_close(&mut self, frame: &CloseFrame) -> Result<(), Refused> {
        self.pong = None;
        self.sender.close(frame, self.backlog.tail())
    }

    /// Answers a ping. While the system takes nothing, or much waits already, only the latest one
    /// is answered (RFC 6455 §5.5.3), so that a peer which sends pings and does not read costs
    /// nothing.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Refused> {
        if self.state != ReadyState::Open {
            return Ok(());
        }
        if self.blocked || self.backlog.tail().len() > MUCH {
            self.pong = Some(payload.into());
            return Ok(());
        }
        self.append_control(Opcode::Pong, payload)
    }

    /// Sends a ping and remembers when.
    pub fn ping(&mut self, payload: &[u8], now: Instant) -> Result<()> {
        debug_assert!(payload.len() <= MAX_CONTROL);
        self.append_control(Opcode::Ping, payload)
            .map_err(|cause| cause.error(payload.len()))?;
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
        self.backlog.is_empty() && !self.writing && !self.tls_has_outgoing()
    }

    /// Makes the front of the backlog the next bytes to write. False: there are none, or it is not
    /// the time.
    pub fn prepare(&mut self, pool: &Mutex<Pool>) -> bool {
        let Some(transport) = &self.transport else {
            return false;
        };
        if self.writing || self.blocked {
            return false;
        }
        if let Err(cause) = self.backlog.advance(transport.is_secure(), pool) {
            self.wishes.broken = Some(Refused::from(cause).error(CHUNK));
            return false;
        }
        !self.backlog.front.is_empty() || self.tls_has_outgoing()
    }

    /// Whether TLS itself has something to be written.
    fn tls_has_outgoing(&self) -> bool {
        let transport = self.transport.as_ref();
        transport.is_some_and(|it| it.has_outgoing())
    }

    /// Takes back what was borrowed to be written, of which the system took `len` bytes.
    pub fn written(&mut self, mut front: Chunk, len: usize) {
        self.bytes_sent += len as u64;
        self.buffered -= front.consume(len);
        self.backlog.front = front;
    }

    /// After writing: queues the waiting pong, notices that the drain event is due, and gives
    /// memory back that an idle connection should not own.
    pub fn settle(&mut self, pool: &Mutex<Pool>) {
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
        if self.is_empty() {
            self.backlog.shrink(pool);
        }
    }

    /// Makes a new one of it, for the next connection.
    pub fn reset(&mut self, role: Role, settings: &Settings) {
        self.discard();
        self.epoch = self.epoch.wrapping_add(1);
        self.sender = Sender::new(role, settings.max_frame);
        self.writing = false;
        self.blocked = false;
        self.unblocked = false;
        self.last_push = None;
        self.last_message = None;
        self.buffered = 0;
        self.drain_at = None;
        self.wishes.drain = false;
        self.wishes.broken = None;
    }

    /// Forgets everything that waits: it will never be written.
    pub fn discard(&mut self) {
        self.transport = None;
        self.backlog = Backlog::default();
        self.deferred = Deferred::default();
        self.pong = None;
        self.ping = None;
    }

    fn append_with(
        &mut self,
        wire: usize,
        payload: usize,
        pool: &Mutex<Pool>,
        append: impl FnOnce(&Sender, &mut Buffer) -> Result<(), Refused>,
    ) -> Result<()> {
        let sender = &self.sender;
        self.backlog
            .append(sender.wire_len(wire), payload, pool, |out| {
                append(sender, out)
            })
            .map_err(|cause| cause.error(payload))?;
        self.accept(payload);
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::net::Stream;
    use crate::reactor::backlog::SHARED;

    /// A server's, so that its frames show the payload.
    fn connected() -> Outbox {
        let mut out = Outbox::new(Role::Server, &Settings::default());
        let (stream, _) = mio::net::UnixStream::pair().unwrap();
        out.transport = Some(Arc::new(Transport::new(Stream::Unix(stream))));
        out.state = ReadyState::Open;
        out
    }

    fn append(out: &mut Outbox, payload: &[u8], pool: &Mutex<Pool>) {
        out.append(MessageKind::Binary, payload, false, payload.len(), pool)
            .unwrap();
    }

    /// Has the system take `most` bytes at a time.
    fn write(out: &mut Outbox, most: usize, pool: &Mutex<Pool>) -> Vec<u8> {
        let mut written = Vec::new();
        while out.prepare(pool) {
            let front = std::mem::take(&mut out.backlog.front);
            let len = front.len().min(most);
            written.extend_from_slice(&front.wire()[..len]);
            let (before, payload) = (out.buffered, len as u64);
            out.written(front, len);
            assert!(before - out.buffered <= payload);
        }
        written
    }

    #[test]
    fn what_fills_many_chunks_comes_out_in_order_and_counts_down_to_zero() {
        let (mut out, pool) = (connected(), Mutex::default());
        for most in [1000, CHUNK, usize::MAX] {
            let mut expected = Vec::new();
            let mut payload = 0;
            for n in 0..3 * CHUNK / 100 {
                let message = [n as u8; 100];
                append(&mut out, &message, &pool);
                expected.extend_from_slice(b"\x82\x64");
                expected.extend_from_slice(&message);
                payload += message.len() as u64;
                assert_eq!(out.buffered, payload);
            }
            assert!(write(&mut out, most, &pool) == expected, "{most}");
            assert_eq!(out.buffered, 0);
            out.settle(&pool);
            assert!(out.is_empty());
        }
    }

    #[test]
    fn a_message_larger_than_a_chunk_is_a_chunk() {
        let (mut out, pool) = (connected(), Mutex::default());
        append(&mut out, b"before", &pool);
        append(&mut out, &vec![7; 3 * CHUNK], &pool);
        append(&mut out, b"after", &pool);
        let written = write(&mut out, usize::MAX, &pool);
        assert!(written.starts_with(b"\x82\x06before\x82\x7f"));
        assert!(written.ends_with(b"\x07\x07\x82\x05after"));
        assert_eq!(written.len(), 8 + 10 + 3 * CHUNK + 7);
    }

    #[test]
    fn large_published_messages_are_shared_and_small_ones_copied_in_order() {
        let pool = Mutex::default();
        let mut outboxes = [connected(), connected(), connected()];
        let message = |len: usize| {
            let mut wire = Buffer::new();
            wire.append(&vec![len as u8; len]).unwrap();
            Arc::new(Framed { wire, payload: len })
        };
        let messages = [10, SHARED, 20, 30, 5 * CHUNK, SHARED - 1].map(message);
        let mut expected = Vec::new();
        for message in &messages {
            expected.extend_from_slice(message.wire.bytes());
            for out in &mut outboxes {
                out.append_framed(message, &pool).unwrap();
                append(out, b"own", &pool);
            }
            expected.extend_from_slice(b"\x82\x03own");
        }
        let holders = |messages: &[Arc<Framed>; 6]| messages.each_ref().map(Arc::strong_count);
        assert_eq!(holders(&messages), [1, 4, 1, 1, 4, 1]);
        for (out, most) in outboxes.iter_mut().zip([1000, CHUNK, usize::MAX]) {
            assert!(write(out, most, &pool) == expected, "{most}");
            assert_eq!(out.buffered, 0);
            out.settle(&pool);
            assert!(out.is_empty());
        }
        assert_eq!(holders(&messages), [1; 6]);
    }
}
