//! Status: what a call returns, or an ERROR event carries.

use std::ffi::c_char;

use crate::error::Error;
use crate::ffi::guard;

/// Success.
pub const WSABI_OK: i32 = 0;

/// An argument is NULL, out of range, not UTF-8 or not allowed, such as a
/// header value with a line break.
pub const WSABI_ERR_ARGUMENT: i32 = -1;

/// A handle has ended, is of another type, is 0, or never was one.
pub const WSABI_ERR_HANDLE: i32 = -2;

/// The call is not allowed in this state, such as a send before OPEN.
pub const WSABI_ERR_STATE: i32 = -3;

/// A send on a socket that is closing or closed.
pub const WSABI_ERR_CLOSED: i32 = -4;

/// The URL is malformed, or its scheme is not supported.
pub const WSABI_ERR_URL: i32 = -5;

/// The message was refused whole, since the unsent data would exceed the
/// limit of wsabi_options_set_max_buffered. A DRAIN event follows.
pub const WSABI_ERR_BUFFER_FULL: i32 = -6;

/// The peer's message is larger than wsabi_options_set_max_message allows.
pub const WSABI_ERR_TOO_BIG: i32 = -7;

/// The host name could not be resolved.
pub const WSABI_ERR_DNS: i32 = -10;

/// No address of the host could be reached.
pub const WSABI_ERR_CONNECT: i32 = -11;

/// The proxy refused or failed.
pub const WSABI_ERR_PROXY: i32 = -12;

/// TLS failed. The sentence says how, and begins with one of these, which
/// stay as they are:
///
/// - "certificate expired:", "certificate not yet valid:"
/// - "certificate for another host:" and the names that it is for
/// - "certificate of unknown issuer:" no authority that is trusted here
/// - "certificate revoked:", "certificate not pinned:"
/// - "certificate refused:" anything else that is wrong with it
/// - "certificate missing:" the peer has shown none
/// - "certificate demanded:" the peer wants one, and there is none
/// - "own certificate refused:" the peer does not take this end's
/// - "not TLS:" the peer speaks something else, such as plain HTTP
/// - "nothing in common:" no version or cipher suite that both know
/// - "no HTTP/1.1:" the server wants another protocol
/// - "alert received:" the peer gives up, for the reason that it names
/// - "truncated:" the stream ended without saying so
/// - "TLS violated:" the peer broke the rules, or somebody interfered
/// - "TLS failed:" anything else, such as no trusted authority at all
pub const WSABI_ERR_TLS: i32 = -13;

/// The server answered, but not with 101: see wsabi_socket_response_status,
/// wsabi_socket_response_header and WSABI_FACT_RESPONSE_BODY.
pub const WSABI_ERR_HTTP: i32 = -14;

/// The server answered with 101, but wrongly (RFC 6455 section 4.1): its
/// head is malformed, or the accept key, an extension or the subprotocol is
/// wrong.
pub const WSABI_ERR_HANDSHAKE: i32 = -15;

/// The peer broke RFC 6455 or RFC 7692.
pub const WSABI_ERR_PROTOCOL: i32 = -16;

/// The peer sent text or a close reason that is not UTF-8, or data that
/// cannot be inflated.
pub const WSABI_ERR_ENCODING: i32 = -17;

/// A time ran out. Of an ERROR event: the one of
/// wsabi_options_set_connect_timeout_ms, wsabi_options_set_close_timeout_ms,
/// wsabi_options_set_pong_timeout_ms or wsabi_options_set_idle_timeout_ms.
/// Of wsabi_runtime_shutdown: its own.
pub const WSABI_ERR_TIMEOUT: i32 = -18;

/// The connection was reset, or ended without a Close frame.
pub const WSABI_ERR_IO: i32 = -19;

/// The application dropped the connection: by wsabi_socket_abort, by
/// wsabi_socket_close before OPEN, or by the end of the runtime.
pub const WSABI_ERR_ABORTED: i32 = -20;

/// The system refused memory, threads or descriptors. For messages, handles
/// and connections, that is: where it refuses the few bytes of anything
/// else, the process ends with a sentence on standard error.
pub const WSABI_ERR_RESOURCE: i32 = -21;

/// The handle was made before fork(), by the parent of this process.
pub const WSABI_ERR_FORKED: i32 = -22;

/// A defect of the library. Please report the sentence of wsabi_last_error.
pub const WSABI_ERR_INTERNAL: i32 = -99;

/// Returns the name of a status, such as "WSABI_ERR_TLS", and "unknown
/// status" for any other number. Never NULL; the text lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_status_name(status: i32) -> *const c_char {
    let name = match status {
        WSABI_OK => c"WSABI_OK",
        WSABI_ERR_ARGUMENT => c"WSABI_ERR_ARGUMENT",
        WSABI_ERR_HANDLE => c"WSABI_ERR_HANDLE",
        WSABI_ERR_STATE => c"WSABI_ERR_STATE",
        WSABI_ERR_CLOSED => c"WSABI_ERR_CLOSED",
        WSABI_ERR_URL => c"WSABI_ERR_URL",
        WSABI_ERR_BUFFER_FULL => c"WSABI_ERR_BUFFER_FULL",
        WSABI_ERR_TOO_BIG => c"WSABI_ERR_TOO_BIG",
        WSABI_ERR_DNS => c"WSABI_ERR_DNS",
        WSABI_ERR_CONNECT => c"WSABI_ERR_CONNECT",
        WSABI_ERR_PROXY => c"WSABI_ERR_PROXY",
        WSABI_ERR_TLS => c"WSABI_ERR_TLS",
        WSABI_ERR_HTTP => c"WSABI_ERR_HTTP",
        WSABI_ERR_HANDSHAKE => c"WSABI_ERR_HANDSHAKE",
        WSABI_ERR_PROTOCOL => c"WSABI_ERR_PROTOCOL",
        WSABI_ERR_ENCODING => c"WSABI_ERR_ENCODING",
        WSABI_ERR_TIMEOUT => c"WSABI_ERR_TIMEOUT",
        WSABI_ERR_IO => c"WSABI_ERR_IO",
        WSABI_ERR_ABORTED => c"WSABI_ERR_ABORTED",
        WSABI_ERR_RESOURCE => c"WSABI_ERR_RESOURCE",
        WSABI_ERR_FORKED => c"WSABI_ERR_FORKED",
        WSABI_ERR_INTERNAL => c"WSABI_ERR_INTERNAL",
        _ => c"unknown status",
    };
    name.as_ptr()
}

/// Returns a sentence about the latest failed call of this thread, which
/// names the value that was wrong; "" if none has failed yet. Never NULL.
///
/// The text lives until the next call on this thread fails, or the thread
/// ends. Calls that succeed do not change it.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_last_error() -> *const c_char {
    guard::last_failure()
}

/// The status that stands for an error.
pub(super) fn of(error: &Error) -> i32 {
    match error {
        Error::Argument(_) => WSABI_ERR_ARGUMENT,
        Error::Handle(_) => WSABI_ERR_HANDLE,
        Error::State(_) => WSABI_ERR_STATE,
        Error::Closed(_) => WSABI_ERR_CLOSED,
        Error::Url(_) => WSABI_ERR_URL,
        Error::BufferFull(_) => WSABI_ERR_BUFFER_FULL,
        Error::TooBig(_) => WSABI_ERR_TOO_BIG,
        Error::Dns(_) => WSABI_ERR_DNS,
        Error::Connect(_) => WSABI_ERR_CONNECT,
        Error::Proxy(_) => WSABI_ERR_PROXY,
        Error::Tls(_) => WSABI_ERR_TLS,
        Error::Http(_) => WSABI_ERR_HTTP,
        Error::Handshake(_) => WSABI_ERR_HANDSHAKE,
        Error::Protocol(_) => WSABI_ERR_PROTOCOL,
        Error::Encoding(_) => WSABI_ERR_ENCODING,
        Error::Timeout(_) => WSABI_ERR_TIMEOUT,
        Error::Io(_) => WSABI_ERR_IO,
        Error::Aborted(_) => WSABI_ERR_ABORTED,
        Error::Resource(_) => WSABI_ERR_RESOURCE,
        Error::Forked(_) => WSABI_ERR_FORKED,
        Error::Internal(_) => WSABI_ERR_INTERNAL,
    }
}
