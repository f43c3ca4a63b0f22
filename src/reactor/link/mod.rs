//! What the application's threads and the I/O thread share of one socket. Every call here returns
//! at once, and none runs the application's code.

mod facts;
mod publishing;
mod sending;
mod writing;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::command::{Command, Mailbox, now};
use super::compression::Compression;
use super::outbox::{Outbox, ReadyState, Wishes};
use super::settings::Settings;
use super::topics::Topics;
use crate::defects::place;
use crate::delivery::Gate;
use crate::error::{Error, Result};
use crate::net::{Transport, Url};
use crate::proto::deflate::Deflater;
use crate::proto::{CloseFrame, Role};
pub use facts::Stats;
use facts::{Facts, Inflow};
pub use sending::Outgoing;

/// One socket.
pub struct Link {
    pub role: Role,
    pub settings: Arc<Settings>,
    pub gate: Arc<Gate>,
    pub facts: Mutex<Facts>,
    /// The slot of its connection in its worker.
    pub slot: AtomicUsize,
    pub received: Inflow,
    mailbox: Arc<Mailbox>,
    /// Those of its server, which hold it while it is open.
    topics: Option<Arc<Topics>>,
    outbox: Mutex<Outbox>,
    /// Locked before the outbox, never after it.
    compression: Compression,
    /// A copy of the outbox's, to be read without its lock.
    state: AtomicU8,
    paused: AtomicBool,
    /// Whether the connection is to be dropped before the next event.
    dropped: AtomicBool,
    /// What the next connection is to have otherwise.
    changes: Mutex<Option<Box<Changes>>>,
}

/// What the application has changed for the next connection.
#[derive(Default)]
struct Changes {
    url: Option<Url>,
    headers: Vec<(String, String)>,
}

/// So that one connection, into which an application writes all the time, leaves time for others.
const WRITES_PER_TURN: usize = 16;

impl Link {
    /// A socket whose connection `mailbox`'s worker will run.
    pub fn new(role: Role, settings: Arc<Settings>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            role,
            outbox: Mutex::new(Outbox::new(role, &settings)),
            settings,
            compression: Compression::default(),
            gate: Arc::default(),
            facts: Mutex::default(),
            slot: AtomicUsize::new(usize::MAX),
            received: Inflow::default(),
            mailbox,
            topics: None,
            state: AtomicU8::new(ReadyState::Connecting as u8),
            paused: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
            changes: Mutex::default(),
        }
    }

    /// A socket of the server that has these topics.
    pub fn accepted(topics: Arc<Topics>, settings: Arc<Settings>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            topics: Some(topics),
            ..Self::new(Role::Server, settings, mailbox)
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

    /// Does what a thread of the application asks for. If the library panics over it, the
    /// connection ends, and the panic goes on.
    pub fn guarded<T>(self: &Arc<Self>, act: impl FnOnce(&Arc<Self>) -> T) -> T {
        catch_unwind(AssertUnwindSafe(|| act(self))).unwrap_or_else(|panic| {
            let mut out = self.outbox.lock();
            if out.state != ReadyState::Closed {
                let sentence = "a defect of the library ended the connection";
                out.wishes.defect = Some(Error::Internal(sentence.into()));
                self.call(&mut out);
            }
            drop(out);
            resume_unwind(panic)
        })
    }

    /// Begins the closing handshake, or ends the attempt to connect. Without effect once the end
    /// has begun.
    pub fn close(self: &Arc<Self>, frame: &CloseFrame) -> Result<()> {
        let mut out = self.outbox.lock();
        place("close");
        self.gate.end();
        match out.state {
            ReadyState::Connecting => self.set_state(&mut out, ReadyState::Closing),
            ReadyState::Open => {
                out.append_close(frame)
                    .map_err(|cause| cause.error(frame.reason.len()))?;
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
        self.gate.end();
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

    /// Has the next connection lead elsewhere.
    pub fn set_url(&self, url: Url) -> Result<()> {
        self.change(|changes| changes.url = Some(url))
    }

    /// Has the requests of the next connections say this, in place of what they have said.
    pub fn set_header(&self, name: &str, value: &str) -> Result<()> {
        self.change(|changes| {
            let headers = &mut changes.headers;
            headers.retain(|(it, _)| !it.eq_ignore_ascii_case(name));
            headers.push((name.to_owned(), value.to_owned()));
        })
    }

    fn change(&self, change: impl FnOnce(&mut Changes)) -> Result<()> {
        if self.role == Role::Server || self.settings.reconnect.is_none() {
            return Err(Error::State(
                "the socket does not reconnect, so that there is no next attempt".into(),
            ));
        }
        if self.is_let_go() || self.ready_state() == ReadyState::Closed {
            return Err(Error::Closed(
                "the socket is closed, or being closed".into(),
            ));
        }
        change(self.changes.lock().get_or_insert_default());
        Ok(())
    }

    /// Payload bytes that were accepted and not yet given to the system.
    pub fn buffered_amount(&self) -> u64 {
        self.outbox.lock().buffered
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
    pub(super) fn established(self: &Arc<Self>) -> bool {
        self.join();
        let mut out = self.outbox.lock();
        if out.state != ReadyState::Connecting {
            return false;
        }
        self.set_state(&mut out, ReadyState::Open);
        true
    }

    /// The connection is gone, and another one is to follow. False: the application wants none.
    pub(super) fn reconnect(&self) -> bool {
        let mut out = self.outbox.lock();
        if self.is_let_go() {
            return false;
        }
        out.reset(self.role, &self.settings);
        self.set_state(&mut out, ReadyState::Connecting);
        true
    }

    /// The connection is gone before it was established.
    pub(super) fn disconnected(&self) {
        self.outbox.lock().reset(self.role, &self.settings);
    }

    /// Whether the application wants no further connection.
    pub(super) fn is_let_go(&self) -> bool {
        self.gate.is_ending()
    }

    /// Where the next connection is to lead, if the application has changed its mind.
    pub(super) fn take_url(&self) -> Option<Url> {
        self.changes.lock().as_mut()?.url.take()
    }

    /// The header fields that the application has set since the beginning.
    pub(super) fn changed_headers(&self) -> Vec<(String, String)> {
        let changes = self.changes.lock();
        changes
            .as_ref()
            .map_or_else(Vec::new, |it| it.headers.clone())
    }

    /// Messages are compressed from here on, or are not.
    pub(super) fn compress(&self, deflater: Option<Deflater>) {
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
    pub(super) fn closed(self: &Arc<Self>) {
        {
            let mut out = self.outbox.lock();
            self.set_state(&mut out, ReadyState::Closed);
            out.discard();
        }
        self.leave();
    }

    /// The peer's Close frame has come, or the connection fails.
    pub(super) fn closing(&self) {
        let mut out = self.outbox.lock();
        if out.state < ReadyState::Closing {
            self.set_state(&mut out, ReadyState::Closing);
        }
    }

    /// Has the worker turn to the connection.
    pub(super) fn summon(self: &Arc<Self>) {
        let mut out = self.outbox.lock();
        self.call(&mut out);
    }

    /// The worker that runs the connection.
    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    fn set_state(&self, out: &mut Outbox, state: ReadyState) {
        out.state = state;
        self.state.store(state as u8, Ordering::Release);
    }

    /// Has the I/O thread attend.
    fn call(self: &Arc<Self>, out: &mut Outbox) {
        if !out.called {
            out.called = true;
            self.mailbox.push(Command::Attend(Arc::clone(self)));
        }
    }
}
