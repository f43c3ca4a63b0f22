//! The one error type: a variant for each status of the C interface, each with its sentence.

use std::borrow::Cow;
use std::io;

/// A sentence for a person, without full stop, that names the offending value.
pub type Sentence = Cow<'static, str>;

/// What went wrong. Every variant is one status of the C interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is out of range, not UTF-8, or not allowed.
    #[error("{0}")]
    Argument(Sentence),
    /// A handle is stale, foreign or zero.
    #[error("{0}")]
    Handle(Sentence),
    /// The call is not allowed in this state.
    #[error("{0}")]
    State(Sentence),
    /// A send on a socket that is closing or closed.
    #[error("{0}")]
    Closed(Sentence),
    /// The URL cannot be used.
    #[error("{0}")]
    Url(Sentence),
    /// The message was refused whole, because the buffer limit would be exceeded.
    #[error("{0}")]
    BufferFull(Sentence),
    /// The peer's message is larger than the limit.
    #[error("{0}")]
    TooBig(Sentence),
    /// The host name could not be resolved.
    #[error("{0}")]
    Dns(Sentence),
    /// No address could be reached.
    #[error("{0}")]
    Connect(Sentence),
    /// The proxy refused or failed.
    #[error("{0}")]
    Proxy(Sentence),
    /// TLS failed: certificate, alert or truncation.
    #[error("{0}")]
    Tls(Sentence),
    /// The server answered the upgrade with another status than 101.
    #[error("{0}")]
    Http(Sentence),
    /// The server answered 101, but wrongly.
    #[error("{0}")]
    Handshake(Sentence),
    /// The peer broke RFC 6455 or RFC 7692.
    #[error("{0}")]
    Protocol(Sentence),
    /// The peer sent text or a close reason that is not UTF-8, or data that does not inflate.
    #[error("{0}")]
    Encoding(Sentence),
    /// Something did not happen in time.
    #[error("{0}")]
    Timeout(Sentence),
    /// The connection was reset, or ended without a Close frame.
    #[error("{0}")]
    Io(Sentence),
    /// The application, or the end of the runtime, dropped the connection.
    #[error("{0}")]
    Aborted(Sentence),
    /// The system refused memory, threads or descriptors.
    #[error("{0}")]
    Resource(Sentence),
    /// A handle from before `fork` was used in the child.
    #[error("{0}")]
    Forked(Sentence),
    /// A defect of the library, or a panic of a handler.
    #[error("{0}")]
    Internal(Sentence),
}

/// The result of a fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// There is no connection, and no port, because of `cause`: the network's fault, or the system
    /// has nothing left to make one of.
    pub fn no_connection(sentence: String, cause: &io::Error) -> Self {
        let is_used_up = cause.kind() == io::ErrorKind::OutOfMemory
            || cause
                .raw_os_error()
                .is_some_and(|number| USED_UP.contains(&number));
        if is_used_up {
            Self::Resource(sentence.into())
        } else {
            Self::Connect(sentence.into())
        }
    }
}

/// The system's numbers for: no descriptors, no memory.
#[cfg(unix)]
const USED_UP: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
/// The same, as Windows has them for sockets: WSAEMFILE and WSAENOBUFS.
#[cfg(not(unix))]
const USED_UP: [i32; 2] = [10024, 10055];
