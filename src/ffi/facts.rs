//! Facts: what is known about a socket. The functions work until its handle
//! ends, also after CLOSE.

use std::ffi::c_char;
use std::ptr;

use crate::ffi::guard::guard_value;
use crate::ffi::input;
use crate::ffi::output::{Room, nanoseconds};
use crate::ffi::socket::{find_socket, wsabi_socket};
use crate::socket::{Fact, ReadyState, Stats};

/// The state from wsabi_socket_connect to OPEN.
pub const WSABI_CONNECTING: i32 = 0;

/// The state in which messages can be sent.
pub const WSABI_OPEN: i32 = 1;

/// The state from the beginning of the end to CLOSE.
pub const WSABI_CLOSING: i32 = 2;

/// The state when the connection has ended: in CLOSE at the latest.
pub const WSABI_CLOSED: i32 = 3;

/// Returns the state of the connection: WSABI_CONNECTING, WSABI_OPEN,
/// WSABI_CLOSING or WSABI_CLOSED. It never goes back, but for a RECONNECT
/// event: from there on it is WSABI_CONNECTING.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_socket_ready_state(socket: wsabi_socket) -> i32 {
    guard_value(|| {
        Ok(match find_socket(socket)?.socket.ready_state() {
            ReadyState::Connecting => WSABI_CONNECTING,
            ReadyState::Open => WSABI_OPEN,
            ReadyState::Closing => WSABI_CLOSING,
            ReadyState::Closed => WSABI_CLOSED,
        })
    })
}

/// Returns how many bytes of messages were sent by the application and not
/// yet taken by the operating system. The headers of frames do not count.
/// What was not taken when the connection ended stays in the amount.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_socket_buffered_amount(socket: wsabi_socket) -> i64 {
    guard_value(|| {
        let amount = find_socket(socket)?.socket.buffered_amount();
        Ok(i64::try_from(amount).unwrap_or(i64::MAX))
    })
}

/// The URL, as it was understood, without credentials; after a redirect,
/// the one that it led to.
pub const WSABI_FACT_URL: i32 = 1;

/// The subprotocol that was agreed on.
pub const WSABI_FACT_SUBPROTOCOL: i32 = 2;

/// The extensions that were agreed on, as in Sec-WebSocket-Extensions.
pub const WSABI_FACT_EXTENSIONS: i32 = 3;

/// The address and port of the peer, such as "[::1]:9001"; behind a proxy,
/// those of the proxy. Of a Unix socket the path, if it has one.
pub const WSABI_FACT_PEER_ADDRESS: i32 = 4;

/// The address and port of this end, or its path.
pub const WSABI_FACT_LOCAL_ADDRESS: i32 = 5;

/// The version of TLS, "TLSv1.2" or "TLSv1.3". None without TLS, and before
/// its handshake is done; behind an https proxy, first that of the proxy.
pub const WSABI_FACT_TLS_VERSION: i32 = 6;

/// The cipher suite of TLS by its name in the registry of IANA, such as
/// "TLS_AES_128_GCM_SHA256".
pub const WSABI_FACT_TLS_CIPHER: i32 = 7;

/// The body of the answer that refused an upgrade, the first 64 KiB.
pub const WSABI_FACT_RESPONSE_BODY: i32 = 8;

/// Writes a fact, which is a text, into the cap bytes at buf, and a NUL
/// behind it where there is room. buf may be NULL if cap is 0.
///
/// - fact: one of WSABI_FACT_*.
///
/// Returns the length without NUL, also if it is more than cap; 0 where the
/// fact is not known or there is none. What does not fit is cut off, and
/// then there is no NUL.
///
/// # Safety
///
/// `cap` bytes can be written to `buf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_fact(
    socket: wsabi_socket,
    fact: i32,
    buf: *mut c_char,
    cap: usize,
) -> i64 {
    guard_value(|| {
        // SAFETY: by contract of this function.
        let room = unsafe { Room::new(buf, cap) }?;
        let fact = match fact {
            WSABI_FACT_URL => Fact::Url,
            WSABI_FACT_SUBPROTOCOL => Fact::Subprotocol,
            WSABI_FACT_EXTENSIONS => Fact::Extensions,
            WSABI_FACT_PEER_ADDRESS => Fact::PeerAddress,
            WSABI_FACT_LOCAL_ADDRESS => Fact::LocalAddress,
            WSABI_FACT_TLS_VERSION => Fact::TlsVersion,
            WSABI_FACT_TLS_CIPHER => Fact::TlsCipher,
            WSABI_FACT_RESPONSE_BODY => Fact::ResponseBody,
            _ => return Err(input::argument(format!("there is no fact {fact}"))),
        };
        let entry = find_socket(socket)?;
        Ok(entry.socket.with_fact(fact, |text| room.fill(text)))
    })
}

/// Returns the HTTP status with which the server answered: 101, or another
/// one if it refused; 0 before an answer, and always for a server's socket.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_socket_response_status(socket: wsabi_socket) -> i32 {
    guard_value(|| Ok(find_socket(socket)?.socket.response_status().into()))
}

/// Writes a header field of the server's answer into the cap bytes at buf,
/// as wsabi_socket_fact does.
///
/// - name, len: the name of the field, in any letter case.
///
/// Returns the length without NUL, also if it is more than cap; 0 if there
/// is no such field. WSABI_ERR_STATE: before an answer.
///
/// # Safety
///
/// `len` says how much can be read at `name`; `cap` bytes can be written to `buf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_response_header(
    socket: wsabi_socket,
    name: *const c_char,
    len: usize,
    buf: *mut c_char,
    cap: usize,
) -> i64 {
    guard_value(|| {
        // SAFETY: by contract of this function.
        let room = unsafe { Room::new(buf, cap) }?;
        // SAFETY: as above.
        let name = unsafe { input::setting("name", name, len) }?;
        let entry = find_socket(socket)?;
        let fill = |value: Option<&str>| room.fill(value.unwrap_or_default());
        entry.socket.with_response_header(name, fill)
    })
}

/// Figures of one socket.
#[repr(C)]
pub struct wsabi_stats {
    /// Set by the caller: sizeof(wsabi_stats).
    pub size: u32,
    /// How often the connection was established anew, after a RECONNECT.
    pub reconnects: u32,
    /// Bytes sent on the wire, the handshake and frames included.
    pub bytes_sent: u64,
    /// Bytes received on the wire, the handshake and frames included.
    pub bytes_received: u64,
    /// Payload bytes of the messages that were sent.
    pub payload_sent: u64,
    /// Payload bytes of the messages that were received.
    pub payload_received: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Round-trip time of the latest ping in nanoseconds; 0: not known.
    pub round_trip_ns: u64,
    /// Nanoseconds since the last byte was received; 0: none was.
    pub since_received_ns: u64,
    /// Nanoseconds that name resolution took. This and the next three are
    /// of the latest attempt; 0 where there was nothing to do.
    pub dns_ns: u64,
    /// Nanoseconds that the TCP connection took, that of a proxy to the
    /// server included.
    pub tcp_ns: u64,
    /// Nanoseconds that the TLS handshake took; two of them behind an https
    /// proxy.
    pub tls_ns: u64,
    /// Nanoseconds that the WebSocket handshake took.
    pub upgrade_ns: u64,
}

/// Fills in the figures of a socket. Bytes and messages are counted over all
/// connections that it has had.
///
/// stats->size must be sizeof(wsabi_stats) before the call. Where the
/// library knows fewer figures than the program, it sets size to what it
/// filled.
///
/// # Safety
///
/// `stats` can be read, and as many bytes as its size says can be written to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_socket_stats(socket: wsabi_socket, stats: *mut wsabi_stats) -> i32 {
    guard_value(|| {
        if stats.is_null() {
            return Err(input::null("stats"));
        }
        // SAFETY: not NULL, and readable by contract of this function.
        let size = unsafe { (&raw const (*stats).size).read_unaligned() };
        if (size as usize) < size_of::<wsabi_stats>() {
            return Err(input::argument(format!(
                "stats->size is {size}, less than {}",
                size_of::<wsabi_stats>()
            )));
        }
        let figures = figures(&find_socket(socket)?.socket.stats());
        // SAFETY: not NULL, and as large as its size says, by contract of this function.
        unsafe { ptr::write_unaligned(stats, figures) };
        Ok(0)
    })
}

fn figures(stats: &Stats) -> wsabi_stats {
    wsabi_stats {
        size: size_of::<wsabi_stats>() as u32,
        reconnects: stats.reconnects,
        bytes_sent: stats.bytes_sent,
        bytes_received: stats.bytes_received,
        payload_sent: stats.payload_sent,
        payload_received: stats.payload_received,
        messages_sent: stats.messages_sent,
        messages_received: stats.messages_received,
        round_trip_ns: nanoseconds(stats.round_trip),
        since_received_ns: nanoseconds(stats.since_received),
        dns_ns: nanoseconds(Some(stats.dns)),
        tcp_ns: nanoseconds(Some(stats.tcp)),
        tls_ns: nanoseconds(Some(stats.tls)),
        upgrade_ns: nanoseconds(Some(stats.upgrade)),
    }
}
