//! Socket: one WebSocket, a client's or a server's.

use std::sync::Arc;
use std::time::Instant;

use crate::delivery::{Handler, MessageKind};
use crate::error::{Error, Result};
use crate::net::Url;
use crate::options::{Options, check_header};
use crate::proto::close::{self, MAX_REASON};
use crate::proto::frame::MAX_CONTROL;
use crate::proto::{CloseFrame, Role};
use crate::reactor::{Command, Connection, Link, LiveCount, Outgoing};
pub use crate::reactor::{ReadyState, Stats};
use crate::runtime::Runtime;

/// A WebSocket. Clones are the same socket. Every call may come from any thread and from any
/// handler, and returns at once.
#[derive(Clone)]
pub struct Socket {
    link: Arc<Link>,
}

/// A message to send.
#[derive(Clone, Copy)]
pub struct Message<'a>(Outgoing<'a>);

impl<'a> Message<'a> {
    /// Text.
    pub fn text(text: &'a str) -> Self {
        Self(Outgoing {
            kind: MessageKind::Text,
            payload: text.as_bytes(),
            plain: false,
        })
    }

    /// Any bytes.
    pub fn binary(data: &'a [u8]) -> Self {
        Self(Outgoing {
            kind: MessageKind::Binary,
            payload: data,
            plain: false,
        })
    }

    /// The same, but never compressed: for a secret beside text that an attacker may choose, whose
    /// compressed size would tell about the secret.
    #[must_use]
    pub fn plain(self) -> Self {
        Self(Outgoing {
            plain: true,
            ..self.0
        })
    }

    pub(crate) fn outgoing(self) -> Outgoing<'a> {
        self.0
    }
}

/// Something known of a socket, as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// The URL in its normal form, without credentials.
    Url,
    /// The subprotocol that was agreed on.
    Subprotocol,
    /// The extensions that were agreed on.
    Extensions,
    /// The other end.
    PeerAddress,
    /// This end.
    LocalAddress,
    /// The version of TLS.
    TlsVersion,
    /// The cipher suite of TLS.
    TlsCipher,
    /// The body of a refused upgrade, the first 64 KiB.
    ResponseBody,
}

impl Socket {
    /// Begins to connect to `url`, and returns at once. `handler` makes the handler of the new
    /// socket, before anything can happen to it.
    pub fn connect(
        runtime: &Runtime,
        url: &str,
        options: &Options,
        handler: impl FnOnce(&Socket) -> Arc<dyn Handler>,
    ) -> Result<Self> {
        Self::connect_after(runtime, url, options, handler, || ())
    }

    /// The same; `first` runs only on success, before the first event.
    pub(crate) fn connect_after(
        runtime: &Runtime,
        url: &str,
        options: &Options,
        handler: impl FnOnce(&Socket) -> Arc<dyn Handler>,
        first: impl FnOnce(),
    ) -> Result<Self> {
        let url = connectable(url)?;
        let worker = runtime.worker()?;
        let settings = Arc::clone(options.settings());
        let link = Arc::new(Link::new(Role::Client, settings, Arc::clone(worker)));
        link.facts.lock().url = url.as_str().into();
        let socket = Self { link };
        let handler = handler(&socket);
        let live = LiveCount::enter(runtime.live());
        let link = Arc::clone(&socket.link);
        let mut connection = Connection::client(link, url, live, Instant::now());
        connection.outlet.attach(handler);
        if !worker.push_after(Command::Adopt(Box::new(connection)), first) {
            return Err(Error::Handle("the runtime has been freed".into()));
        }
        Ok(socket)
    }

    pub(crate) fn of_link(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Sends a text message.
    pub fn send_text(&self, text: &str) -> Result<()> {
        self.send(Message::text(text))
    }

    /// Sends a binary message.
    pub fn send_binary(&self, data: &[u8]) -> Result<()> {
        self.send(Message::binary(data))
    }

    /// Sends a message.
    pub fn send(&self, message: Message<'_>) -> Result<()> {
        self.link.guarded(|link| link.send(message.0))
    }

    /// Sends several messages in order, with one write. Returns how many were accepted; an error
    /// only where the first was not.
    pub fn send_many<'a>(
        &self,
        messages: impl Iterator<Item = Result<Message<'a>>>,
    ) -> Result<usize> {
        let messages = messages.map(|message| message.map(|it| it.0));
        self.link.guarded(|link| link.send_many(messages))
    }

    /// Sends a piece of a message; `fin` with the last. Text may be cut inside a character. With
    /// `plain` in the first piece, the message is not compressed.
    pub fn send_fragment(
        &self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        plain: bool,
    ) -> Result<()> {
        let piece = Outgoing {
            kind,
            payload: data,
            plain,
        };
        self.link.guarded(|link| link.send_piece(piece, fin))
    }

    /// Sends a ping of at most 125 bytes.
    pub fn ping(&self, data: &[u8]) -> Result<()> {
        if data.len() > MAX_CONTROL {
            let sentence = format!("a ping of {} bytes has more than {MAX_CONTROL}", data.len());
            return Err(Error::Argument(sentence.into()));
        }
        self.link.guarded(|link| link.ping(data))
    }

    /// Has a server's socket get what the server publishes to this topic, of 1 to 255 bytes, until it
    /// closes.
    pub fn subscribe(&self, topic: &str) -> Result<()> {
        self.link.subscribe(topic)
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.link.unsubscribe(topic)
    }

    /// Begins the closing handshake; without a code, with an empty Close frame. Without effect on
    /// a socket that is closing or closed.
    pub fn close(&self, code: Option<u16>, reason: &str) -> Result<()> {
        if let Some(code) = code
            && !close::is_wire_code(code)
        {
            let sentence = format!("close code {code} must not be sent");
            return Err(Error::Argument(sentence.into()));
        }
        if reason.len() > MAX_REASON {
            let sentence = format!(
                "a close reason of {} bytes has more than {MAX_REASON}",
                reason.len()
            );
            return Err(Error::Argument(sentence.into()));
        }
        if code.is_none() && !reason.is_empty() {
            let sentence = format!("close reason {reason:?} needs a code");
            return Err(Error::Argument(sentence.into()));
        }
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        self.link.guarded(|link| link.close(&frame))
    }

    /// Drops the connection at once; the close event has code 1006.
    pub fn abort(&self) {
        self.link.abort();
    }

    /// Stops reading, so that TCP holds the peer back.
    pub fn pause(&self) -> Result<()> {
        self.link.pause()
    }

    /// Reads on.
    pub fn resume(&self) -> Result<()> {
        self.link.resume()
    }

    /// Has the next attempts of a socket that reconnects lead to another URL.
    pub fn set_url(&self, url: &str) -> Result<()> {
        self.link.set_url(connectable(url)?)
    }

    /// Has the requests of the next attempts of a socket that reconnects say this, in place of
    /// what they have said under this name.
    pub fn set_header(&self, name: &str, value: &str) -> Result<()> {
        check_header(name, value)?;
        self.link.set_header(name, value)
    }

    /// Lets go of the socket: its connection is dropped, and no event starts any more.
    pub fn release(&self) {
        self.link.release();
    }

    /// The browser's readyState.
    pub fn ready_state(&self) -> ReadyState {
        self.link.ready_state()
    }

    /// Payload bytes that were accepted and not yet given to the system.
    pub fn buffered_amount(&self) -> u64 {
        self.link.buffered_amount()
    }

    /// Something known of the socket; empty where it is not known.
    pub fn fact(&self, fact: Fact) -> String {
        self.with_fact(fact, str::to_owned)
    }

    /// The same for one who has room for it already: it can be long.
    pub(crate) fn with_fact<T>(&self, fact: Fact, read: impl FnOnce(&str) -> T) -> T {
        let facts = self.link.facts.lock();
        let text = match fact {
            Fact::Url => &*facts.url,
            Fact::Subprotocol => &facts.subprotocol,
            Fact::Extensions => &facts.extensions,
            Fact::PeerAddress => &facts.peer_address,
            Fact::LocalAddress => &facts.local_address,
            Fact::TlsVersion => facts.tls_version,
            Fact::TlsCipher => facts.tls_cipher,
            Fact::ResponseBody => &String::from_utf8_lossy(&facts.response_body),
        };
        read(text)
    }

    /// The status of the server's answer; 0 before it, and for a server's socket.
    pub fn response_status(&self) -> u16 {
        self.link
            .facts
            .lock()
            .response
            .as_ref()
            .map_or(0, crate::proto::handshake::Head::status)
    }

    /// A header field of the server's answer.
    pub fn response_header(&self, name: &str) -> Result<Option<String>> {
        self.with_response_header(name, |value| value.map(str::to_owned))
    }

    /// The same for one who has room for it already: it can be long.
    pub(crate) fn with_response_header<T>(
        &self,
        name: &str,
        read: impl FnOnce(Option<&str>) -> T,
    ) -> Result<T> {
        let facts = self.link.facts.lock();
        match &facts.response {
            Some(head) => Ok(read(head.field(name).as_deref())),
            None => Err(Error::State("the socket has no response".into())),
        }
    }

    /// Counters and times.
    pub fn stats(&self) -> Stats {
        self.link.stats()
    }
}

/// A URL that a client can connect to.
fn connectable(url: &str) -> Result<Url> {
    let url = Url::parse(url)?;
    if url.port() == 0 && url.unix().is_none() {
        let sentence = format!("{:?} has port 0, where nobody can listen", url.as_str());
        return Err(Error::Url(sentence.into()));
    }
    Ok(url)
}
