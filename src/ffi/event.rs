//! Events: what happens to a socket, as its handlers are told.
//!
//! For one socket: OPEN, then MESSAGE, PING, PONG and DRAIN as they come,
//! then at most one ERROR, then CLOSE.
//!
//! - With wsabi_options_set_reconnect, a connection that is lost or cannot
//!   be made gives RECONNECT in place of ERROR and CLOSE, and then OPEN or
//!   RECONNECT again. ERROR and CLOSE still come in the end.
//! - CLOSE comes exactly once for every socket that wsabi_socket_connect
//!   returned or that a server opened, and is the last event. It comes at
//!   the latest a close timeout after the end began. If connecting fails,
//!   ERROR and CLOSE are the only events.
//! - An end that both sides agreed on, by Close frames, has no ERROR.
//! - No event comes after wsabi_socket_release, not even CLOSE.
//! - Handlers of one socket never overlap and never come out of order. Those
//!   of different sockets may run at the same time.
//! - REQUEST belongs to no socket: it comes before there is one, and only to
//!   servers that ask.

use std::ffi::c_void;

/// The connection is established: messages can be sent.
pub const WSABI_EVENT_OPEN: i32 = 1;

/// A whole message: data and len are its payload, type is WSABI_TEXT or
/// WSABI_BINARY.
pub const WSABI_EVENT_MESSAGE: i32 = 2;

/// The connection failed, and only CLOSE follows. code is a WSABI_ERR_*,
/// data a sentence for a person.
pub const WSABI_EVENT_ERROR: i32 = 3;

/// The end. code is that of the Close frame (RFC 6455 section 7.4), 1005 if
/// it had none, and 1006 if there was no Close frame. data is its reason,
/// always UTF-8. was_clean is 1 if both sides sent a Close frame, otherwise
/// 0.
///
/// Where the peer broke the protocol, code is that of the Close frame with
/// which the library answered: 1002 for a protocol error, 1007 for text that
/// is not UTF-8, 1009 for a message over the limit.
pub const WSABI_EVENT_CLOSE: i32 = 4;

/// The peer sent a ping, with data as payload. It has been answered already.
pub const WSABI_EVENT_PING: i32 = 5;

/// The peer sent a pong, with data as payload. value is the time since the
/// ping that it answers in nanoseconds, 0 if it answers none.
pub const WSABI_EVENT_PONG: i32 = 6;

/// The amount of unsent bytes fell to the mark of
/// wsabi_options_set_low_water after it had been above, or so far that the
/// message fits which was refused with WSABI_ERR_BUFFER_FULL.
pub const WSABI_EVENT_DRAIN: i32 = 7;

/// The connection was lost, or could not be made, and will be tried again.
/// code is the cause, a WSABI_ERR_*, data a sentence about it, and value the
/// time until then in milliseconds. If the server closed the connection with
/// a code that says "for now" (1001, 1011 to 1014), code is
/// WSABI_ERR_CLOSED.
///
/// Until the next OPEN the socket is connecting: wsabi_socket_set_header and
/// wsabi_socket_set_url change the next attempt, and wsabi_socket_close,
/// _abort and _release end them all. Messages that had not left are dropped,
/// and one that is being sent in pieces has to be begun anew.
pub const WSABI_EVENT_RECONNECT: i32 = 8;

/// A server asks whether to accept an upgrade request. handle is the
/// wsabi_request, user_data that of the server, and data the target, such as
/// "/chat?room=1". Answer with wsabi_request_accept or wsabi_request_reject,
/// at once or later.
pub const WSABI_EVENT_REQUEST: i32 = 9;

/// The type of a text message.
pub const WSABI_TEXT: i32 = 1;

/// The type of a binary message.
pub const WSABI_BINARY: i32 = 2;

/// Or-ed into the type of a message that is sent: the message is not
/// compressed, since it holds a secret next to text that others choose, and
/// its compressed size would tell about the secret.
pub const WSABI_PLAIN: i32 = 16;

/// One event. It and its data live until the handler returns; copy what is
/// needed longer.
#[repr(C)]
pub struct wsabi_event {
    /// sizeof(wsabi_event), as the library knows it.
    pub size: u32,
    /// What happened: one of WSABI_EVENT_*.
    pub kind: i32,
    /// The socket. REQUEST: the request.
    pub handle: u64,
    /// The socket's user_data. REQUEST: the server's.
    pub user_data: *mut c_void,
    /// MESSAGE, PING, PONG: the payload. ERROR, RECONNECT: a sentence.
    /// CLOSE: the reason. REQUEST: the target. Otherwise empty. Never NULL.
    pub data: *const u8,
    /// The number of bytes in data. data[len] is 0.
    pub len: usize,
    /// MESSAGE: WSABI_TEXT, then data is valid UTF-8, or WSABI_BINARY.
    /// Otherwise 0.
    pub r#type: i32,
    /// ERROR, RECONNECT: a WSABI_ERR_*. CLOSE: the close code. Otherwise 0.
    pub code: i32,
    /// CLOSE: 1 if both sides sent a Close frame. Otherwise 0.
    pub was_clean: i32,
    /// 0.
    pub reserved: i32,
    /// PONG: the round-trip time in nanoseconds, or 0. RECONNECT: the
    /// milliseconds until the next attempt. Otherwise 0.
    pub value: u64,
}

/// A function that is called with events. user_data is event->user_data
/// again, for languages in which reading a struct is dear.
pub type wsabi_handler =
    Option<unsafe extern "C-unwind" fn(event: *const wsabi_event, user_data: *mut c_void)>;

/// The kinds of events of sockets.
pub(super) const OF_SOCKETS: usize = 8;
/// All kinds of events.
pub(super) const KINDS: usize = 9;
