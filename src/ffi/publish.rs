//! Publishing: one message to many sockets of a server.
//!
//! A server's socket subscribes to topics, which are names that the
//! application chooses: rooms, channels, symbols. It leaves them by itself
//! when it closes, and a topic without subscribers takes no memory.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use crate::delivery::MessageKind;
use crate::error::Result;
use crate::ffi::current::with_socket;
use crate::ffi::guard::{guard, guard_value};
use crate::ffi::options::wsabi_options;
use crate::ffi::server::{ServerEntry, wsabi_server};
use crate::ffi::settings::change;
use crate::ffi::socket::wsabi_socket;
use crate::ffi::{handles, input};
use crate::options::SlowSubscribers;
use crate::socket::Message;

/// A subscriber without room is skipped.
pub const WSABI_SLOW_SKIP: i32 = 0;
/// A subscriber without room is closed.
pub const WSABI_SLOW_CLOSE: i32 = 1;

/// Sends one message to every socket of a server that subscribes to a topic.
/// Returns how many took it, which may be 0.
///
/// - topic, topic_len: as of wsabi_socket_subscribe. NULL, with a length of
///   0: to every open socket of the server, whatever it subscribes to.
/// - type: WSABI_TEXT or WSABI_BINARY; WSABI_PLAIN can be or-ed into it.
/// - data, len: the payload, which is copied.
///
/// The message is framed once, and compressed once for each size of window
/// that the subscribers have agreed on. This only queues it: the threads of
/// the runtime write it to the network, so that nobody waits for a
/// subscriber that is slow. What one thread publishes, and sends on single
/// sockets, arrives in that order.
///
/// Sockets that are closing do not take it. One for which more than
/// wsabi_options_set_max_buffered would wait does not either; see
/// wsabi_options_set_slow_subscribers. One that is being sent a message in
/// pieces gets it behind the last piece; it is lost if the socket closes
/// before that.
///
/// WSABI_ERR_ARGUMENT: text that is not UTF-8, a topic of no or of more than
/// 255 bytes, or a payload longer than wsabi_options_set_max_buffered.
///
/// # Safety
///
/// `topic_len` says how much can be read at `topic`, and `len` at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_server_publish(
    server: wsabi_server,
    topic: *const c_char,
    topic_len: usize,
    r#type: i32,
    data: *const c_void,
    len: usize,
) -> i64 {
    guard_value(|| {
        let (kind, plain) = input::message_type("type", r#type)?;
        // SAFETY: by contract of this function.
        let topic = unsafe { read_topic(topic, topic_len) }?;
        // SAFETY: as above.
        let message = unsafe {
            match kind {
                MessageKind::Text => Message::text(input::text("data", data.cast(), len)?),
                MessageKind::Binary => Message::binary(input::bytes("data", data, len)?),
            }
        };
        let message = if plain { message.plain() } else { message };
        let entry: Arc<ServerEntry> = handles::find(server)?;
        // Sockets in memory are fewer than i64::MAX.
        Ok(entry.server.publish(topic, message)? as i64)
    })
}

/// Has a server's socket get what the server publishes to a topic, from now
/// until it closes: from OPEN on, also inside its handler. Subscribing again
/// changes nothing.
///
/// - topic, len: 1 to 255 bytes of UTF-8 without a NUL, told apart byte by
///   byte.
///
/// - WSABI_ERR_STATE: before OPEN, or the socket subscribes to 1024 topics,
///   which is as many as it can.
/// - WSABI_ERR_CLOSED: the socket is closing or closed.
/// - WSABI_ERR_ARGUMENT: the topic is none, or the socket is a client's.
///
/// # Safety
///
/// `len` says how much can be read at `topic`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_subscribe(
    socket: wsabi_socket,
    topic: *const c_char,
    len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let topic = unsafe { input::setting("topic", topic, len) }?;
        with_socket(socket, |it| it.socket.subscribe(topic))
    })
}

/// Ends a subscription. WSABI_OK also where there is none, or no longer.
///
/// WSABI_ERR_ARGUMENT as for wsabi_socket_subscribe.
///
/// # Safety
///
/// `len` says how much can be read at `topic`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_unsubscribe(
    socket: wsabi_socket,
    topic: *const c_char,
    len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let topic = unsafe { input::setting("topic", topic, len) }?;
        with_socket(socket, |it| it.socket.unsubscribe(topic))
    })
}

/// Sets what happens to a subscriber for which more than
/// wsabi_options_set_max_buffered would wait with a message that is
/// published.
///
/// - WSABI_SLOW_SKIP, the default: it does not get this message. DRAIN says
///   when there is room again, as after WSABI_ERR_BUFFER_FULL, so that the
///   application can send it what it has missed.
/// - WSABI_SLOW_CLOSE: it does not get this message, and is closed as by
///   wsabi_socket_close, with code 1008 and the reason "too slow". One that
///   does not read at all is dropped after the close timeout.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_slow_subscribers(options: wsabi_options, policy: i32) -> i32 {
    guard(|| {
        let policy = match policy {
            WSABI_SLOW_SKIP => SlowSubscribers::Skip,
            WSABI_SLOW_CLOSE => SlowSubscribers::Close,
            _ => {
                return Err(input::argument(format!(
                    "policy is {policy}, neither WSABI_SLOW_SKIP nor WSABI_SLOW_CLOSE"
                )));
            }
        };
        change(options, |settings| {
            settings.set_slow_subscribers(policy);
            Ok(())
        })
    })
}

/// # Safety
///
/// `len` says how much can be read at `topic`.
unsafe fn read_topic<'a>(topic: *const c_char, len: usize) -> Result<Option<&'a str>> {
    if topic.is_null() && len == 0 {
        return Ok(None);
    }
    // SAFETY: by contract of this function.
    let topic = unsafe { input::setting("topic", topic, len) }?;
    Ok(Some(topic))
}
