//! What an application is told about a connection, and the trait by which it is told.

use std::any::Any;
use std::time::Duration;

use crate::error::Error;
pub use crate::proto::MessageKind;

/// Bytes that are followed by a NUL which does not count, so that C can print them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    /// INVARIANT: never empty; its last byte is NUL and is not part of the payload.
    with_nul: &'a [u8],
}

impl<'a> Payload<'a> {
    /// No bytes.
    pub const EMPTY: Payload<'static> = Payload { with_nul: b"\0" };

    /// The payload is all of `with_nul` but its last byte, which has to be NUL.
    pub fn new(with_nul: &'a [u8]) -> Option<Self> {
        (with_nul.last() == Some(&0)).then_some(Self { with_nul })
    }

    /// The payload without its NUL. The NUL can be read behind the end of the slice.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.with_nul.split_last().map_or(&[], |(_, bytes)| bytes)
    }

    /// The payload and its NUL.
    pub fn with_nul(&self) -> &'a [u8] {
        self.with_nul
    }
}

impl std::fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({})", self.as_bytes().escape_ascii())
    }
}

/// One thing that happened to a socket.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The connection is established.
    Open,
    /// A whole message.
    Message {
        /// Text or binary.
        kind: MessageKind,
        /// Valid UTF-8 when `kind` is text.
        payload: Payload<'a>,
    },
    /// A ping, which has been answered already.
    Ping(Payload<'a>),
    /// A pong.
    Pong {
        /// What the pong carried.
        payload: Payload<'a>,
        /// The time since the ping that it answers.
        round_trip: Option<Duration>,
    },
    /// The buffered amount has fallen, and a refused message fits again.
    Drain,
    /// The connection failed; `Close` follows.
    Error(&'a Error),
    /// The connection was lost, or could not be made, and will be tried again.
    Reconnect {
        /// Why.
        cause: &'a Error,
        /// How long until then.
        delay: Duration,
    },
    /// A server is asked to open a socket, by a request for this target, and its application to
    /// answer. It is of no socket.
    Request(Payload<'a>),
    /// The end, always the last event.
    Close {
        /// The code of the Close frame; 1005 if it had none, 1006 if there was no Close frame.
        code: u16,
        /// UTF-8.
        reason: Payload<'a>,
        /// Whether both Close frames were exchanged.
        was_clean: bool,
    },
}

/// What receives the events of one socket. Calls for one socket never overlap. It is dropped
/// after the close event, or some time after its socket was released; the runtime's threads may do
/// that, and hold no lock meanwhile.
pub trait Handler: Send + Sync {
    /// Takes one event, whose data is borrowed until this returns.
    fn handle(&self, event: &Event<'_>);

    /// The handler as what it is, for one who knows.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// A batch of events begins, all on this thread. An event may also come alone.
    fn begin(&self) {}

    /// The batch is over.
    fn end(&self) {}
}

impl<F: Fn(Event<'_>) + Send + Sync> Handler for F {
    fn handle(&self, event: &Event<'_>) {
        self(*event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_needs_its_nul() {
        assert!(Payload::new(b"abc").is_none());
        assert!(Payload::new(b"").is_none());
        assert_eq!(Payload::new(b"a\0c\0").unwrap().as_bytes(), b"a\0c");
        assert_eq!(Payload::EMPTY.as_bytes(), b"");
    }
}
