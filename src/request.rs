//! Request: somebody asks a server for a WebSocket, and its application decides.

use std::borrow::Cow;
use std::sync::Arc;

use crate::delivery::Handler;
use crate::error::{Error, Result};
use crate::options::check_header;
use crate::proto::handshake::Refusal;
use crate::reactor::{self, Acceptance, Answer};
use crate::socket::Socket;

/// A valid upgrade request, to be answered once, from any thread. One that is not answered within
/// the connect timeout is refused with 503.
#[derive(Clone)]
pub struct Request {
    request: Arc<reactor::Request>,
}

impl Request {
    pub(crate) fn new(request: Arc<reactor::Request>) -> Self {
        Self { request }
    }

    /// Path and query.
    pub fn target(&self) -> Cow<'_, str> {
        self.request.upgrade.target()
    }

    /// A header field, its lines joined by commas. Host is the one that the client means: that of
    /// the target, where it is a URL.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.request.header(name)
    }

    /// The client's address and port, or what is known of it.
    pub fn peer_address(&self) -> String {
        self.request.link.facts.lock().peer_address.to_string()
    }

    /// Fails if it cannot be answered any more.
    pub fn check(&self) -> Result<()> {
        self.request.check()
    }

    /// Has the answer, whichever it is, say this, too.
    pub fn add_header(&self, name: &str, value: &str) -> Result<()> {
        check_header(name, value)?;
        self.request.add_header(name, value)
    }

    /// Opens a socket, with one of the subprotocols that the client offers, or none. `handler` makes
    /// its handler, before anything can happen to it.
    pub fn accept(
        &self,
        subprotocol: Option<&str>,
        handler: impl FnOnce(&Socket) -> Arc<dyn Handler>,
    ) -> Result<Socket> {
        if let Some(name) = subprotocol
            && !self.request.upgrade.subprotocols().any(|it| it == name)
        {
            let sentence = format!("the client does not offer the subprotocol {name:?}");
            return Err(Error::Argument(sentence.into()));
        }
        let socket = Socket::of_link(Arc::clone(&self.request.link));
        let handler = handler(&socket);
        let subprotocol = subprotocol.map(str::to_owned);
        self.request.answer(|headers| {
            Answer::Accept(Acceptance {
                subprotocol,
                headers,
                handler,
            })
        })?;
        Ok(socket)
    }

    /// Refuses with this HTTP status, 300 to 599 but 304, and a text for a person.
    pub fn reject(&self, status: u16, body: &str) -> Result<()> {
        let refusal = Refusal::new(status, body)?;
        self.request
            .answer(|headers| Answer::Reject(refusal.with_headers(headers)))
    }
}
