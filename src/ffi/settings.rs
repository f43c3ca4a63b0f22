//! Settings: what options say of sockets and servers besides handlers.
//!
//! Text is copied. Bytes are counted without frames. Times are in
//! milliseconds.

use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::ffi::guard::guard;
use crate::ffi::input;
use crate::ffi::options::{edit, wsabi_options};
use crate::options::Options;

/// Adds a subprotocol to those that are there. Default: none.
///
/// A client offers them all, the first being the one it likes best; if it
/// offers any and the server takes none, connecting fails with
/// WSABI_ERR_HANDSHAKE. A server takes the first of its own that the client
/// offers.
///
/// WSABI_ERR_ARGUMENT: name is not a token (RFC 6455 section 4.1), or is
/// there already, in any letter case.
///
/// # Safety
///
/// `len` says how much can be read at `name`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_add_subprotocol(
    options: wsabi_options,
    name: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe { set_text(options, "name", name, len, Options::add_subprotocol) }
}

/// Adds a header field to a client's request, or to the answer with which a
/// server accepts one. Default: none.
///
/// WSABI_ERR_ARGUMENT: name is not a token, value has a control character,
/// such as a line break, or begins or ends with a space (RFC 9110 section
/// 5), or the field is one that the library writes itself: Connection,
/// Content-Length, Host, Origin, Sec-WebSocket-*, Transfer-Encoding, Upgrade
/// and User-Agent.
///
/// # Safety
///
/// `name_len` and `value_len` say how much can be read at `name` and `value`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_add_header(
    options: wsabi_options,
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
        change(options, |settings| settings.add_header(name, value))
    })
}

/// Sets the Origin field of a client's request, such as
/// "https://example.org" (RFC 6455 section 10.2). Empty: none, which is the
/// default.
///
/// WSABI_ERR_ARGUMENT as for the value of wsabi_options_add_header.
///
/// # Safety
///
/// `len` says how much can be read at `text`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_set_origin(
    options: wsabi_options,
    text: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe { set_text(options, "text", text, len, Options::set_origin) }
}

/// Sets the User-Agent field of a client's request, or the Server field of
/// the answer with which a server accepts one. Empty: none, which is the
/// default.
///
/// WSABI_ERR_ARGUMENT as for the value of wsabi_options_add_header.
///
/// # Safety
///
/// `len` says how much can be read at `text`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_set_user_agent(
    options: wsabi_options,
    text: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe { set_text(options, "text", text, len, Options::set_user_agent) }
}

/// Sets the credentials of a client, "user:password". Empty: none, which is
/// the default.
///
/// They are sent in the clear (RFC 7617), so that they are safe with wss://
/// only. Credentials in the URL take precedence over them, and a header
/// Authorization over both.
///
/// WSABI_ERR_ARGUMENT: no colon, or a control character. The user's name
/// ends at the first colon.
///
/// # Safety
///
/// `len` says how much can be read at `credentials`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_set_basic_auth(
    options: wsabi_options,
    credentials: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe {
        set_text(
            options,
            "credentials",
            credentials,
            len,
            Options::set_basic_auth,
        )
    }
}

/// Sets the proxy that a client connects through:
/// "scheme://user:password@host:port", of which only the host is needed.
/// Empty: none, which is the default. Unix sockets are reached without it.
///
/// - http, which is the scheme if there is none: by CONNECT; port 80.
/// - https: the same, through TLS to the proxy, whose certificate is
///   verified like a server's; port 443. Identity, pins and server name of
///   these options are not for the proxy.
/// - socks5: names are resolved here, and the proxy is asked for one address
///   after the other; port 1080.
/// - socks5h: the proxy resolves the names; port 1080.
/// - "env" alone: what the environment says at the time of this call, by
///   http_proxy, https_proxy, all_proxy and no_proxy.
///
/// WSABI_ERR_URL: the text is none of these.
///
/// # Safety
///
/// `len` says how much can be read at `proxy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_set_proxy(
    options: wsabi_options,
    proxy: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe { set_text(options, "proxy", proxy, len, Options::set_proxy) }
}

/// Sets how many redirects a client follows in a row while it connects, from
/// 0, the default, to 20. None leads from wss:// to ws://, and credentials,
/// Cookie included, go to no other origin.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_max_redirects(options: wsabi_options, redirects: u32) -> i32 {
    guard(|| change(options, |settings| settings.set_max_redirects(redirects)))
}

/// Sets whether a client connects again when the connection is lost or
/// cannot be made, beginning with the first. min_ms, max_ms and tries 0: it
/// does not, which is the default.
///
/// - Before each try comes RECONNECT, and then a wait: a random time between
///   min_ms milliseconds and a limit, which is twice min_ms at first and
///   doubles with every try, up to max_ms. It is longer where a server that
///   refuses asks for more by Retry-After.
/// - tries: how many there are in a row; then ERROR and CLOSE come. 0: any
///   number. They, and the limit, begin anew after a connection that was
///   open for max_ms.
/// - Closed by the server, a connection is made anew after the codes 1001
///   and 1011 to 1014, which say "for now", and after no other.
/// - ERROR and CLOSE come at once where another try would end in the same
///   way: after the HTTP statuses that are no 5xx but for 408, 425 and 429,
///   such as 401, 403 and 404, after 407 of the proxy, after certificates
///   and pins that do not fit, and after whatever breaks RFC 6455 or a limit
///   of these options.
/// - wsabi_socket_close, _abort and _release end it at any time.
///
/// WSABI_ERR_ARGUMENT: min_ms is 0 and another is not, or min_ms is more
/// than max_ms.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_reconnect(
    options: wsabi_options,
    min_ms: u32,
    max_ms: u32,
    tries: u32,
) -> i32 {
    guard(|| {
        let [min, max] = [min_ms, max_ms].map(|it| Duration::from_millis(it.into()));
        change(options, |settings| settings.set_reconnect(min, max, tries))
    })
}

/// Sets the size of the largest message that is received, in bytes, at least
/// 1. Default: 16777216 (16 MiB).
///
/// A longer one fails the connection: code 1009, WSABI_ERR_TOO_BIG. Memory
/// is taken as the bytes of a message come in, never for what its head
/// announces.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_max_message(options: wsabi_options, bytes: u64) -> i32 {
    guard(|| change(options, |settings| settings.set_max_message(bytes)))
}

/// Sets how many bytes of messages may wait to be sent, at least 1. Default:
/// 67108864 (64 MiB).
///
/// A message that would exceed it is refused: WSABI_ERR_BUFFER_FULL, or
/// WSABI_ERR_ARGUMENT if it is longer than the limit itself.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_max_buffered(options: wsabi_options, bytes: u64) -> i32 {
    guard(|| change(options, |settings| settings.set_max_buffered(bytes)))
}

/// Sets the amount of unsent bytes, counted as by
/// wsabi_socket_buffered_amount, at which DRAIN comes after there were more.
/// Default: 1048576 (1 MiB).
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_low_water(options: wsabi_options, bytes: u64) -> i32 {
    guard(|| {
        change(options, |settings| {
            settings.set_low_water(bytes);
            Ok(())
        })
    })
}

/// Sets the size of the largest frame that is sent, in bytes of payload;
/// longer messages are split into several frames (RFC 6455 section 5.4). 0:
/// messages are not split, which is the default.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_max_frame(options: wsabi_options, bytes: u64) -> i32 {
    guard(|| {
        change(options, |settings| {
            settings.set_max_frame(bytes);
            Ok(())
        })
    })
}

/// Sets the time from wsabi_socket_connect to OPEN: for name resolution,
/// connecting, the proxy, TLS, the upgrade, and redirects, all of them
/// together; then: WSABI_ERR_TIMEOUT. With wsabi_options_set_reconnect each
/// attempt has this time.
///
/// For a server: the time that a client has for TLS and its upgrade request;
/// then the server drops it, without an event, as it does with all that
/// never get to OPEN. Where the application is asked, by REQUEST, it has as
/// long again to answer; then the client gets status 503, and the handle of
/// the request ends.
///
/// 0: no limit. Default: 10000.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_connect_timeout_ms(
    options: wsabi_options,
    milliseconds: u32,
) -> i32 {
    guard(|| {
        let time = Duration::from_millis(milliseconds.into());
        change(options, |settings| {
            settings.set_connect_timeout(time);
            Ok(())
        })
    })
}

/// Sets the time from the beginning of the end to CLOSE, at most. If the
/// peer has not answered the Close frame by then: ERROR with
/// WSABI_ERR_TIMEOUT and CLOSE with 1006. 0: does not wait. Default: 3000.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_close_timeout_ms(
    options: wsabi_options,
    milliseconds: u32,
) -> i32 {
    guard(|| {
        let time = Duration::from_millis(milliseconds.into());
        change(options, |settings| {
            settings.set_close_timeout(time);
            Ok(())
        })
    })
}

/// Sets after how long without a received byte a ping is sent (RFC 6455
/// section 5.5.2). 0: never. Default: 20000.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_ping_interval_ms(
    options: wsabi_options,
    milliseconds: u32,
) -> i32 {
    guard(|| {
        let time = Duration::from_millis(milliseconds.into());
        change(options, |settings| {
            settings.set_ping_interval(time);
            Ok(())
        })
    })
}

/// Sets how long the peer may stay silent after that ping; then the
/// connection is dropped: WSABI_ERR_TIMEOUT. Any byte counts, but not a pong
/// without a ping. 0: for ever. Default: 20000.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_pong_timeout_ms(
    options: wsabi_options,
    milliseconds: u32,
) -> i32 {
    guard(|| {
        let time = Duration::from_millis(milliseconds.into());
        change(options, |settings| {
            settings.set_pong_timeout(time);
            Ok(())
        })
    })
}

/// Sets how long no message may be sent or received; then the connection
/// fails: code 1001, WSABI_ERR_TIMEOUT. Pings are not messages. 0: for ever,
/// which is the default.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_idle_timeout_ms(
    options: wsabi_options,
    milliseconds: u32,
) -> i32 {
    guard(|| {
        let time = Duration::from_millis(milliseconds.into());
        change(options, |settings| {
            settings.set_idle_timeout(time);
            Ok(())
        })
    })
}

/// Sets whether permessage-deflate (RFC 7692) is offered, or accepted by a
/// server: 1, the default, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression(options: wsabi_options, on: i32) -> i32 {
    guard(|| {
        let on = input::flag("on", on)?;
        change(options, |settings| {
            settings.set_compression(on);
            Ok(())
        })
    })
}

/// Sets the size in bytes below which messages are sent uncompressed, since
/// short ones hardly shrink. Default: 1024. Messages that are sent in pieces
/// are compressed unless the first piece is the whole message.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression_min(options: wsabi_options, bytes: u64) -> i32 {
    guard(|| {
        change(options, |settings| {
            settings.set_compression_min(bytes);
            Ok(())
        })
    })
}

/// Sets how hard the compressor tries, from 1 to 9. Default: 1, which takes
/// a sixth of the time of 6, for a third more bytes.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression_level(options: wsabi_options, level: i32) -> i32 {
    guard(|| change(options, |settings| settings.set_compression_level(level)))
}

/// Sets how far back the client's and the server's compressor may refer at
/// most, each as a power of two in bytes, from 9 to 15. Default: 15 and 15.
/// Smaller windows take less memory and compress less (RFC 7692 section
/// 7.1.2).
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression_window(
    options: wsabi_options,
    client_bits: i32,
    server_bits: i32,
) -> i32 {
    guard(|| {
        change(options, |settings| {
            settings.set_compression_window(client_bits, server_bits)
        })
    })
}

/// Sets whether the client's and the server's compressor may refer to
/// earlier messages, each 1, the default, or 0: an idle connection then
/// keeps no memory for compression, and messages that are alike compress
/// less (RFC 7692 section 7.1.1).
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression_takeover(
    options: wsabi_options,
    client: i32,
    server: i32,
) -> i32 {
    guard(|| {
        let client = input::flag("client", client)?;
        let server = input::flag("server", server)?;
        change(options, |settings| {
            settings.set_compression_takeover(client, server);
            Ok(())
        })
    })
}

/// Sets how many connections a server holds at a time, those included that
/// have not asked for a WebSocket yet; further ones are refused with HTTP
/// status 503. 0: no limit, which is the default.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_max_connections(
    options: wsabi_options,
    connections: u32,
) -> i32 {
    guard(|| {
        change(options, |settings| {
            settings.set_max_connections(connections);
            Ok(())
        })
    })
}

/// Sets whether a server asks, by REQUEST events, whether to accept an
/// upgrade request: 1, or 0, the default. A handler of REQUEST says so, too;
/// this is for those who use wsabi_runtime_next_events,
/// wsabi_runtime_next_packed or wsabi_runtime_next_pickled instead of
/// handlers.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_requests(options: wsabi_options, ask: i32) -> i32 {
    guard(|| {
        let ask = input::flag("ask", ask)?;
        edit(options, |contents| {
            Arc::make_mut(&mut contents.callbacks).asks = ask;
            Ok(())
        })
    })
}

/// Sets how many connections may wait for a server to accept them, at least
/// 1.
/// Default: 4096. The system's own limit holds as well: net.core.somaxconn
/// on Linux. A client that finds no room tries again, or is refused.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_backlog(options: wsabi_options, connections: u32) -> i32 {
    guard(|| change(options, |settings| settings.set_backlog(connections)))
}

/// Sets whether several servers may listen on one address and port
/// (SO_REUSEPORT), also of several processes, if each of them sets this: 1,
/// or 0, the default. Linux spreads the connections over them; other systems
/// may give all to one. Without effect on Unix sockets.
///
/// WSABI_ERR_STATE: the system cannot; Windows is one.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_reuse_port(options: wsabi_options, on: i32) -> i32 {
    guard(|| {
        let on = input::flag("on", on)?;
        change(options, |settings| settings.set_reuse_port(on))
    })
}

/// The body of a function that makes a text a setting, which failures call `name`.
///
/// # Safety
///
/// As for [`input::setting`].
pub(super) unsafe fn set_text(
    options: wsabi_options,
    name: &str,
    text: *const c_char,
    len: usize,
    set: impl FnOnce(&mut Options, &str) -> Result<()>,
) -> i32 {
    guard(|| {
        // SAFETY: the same contract.
        let text = unsafe { input::setting(name, text, len) }?;
        change(options, |settings| set(settings, text))
    })
}

/// Changes the settings of a handle's options.
pub(super) fn change(
    options: wsabi_options,
    set: impl FnOnce(&mut Options) -> Result<()>,
) -> Result<()> {
    edit(options, |contents| set(&mut contents.settings))
}
