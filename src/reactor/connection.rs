//! One connection in its worker, from the name to the close event.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::Registry;

use super::command::Command;
use super::link::Link;
use super::listener::{Acceptor, Seat};
use super::outbox::ReadyState;
use super::settings::Settings;
use super::worker::{Live, token};
use crate::delivery::{Event, Payload};
use crate::error::{Error, Sentence};
use crate::net::{Host, Progress, Race, Resolver, SHORT_READ_MEANS_EMPTY, Stream, Transport, Url};
use crate::proto::deflate::{self, Agreed};
use crate::proto::handshake::{self, Refusal};
use crate::proto::{
    Buffer, CloseFrame, Closing, Ending, Failure, Keepalive, Location, MessageKind, Overdue, Pool,
    Received, Receiver, Role, close,
};

/// A connection's state, of which only its worker knows.
pub struct Connection {
    pub link: Arc<Link>,
    origin: Origin,
    phase: Phase,
    transport: Option<Arc<Transport>>,
    /// Received bytes that cannot be used yet: an incomplete header or control frame, or what a
    /// paused application does not want.
    tail: Buffer,
    /// The tail holds what a paused application did not want, and comes before any read.
    held_back: bool,
    /// The socket may hold more than was read.
    readable: bool,
    /// The peer will send no more than what is there.
    read_closed: bool,
    /// Writing has failed: the end, once all that was received is read.
    write_error: Option<Error>,
    closing: Closing,
    keepalive: Keepalive,
    /// Our side has been shut down, or is left to the peer.
    shut: bool,
    phase_began: Instant,
    connect_deadline: Option<Instant>,
    pings: u64,
    /// When the worker's timers call.
    pub armed: Option<Instant>,
    _live: Live,
}

/// Where a connection comes from.
pub enum Origin {
    /// The application asked for it.
    Client(Url),
    /// A listener accepted it.
    Server {
        acceptor: Arc<Acceptor>,
        /// Taken by the first turn.
        stream: Option<Stream>,
        /// None: the server is full.
        seat: Option<Seat>,
    },
}

enum Phase {
    Starting,
    Resolving,
    Connecting(Race),
    Asking(handshake::Client),
    Listening(handshake::Server),
    Open(Receiver),
    /// Only the end of TCP is missing; what the peer sends is dropped.
    Leaving,
    Over,
}

/// What a worker lends to the connection that it turns to.
pub struct Context<'a> {
    pub registry: &'a Registry,
    pub buffer: &'a mut [u8],
    pub pool: &'a mut Pool,
    pub resolver: &'a Resolver,
    pub now: Instant,
    pub slot: usize,
}

/// So that a peer that sends without end leaves time for other connections.
const READS_PER_TURN: usize = 16;
/// A tail buffer that a connection may keep.
const KEPT: usize = 256;

impl Connection {
    /// A connection that has not begun.
    pub fn new(link: Arc<Link>, origin: Origin, live: Live, now: Instant) -> Self {
        let settings = Arc::clone(&link.settings);
        Self {
            link,
            origin,
            phase: Phase::Starting,
            transport: None,
            tail: Buffer::new(),
            held_back: false,
            readable: false,
            read_closed: false,
            write_error: None,
            closing: Closing::new(settings.close_timeout),
            keepalive: Keepalive::new(
                settings.ping_interval,
                settings.pong_timeout,
                settings.idle_timeout,
                now,
            ),
            shut: false,
            phase_began: now,
            connect_deadline: settings.connect_timeout.and_then(|it| now.checked_add(it)),
            pings: 0,
            armed: None,
            _live: live,
        }
    }

    /// The first turn.
    pub fn begin(&mut self, cx: &mut Context<'_>) {
        match &mut self.origin {
            Origin::Client(url) => {
                let url = url.clone();
                self.look_up(&url, cx);
            }
            Origin::Server { stream, .. } => {
                let Some(stream) = stream.take() else { return };
                self.connected(stream, true, cx);
            }
        }
        self.attend(cx);
    }

    /// The resolver has answered.
    pub fn resolved(&mut self, result: io::Result<Vec<SocketAddr>>, cx: &mut Context<'_>) {
        if !matches!(self.phase, Phase::Resolving) {
            return;
        }
        self.link.facts.lock().dns = cx.now.saturating_duration_since(self.phase_began);
        match result {
            Ok(addresses) if !addresses.is_empty() => self.race(addresses, cx),
            result => {
                let host = self.host_name();
                let why = result
                    .err()
                    .map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
                self.give_up(Error::Dns(
                    format!("host {host} cannot be resolved: {why}").into(),
                ));
            }
        }
        self.attend(cx);
    }

    /// The system has an event for us.
    pub fn ready(&mut self, attempt: u8, event: Readiness, cx: &mut Context<'_>) {
        if let Phase::Connecting(race) = &mut self.phase {
            let progress = race.ready(attempt);
            self.race_on(progress, cx);
            return self.attend(cx);
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
        if self.held_back || self.readable {
            self.link.cork();
            self.take_held_back(cx);
            for _ in 0..READS_PER_TURN {
                if !self.may_read() {
                    break;
                }
                self.read(cx);
            }
        }
        self.attend(cx);
    }

    /// Whether the next turn should come without an event.
    pub fn wants_turn(&self) -> bool {
        self.may_read() || self.held_back && !self.link.is_paused() && !self.is_over()
    }

    /// Writes what waits, and does what the application wants.
    pub fn attend(&mut self, cx: &mut Context<'_>) {
        if self.is_over() {
            return;
        }
        let wishes = self.link.attend();
        if wishes.abort || self.link.is_dropped() {
            return self.give_up(Error::Aborted(
                "the application dropped the connection".into(),
            ));
        }
        if wishes.close {
            if !self.is_established() {
                let sentence = "the socket was closed before the connection was established";
                return self.give_up(Error::Aborted(sentence.into()));
            }
            self.closing.sent(cx.now);
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
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= cx.now);
        if is_due(self.closing.deadline()) {
            let limit = self.link.settings.close_timeout.as_millis();
            let sentence = format!("the connection was not closed within {limit} ms");
            self.give_up_sending();
            let ending = self.closing.end(Error::Timeout(sentence.into()));
            return self.finish(ending);
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
        let frame = CloseFrame {
            code: Some(close::GOING_AWAY),
            reason: Box::default(),
        };
        if self.link.close(&frame).is_err() {
            self.link.abort();
        }
        self.attend(cx);
    }

    /// The runtime ends.
    pub fn stop(&mut self, tell: bool) {
        if !tell {
            self.link.gate.detach();
        }
        self.give_up(Error::Aborted("the runtime has ended".into()));
    }

    /// The library itself has panicked over this connection.
    pub fn panicked_inside(&mut self) {
        self.give_up(Error::Internal(
            "a defect of the library ended the connection".into(),
        ));
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// The server that accepted it.
    pub fn server(&self) -> Option<u64> {
        match &self.origin {
            Origin::Client(_) => None,
            Origin::Server { acceptor, .. } => Some(acceptor.server),
        }
    }

    fn look_up(&mut self, url: &Url, cx: &mut Context<'_>) {
        #[cfg(unix)]
        if let Some(path) = url.unix() {
            return match mio::net::UnixStream::connect(path) {
                Ok(stream) => self.connected(Stream::Unix(stream), true, cx),
                Err(error) => {
                    let path = path.display();
                    let sentence = format!("connecting to {path} failed: {error}");
                    self.give_up(Error::Connect(sentence.into()));
                }
            };
        }
        let port = url.port();
        match url.host() {
            Host::Ip(address) => self.race(vec![SocketAddr::new(address, port)], cx),
            // RFC 6761 §6.3: localhost is this machine, whatever a resolver says.
            Host::Domain("localhost") => {
                let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
                let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                self.race(vec![v6, v4], cx);
            }
            Host::Domain(name) => {
                self.enter(Phase::Resolving, cx.now);
                // Weak: the resolver may take half a minute, and the application's user_data is to
                // be released when the socket has ended, on no thread of the resolver's.
                let link = Arc::downgrade(&self.link);
                let mailbox = Arc::clone(self.link.mailbox());
                let begun = cx.resolver.resolve(name, port, move |result| {
                    mailbox.push(Command::Resolved(link, result));
                });
                if let Err(error) = begun {
                    let sentence = format!("no thread to resolve {name}: {error}");
                    self.give_up(Error::Resource(sentence.into()));
                }
            }
        }
    }

    fn race(&mut self, addresses: Vec<SocketAddr>, cx: &mut Context<'_>) {
        self.enter(Phase::Connecting(Race::new(addresses, cx.now)), cx.now);
        self.race_on(Progress::Running, cx);
    }

    fn race_on(&mut self, progress: Progress, cx: &mut Context<'_>) {
        let Phase::Connecting(race) = &mut self.phase else {
            return;
        };
        let progress = match progress {
            Progress::Running => race.advance(cx.now, |stream, attempt| {
                let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
                cx.registry
                    .register(stream, token(cx.slot, attempt), interest)
            }),
            progress => progress,
        };
        match progress {
            Progress::Running => {}
            Progress::Won(stream) => self.connected(Stream::Tcp(stream), false, cx),
            Progress::Lost(address, error) => {
                let sentence = format!("connecting to {address} failed: {error}");
                self.give_up(Error::Connect(sentence.into()));
            }
        }
    }

    /// Bytes can flow: begins the handshake.
    fn connected(&mut self, mut stream: Stream, register: bool, cx: &mut Context<'_>) {
        if register && let Err(error) = stream.register(cx.registry, token(cx.slot, 0)) {
            let sentence = format!("the system watches no further socket: {error}");
            return self.give_up(Error::Resource(sentence.into()));
        }
        let transport = Arc::new(Transport::new(stream));
        {
            let mut facts = self.link.facts.lock();
            facts.tcp = cx.now.saturating_duration_since(self.phase_began);
            facts.peer_address = transport.peer_address().into();
            facts.local_address = transport.local_address().into();
        }
        self.transport = Some(Arc::clone(&transport));
        self.link.connected(transport);
        match &self.origin {
            Origin::Server { .. } => {
                self.enter(Phase::Listening(handshake::Server::new()), cx.now);
            }
            Origin::Client(url) => match self.ask(url) {
                Ok(client) => self.enter(Phase::Asking(client), cx.now),
                Err(error) => return self.give_up(error),
            },
        }
        // What arrived before the registration is not announced again on every system.
        self.readable = true;
    }

    fn ask(&self, url: &Url) -> Result<handshake::Client, Error> {
        let settings = &self.link.settings;
        let (client, request) = handshake::Client::new(&handshake::Request {
            host: url.authority(),
            target: url.target(),
            authorization: url.basic_auth(),
            origin: settings.origin.as_deref(),
            user_agent: settings.user_agent.as_deref(),
            subprotocols: &settings.subprotocols,
            headers: &settings.headers,
            extensions: settings.compression.as_ref().map(deflate::offer).as_deref(),
        })?;
        self.link.send_raw(&request)?;
        Ok(client)
    }

    fn may_read(&self) -> bool {
        self.readable
            && !self.held_back
            && !self.is_over()
            && !self.link.is_dropped()
            && !self.link.is_paused()
    }

    /// Delivers what the application did not want while it was paused.
    fn take_held_back(&mut self, cx: &mut Context<'_>) {
        if self.held_back && !self.link.is_paused() {
            self.held_back = false;
            let len = self.tail.len();
            cx.buffer[..len].copy_from_slice(self.tail.bytes());
            self.tail = Buffer::new();
            self.receive(len, cx);
        }
    }

    /// Reads once, and uses what was read.
    fn read(&mut self, cx: &mut Context<'_>) {
        let Some(transport) = self.transport.clone() else {
            return;
        };
        if let Phase::Open(receiver) = &mut self.phase
            && self.tail.is_empty()
            && let Some(room) = receiver.room()
        {
            let most = room.len();
            let result = transport.read(room);
            if let Some(len) = self.judge(result, most, cx) {
                self.filled(len, cx);
            }
            return;
        }
        let held = self.tail.len();
        // One byte stays free for the NUL behind the last payload.
        let end = cx.buffer.len() - 1;
        cx.buffer[..held].copy_from_slice(self.tail.bytes());
        let result = transport.read(&mut cx.buffer[held..end]);
        if let Some(len) = self.judge(result, end - held, cx) {
            self.tail.clear();
            self.receive(held + len, cx);
        }
    }

    /// What a read says. `None`: no bytes.
    fn judge(
        &mut self,
        result: io::Result<usize>,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        match result {
            Ok(0) => {
                let sentence = if self.give_up_sending() {
                    "the peer ended the connection before everything was sent"
                } else {
                    "the peer ended the connection without a Close frame"
                };
                self.receive_eof(Error::Io(sentence.into()));
            }
            Ok(len) => {
                if SHORT_READ_MEANS_EMPTY && len < most && !self.read_closed {
                    self.readable = self.write_error.is_some();
                }
                let received = &self.link.received;
                add(&received.bytes, len);
                *received.at.lock() = Some(cx.now);
                return Some(len);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                if let Some(error) = self.write_error.take() {
                    self.receive_eof(error);
                }
            }
            Err(error) => {
                self.receive_eof(Error::Io(format!("reading failed: {error}").into()));
            }
        }
        None
    }

    /// What the system does not take now is lost, our Close frame first of all. Whether there is
    /// any.
    fn give_up_sending(&mut self) -> bool {
        // A stream that is broken is told of by its own error.
        let is_broken = self.write_error.is_some() || self.link.attend().broken.is_some();
        let is_lost = !is_broken && self.link.is_stuck();
        if is_lost {
            self.closing.unsent();
        }
        is_lost
    }

    /// Nothing more comes, for which `error` is the sentence.
    fn receive_eof(&mut self, error: Error) {
        match &mut self.phase {
            Phase::Asking(client) => {
                // A refusal whose body does not end is a refusal all the same.
                let refused = client.response().is_some();
                let error = if refused { client.receive_eof() } else { error };
                self.keep_response();
                self.give_up(error);
            }
            Phase::Open(_) | Phase::Leaving => {
                let ending = self.closing.end(error);
                self.finish(ending);
            }
            _ => self.give_up(error),
        }
    }

    /// Uses the first `len` bytes of the shared buffer.
    fn receive(&mut self, len: usize, cx: &mut Context<'_>) {
        match &mut self.phase {
            Phase::Asking(client) => match client.receive(&cx.buffer[..len]) {
                Ok((_, None)) => {}
                Ok((used, Some(accepted))) => {
                    self.keep_response();
                    self.accepted(accepted, used, len, cx);
                }
                Err(error) => {
                    self.keep_response();
                    self.give_up(error);
                }
            },
            Phase::Listening(server) => match server.receive(&cx.buffer[..len]) {
                Ok((_, None)) => {}
                Ok((used, Some(upgrade))) => self.answer(&upgrade, used, len, cx),
                Err(refusal) => self.refuse(&refusal, cx),
            },
            Phase::Open(_) => self.messages(0, len, cx),
            _ => {}
        }
    }

    /// The server has accepted the upgrade.
    fn accepted(
        &mut self,
        accepted: handshake::Accepted,
        used: usize,
        len: usize,
        cx: &mut Context<'_>,
    ) {
        let config = self.link.settings.compression.clone().unwrap_or_default();
        let agreed = match deflate::confirm(&config, &accepted.extensions) {
            Ok(agreed) => agreed,
            Err(sentence) => return self.give_up(Error::Handshake(sentence)),
        };
        {
            let mut facts = self.link.facts.lock();
            facts.subprotocol = accepted.subprotocol.unwrap_or_default().into();
            facts.extensions = accepted.extensions.into();
        }
        self.open(agreed, used, len, cx);
    }

    /// Moves the response to where the application can see it.
    fn keep_response(&mut self) {
        if !matches!(self.phase, Phase::Asking(_)) {
            return;
        }
        let Phase::Asking(client) = std::mem::replace(&mut self.phase, Phase::Leaving) else {
            return;
        };
        let (head, body) = client.into_response();
        let mut facts = self.link.facts.lock();
        facts.response = head;
        facts.response_body = body;
    }

    /// Answers a valid upgrade request.
    fn answer(
        &mut self,
        upgrade: &handshake::Upgrade,
        used: usize,
        len: usize,
        cx: &mut Context<'_>,
    ) {
        let Origin::Server { acceptor, seat, .. } = &self.origin else {
            return;
        };
        let acceptor = Arc::clone(acceptor);
        if seat.is_none() {
            let sentence = "the server has no place for a further connection";
            return match Refusal::new(503, sentence) {
                Ok(refusal) => self.refuse(&refusal, cx),
                Err(error) => self.give_up(error),
            };
        }
        let settings = &self.link.settings;
        let subprotocol = upgrade.choose_subprotocol(&settings.subprotocols);
        let user_agent = settings.user_agent.as_deref();
        let agreed = match agree(upgrade, settings) {
            Ok(agreed) => agreed,
            Err(refusal) => return self.refuse(&refusal, cx),
        };
        let (agreed, extensions) = agreed.unzip();
        let extensions = extensions.as_deref();
        let response = upgrade.accept(subprotocol, extensions, &settings.headers, user_agent);
        {
            let mut facts = self.link.facts.lock();
            let (scheme, host, target) = (acceptor.scheme, upgrade.host(), upgrade.target());
            facts.url = format!("{scheme}://{host}{target}").into();
            facts.subprotocol = subprotocol.unwrap_or_default().into();
            facts.extensions = extensions.unwrap_or_default().into();
        }
        if let Err(error) = self.link.send_raw(&response) {
            return self.give_up(error);
        }
        self.link.gate.attach(acceptor.handler(&self.link));
        self.open(agreed, used, len, cx);
    }

    /// Answers a request that is not for us, and leaves.
    fn refuse(&mut self, refusal: &Refusal, cx: &mut Context<'_>) {
        log::debug!(
            "an upgrade request is refused with status {}",
            refusal.status
        );
        if let Err(error) = self.link.send_raw(&refusal.response()) {
            return self.give_up(error);
        }
        self.closing.failed(None, cx.now);
        self.phase = Phase::Leaving;
    }

    /// The handshake is done; the first frames may be in the buffer already.
    fn open(&mut self, agreed: Option<Agreed>, used: usize, len: usize, cx: &mut Context<'_>) {
        if !self.link.established() {
            let sentence = "the socket was closed before the connection was established";
            return self.give_up(Error::Aborted(sentence.into()));
        }
        self.link.facts.lock().upgrade = cx.now.saturating_duration_since(self.phase_began);
        let settings = &self.link.settings;
        self.keepalive = Keepalive::new(
            settings.ping_interval,
            settings.pong_timeout,
            settings.idle_timeout,
            cx.now,
        );
        if let (Some(agreed), Some(config)) = (&agreed, &settings.compression) {
            self.link.compress(agreed.deflater(config.level));
        }
        let inflater = agreed.map(|agreed| agreed.inflater());
        let receiver = Receiver::new(self.link.role, settings.max_message, inflater);
        self.enter(Phase::Open(receiver), cx.now);
        self.link.cork();
        self.deliver(Event::Open, cx);
        self.messages(used, len, cx);
    }

    /// Delivers what the shared buffer holds from `start` to `end`.
    fn messages(&mut self, mut start: usize, end: usize, cx: &mut Context<'_>) {
        let mut alive = false;
        while let Phase::Open(receiver) = &mut self.phase {
            if self.link.is_dropped() {
                return;
            }
            if self.link.is_paused() {
                self.held_back = true;
                break;
            }
            match receiver.receive(&mut cx.buffer[start..end], cx.pool) {
                Err(failure) => return self.fail(failure, cx),
                Ok(None) => break,
                Ok(Some(step)) => {
                    let base = start;
                    start += step.consumed;
                    alive |= match step.received {
                        None => true,
                        Some(received) => self.take(received, base, cx),
                    };
                }
            }
        }
        if alive {
            self.keepalive.heard(cx.now);
        }
        if matches!(self.phase, Phase::Open(_)) {
            self.keep(start, end, cx);
        }
    }

    /// Keeps what cannot be used yet.
    fn keep(&mut self, start: usize, end: usize, cx: &mut Context<'_>) {
        if self.tail.append(&cx.buffer[start..end]).is_err() {
            let error = Error::Resource("no memory for received bytes".into());
            return self.fail(
                Failure {
                    code: close::INTERNAL_ERROR,
                    error,
                },
                cx,
            );
        }
        if self.tail.is_empty() && self.tail.capacity() > KEPT {
            self.tail = Buffer::new();
        }
    }

    /// Uses what was read straight into a message.
    fn filled(&mut self, len: usize, cx: &mut Context<'_>) {
        let Phase::Open(receiver) = &mut self.phase else {
            return;
        };
        self.keepalive.heard(cx.now);
        match receiver.filled(len) {
            Err(failure) => self.fail(failure, cx),
            Ok(None) => {}
            Ok(Some(received)) => {
                self.take(received, 0, cx);
            }
        }
    }

    /// Delivers something complete. Whether it shows that the peer is alive.
    fn take(&mut self, received: Received, base: usize, cx: &mut Context<'_>) -> bool {
        match received {
            Received::Message(kind, location) => self.take_message(kind, location, base, cx),
            Received::Ping(Location::Input(range)) => {
                let payload = &cx.buffer[base + range.start..base + range.end];
                self.link.pong(payload);
                self.deliver_input(base + range.start, base + range.end, cx, |it| {
                    Event::Ping(it)
                });
            }
            Received::Pong(Location::Input(range)) => {
                let (start, end) = (base + range.start, base + range.end);
                let round_trip = self.link.round_trip(&cx.buffer[start..end], Instant::now());
                self.deliver_input(start, end, cx, |payload| Event::Pong {
                    payload,
                    round_trip,
                });
                return round_trip.is_some();
            }
            Received::Close(frame) => self.take_close(frame, cx),
            // Control frames are never assembled.
            Received::Ping(_) | Received::Pong(_) => {}
        }
        true
    }

    fn take_message(
        &mut self,
        kind: MessageKind,
        location: Location,
        base: usize,
        cx: &mut Context<'_>,
    ) {
        self.keepalive.message(cx.now);
        let received = &self.link.received;
        match location {
            Location::Input(range) => {
                add(&received.messages, 1);
                add(&received.payload, range.len());
                let (start, end) = (base + range.start, base + range.end);
                self.deliver_input(start, end, cx, |payload| Event::Message { kind, payload });
            }
            Location::Assembled => {
                let Phase::Open(receiver) = &mut self.phase else {
                    return;
                };
                let mut panicked = false;
                match receiver.assembled() {
                    Err(failure) => return self.fail(failure, cx),
                    Ok(bytes) => {
                        add(&received.messages, 1);
                        add(&received.payload, bytes.len() - 1);
                        let open = self.link.ready_state() == ReadyState::Open;
                        if let Some(payload) = Payload::new(bytes).filter(|_| open) {
                            let event = Event::Message { kind, payload };
                            panicked = self.link.gate.deliver(&event).is_err();
                        }
                    }
                }
                receiver.recycle(cx.pool);
                if panicked {
                    self.panicked(cx);
                }
            }
        }
    }

    /// RFC 6455 §5.5.1: a Close frame is answered with one, unless it is the answer.
    fn take_close(&mut self, frame: CloseFrame, cx: &mut Context<'_>) {
        self.link.send_close(&CloseFrame {
            code: frame.code,
            reason: Box::default(),
        });
        self.closing.received(frame, cx.now);
        self.closing.sent(cx.now);
        self.phase = Phase::Leaving;
    }

    /// Delivers a payload where it is. The byte behind it is a NUL meanwhile.
    fn deliver_input(
        &mut self,
        start: usize,
        end: usize,
        cx: &mut Context<'_>,
        event: impl FnOnce(Payload<'_>) -> Event<'_>,
    ) {
        // WHATWG: a message is dropped once close() was called.
        if self.link.ready_state() != ReadyState::Open {
            return;
        }
        let behind = std::mem::replace(&mut cx.buffer[end], 0);
        let delivered = match Payload::new(&cx.buffer[start..=end]) {
            Some(payload) => self.link.gate.deliver(&event(payload)),
            None => Ok(()),
        };
        cx.buffer[end] = behind;
        if delivered.is_err() {
            self.panicked(cx);
        }
    }

    fn deliver(&mut self, event: Event<'_>, cx: &mut Context<'_>) {
        if self.link.gate.deliver(&event).is_err() {
            self.panicked(cx);
        }
    }

    fn panicked(&mut self, cx: &mut Context<'_>) {
        let error = Error::Internal("a handler of the application panicked".into());
        self.fail(
            Failure {
                code: close::INTERNAL_ERROR,
                error,
            },
            cx,
        );
    }

    fn keep_alive(&mut self, cx: &mut Context<'_>) {
        if let Some(at) = self.link.last_message() {
            self.keepalive.message(at);
        }
        if self.link.is_paused() {
            // The answer may be there, and the application does not let us read it.
            self.keepalive.heard(cx.now);
        }
        match self.keepalive.overdue(cx.now) {
            None => {}
            Some(Overdue::Ping) => {
                self.link.rest();
                if let Phase::Open(receiver) = &mut self.phase {
                    receiver.rest();
                }
                self.pings += 1;
                self.link.keepalive_ping(&self.pings.to_be_bytes(), cx.now);
            }
            Some(Overdue::Pong(limit)) => {
                self.give_up(timeout("the peer did not answer a ping", limit));
            }
            Some(Overdue::Idle(limit)) => {
                let error = timeout("no message passed", limit);
                self.fail(
                    Failure {
                        code: close::GOING_AWAY,
                        error,
                    },
                    cx,
                );
            }
        }
    }

    /// RFC 6455 §7.1.7: tells both sides, and leaves.
    fn fail(&mut self, failure: Failure, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Leaving | Phase::Over) {
            return;
        }
        self.phase = Phase::Leaving;
        self.tail = Buffer::new();
        let code = Some(failure.code);
        let sent = self.link.send_close(&CloseFrame {
            code,
            reason: Box::default(),
        });
        self.link.closing();
        self.closing.failed(code.filter(|_| sent), cx.now);
        self.closing.sent(cx.now);
        let _ = self.link.gate.deliver(&Event::Error(&failure.error));
    }

    /// Once nothing but the end of TCP is missing, says so to the peer. RFC 6455 §7.1.1: the server
    /// closes first.
    fn leave(&mut self) {
        if !self.shut && self.closing.is_over() && self.link.is_flushed() {
            self.shut = true;
            if (self.link.role == Role::Server || self.closing.is_failed())
                && let Some(transport) = &self.transport
            {
                transport.shutdown_write();
            }
        }
    }

    /// Ends without a closing handshake.
    fn give_up(&mut self, error: Error) {
        self.finish(Ending::abnormal(error));
    }

    /// The end: the last events.
    fn finish(&mut self, ending: Ending) {
        if self.is_over() {
            return;
        }
        if !self.link.is_dropped() {
            // A last Close frame may wait; what the system does not take now is lost.
            self.link.attend();
        }
        self.phase = Phase::Over;
        self.link.closed();
        self.transport = None;
        self.tail = Buffer::new();
        if let Some(error) = &ending.error {
            let _ = self.link.gate.deliver(&Event::Error(error));
        }
        let mut reason = ending.reason.into_string();
        reason.push('\0');
        let reason = Payload::new(reason.as_bytes()).unwrap_or(Payload::EMPTY);
        let (code, was_clean) = (ending.code, ending.was_clean);
        let _ = self.link.gate.deliver(&Event::Close {
            code,
            reason,
            was_clean,
        });
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.phase_began = now;
    }

    fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Open(_) | Phase::Leaving)
    }

    fn host_name(&self) -> &str {
        match &self.origin {
            Origin::Client(url) => url.authority(),
            Origin::Server { .. } => "",
        }
    }

    fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Resolving => "while the name was resolved",
            Phase::Connecting(_) => "while the address did not answer",
            Phase::Asking(_) => "while the upgrade was not answered",
            _ => "while nothing was asked",
        }
    }
}

/// The extensions of a server's connection, and how the response names them.
fn agree(
    upgrade: &handshake::Upgrade,
    settings: &Settings,
) -> Result<Option<(Agreed, String)>, Refusal> {
    let (Some(config), Some(offers)) = (&settings.compression, upgrade.extensions()) else {
        return Ok(None);
    };
    deflate::accept(config, &offers).map_err(Refusal::malformed)
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

fn timeout(what: &str, limit: Duration) -> Error {
    let limit = limit.as_millis();
    let sentence: Sentence = format!("{what} within {limit} ms").into();
    Error::Timeout(sentence)
}

/// Adds to a counter that only this thread changes.
fn add(counter: &std::sync::atomic::AtomicU64, len: usize) {
    counter.store(
        counter.load(Ordering::Relaxed) + len as u64,
        Ordering::Relaxed,
    );
}
