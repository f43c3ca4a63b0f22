//! The part of include/wsabi.h that is measured.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

// What the declarations below are linked to.
use wsabi as _;

pub const OPEN: i32 = 1;
pub const MESSAGE: i32 = 2;
pub const ERROR: i32 = 3;
pub const DRAIN: i32 = 7;
pub const BUFFER_FULL: i32 = -6;
const BINARY: i32 = 2;

/// wsabi_event.
#[repr(C)]
pub struct Event {
    size: u32,
    pub kind: i32,
    pub socket: u64,
    user_data: *mut c_void,
    pub data: *const c_void,
    pub len: usize,
    kind_of_message: i32,
    code: i32,
    was_clean: i32,
    reserved: i32,
    value: u64,
}

/// wsabi_message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Message {
    data: *const c_void,
    len: usize,
    kind: i32,
    reserved: i32,
}

/// wsabi_handler.
pub type Handler = unsafe extern "C-unwind" fn(event: *const Event, user_data: *mut c_void);

unsafe extern "C" {
    fn wsabi_last_error() -> *const c_char;
    fn wsabi_runtime_new(threads: u32, delivery: i32, runtime_out: *mut u64) -> i32;
    fn wsabi_runtime_poll(runtime: u64, max_events: u32, timeout_ms: i32) -> i32;
    fn wsabi_options_new(options_out: *mut u64) -> i32;
    fn wsabi_options_on_event(options: u64, kind: i32, handler: Option<Handler>) -> i32;
    fn wsabi_options_set_max_buffered(options: u64, bytes: u64) -> i32;
    fn wsabi_options_set_tls_ca(options: u64, pem: *const c_char, len: usize) -> i32;
    fn wsabi_options_set_low_water(options: u64, bytes: u64) -> i32;
    fn wsabi_socket_connect(
        runtime: u64,
        url: *const c_char,
        len: usize,
        options: u64,
        user_data: *mut c_void,
        socket_out: *mut u64,
    ) -> i32;
    fn wsabi_socket_send_binary(socket: u64, data: *const c_void, len: usize) -> i32;
    fn wsabi_socket_send_many(socket: u64, messages: *const Message, count: u32) -> i32;
}

impl Message {
    pub fn binary(payload: &'static [u8]) -> Self {
        Self {
            data: payload.as_ptr().cast(),
            len: payload.len(),
            kind: BINARY,
            reserved: 0,
        }
    }
}

/// A runtime with one thread, or one without, which is to be polled.
pub fn runtime(threads: u32) -> Result<u64, String> {
    let mut runtime = 0;
    let delivery = i32::from(threads == 0);
    // SAFETY: `runtime` lives during the call.
    check(unsafe { wsabi_runtime_new(threads, delivery, &raw mut runtime) })?;
    Ok(runtime)
}

/// Waits for events and runs their handlers.
pub fn poll(runtime: u64) -> Result<i32, String> {
    // SAFETY: no pointers.
    check(unsafe { wsabi_runtime_poll(runtime, 0, -1) })
}

/// Options that are the defaults but for the handler of all events.
pub fn options(handler: Handler) -> Result<u64, String> {
    let mut options = 0;
    // SAFETY: `options` lives during the call.
    check(unsafe { wsabi_options_new(&raw mut options) })?;
    // SAFETY: `connect` sees to it that the handler can be called.
    check(unsafe { wsabi_options_on_event(options, 0, Some(handler)) })?;
    Ok(options)
}

/// Bounds what waits to be sent.
pub fn bound(options: u64, bytes: u64) -> Result<(), String> {
    // SAFETY: no pointers.
    check(unsafe { wsabi_options_set_max_buffered(options, bytes) })?;
    // SAFETY: as above.
    check(unsafe { wsabi_options_set_low_water(options, bytes / 2) })?;
    Ok(())
}

/// Trusts only these authorities.
pub fn trust(options: u64, pem: &str) -> Result<(), String> {
    // SAFETY: the pointer and the length are those of a text.
    check(unsafe { wsabi_options_set_tls_ca(options, pem.as_ptr().cast(), pem.len()) })?;
    Ok(())
}

/// Begins to connect. `user_data` is what the handler of `options` expects.
pub fn connect<T: Sync>(
    runtime: u64,
    url: &str,
    options: u64,
    user_data: &'static T,
) -> Result<u64, String> {
    let mut socket = 0;
    let user_data = ptr::from_ref(user_data).cast_mut().cast();
    // SAFETY: `url` has that length, `socket` lives during the call, and `user_data` for ever.
    check(unsafe {
        wsabi_socket_connect(
            runtime,
            url.as_ptr().cast(),
            url.len(),
            options,
            user_data,
            &raw mut socket,
        )
    })?;
    Ok(socket)
}

/// The status.
pub fn send(socket: u64, payload: &[u8]) -> i32 {
    // SAFETY: the pointer and the length are those of a slice.
    unsafe { wsabi_socket_send_binary(socket, payload.as_ptr().cast(), payload.len()) }
}

/// How many were taken, or a status.
pub fn send_many(socket: u64, messages: &[Message]) -> i32 {
    // SAFETY: the pointer and the length are those of a slice, whose messages live for ever.
    unsafe { wsabi_socket_send_many(socket, messages.as_ptr(), messages.len() as u32) }
}

/// What the last call of this thread says that failed.
pub fn check(status: i32) -> Result<i32, String> {
    if status >= 0 {
        return Ok(status);
    }
    // SAFETY: a text that lives until the next call.
    let sentence = unsafe { CStr::from_ptr(wsabi_last_error()) };
    Err(format!("status {status}: {}", sentence.to_string_lossy()))
}
