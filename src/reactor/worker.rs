//! The event loop: one turn at a time, on a thread of the library or of the application.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use parking_lot::Mutex;
use slab::Slab;

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::alarm::Alarm;
use super::command::{Command, Mailbox};
use super::connection::{Accepted, Connection, Context, Readiness};
use super::link::Link;
use super::listener::{Acceptor, Listener};
use super::live::LiveCount;
use super::timers::Timers;
use super::tokens::{self, Tokens};
use crate::defects::{contain, place};
use crate::delivery::Queue;
use crate::error::Error;
use crate::net::{Resolver, Stream};
use crate::proto::Pool;

/// Runs connections and listeners.
pub struct Worker {
    poll: Poll,
    events: Events,
    mailbox: Arc<Mailbox>,
    /// All workers of the runtime, to spread accepted connections over.
    peers: Arc<[Arc<Mailbox>]>,
    next_peer: usize,
    slots: Slab<Slot>,
    tokens: Tokens,
    timers: Timers,
    lent: Lent,
    live: Arc<LiveCount>,
    commands: Vec<Command>,
    /// Connections that have more to read than one turn allows, and listeners with more to accept.
    unfinished: Vec<usize>,
    stopped: bool,
    /// The clock that makes the descriptor readable.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    alarm: Option<Alarm>,
}

enum Slot {
    Connection(Box<Connection>),
    Listener(Box<Listener>),
}

impl Slot {
    /// The deadline that it asked to hear of.
    fn armed(&self) -> Option<Instant> {
        match self {
            Self::Connection(connection) => connection.armed,
            Self::Listener(listener) => listener.armed,
        }
    }
}

/// What is lent to the connection whose turn it is.
struct Lent {
    buffer: Box<[u8]>,
    pool: Pool,
    resolver: Arc<Resolver>,
}

/// Large enough to take what a busy socket collects between two turns, small enough for the cache.
const BUFFER: usize = 256 << 10;
const EVENTS: usize = 1024;
const WAKE: Token = Token(usize::MAX);
#[cfg(any(target_os = "linux", target_os = "android"))]
const ALARM: Token = Token(usize::MAX - 1);
/// The tokens from here on are of no slot.
const LAST_SLOT: usize = usize::MAX - 1;

impl Worker {
    /// What a worker's creation needs of the system, before its peers are known.
    pub fn prepare(queue: Option<Arc<Queue>>) -> io::Result<(Poll, Arc<Mailbox>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        Ok((poll, Arc::new(Mailbox::new(waker, queue))))
    }

    /// A worker with nothing to do yet.
    pub fn new(
        (poll, mailbox): (Poll, Arc<Mailbox>),
        peers: Arc<[Arc<Mailbox>]>,
        resolver: Arc<Resolver>,
        live: Arc<LiveCount>,
    ) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self {
            poll,
            events: Events::with_capacity(EVENTS),
            mailbox,
            peers,
            next_peer: 0,
            slots: Slab::new(),
            tokens: Tokens::default(),
            timers: Timers::default(),
            lent: Lent {
                buffer,
                pool: Pool::default(),
                resolver,
            },
            live,
            commands: Vec::new(),
            unfinished: Vec::new(),
            stopped: false,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            alarm: None,
        }
    }

    /// Waits for something to do, at most `timeout`, and does it. False: the worker was stopped.
    pub fn turn(&mut self, timeout: Option<Duration>) -> bool {
        if self.stopped {
            return false;
        }
        let timeout = self.sleep_time(timeout);
        if let Err(error) = self.wait(timeout) {
            let sentence = format!("a thread cannot wait for events any more: {error}");
            log::error!("{sentence}");
            self.abandon_poll();
            self.stop(true, &Error::Aborted(sentence.into()));
            return false;
        }
        self.mailbox.awake();
        let turn = self.mailbox.enter();
        let now = Instant::now();
        turn.set_now(now);
        self.continue_unfinished(now);
        self.take_events(now);
        self.take_commands(now);
        self.take_timers(now);
        !self.stopped
    }

    /// Makes a descriptor that is readable while a turn has something to do, if [`Self::rest`] is
    /// called after each. None: the system has no such.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn make_descriptor(&mut self) -> io::Result<Option<std::os::fd::RawFd>> {
        use std::os::fd::AsRawFd;
        self.alarm = Some(Alarm::new(self.poll.registry(), ALARM)?);
        Ok(Some(self.poll.as_raw_fd()))
    }

    /// The same, where no clock can be watched together with sockets.
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    pub fn make_descriptor(&mut self) -> io::Result<Option<std::os::fd::RawFd>> {
        Ok(None)
    }

    /// Nobody turns for a while, so that whoever has something to do has to wake; as has this, if
    /// there is something already. The clock is set if the descriptor is watched.
    pub fn rest(&mut self, is_wanted: bool, is_watched: bool) {
        if is_wanted || !self.unfinished.is_empty() || !self.mailbox.may_sleep() {
            self.mailbox.wake();
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if is_watched && let Some(alarm) = &mut self.alarm {
            alarm.set(self.timers.next());
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = is_watched;
    }

    /// Fails only where it always will, as when the application has closed the descriptor by mistake.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    /// Leaves the descriptor with which it waits to whoever has the number.
    fn abandon_poll(&mut self) {
        static ABANDONED: Mutex<Vec<Poll>> = Mutex::new(Vec::new());
        // Where the system has none for another one, the number is closed after all.
        if let Ok(poll) = Poll::new() {
            let abandoned = std::mem::replace(&mut self.poll, poll);
            ABANDONED.lock().push(abandoned);
        }
    }

    fn sleep_time(&self, timeout: Option<Duration>) -> Option<Duration> {
        if !self.unfinished.is_empty() || !self.mailbox.may_sleep() {
            return Some(Duration::ZERO);
        }
        let Some(deadline) = self.timers.next() else {
            return timeout;
        };
        let until = deadline.saturating_duration_since(Instant::now());
        Some(timeout.map_or(until, |timeout| timeout.min(until)))
    }

    fn continue_unfinished(&mut self, now: Instant) {
        let mut unfinished = std::mem::take(&mut self.unfinished);
        // One that had an event in the last turn is there twice, and would be there once more after
        // each: whoever sends without end would get all the time.
        unfinished.sort_unstable();
        unfinished.dedup();
        for slot in unfinished {
            match self.slots.get(slot) {
                Some(Slot::Listener(_)) => self.accept(slot, now),
                _ => self.with_connection(slot, now, Connection::turn),
            }
        }
    }

    fn take_events(&mut self, now: Instant) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token().0 >= LAST_SLOT {
                continue;
            }
            let slot = tokens::slot(event.token());
            match self.slots.get(slot) {
                Some(Slot::Connection(_)) => {
                    let readiness = Readiness::from(event);
                    self.with_connection(slot, now, |it, cx| {
                        it.ready(event.token(), readiness, cx);
                    });
                }
                Some(Slot::Listener(_)) => self.accept(slot, now),
                None => {}
            }
        }
        self.events = events;
    }

    fn take_commands(&mut self, now: Instant) {
        let mut commands = std::mem::take(&mut self.commands);
        self.mailbox.take(&mut commands);
        for command in commands.drain(..) {
            let _ = contain(|| self.obey(command, now));
        }
        self.commands = commands;
    }

    fn take_timers(&mut self, now: Instant) {
        while let Some((deadline, slot)) = self.timers.expired(now) {
            // What is begun now, such as the wait for a pong, has its whole time, though a handler
            // may have taken long since the turn began.
            let now = Instant::now();
            match self.slots.get_mut(slot) {
                Some(Slot::Connection(connection)) if connection.armed == Some(deadline) => {
                    connection.armed = None;
                    self.with_connection(slot, now, Connection::expired);
                }
                Some(Slot::Listener(listener)) if listener.armed == Some(deadline) => {
                    listener.armed = None;
                    self.accept(slot, now);
                }
                _ => {}
            }
        }
        let slots = &self.slots;
        self.timers.tidy(slots.len(), |slot, deadline| {
            slots.get(slot).and_then(Slot::armed) == Some(deadline)
        });
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Adopt(connection) => self.adopt(connection, now),
            Command::Attend(link) => {
                if let Some(slot) = self.slot_of(&link) {
                    self.with_connection(slot, now, Connection::turn);
                }
            }
            Command::Resolved(link, query, result) => {
                if let Some(link) = link.upgrade()
                    && let Some(slot) = self.slot_of(&link)
                {
                    self.with_connection(slot, now, |it, cx| it.resolved(query, result, cx));
                }
            }
            Command::Prepared(link, result) => {
                if let Some(link) = link.upgrade()
                    && let Some(slot) = self.slot_of(&link)
                {
                    self.with_connection(slot, now, |it, cx| it.prepared(result, cx));
                }
            }
            Command::Listen(listener) => self.listen(listener, now),
            Command::Resume => self.resume(now),
            Command::CloseServer(server) => {
                self.remove_listeners(|id| id == server);
                self.send_away(now, |connection| connection.server_id() == Some(server));
            }
            Command::Shutdown => {
                self.remove_listeners(|_| true);
                self.send_away(now, |_| true);
            }
            Command::Stop { tell } => {
                self.stop(tell, &Error::Aborted("the runtime has ended".into()));
            }
        }
    }

    fn adopt(&mut self, connection: Box<Connection>, now: Instant) {
        if connection.is_late() {
            return;
        }
        let link = Arc::clone(&connection.link);
        let slot = self.slots.insert(Slot::Connection(connection));
        link.slot.store(slot, std::sync::atomic::Ordering::Release);
        self.with_connection(slot, now, Connection::begin);
    }

    fn listen(&mut self, listener: Box<Listener>, now: Instant) {
        let slot = self.slots.insert(Slot::Listener(listener));
        self.accept(slot, now);
    }

    fn accept(&mut self, slot: usize, now: Instant) {
        // The others of this thread go on, and so does the listener, with the next that comes.
        let _ = contain(|| self.accept_all(slot, now));
    }

    fn accept_all(&mut self, slot: usize, now: Instant) {
        if self.mailbox.queue.as_ref().is_some_and(|it| it.is_full()) {
            // Nobody asks for the events of those that there are. It goes on with `Resume`.
            return;
        }
        let Some(Slot::Listener(listener)) = self.slots.get_mut(slot) else {
            return;
        };
        let acceptor = Arc::clone(&listener.acceptor);
        let mut accepted: Vec<Stream> = Vec::new();
        let registry = self.poll.registry();
        let tokens = &mut self.tokens;
        let is_unfinished = listener.accept(
            now,
            |socket| socket.register(registry, tokens.next(slot)),
            |stream| accepted.push(stream),
        );
        let deadline = listener.deadline();
        self.timers.arm(slot, deadline, &mut listener.armed);
        if is_unfinished {
            self.unfinished.push(slot);
        }
        for stream in accepted {
            let _ = contain(|| self.admit(stream, &acceptor, now));
        }
    }

    /// Gives what was accepted to a worker.
    fn admit(&mut self, stream: Stream, acceptor: &Arc<Acceptor>, now: Instant) {
        place("accept");
        self.next_peer = (self.next_peer + 1) % self.peers.len();
        let peer = Arc::clone(&self.peers[self.next_peer]);
        let settings = Arc::clone(&acceptor.settings);
        let topics = Arc::clone(&acceptor.topics);
        let link = Arc::new(Link::accepted(topics, settings, Arc::clone(&peer)));
        let accepted = Accepted {
            acceptor: Arc::clone(acceptor),
            stream: Some(stream),
            seat: acceptor.seat(),
        };
        let live = LiveCount::enter(&self.live);
        let connection = Box::new(Connection::server(link, accepted, live, now));
        if peer.is_current() {
            self.adopt(connection, now);
        } else {
            peer.push(Command::Adopt(connection));
        }
    }

    fn remove_listeners(&mut self, which: impl Fn(u64) -> bool) {
        self.slots.retain(|_, slot| match slot {
            Slot::Listener(listener) => !which(listener.acceptor.server),
            Slot::Connection(_) => true,
        });
    }

    /// Turns to the connections and listeners that waited for room in the queue of events.
    fn resume(&mut self, now: Instant) {
        let listeners: Vec<usize> = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot, Slot::Listener(_)))
            .map(|(slot, _)| slot)
            .collect();
        for slot in listeners {
            self.accept(slot, now);
        }
        for slot in self.connections(Connection::waits_for_room) {
            self.with_connection(slot, now, Connection::turn);
        }
    }

    fn send_away(&mut self, now: Instant, which: impl Fn(&Connection) -> bool) {
        for slot in self.connections(which) {
            self.with_connection(slot, now, Connection::go_away);
        }
    }

    /// The slots of these connections.
    fn connections(&self, which: impl Fn(&Connection) -> bool) -> Vec<usize> {
        self.slots
            .iter()
            .filter(|(_, slot)| matches!(slot, Slot::Connection(it) if which(it)))
            .map(|(slot, _)| slot)
            .collect()
    }

    /// Ends everything. What is still on its way to this worker ends as well.
    fn stop(&mut self, tell: bool, why: &Error) {
        self.stopped = true;
        for slot in self.slots.drain() {
            if let Slot::Connection(mut connection) = slot {
                let _ = contain(|| connection.stop(tell, why.clone()));
            }
        }
        for command in self.mailbox.close() {
            if let Command::Adopt(mut connection) = command {
                let _ = contain(|| connection.stop(tell, why.clone()));
            }
        }
    }

    fn slot_of(&self, link: &Arc<Link>) -> Option<usize> {
        let slot = link.slot.load(std::sync::atomic::Ordering::Acquire);
        match self.slots.get(slot) {
            Some(Slot::Connection(it)) if Arc::ptr_eq(&it.link, link) => Some(slot),
            _ => None,
        }
    }

    /// Turns to a connection, and sees to what follows from it.
    fn with_connection(
        &mut self,
        slot: usize,
        now: Instant,
        act: impl FnOnce(&mut Connection, &mut Context<'_>),
    ) {
        let Some(Slot::Connection(connection)) = self.slots.get_mut(slot) else {
            return;
        };
        let mut context = Context {
            registry: self.poll.registry(),
            tokens: &mut self.tokens,
            buffer: &mut self.lent.buffer,
            pool: &mut self.lent.pool,
            resolver: &self.lent.resolver,
            now,
            slot,
            frames: 0,
        };
        // A defect ends its connection, not the thread and all others.
        if let Err(defect) = contain(|| act(connection, &mut context)) {
            let _ = contain(|| connection.fail_inside(defect));
            self.slots.remove(slot);
            return;
        }
        if connection.is_over() {
            self.slots.remove(slot);
            return;
        }
        let deadline = connection.deadline();
        self.timers.arm(slot, deadline, &mut connection.armed);
        if connection.wants_turn() {
            self.unfinished.push(slot);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.wait(Some(Duration::ZERO)).is_err() {
            self.abandon_poll();
        }
    }
}
