//! What other threads ask of a worker, and how a worker that sleeps is woken.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use mio::Waker;
use parking_lot::Mutex;

use super::connection::Connection;
use super::link::Link;
use super::listener::Listener;
use crate::delivery::Queue;
use crate::error::Result;
use crate::proto::Pool;

/// A request to a worker.
pub enum Command {
    /// Run this connection from here on.
    Adopt(Box<Connection>),
    /// Look at what this socket's application wants.
    Attend(Arc<Link>),
    /// The addresses of the host for which this socket asked with this number.
    Resolved(Weak<Link>, u32, io::Result<Vec<SocketAddr>>),
    /// The certificates that this socket's options trust have been read.
    Prepared(Weak<Link>, Result<()>),
    /// Accept connections.
    Listen(Box<Listener>),
    /// There is room for events again, or a handler has panicked.
    Resume,
    /// Stop accepting for this server, and close its sockets with 1001.
    CloseServer(u64),
    /// Stop accepting, and close every socket with 1001.
    Shutdown,
    /// End every connection at once and return from the loop; with or without events.
    Stop {
        /// Whether the sockets' handlers hear of it.
        tell: bool,
    },
}

/// A worker as other threads see it.
pub struct Mailbox {
    /// Distinct in the process, never 0.
    id: usize,
    /// `None`: the worker has ended, and nothing is taken any more.
    commands: Mutex<Option<Vec<Command>>>,
    /// Whether the worker sleeps, or is about to, so that it has to be woken.
    asleep: AtomicBool,
    waker: Waker,
    /// Emptied send buffers of its connections.
    pub buffers: Mutex<Pool>,
    /// Where the events of its connections wait, unless handlers run as things happen.
    pub queue: Option<Arc<Queue>>,
}

thread_local! {
    /// The worker whose turn runs on this thread (0: none), and the time of that turn.
    static CURRENT: Cell<(usize, Option<Instant>)> = const { Cell::new((0, None)) };
}

impl Mailbox {
    /// An empty one, which wakes its worker through `waker`.
    pub fn new(waker: Waker, queue: Option<Arc<Queue>>) -> Self {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(1);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            commands: Mutex::new(Some(Vec::new())),
            asleep: AtomicBool::new(false),
            waker,
            buffers: Mutex::default(),
            queue,
        }
    }

    /// Hands a command over. False: the worker has ended, and the command is dropped.
    pub fn push(&self, command: Command) -> bool {
        self.push_after(command, || ())
    }

    /// The same, after `first`, which runs only if the worker has not ended, and before it can know
    /// of the command. It runs under a lock: it must not take another one.
    pub fn push_after(&self, command: Command, first: impl FnOnce()) -> bool {
        let mut unheard = Some(command);
        if let Some(commands) = &mut *self.commands.lock() {
            first();
            commands.extend(unheard.take());
        }
        if unheard.is_some() {
            return false;
        }
        self.rouse();
        true
    }

    /// Hands several commands over, and waking is done once. A worker that has ended drops them.
    pub fn push_all(&self, pushed: &mut Vec<Command>) {
        if let Some(commands) = &mut *self.commands.lock() {
            commands.append(pushed);
        }
        pushed.clear();
        self.rouse();
    }

    /// Wakes the worker if it sleeps.
    fn rouse(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            // It cannot fail while the worker lives, and the caller may hold a lock, so that a log
            // handler must not run here.
            let _ = self.waker.wake();
        }
    }

    /// Takes all commands into `taken`, which is empty and keeps its memory for the next time.
    pub fn take(&self, taken: &mut Vec<Command>) {
        if let Some(commands) = &mut *self.commands.lock() {
            std::mem::swap(commands, taken);
        }
    }

    /// Takes no commands any more, and returns those that wait.
    pub fn close(&self) -> Vec<Command> {
        self.commands.lock().take().unwrap_or_default()
    }

    /// Has the worker go on, though there is no command.
    pub fn wake(&self) {
        // As above.
        let _ = self.waker.wake();
    }

    /// To be called before sleeping. False: commands wait, do not sleep.
    pub fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        if self.commands.lock().as_ref().is_none_or(Vec::is_empty) {
            return true;
        }
        self.awake();
        false
    }

    /// To be called after sleeping.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Whether this worker's turn runs on the calling thread: a handler is running.
    pub fn is_current(&self) -> bool {
        CURRENT.get().0 == self.id
    }

    /// Marks the calling thread as this worker's while the result lives.
    pub fn enter(&self) -> Turn {
        Turn {
            before: CURRENT.replace((self.id, None)),
        }
    }
}

/// A worker's turn on the calling thread.
pub struct Turn {
    before: (usize, Option<Instant>),
}

impl Turn {
    /// The time of everything that happens until the next call.
    pub fn set_now(&self, now: Instant) {
        CURRENT.set((CURRENT.get().0, Some(now)));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// The time: inside a turn, that of the turn, without asking the system.
pub fn now() -> Instant {
    CURRENT.get().1.unwrap_or_else(Instant::now)
}
