//! Limits: how much there may be, and how long it may take.
//!
//! Bytes are counted without frames. Times are in milliseconds.

use std::time::Duration;

use crate::ffi::guard::guard;
use crate::ffi::options::wsabi_options;
use crate::ffi::settings::{change, set};

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
    guard(|| set(options, |settings| settings.set_low_water(bytes)))
}

/// Sets the size of the largest frame that is sent, in bytes of payload;
/// longer messages are split into several frames (RFC 6455 section 5.4). 0:
/// messages are not split, which is the default.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_max_frame(options: wsabi_options, bytes: u64) -> i32 {
    guard(|| set(options, |settings| settings.set_max_frame(bytes)))
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
    let time = Duration::from_millis(milliseconds.into());
    guard(|| set(options, |settings| settings.set_connect_timeout(time)))
}

/// Sets the time from the beginning of the end to CLOSE, at most. If the
/// peer has not answered the Close frame by then: ERROR with
/// WSABI_ERR_TIMEOUT and CLOSE with 1006. 0: does not wait. Default: 3000.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_close_timeout_ms(
    options: wsabi_options,
    milliseconds: u32,
) -> i32 {
    let time = Duration::from_millis(milliseconds.into());
    guard(|| set(options, |settings| settings.set_close_timeout(time)))
}

/// Sets after how long without a received byte a ping is sent (RFC 6455
/// section 5.5.2). 0: never. Default: 20000.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_ping_interval_ms(
    options: wsabi_options,
    milliseconds: u32,
) -> i32 {
    let time = Duration::from_millis(milliseconds.into());
    guard(|| set(options, |settings| settings.set_ping_interval(time)))
}

/// Sets how long the peer may stay silent after that ping; then the
/// connection is dropped: WSABI_ERR_TIMEOUT. Any byte counts, but not a pong
/// without a ping. 0: for ever. Default: 20000.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_pong_timeout_ms(
    options: wsabi_options,
    milliseconds: u32,
) -> i32 {
    let time = Duration::from_millis(milliseconds.into());
    guard(|| set(options, |settings| settings.set_pong_timeout(time)))
}

/// Sets how long no message may be sent or received; then the connection
/// fails: code 1001, WSABI_ERR_TIMEOUT. Pings are not messages. 0: for ever,
/// which is the default.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_idle_timeout_ms(
    options: wsabi_options,
    milliseconds: u32,
) -> i32 {
    let time = Duration::from_millis(milliseconds.into());
    guard(|| set(options, |settings| settings.set_idle_timeout(time)))
}
