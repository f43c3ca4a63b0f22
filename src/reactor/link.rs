//! What the application's threads and the I/O thread share of one socket. Every call here returns
//! at once, and none runs the application's code.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::command::{Command, Mailbox, now};
use super::compression::Compression;
use super::outbox::{CHUNK, Chunk, Outbox, ReadyState, Wishes, no_memory};
use super::settings::Settings;
use crate::delivery::Gate;
use crate::error::{Error, Result};
use crate::net::Transport;
use crate::proto::deflate::Deflater;
use crate::proto::handshake::Head;
use crate::proto::{CloseFrame, Encoding, MessageKind, OutOfMemory, Role};

/// One socket.
pub struct Link {
    pub role: Role,
    pub settings: Arc<Settings>,
    pub gate: Gate,
    pub facts: Mutex<Facts>,
    /// The slot of its connection in its worker.
    pub slot: AtomicUsize,
    pub received: Received,
    mailbox: Arc<Mailbox>,
    outbox: Mutex<Outbox>,
    /// Locked before the outbox, never after it.
    compression: Compression,
    /// A copy of the outbox's, to be read without its lock.
    state: AtomicU8,
    paused: AtomicBool,
    /// Whether the connection is to be dropped before the next event.
    dropped: AtomicBool,
}

/// What the application wants to be sent.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    pub kind: MessageKind,
    pub payload: &'a [u8],
    /// Not to be compressed.
    pub plain: bool,
}

/// What is known of a connection beside its messages.
#[derive(Default)]
pub struct Facts {
    pub url: Box<str>,
    pub subprotocol: Box<str>,
    pub extensions: Box<str>,
    pub peer_address: Box<str>,
    pub local_address: Box<str>,
    /// The server's answer, for a client.
    pub response: Option<Head>,
    pub response_body: Vec<u8>,
    pub dns: Duration,
    pub tcp: Duration,
    pub upgrade: Duration,
}

/// Counters that the I/O thread alone changes.
#[derive(Default)]
pub struct Received {
    pub bytes: AtomicU64,
    pub payload: AtomicU64,
    pub messages: AtomicU64,
    pub round_trip_ns: AtomicU64,
    pub at: Mutex<Option<Instant>>,
}

/// Counters and times of one socket.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// How often the connection was made anew.
    pub reconnects: u32,
    /// On the wire, with handshake and frames.
    pub bytes_sent: u64,
    /// On the wire, with handshake and frames.
    pub bytes_received: u64,
    /// Bytes of the messages that were accepted for sending.
    pub payload_sent: u64,
    /// Bytes of the messages that were delivered.
    pub payload_received: u64,
    /// Messages that were accepted for sending.
    pub messages_sent: u64,
    /// Messages that were delivered.
    pub messages_received: u64,
    /// Of the latest ping.
    pub round_trip: Option<Duration>,
    /// Since the last byte was received.
    pub since_received: Option<Duration>,
    /// For the name.
    pub dns: Duration,
    /// For the connection.
    pub tcp: Duration,
    /// For TLS.
    pub tls: Duration,
    /// For the opening handshake.
    pub upgrade: Duration,
}

/// A payload of this size is written piece by piece, so that a piece is still in the cache when
/// the system copies it.
const LARGE: usize = 64 << 10;

/// So that one connection, into which an application writes all the time, leaves time for others.
const WRITES_PER_TURN: usize = 16;

/// A thread of the application writes by itself when the last message is this long ago. In a
/// burst the I/O thread collects what comes meanwhile and writes it in one go.
const QUIET: Duration = Duration::from_micros(50);

impl Link {
    /// A socket whose connection `mailbox`'s worker will run.
    pub fn new(role: Role, settings: Arc<Settings>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            role,
            outbox: Mutex::new(Outbox::new(role, &settings)),
            settings,
            compression: Compression::default(),
            gate: Gate::default(),
            facts: Mutex::default(),
            slot: AtomicUsize::new(usize::MAX),
            received: Received::default(),
            mailbox,
            state: AtomicU8::new(ReadyState::Connecting as u8),
            paused: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
        }
    }

    /// The browser's readyState.
    pub fn ready_state(&self) -> ReadyState {
        match self.state.load(Ordering::Acquire) {
            0 => ReadyState::Connecting,
            1 => ReadyState::Open,
            2 => ReadyState::Closing,
            _ => ReadyState::Closed,
        }
    }

    /// Sends a message.
    pub fn send(self: &Arc<Self>, message: Outgoing<'_>) -> Result<()> {
        if self.may_compress(&message) {
            self.accept_compressed(message)?;
            self.push_out(&mut self.outbox.lock(), false);
            return Ok(());
        }
        let mut out = self.outbox.lock();
        self.check(&mut out, message.payload)?;
        self.enqueue(&mut out, message)
    }

    /// Sends several messages with one write. Returns how many were accepted; an error only where
    /// the first was not.
    pub fn send_many<'a>(
        self: &Arc<Self>,
        messages: impl Iterator<Item = Result<Outgoing<'a>>>,
    ) -> Result<usize> {
        let mut accepted = 0;
        for message in messages {
            let result = message.and_then(|message| {
                if self.may_compress(&message) {
                    return self.accept_compressed(message);
                }
                let mut out = self.outbox.lock();
                self.check(&mut out, message.payload)?;
                self.append(&mut out, message)
            });
            match result {
                Ok(()) => accepted += 1,
                Err(error) if accepted == 0 => return Err(error),
                Err(_) => break,
            }
        }
        self.push_out(&mut self.outbox.lock(), false);
        Ok(accepted)
    }

    /// Sends a piece of a message.
    pub fn send_piece(self: &Arc<Self>, piece: Outgoing<'_>, fin: bool) -> Result<()> {
        let Outgoing {
            kind,
            payload,
            plain,
        } = piece;
        // Also where nothing is compressed, it keeps the pieces of several threads apart.
        let mut turn = self.compression.turn();
        let pieces = {
            let mut out = self.outbox.lock();
            out.check_open()?;
            out.check_room(payload.len(), &self.settings)?;
            out.sender.check_piece(kind, payload, fin)?
        };
        let compressed = match pieces.compressed() {
            Some(compressed) => compressed,
            None => turn.is_some() && !plain && (!fin || self.may_compress(&piece)),
        };
        let wire = match &mut *turn {
            Some(half) if compressed => half.compress(payload, fin, &self.mailbox.buffers)?,
            _ => payload,
        };
        let result = {
            let mut out = self.outbox.lock();
            out.check_open().and_then(|()| {
                let encoding = out.sender.piece(pieces, wire, fin, compressed);
                out.append_piece(encoding, payload.len(), &self.mailbox.buffers)?;
                self.count(&mut out, u64::from(fin));
                self.push_out(&mut out, false);
                Ok(())
            })
        };
        if let Some(half) = turn.as_mut().filter(|_| compressed) {
            half.done(result.is_ok(), &self.mailbox.buffers);
        }
        result
    }

    /// Sends a ping of at most 125 bytes.
    pub fn ping(self: &Arc<Self>, payload: &[u8]) -> Result<()> {
        let mut out = self.outbox.lock();
        out.check_open()?;
        out.ping(payload, now())?;
        self.push_out(&mut out, false);
        Ok(())
    }

    /// Begins the closing handshake, or ends the attempt to connect. Without effect once the end
    /// has begun.
    pub fn close(self: &Arc<Self>, frame: &CloseFrame) -> Result<()> {
        let mut out = self.outbox.lock();
        match out.state {
            ReadyState::Connecting => self.set_state(&mut out, ReadyState::Closing),
            ReadyState::Open => {
                out.append_close(frame)
                    .map_err(|_| no_memory(frame.reason.len()))?;
                self.set_state(&mut out, ReadyState::Closing);
            }
            ReadyState::Closing | ReadyState::Closed => return Ok(()),
        }
        out.wishes.close = true;
        self.push_out(&mut out, false);
        self.call(&mut out);
        Ok(())
    }

    /// Drops the connection.
    pub fn abort(self: &Arc<Self>) {
        self.dropped.store(true, Ordering::Release);
        let mut out = self.outbox.lock();
        match out.state {
            ReadyState::Closed => return,
            ReadyState::Closing => {}
            _ => self.set_state(&mut out, ReadyState::Closing),
        }
        out.wishes.abort = true;
        self.call(&mut out);
    }

    /// Drops the connection, and no event starts any more.
    pub fn release(self: &Arc<Self>) {
        self.gate.detach();
        self.abort();
    }

    /// Stops reading.
    pub fn pause(&self) -> Result<()> {
        if self.ready_state() == ReadyState::Closed {
            return Err(Error::Closed("the socket is closed".into()));
        }
        self.paused.store(true, Ordering::Release);
        Ok(())
    }

    /// Reads on.
    pub fn resume(self: &Arc<Self>) -> Result<()> {
        if self.ready_state() == ReadyState::Closed {
            return Err(Error::Closed("the socket is closed".into()));
        }
        if self.paused.swap(false, Ordering::AcqRel) {
            let mut out = self.outbox.lock();
            self.call(&mut out);
        }
        Ok(())
    }

    /// Payload bytes that were accepted and not yet given to the system.
    pub fn buffered_amount(&self) -> u64 {
        self.outbox.lock().buffered
    }

    /// Counters and times.
    pub fn stats(&self) -> Stats {
        let since_received = self.received.at.lock().map(|at| at.elapsed());
        let round_trip = match self.received.round_trip_ns.load(Ordering::Relaxed) {
            0 => None,
            ns => Some(Duration::from_nanos(ns)),
        };
        let (dns, tcp, upgrade) = {
            let facts = self.facts.lock();
            (facts.dns, facts.tcp, facts.upgrade)
        };
        let out = self.outbox.lock();
        Stats {
            reconnects: 0,
            bytes_sent: out.bytes_sent,
            bytes_received: self.received.bytes.load(Ordering::Relaxed),
            payload_sent: out.payload_sent,
            payload_received: self.received.payload.load(Ordering::Relaxed),
            messages_sent: out.messages_sent,
            messages_received: self.received.messages.load(Ordering::Relaxed),
            round_trip,
            since_received,
            dns,
            tcp,
            tls: Duration::ZERO,
            upgrade,
        }
    }

    /// Whether reading has to stop before the next event. Once the end has begun nothing is
    /// delivered any more, and what is read only brings the end.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire) && self.ready_state() == ReadyState::Open
    }

    /// Whether the connection is to be dropped before the next event.
    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// The transport is there: what waits can be written.
    pub(super) fn connected(&self, transport: Arc<Transport>) {
        self.outbox.lock().transport = Some(transport);
    }

    /// Queues bytes of the handshake.
    pub(super) fn send_raw(&self, bytes: &[u8]) -> Result<()> {
        self.outbox.lock().append_raw(bytes)
    }

    /// The connection is established, unless the application has changed its mind.
    pub(super) fn established(&self) -> bool {
        let mut out = self.outbox.lock();
        if out.state != ReadyState::Connecting {
            return false;
        }
        self.set_state(&mut out, ReadyState::Open);
        true
    }

    /// Messages are compressed from here on.
    pub(super) fn compress(&self, deflater: Deflater) {
        self.compression.start(deflater);
    }

    /// The connection is idle: gives memory back.
    pub(super) fn rest(&self) {
        self.compression.rest();
    }

    /// A batch of events begins: what handlers send is collected.
    pub(super) fn cork(&self) {
        self.outbox.lock().corked = true;
    }

    /// Writes what waits, and returns what the I/O thread has to do besides.
    pub(super) fn attend(self: &Arc<Self>) -> Wishes {
        let mut out = self.outbox.lock();
        out.corked = false;
        if std::mem::take(&mut out.called) {
            out.last_push = Some(now());
        }
        self.write_out(&mut out, WRITES_PER_TURN);
        if out.prepare(&self.mailbox.buffers) {
            self.call(&mut out);
        }
        std::mem::take(&mut out.wishes)
    }

    /// The system takes bytes again.
    pub(super) fn writable(&self) {
        let mut out = self.outbox.lock();
        out.blocked = out.wishes.broken.is_some();
        // A thread that is writing may not have noted yet that the system took no more. This
        // event will not come again, so that it has to try again.
        out.unblocked = out.writing;
    }

    /// Answers a ping; it is written at the end of the batch.
    pub(super) fn pong(&self, payload: &[u8]) {
        // Without memory for a few bytes the pong is lost, which the RFC allows.
        let _ = self.outbox.lock().pong(payload);
    }

    /// Sends a keepalive ping, at the end of the batch.
    pub(super) fn keepalive_ping(&self, payload: &[u8], now: Instant) {
        let mut out = self.outbox.lock();
        if out.state == ReadyState::Open {
            let _ = out.ping(payload, now);
        }
    }

    /// How long ago the ping was sent that this pong answers.
    pub(super) fn round_trip(&self, pong: &[u8], now: Instant) -> Option<Duration> {
        let round_trip = self.outbox.lock().round_trip(pong, now)?;
        let ns = u64::try_from(round_trip.as_nanos())
            .unwrap_or(u64::MAX)
            .max(1);
        self.received.round_trip_ns.store(ns, Ordering::Relaxed);
        Some(round_trip)
    }

    /// Queues a Close frame of the library's own, unless one has been sent. False: it had been.
    pub(super) fn send_close(&self, frame: &CloseFrame) -> bool {
        let mut out = self.outbox.lock();
        if out.state != ReadyState::Open {
            return false;
        }
        self.set_state(&mut out, ReadyState::Closing);
        out.append_close(frame).is_ok()
    }

    /// Whether everything has been given to the system, or never will be.
    pub(super) fn is_flushed(&self) -> bool {
        let out = self.outbox.lock();
        out.is_empty() || out.transport.is_none() || out.wishes.broken.is_some()
    }

    /// Whether bytes wait that nobody is writing. What a thread is writing may have left already:
    /// an answer to it can come before that thread has noted so.
    pub(super) fn is_stuck(&self) -> bool {
        let out = self.outbox.lock();
        !out.writing && !out.is_empty() && out.transport.is_some()
    }

    /// When a message was last sent.
    pub(super) fn last_message(&self) -> Option<Instant> {
        self.outbox.lock().last_message
    }

    /// It is over: nothing more is written.
    pub(super) fn closed(&self) {
        let mut out = self.outbox.lock();
        self.set_state(&mut out, ReadyState::Closed);
        out.discard();
    }

    /// The peer's Close frame has come, or the connection fails.
    pub(super) fn closing(&self) {
        let mut out = self.outbox.lock();
        if out.state < ReadyState::Closing {
            self.set_state(&mut out, ReadyState::Closing);
        }
    }

    /// The worker that runs the connection.
    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    fn set_state(&self, out: &mut Outbox, state: ReadyState) {
        out.state = state;
        self.state.store(state as u8, Ordering::Release);
    }

    fn may_compress(&self, message: &Outgoing<'_>) -> bool {
        let min = self.settings.compression.as_ref().map(|config| config.min);
        !message.plain
            && self.compression.is_on()
            && min.is_some_and(|min| message.payload.len() as u64 >= min)
    }

    /// Fails unless a message of this payload can be accepted.
    fn check(&self, out: &mut Outbox, payload: &[u8]) -> Result<()> {
        out.check_open()?;
        out.sender.check_message()?;
        out.check_room(payload.len(), &self.settings)
    }

    /// Queues a message, compressed.
    fn accept_compressed(self: &Arc<Self>, message: Outgoing<'_>) -> Result<()> {
        let Outgoing { kind, payload, .. } = message;
        let mut turn = self.compression.turn();
        let Some(half) = &mut *turn else {
            return Err(Error::Internal("the compressor is gone".into()));
        };
        self.check(&mut self.outbox.lock(), payload)?;
        let wire = half.compress(payload, true, &self.mailbox.buffers)?;
        let result = {
            let mut out = self.outbox.lock();
            self.check(&mut out, payload).and_then(|()| {
                let pool = &self.mailbox.buffers;
                out.append(kind, wire, true, payload.len(), pool)?;
                self.count(&mut out, 1);
                Ok(())
            })
        };
        half.done(result.is_ok(), &self.mailbox.buffers);
        result
    }

    /// Queues a message that has been checked.
    fn append(&self, out: &mut Outbox, message: Outgoing<'_>) -> Result<()> {
        let Outgoing { kind, payload, .. } = message;
        out.append(kind, payload, false, payload.len(), &self.mailbox.buffers)?;
        self.count(out, 1);
        Ok(())
    }

    /// Takes a message that has been checked, and sees to it that it is written.
    fn enqueue(
        self: &Arc<Self>,
        out: &mut MutexGuard<'_, Outbox>,
        message: Outgoing<'_>,
    ) -> Result<()> {
        let large = message.payload.len() >= LARGE;
        if large {
            // What waits goes first. If it cannot, the message waits behind it.
            self.write_out(out, usize::MAX);
        }
        if large && out.is_empty() && out.transport.is_some() && !out.blocked {
            let encoding = out.sender.message(message.kind, message.payload, false);
            self.write_through(out, encoding);
            self.count(out, 1);
        } else {
            self.append(out, message)?;
        }
        self.push_out(out, large);
        Ok(())
    }

    fn count(&self, out: &mut Outbox, messages: u64) {
        out.messages_sent += messages;
        if self.settings.idle_timeout.is_some() {
            out.last_message = Some(now());
        }
        out.watch(self.settings.low_water);
    }

    /// Sees to it that what waits is written: by this thread if the connection is quiet, else by
    /// the I/O thread, at the end of its batch or as soon as it can.
    fn push_out(self: &Arc<Self>, out: &mut MutexGuard<'_, Outbox>, at_once: bool) {
        if out.blocked || out.writing || out.is_empty() {
            // Whoever writes, or the event of writability, continues.
            return;
        }
        if self.mailbox.is_current() {
            if !out.corked {
                self.call(out);
            }
            return;
        }
        if at_once || out.has_much() {
            self.write_out(out, 1);
        } else if out.called {
            // In a burst: the I/O thread will take this one along.
            return;
        } else {
            let time = Instant::now();
            if self.is_lone(out.last_push, time) {
                self.write_out(out, 1);
            }
            out.last_push = Some(time);
        }
        if out.prepare(&self.mailbox.buffers) {
            self.call(out);
        }
    }

    /// Whether a message is alone, or a first answer to what was received, so that it should go
    /// at once.
    fn is_lone(&self, last: Option<Instant>, time: Instant) -> bool {
        let Some(last) = last else { return true };
        let quiet = last.checked_add(QUIET).is_none_or(|at| at <= time);
        quiet || self.received.at.lock().is_some_and(|at| at > last)
    }

    /// Writes what waits, until nothing does, the system takes no more, or `times` writes were
    /// made. The lock is open while the system works.
    fn write_out(self: &Arc<Self>, out: &mut MutexGuard<'_, Outbox>, times: usize) {
        for _ in 0..times {
            if !out.prepare(&self.mailbox.buffers) {
                break;
            }
            let Some(transport) = out.transport.clone() else {
                break;
            };
            let front = std::mem::take(&mut out.front);
            out.writing = true;
            out.unblocked = false;
            let result = MutexGuard::unlocked(out, || transport.write(front.bytes.bytes()));
            out.writing = false;
            self.note(out, front, result);
        }
        self.settle(out);
    }

    /// Writes a large message from where it is, piece by piece, and keeps what the system does
    /// not take.
    fn write_through(
        self: &Arc<Self>,
        out: &mut MutexGuard<'_, Outbox>,
        mut encoding: Encoding<'_>,
    ) {
        let Some(transport) = out.transport.clone() else {
            return;
        };
        out.accept(encoding.left());
        let mut front = std::mem::take(&mut out.front);
        if front.bytes.capacity() < CHUNK {
            front.bytes = self.mailbox.buffers.lock().take();
        }
        out.writing = true;
        while !encoding.is_done() && !out.blocked && out.wishes.broken.is_none() {
            out.unblocked = false;
            let result = MutexGuard::unlocked(out, || {
                encode(&mut encoding, CHUNK, &mut front).map_err(|_| io::ErrorKind::OutOfMemory)?;
                transport.write(front.bytes.bytes())
            });
            self.note(out, front, result);
            front = std::mem::take(&mut out.front);
        }
        out.writing = false;
        let payload = encoding.left();
        if !encoding.is_done() && encode(&mut encoding, usize::MAX, &mut front).is_err() {
            out.wishes.broken = Some(no_memory(payload));
        }
        out.front = front;
        self.settle(out);
    }

    /// Takes note of how a write went.
    fn note(self: &Arc<Self>, out: &mut Outbox, front: Chunk, result: io::Result<usize>) {
        let written = *result.as_ref().unwrap_or(&0);
        let partial = written < front.bytes.len();
        out.written(front, written);
        match result {
            Ok(_) => out.blocked = partial && !out.unblocked,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                out.blocked = !out.unblocked;
            }
            Err(error) => {
                let sentence = format!("writing failed: {error}");
                out.wishes.broken = Some(Error::Io(sentence.into()));
                out.blocked = true;
                self.call(out);
            }
        }
    }

    fn settle(self: &Arc<Self>, out: &mut Outbox) {
        out.settle(&self.mailbox.buffers);
        if out.wishes.drain {
            self.call(out);
        }
    }

    /// Has the I/O thread attend.
    fn call(self: &Arc<Self>, out: &mut Outbox) {
        if !out.called {
            out.called = true;
            self.mailbox.push(Command::Attend(Arc::clone(self)));
        }
    }
}

/// Appends at most `most` bytes of the payload.
fn encode(encoding: &mut Encoding<'_>, most: usize, chunk: &mut Chunk) -> Result<(), OutOfMemory> {
    let before = encoding.left();
    let result = encoding.write(most, &mut chunk.bytes);
    chunk.payload += (before - encoding.left()) as u64;
    result
}
