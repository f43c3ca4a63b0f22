//! One connection in its worker, from the name to the close event. This module has its state and
//! its turns; the others are the stages of its life.

mod answering;
mod asking;
mod deciding;
mod ending;
mod messages;
mod opening;
mod reading;
mod retry;
mod way;

use std::sync::Arc;
use std::time::Instant;

use mio::{Registry, Token};

use super::link::Link;
use super::listener::{Acceptor, Seat};
use super::live::Live;
use super::tokens::Tokens;
use crate::defects::place;
use crate::delivery::{Event, Outlet, Undelivered};
use crate::error::Error;
use crate::net::tls::{self, Peer};
use crate::net::{Progress, Race, Resolver, Stream, Transport, Url};
use crate::proto::{
    Buffer, CloseFrame, Closing, Keepalive, Pool, Receiver, close, handshake, proxy,
};
use deciding::Pending;
use way::Way;

/// A connection's state, of which only its worker knows.
pub struct Connection {
    pub link: Arc<Link>,
    pub outlet: Outlet,
    side: Side,
    phase: Phase,
    transport: Option<Arc<Transport>>,
    /// What its events have. Others are of a stream that was given up.
    token: Option<Token>,
    /// TLS has ended, or failed, behind what was decrypted last.
    tls_ending: Option<tls::Ending>,
    /// Received bytes that cannot be used yet: an incomplete header or control frame, or what a
    /// paused application does not want.
    tail: Buffer,
    /// The tail holds what a paused application did not want, and comes before any read.
    held_back: bool,
    /// The socket may hold more than was read.
    readable: bool,
    /// The last turn ended for the number of its frames.
    is_dense: bool,
    /// The peer will send no more than what is there.
    read_closed: bool,
    /// Writing has failed: the end, once all that was received is read.
    write_error: Option<Error>,
    closing: Closing,
    keepalive: Keepalive,
    /// Our side has been shut down, or is left to the peer.
    shut: bool,
    /// Another attempt would fail in the same way.
    is_hopeless: bool,
    phase_began: Instant,
    connect_deadline: Option<Instant>,
    /// How many names were looked up: what was asked for an earlier attempt may be answered late.
    queries: u32,
    pings: u64,
    /// When the worker's timers call.
    pub armed: Option<Instant>,
    _live: Live,
}

/// Which side of a connection this is, and what only that side knows.
enum Side {
    /// The application asked for it. The way is forgotten once it is not needed again.
    Client(Option<Box<Way>>),
    Server(Box<Accepted>),
}

/// A connection that a listener has accepted.
pub struct Accepted {
    pub acceptor: Arc<Acceptor>,
    /// Taken by the first turn.
    pub stream: Option<Stream>,
    /// None: the server is full.
    pub seat: Option<Seat>,
}

enum Phase {
    Starting,
    /// The certificates that are trusted are being read.
    Preparing,
    Resolving,
    Connecting(Race),
    /// TLS begins, with whom.
    Securing(Peer),
    Tunneling(Box<proxy::Handshake>),
    Asking(Box<handshake::Client>),
    /// A server waits for the request.
    Awaiting(Box<handshake::Server>),
    /// A server's application is asked what to answer.
    Deciding(Box<Pending>),
    Open(Receiver),
    /// Only the end of TCP is missing; what the peer sends is dropped.
    Leaving,
    /// The next attempt is to begin then.
    Waiting(Instant),
    Over,
}

/// What a worker lends to the connection that it turns to.
pub struct Context<'a> {
    pub registry: &'a Registry,
    pub tokens: &'a mut Tokens,
    pub buffer: &'a mut [u8],
    pub pool: &'a mut Pool,
    pub resolver: &'a Resolver,
    pub now: Instant,
    pub slot: usize,
    /// How many frames, or pieces of them, this turn has brought.
    pub frames: usize,
}

/// So that a peer that sends without end leaves time for other connections.
const READS_PER_TURN: usize = 16;
/// The same for one whose frames are tiny: each costs more time than its bytes do.
const FRAMES_PER_TURN: usize = 4096;
/// What is read at a time from one that sent more of them in its last turn.
const DENSE_READ: usize = 32 << 10;
/// A tail buffer that a connection may keep.
const KEPT: usize = 256;

impl Connection {
    /// A client's, which has not begun.
    pub fn client(link: Arc<Link>, url: Url, live: Live, now: Instant) -> Self {
        let way = Way::new(url, &link.settings);
        Self::new(link, Side::Client(Some(Box::new(way))), live, now)
    }

    /// A server's, which has not begun.
    pub fn server(link: Arc<Link>, accepted: Accepted, live: Live, now: Instant) -> Self {
        Self::new(link, Side::Server(Box::new(accepted)), live, now)
    }

    fn new(link: Arc<Link>, side: Side, live: Live, now: Instant) -> Self {
        let settings = Arc::clone(&link.settings);
        let queue = link.mailbox().queue.clone();
        Self {
            link,
            outlet: Outlet::new(queue),
            side,
            phase: Phase::Starting,
            transport: None,
            token: None,
            tls_ending: None,
            tail: Buffer::new(),
            held_back: false,
            readable: false,
            is_dense: false,
            read_closed: false,
            write_error: None,
            closing: Closing::new(settings.close_timeout),
            keepalive: settings.keepalive(now),
            shut: false,
            is_hopeless: false,
            phase_began: now,
            connect_deadline: settings.connect_deadline(now),
            queries: 0,
            pings: 0,
            armed: None,
            _live: live,
        }
    }

    /// The first turn.
    pub fn begin(&mut self, cx: &mut Context<'_>) {
        place("begin");
        match &mut self.side {
            Side::Client(_) => self.set_out(cx),
            Side::Server(accepted) => {
                let Some(stream) = accepted.stream.take() else {
                    return;
                };
                self.take_stream(stream, cx);
            }
        }
        self.attend(cx);
    }

    /// The system has an event for us.
    pub fn ready(&mut self, token: Token, event: Readiness, cx: &mut Context<'_>) {
        if let Phase::Connecting(race) = &mut self.phase {
            let progress = race.ready(token);
            self.race_on(progress, cx);
            return self.attend(cx);
        }
        if self.token != Some(token) {
            return;
        }
        if event.writable {
            self.link.writable();
        }
        self.read_closed |= event.read_closed;
        self.readable |= event.readable || event.read_closed;
        self.turn(cx);
    }

    /// Reads, delivers, writes.
    pub fn turn(&mut self, cx: &mut Context<'_>) {
        if self.link.gate.take_panic() {
            self.undelivered(Undelivered::Panicked, cx);
        }
        if self.held_back || self.readable {
            self.link.cork();
            self.take_held_back(cx);
            for _ in 0..READS_PER_TURN {
                if !self.may_read() || cx.frames >= FRAMES_PER_TURN {
                    break;
                }
                self.read(cx);
            }
            self.is_dense = cx.frames >= FRAMES_PER_TURN;
        }
        self.attend(cx);
    }

    /// Writes what waits, and does what the application wants.
    pub fn attend(&mut self, cx: &mut Context<'_>) {
        self.decide(cx);
        if self.is_over() {
            return;
        }
        let wishes = self.link.attend();
        if wishes.abort || self.link.is_dropped() {
            return self.give_up(Error::Aborted(
                "the application dropped the connection".into(),
            ));
        }
        if let Some(defect) = wishes.defect {
            return self.fail_inside(defect);
        }
        if wishes.close {
            if !self.is_established() {
                let sentence = "the socket was closed before the connection was established";
                return self.give_up(Error::Aborted(sentence.into()));
            }
            // Not the time of the turn: a handler may have taken long since it began.
            self.closing.sent(Instant::now());
        }
        if let Some(error) = wishes.broken {
            if self.link.is_paused() {
                // What the peer may still have sent is not wanted.
                let ending = self.closing.end(error);
                return self.finish(ending);
            }
            self.write_error = Some(error);
            self.readable = true;
        }
        if wishes.drain {
            self.deliver(Event::Drain, cx);
        }
        self.leave();
    }

    /// A deadline may have come.
    pub fn expired(&mut self, cx: &mut Context<'_>) {
        place("timer");
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= cx.now);
        if is_due(self.closing.deadline()) {
            let limit = self.link.settings.close_timeout.as_millis();
            let sentence = format!("the connection was not closed within {limit} ms");
            self.give_up_sending();
            let ending = self.closing.end(Error::Timeout(sentence.into()));
            return self.finish(ending);
        }
        if let Phase::Deciding(pending) = &self.phase {
            if is_due(pending.deadline()) {
                let sentence = "the application did not answer in time";
                self.refuse_pending(503, sentence, cx.now);
            }
            return self.attend(cx);
        }
        if !self.is_established() && is_due(self.connect_deadline) {
            let limit = self
                .link
                .settings
                .connect_timeout
                .unwrap_or_default()
                .as_millis();
            let what = self.phase_name();
            let sentence = format!("no connection within {limit} ms, {what}");
            return self.receive_eof(Error::Timeout(sentence.into()));
        }
        match &mut self.phase {
            Phase::Connecting(_) => self.race_on(Progress::Running, cx),
            Phase::Open(_) => self.keep_alive(cx),
            Phase::Waiting(until) if *until <= cx.now => self.set_out(cx),
            _ => {}
        }
        self.attend(cx);
    }

    /// When to call [`Self::expired`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Over => None,
            Phase::Open(_) => self
                .keepalive
                .deadline()
                .into_iter()
                .chain(self.closing.deadline())
                .min(),
            Phase::Leaving => self.closing.deadline(),
            Phase::Waiting(until) => Some(*until),
            Phase::Deciding(pending) => pending.deadline(),
            Phase::Connecting(race) => race
                .deadline()
                .into_iter()
                .chain(self.connect_deadline)
                .min(),
            _ => self.connect_deadline,
        }
    }

    /// The application's server or runtime says goodbye.
    pub fn go_away(&mut self, cx: &mut Context<'_>) {
        self.refuse_pending(503, "the server is closing", cx.now);
        let frame = CloseFrame {
            code: Some(close::GOING_AWAY),
            reason: Box::default(),
        };
        if self.link.close(&frame).is_err() {
            self.link.abort();
        }
        self.attend(cx);
    }

    /// Its worker ends.
    pub fn stop(&mut self, tell: bool, why: Error) {
        if !tell {
            self.link.gate.detach();
        }
        self.give_up(why);
    }

    /// The library itself has panicked over this connection.
    pub fn fail_inside(&mut self, defect: Error) {
        // What has failed once so is not tried again.
        self.link.gate.end();
        self.give_up(defect);
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether its server was closed while it was on its way here.
    pub fn is_late(&self) -> bool {
        match &self.side {
            Side::Client(_) => false,
            Side::Server(accepted) => accepted.acceptor.entrance.is_closed(),
        }
    }

    /// The server that accepted it.
    pub fn server_id(&self) -> Option<u64> {
        match &self.side {
            Side::Client(_) => None,
            Side::Server(accepted) => Some(accepted.acceptor.server),
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.phase_began = now;
    }

    fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Open(_) | Phase::Leaving)
    }

    fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Preparing => "while trusted certificates were read",
            Phase::Resolving => "while the name was resolved",
            Phase::Connecting(_) => "while the address did not answer",
            Phase::Securing(Peer::Proxy) => "while TLS with the proxy was not established",
            Phase::Securing(Peer::Server) => "while TLS was not established",
            Phase::Tunneling(_) => "while the proxy did not answer",
            Phase::Asking(_) => "while the upgrade was not answered",
            _ => "while nothing was asked",
        }
    }
}

/// What the system says of a socket.
#[derive(Clone, Copy, Debug)]
pub struct Readiness {
    pub readable: bool,
    pub writable: bool,
    pub read_closed: bool,
}

impl From<&mio::event::Event> for Readiness {
    fn from(event: &mio::event::Event) -> Self {
        Self {
            readable: event.is_readable() || event.is_error(),
            writable: event.is_writable() || event.is_error(),
            read_closed: event.is_read_closed() || event.is_error(),
        }
    }
}
