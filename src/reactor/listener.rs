//! A server's socket: accepts connections and hands them to the workers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mio::event::Source;

use super::link::Link;
use super::request::Request;
use super::settings::Settings;
use crate::delivery::Handler;
use crate::net::tls::ServerConfig;
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
    /// "ws" or "wss".
    pub scheme: &'static str,
    /// Of a server of wss.
    pub tls: Option<Arc<ServerConfig>>,
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
    socket: Accepting,
    /// Whether events come.
    is_watched: bool,
    /// The system is out of descriptors or memory: trying again before this would only spin.
    retry_at: Option<Instant>,
    /// When the worker's timers call.
    pub armed: Option<Instant>,
}

const RETRY: Duration = Duration::from_millis(100);

impl Acceptor {
    /// Of a server that nobody has come to.
    pub fn new(
        server: u64,
        settings: Arc<Settings>,
        scheme: &'static str,
        tls: Option<Arc<ServerConfig>>,
        welcome: Welcome,
    ) -> Self {
        Self {
            server,
            settings,
            scheme,
            tls,
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
    /// Of a socket that listens already.
    pub fn new(socket: Accepting, acceptor: Arc<Acceptor>) -> Self {
        Self {
            acceptor,
            socket,
            is_watched: false,
            retry_at: None,
            armed: None,
        }
    }

    /// Accepts what waits. `register` asks for the events of the socket, with the first call.
    pub fn accept(
        &mut self,
        now: Instant,
        register: impl FnOnce(&mut dyn Source) -> io::Result<()>,
        mut each: impl FnMut(Stream),
    ) {
        self.retry_at = None;
        if !self.is_watched {
            if let Err(error) = register(self.socket.source()) {
                log::warn!("watching a server is put off for {RETRY:?}: {error}");
                self.retry_at = Some(now + RETRY);
                return;
            }
            self.is_watched = true;
        }
        loop {
            match self.socket.accept() {
                Ok(stream) => each(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_of_one_connection(&error) => {
                    log::debug!("a connection was gone before it was accepted: {error}");
                }
                Err(error) => {
                    log::warn!("accepting is put off for {RETRY:?}: {error}");
                    self.retry_at = Some(now + RETRY);
                    return;
                }
            }
        }
    }

    /// When to call [`Self::accept`] though no event has come.
    pub fn deadline(&self) -> Option<Instant> {
        self.retry_at
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
