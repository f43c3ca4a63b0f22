//! Socket: one WebSocket, a client's or one that a server opened.
//!
//! A client's socket is made by wsabi_socket_connect and ended by
//! wsabi_socket_release, also if it has been closed. A server's socket is
//! known from the handle in its events; it ends by itself when the handler
//! of CLOSE has returned, and can be released before.
//!
//! Sending copies the message and does not wait for the network: WSABI_OK
//! means that it was taken, not that it arrived. Messages arrive in the
//! order in which they were sent, and before the Close frame of
//! wsabi_socket_close.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::delivery::{Handler, MessageKind};
use crate::error::Result;
use crate::ffi::current::with_socket;
use crate::ffi::guard::{guard, guard_value};
use crate::ffi::handles::Reservation;
use crate::ffi::options::{snapshot, wsabi_options};
use crate::ffi::output::Out;
use crate::ffi::runtime::{find_runtime, wsabi_runtime};
use crate::ffi::target::Target;
use crate::ffi::user_data::UserData;
use crate::ffi::{handles, input};
use crate::runtime::Runtime;
use crate::socket::{Message, Socket};

/// The handle of a socket.
pub type wsabi_socket = u64;

/// One message of wsabi_socket_send_many.
#[repr(C)]
pub struct wsabi_message {
    /// The payload: UTF-8 if type is WSABI_TEXT.
    pub data: *const c_void,
    /// The number of bytes in data. For text, WSABI_NUL_TERMINATED: up to
    /// the NUL.
    pub len: usize,
    /// WSABI_TEXT or WSABI_BINARY; WSABI_PLAIN can be or-ed into it.
    pub r#type: i32,
    /// Must be 0.
    pub reserved: i32,
}

/// Begins to connect, gives the handle and returns: the rest is events, of
/// which the first may come before this returns, but not before socket_out
/// has the handle.
///
/// - url: wss://host:port/path?query, without a fragment, or ws:// for a
///   connection without TLS, or, for a Unix socket,
///   ws+unix:///path/of/socket:/path?query. https:// means wss://, http://
///   means ws://, and user:password@ before the host is sent as Basic
///   authorization.
/// - options: WSABI_DEFAULT_OPTIONS, or handlers and settings, which are
///   copied.
/// - user_data: what handlers are called with. It is given back to the
///   function of wsabi_options_on_release, unless this fails.
///
/// WSABI_ERR_URL: the URL cannot be used. That a host does not exist or does
/// not answer is an ERROR event. Redirects are followed only if
/// wsabi_options_set_max_redirects says so. Unlike in a browser, no port is
/// blocked and no cookie is kept.
///
/// # Safety
///
/// `len` says how much can be read at `url`; `socket_out` can be written to. The handlers of
/// `options` can be called with `user_data` on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_connect(
    runtime: wsabi_runtime,
    url: *const c_char,
    len: usize,
    options: wsabi_options,
    user_data: *mut c_void,
    socket_out: *mut wsabi_socket,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let socket_out = unsafe { Out::new("socket_out", socket_out) }?;
        // SAFETY: as above.
        let url = unsafe { input::setting("url", url, len) }?;
        let owner = find_runtime(runtime)?;
        let options = snapshot(options)?;

        let reservation = Reservation::new()?;
        let handle = reservation.handle;
        let user_data = UserData::new(user_data, options.callbacks.release);
        let target = Target::new(handle, options.callbacks, user_data.clone(), false);
        let connected = Socket::connect_after(
            &owner,
            url,
            &options.settings,
            |socket| attach(reservation, socket, target, runtime),
            // Handlers may look there.
            || socket_out.write(handle),
        );
        if let Err(error) = connected {
            drop(handles::remove::<Arc<SocketEntry>>(handle));
            user_data.give_back();
            return Err(error);
        }
        end_if_freed(&owner, handle);
        Ok(())
    })
}

/// Sends a text message of len bytes of UTF-8.
///
/// - WSABI_ERR_STATE: before OPEN, or between the pieces of a fragmented
///   message.
/// - WSABI_ERR_CLOSED: the socket is closing or closed.
/// - WSABI_ERR_BUFFER_FULL: refused whole; try again after DRAIN.
/// - WSABI_ERR_ARGUMENT: not UTF-8, or longer than
///   wsabi_options_set_max_buffered.
///
/// # Safety
///
/// `len` says how much can be read at `text`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_send_text(
    socket: wsabi_socket,
    text: *const c_char,
    len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let text = unsafe { input::text("text", text, len) }?;
        with_socket(socket, |it| it.socket.send_text(text))
    })
}

/// Sends a binary message of len bytes. Fails as wsabi_socket_send_text
/// does.
///
/// # Safety
///
/// `len` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_send_binary(
    socket: wsabi_socket,
    data: *const c_void,
    len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let data = unsafe { input::bytes("data", data, len) }?;
        with_socket(socket, |it| it.socket.send_binary(data))
    })
}

/// Sends several messages in order, with one call into the system where that
/// is possible.
///
/// Returns how many were taken. If that is less than count, the next one was
/// refused; calling again with the rest says why, since a call whose first
/// message is refused returns that message's status, as
/// wsabi_socket_send_text does.
///
/// # Safety
///
/// `count` messages can be read at `messages`, and each names bytes that can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_send_many(
    socket: wsabi_socket,
    messages: *const wsabi_message,
    count: u32,
) -> i32 {
    guard_value(|| {
        if i32::try_from(count).is_err() {
            return Err(input::argument(format!(
                "count is {count}, more than can be returned"
            )));
        }
        // SAFETY: by contract of this function.
        let messages = unsafe { input::array("messages", messages, count as usize) }?;
        // SAFETY: as above.
        let messages = messages
            .iter()
            .map(|message| unsafe { read_message(message) });
        let accepted = with_socket(socket, |it| it.socket.send_many(messages))?;
        // At most `count`, which fits.
        Ok(accepted as i32)
    })
}

/// Sends a piece of a message, as a frame of its own.
///
/// - type: WSABI_TEXT or WSABI_BINARY, the same for every piece of a
///   message. WSABI_PLAIN or-ed into that of the first piece keeps the
///   message uncompressed.
/// - data, len: the piece. Text may be cut inside a character.
/// - fin: 1 with the last piece, 0 with the others. Until then no other
///   message can be sent: WSABI_ERR_STATE.
///
/// Otherwise fails as wsabi_socket_send_text does.
///
/// # Safety
///
/// `len` says how much can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_send_fragment(
    socket: wsabi_socket,
    r#type: i32,
    data: *const c_void,
    len: usize,
    fin: i32,
) -> i32 {
    guard(|| {
        let (kind, plain) = input::message_type("type", r#type)?;
        let fin = input::flag("fin", fin)?;
        // SAFETY: by contract of this function.
        let data = unsafe {
            match kind {
                MessageKind::Text => input::text_bytes("data", data.cast(), len),
                MessageKind::Binary => input::bytes("data", data, len),
            }
        }?;
        find_socket(socket)?
            .socket
            .send_fragment(kind, data, fin, plain)
    })
}

/// Sends a ping with at most 125 bytes of data. The peer's answer is a PONG
/// event with the same data and the round-trip time. The library sends pings
/// of its own: see wsabi_options_set_ping_interval_ms.
///
/// - WSABI_ERR_STATE: before OPEN.
/// - WSABI_ERR_CLOSED: the socket is closing or closed.
/// - WSABI_ERR_ARGUMENT: more than 125 bytes (RFC 6455 section 5.5).
///
/// # Safety
///
/// `len` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_ping(
    socket: wsabi_socket,
    data: *const c_void,
    len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let data = unsafe { input::bytes("data", data, len) }?;
        find_socket(socket)?.socket.ping(data)
    })
}

/// Begins to close: what was sent before still goes out, then a Close frame.
/// CLOSE follows when the peer has answered, or after the close timeout. No
/// MESSAGE comes any more.
///
/// - code: any that an endpoint may send (RFC 6455 section 7.4): 1000, which
///   is the normal one, to 1003, 1007 to 1014, 3000 to 4999. 0: a Close
///   frame without code and reason.
/// - reason, len: at most 123 bytes of UTF-8.
///
/// Before OPEN this gives up connecting: ERROR with WSABI_ERR_ABORTED and
/// CLOSE with 1006 follow. On a closing or closed socket it does nothing:
/// WSABI_OK.
///
/// WSABI_ERR_ARGUMENT: the code must not be sent, the reason is too long or
/// not UTF-8, or there is a reason without a code.
///
/// # Safety
///
/// `len` says how much can be read at `reason`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_close(
    socket: wsabi_socket,
    code: i32,
    reason: *const c_char,
    len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let reason = unsafe { input::text("reason", reason, len) }?;
        let code = match u16::try_from(code) {
            Ok(0) => None,
            Ok(code) => Some(code),
            Err(_) => return Err(input::argument(format!("{code} is not a close code"))),
        };
        find_socket(socket)?.socket.close(code, reason)
    })
}

/// Drops the connection without a Close frame, and what was not sent yet.
/// ERROR with WSABI_ERR_ABORTED and CLOSE with 1006 follow.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_socket_abort(socket: wsabi_socket) -> i32 {
    guard(|| {
        find_socket(socket)?.socket.abort();
        Ok(())
    })
}

/// Stops reading, so that TCP holds the peer back. No MESSAGE comes after
/// the handler that is running. Meanwhile pings are not answered, pongs not
/// awaited, and the end of the connection is not noticed.
///
/// WSABI_ERR_CLOSED: the socket is closed.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_socket_pause(socket: wsabi_socket) -> i32 {
    guard(|| find_socket(socket)?.socket.pause())
}

/// Reads on after wsabi_socket_pause. WSABI_ERR_CLOSED: the socket is
/// closed.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_socket_resume(socket: wsabi_socket) -> i32 {
    guard(|| find_socket(socket)?.socket.resume())
}

/// Ends the handle. The connection of a socket that is not closed yet is
/// dropped, and no event starts afterwards, not even CLOSE; a handler that
/// is running ends undisturbed. user_data is given back after it.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_socket_release(socket: wsabi_socket) -> i32 {
    guard(|| {
        handles::remove::<Arc<SocketEntry>>(socket)?
            .socket
            .release();
        Ok(())
    })
}

/// Replaces the user_data that handlers are called with. The old one is
/// given back, by the function of wsabi_options_on_release, when no handler
/// can see it any more: at once, or when the handler that is running
/// returns. What a server's socket shares with its server is not given back
/// by this.
///
/// # Safety
///
/// The handlers of the socket can be called with `user_data` on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_set_user_data(
    socket: wsabi_socket,
    user_data: *mut c_void,
) -> i32 {
    guard(|| {
        find_socket(socket)?.target.set_user_data(user_data);
        Ok(())
    })
}

/// Has the next attempts of a socket that reconnects say this in their
/// requests, in place of what they have said under this name: a fresh token,
/// for example. Best called from the RECONNECT handler.
///
/// WSABI_ERR_ARGUMENT as for wsabi_options_add_header. WSABI_ERR_STATE: the
/// socket does not reconnect (wsabi_options_set_reconnect).
/// WSABI_ERR_CLOSED: it is closed, or being closed by the application.
///
/// # Safety
///
/// `name_len` and `value_len` say how much can be read at `name` and `value`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_set_header(
    socket: wsabi_socket,
    name: *const c_char,
    name_len: usize,
    value: *const c_char,
    value_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let name = unsafe { input::setting("name", name, name_len) }?;
        // SAFETY: as above.
        let value = unsafe { input::setting("value", value, value_len) }?;
        find_socket(socket)?.socket.set_header(name, value)
    })
}

/// Has the next attempts of a socket that reconnects lead to another URL.
/// Best called from the RECONNECT handler.
///
/// WSABI_ERR_URL, WSABI_ERR_ARGUMENT as for wsabi_socket_connect.
/// WSABI_ERR_STATE, WSABI_ERR_CLOSED as for wsabi_socket_set_header.
///
/// # Safety
///
/// `len` says how much can be read at `url`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_set_url(
    socket: wsabi_socket,
    url: *const c_char,
    len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let url = unsafe { input::setting("url", url, len) }?;
        find_socket(socket)?.socket.set_url(url)
    })
}

/// What the handle of a socket stands for.
pub(super) struct SocketEntry {
    pub(super) socket: Socket,
    pub(super) runtime: wsabi_runtime,
    target: Arc<Target>,
    has_ended: AtomicBool,
}

impl SocketEntry {
    /// No handle stands for it any more.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

pub(super) fn find_socket(socket: wsabi_socket) -> Result<Arc<SocketEntry>> {
    handles::find(socket)
}

/// Lets the reserved handle stand for a socket, whose events go to `target`.
pub(super) fn attach(
    reservation: Reservation<Arc<SocketEntry>>,
    socket: &Socket,
    target: Target,
    runtime: wsabi_runtime,
) -> Arc<dyn Handler> {
    let target = Arc::new(target);
    let entry = SocketEntry {
        socket: socket.clone(),
        runtime,
        target: target.clone(),
        has_ended: AtomicBool::new(false),
    };
    reservation.fill(Arc::new(entry));
    target
}

/// Ends a handle that was made while its runtime was being freed, and which
/// that may have missed.
pub(super) fn end_if_freed(runtime: &Runtime, socket: wsabi_socket) {
    if runtime.is_freed()
        && let Ok(entry) = handles::remove::<Arc<SocketEntry>>(socket)
    {
        entry.socket.release();
    }
}

/// # Safety
///
/// `message` names bytes that can be read and do not change while the result lives.
unsafe fn read_message(message: &wsabi_message) -> Result<Message<'_>> {
    if message.reserved != 0 {
        return Err(input::argument(format!(
            "reserved is {}, not 0",
            message.reserved
        )));
    }
    let (kind, plain) = input::message_type("type", message.r#type)?;
    // SAFETY: by contract of this function.
    let message = unsafe {
        match kind {
            MessageKind::Text => {
                Message::text(input::text("data", message.data.cast(), message.len)?)
            }
            MessageKind::Binary => {
                Message::binary(input::bytes("data", message.data, message.len)?)
            }
        }
    };
    Ok(if plain { message.plain() } else { message })
}
