//! A server's socket: accepts connections and hands them to the workers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::entrance::Entrance;
use super::link::Link;
use super::request::Request;
use super::settings::Settings;
use super::topics::Topics;
use crate::delivery::Handler;
use crate::net::{Accepting, Stream};

/// Makes a handler for what it concerns.
type NewHandler<T> = Box<dyn Fn(&Arc<T>) -> Arc<dyn Handler> + Send + Sync>;

/// What happens to a valid upgrade request.
pub enum Welcome {
    /// It is accepted. This makes the handler of the socket.
    Accept(NewHandler<Link>),
    /// The application is asked. This makes what is told of the request, and is kept as long as that
    /// waits for its answer.
    Ask(NewHandler<Request>),
}

/// What the connections of one server have in common.
pub struct Acceptor {
    /// Distinct in the process.
    pub server: u64,
    pub settings: Arc<Settings>,
    pub topics: Arc<Topics>,
    /// "ws" or "wss".
    pub scheme: &'static str,
    pub entrance: Arc<Entrance>,
    pub welcome: Welcome,
    connections: AtomicU32,
}

/// A place among a server's connections, free again when it is dropped.
pub struct Seat {
    acceptor: Arc<Acceptor>,
}

/// A listening socket in a worker.
pub struct Listener {
    pub acceptor: Arc<Acceptor>,
    /// Whether events come.
    is_watched: bool,
    /// The system is out of descriptors or memory: trying again before this would only spin.
    retry_at: Option<Instant>,
    /// When the worker's timers call.
    pub armed: Option<Instant>,
}

const RETRY: Duration = Duration::from_millis(100);
/// So that a flood of connections leaves time for those that are there.
const ACCEPTS_PER_TURN: usize = 64;

impl Acceptor {
    /// Of a server that nobody has come to.
    pub fn new(
        server: u64,
        settings: Arc<Settings>,
        scheme: &'static str,
        entrance: Arc<Entrance>,
        welcome: Welcome,
    ) -> Self {
        Self {
            server,
            topics: Arc::new(Topics::new(Arc::clone(&settings))),
            settings,
            scheme,
            entrance,
            welcome,
            connections: AtomicU32::new(0),
        }
    }

    /// A place for one more connection, if there is one.
    pub fn seat(self: &Arc<Self>) -> Option<Seat> {
        let taken = self.connections.fetch_add(1, Ordering::AcqRel);
        let seat = Seat {
            acceptor: Arc::clone(self),
        };
        let most = self.settings.max_connections;
        if most != 0 && taken >= most {
            log::debug!("a connection is refused, since there are {most} already");
            return None;
        }
        Some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.acceptor.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Listener {
    /// At the entrance of this server.
    pub fn new(acceptor: Arc<Acceptor>) -> Self {
        Self {
            acceptor,
            is_watched: false,
            retry_at: None,
            armed: None,
        }
    }

    /// Accepts what waits, at most [`ACCEPTS_PER_TURN`]. `register` asks for the events of the
    /// socket, with the first call. True: more may wait, and no event will say so.
    pub fn accept(
        &mut self,
        now: Instant,
        register: impl FnOnce(&mut Accepting) -> io::Result<()>,
        mut each: impl FnMut(Stream),
    ) -> bool {
        self.retry_at = None;
        let entrance = Arc::clone(&self.acceptor.entrance);
        if !self.is_watched {
            match entrance.with_socket(register) {
                None => return false,
                Some(Ok(())) => self.is_watched = true,
                Some(Err(error)) => {
                    log::warn!("watching a server is put off for {RETRY:?}: {error}");
                    self.retry_at = Some(now + RETRY);
                    return false;
                }
            }
        }
        for _ in 0..ACCEPTS_PER_TURN {
            // Whoever hears of it in the log may close the server: nothing is locked then.
            match entrance.with_socket(|it| it.accept()) {
                None => return false,
                Some(Ok((stream, address))) => {
                    match address {
                        Some(address) => log::debug!("a connection came from {address}"),
                        None => log::debug!("a connection came from this machine"),
                    }
                    each(stream);
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Some(Err(error)) if is_of_one_connection(&error) => {
                    log::debug!("a connection was gone before it was accepted: {error}");
                }
                Some(Err(error)) => {
                    log::warn!("accepting is put off for {RETRY:?}: {error}");
                    self.retry_at = Some(now + RETRY);
                    return false;
                }
            }
        }
        true
    }

    /// When to call [`Self::accept`] though no event has come.
    pub fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }
}

impl Drop for Listener {
    /// Nobody accepts any more, so that nobody is to wait for it.
    fn drop(&mut self) {
        self.acceptor.entrance.close();
    }
}

/// Whether the error belongs to a connection that went away again, not to the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
