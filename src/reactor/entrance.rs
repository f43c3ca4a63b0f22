//! What the handle of a server and its workers share: the listening socket, and who the server is.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::net::Accepting;
use crate::net::tls::{self, ServerConfig};

/// A server's entrance. It outlives the server's handle and never keeps the application's handlers
/// alive.
pub struct Entrance {
    /// None: closed.
    socket: Mutex<Option<Accepting>>,
    /// Who a server of wss is.
    tls: Option<Mutex<Arc<ServerConfig>>>,
}

impl Entrance {
    /// Of a socket that listens. `tls` is that of a server of wss.
    pub fn new(socket: Accepting, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            socket: Mutex::new(Some(socket)),
            tls: tls.map(Mutex::new),
        }
    }

    /// What the next connection takes its TLS session from, if it has one.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|it| Arc::clone(&it.lock()))
    }

    /// Has the connections that come from here on be secured otherwise.
    pub fn set_tls(&self, settings: &tls::Config) -> Result<()> {
        let Some(tls) = &self.tls else {
            let sentence = "the server is not one of wss, so that it has no certificate";
            return Err(Error::State(sentence.into()));
        };
        let config = settings.server()?;
        let _old = std::mem::replace(&mut *tls.lock(), config);
        Ok(())
    }

    /// Gives the port or path back to the system, at once.
    pub fn close(&self) {
        let socket = self.socket.lock().take();
        drop(socket);
    }

    /// Whether nobody is to come in any more.
    pub fn is_closed(&self) -> bool {
        self.socket.lock().is_none()
    }

    /// Uses the listening socket, unless it is closed.
    pub fn with_socket<T>(&self, act: impl FnOnce(&mut Accepting) -> T) -> Option<T> {
        self.socket.lock().as_mut().map(act)
    }
}
