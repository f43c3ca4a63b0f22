//! Settings: what a client says and which way it takes, and whom a server
//! takes. Limits, compression and TLS are settings, too: see below.
//!
//! Text is copied.

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

/// Sets how many connections a server holds at a time, those included that
/// have not asked for a WebSocket yet; further ones are refused with HTTP
/// status 503. 0: no limit, which is the default.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_max_connections(
    options: wsabi_options,
    connections: u32,
) -> i32 {
    guard(|| {
        set(options, |settings| {
            settings.set_max_connections(connections);
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

/// Sets how many connections may wait for a server to accept them: at least
/// one. Default: 4096. The system's own limit holds as well:
/// net.core.somaxconn on Linux. A client that finds no room tries again, or
/// is refused.
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

/// The same, with a setting that takes every value.
pub(super) fn set(options: wsabi_options, set: impl FnOnce(&mut Options)) -> Result<()> {
    change(options, |settings| {
        set(settings);
        Ok(())
    })
}
