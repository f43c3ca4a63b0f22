//! The library as programs have it: its shared object, called through the functions of the header.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(unused_imports, reason = "the same")]
#![allow(unsafe_code, reason = "the C interface is made of pointers")]

#[path = "../built/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "a test may use both who have it")]
mod built;
mod delivery;
mod events;
mod functions;
mod log;
mod objects;
mod requests;

use std::ffi::{CStr, c_char};

pub use delivery::{Delivery, differs, in_every_other_delivery, in_every_other_delivery_at_once};
pub use events::{Close, Events, Seen};
pub use functions::{Stats, functions};
pub use log::{start_log, take_log};
pub use objects::{Client, Options, Runtime, Server, Socket};
pub use requests::Request;

pub const OK: i32 = 0;
pub const ERR_ARGUMENT: i32 = -1;
pub const ERR_HANDLE: i32 = -2;
pub const ERR_STATE: i32 = -3;
pub const ERR_CLOSED: i32 = -4;
pub const ERR_URL: i32 = -5;
pub const ERR_BUFFER_FULL: i32 = -6;
pub const ERR_TOO_BIG: i32 = -7;
pub const ERR_DNS: i32 = -10;
pub const ERR_CONNECT: i32 = -11;
pub const ERR_PROXY: i32 = -12;
pub const ERR_TLS: i32 = -13;
pub const ERR_HTTP: i32 = -14;
pub const ERR_HANDSHAKE: i32 = -15;
pub const ERR_PROTOCOL: i32 = -16;
pub const ERR_ENCODING: i32 = -17;
pub const ERR_TIMEOUT: i32 = -18;
pub const ERR_IO: i32 = -19;
pub const ERR_ABORTED: i32 = -20;

pub const CONNECTING: i32 = 0;
pub const OPEN: i32 = 1;
pub const CLOSING: i32 = 2;
pub const CLOSED: i32 = 3;

pub const TEXT: i32 = 1;
pub const BINARY: i32 = 2;

pub const FACT_URL: i32 = 1;
pub const FACT_SUBPROTOCOL: i32 = 2;
pub const FACT_EXTENSIONS: i32 = 3;
pub const FACT_PEER_ADDRESS: i32 = 4;
pub const FACT_LOCAL_ADDRESS: i32 = 5;
pub const FACT_TLS_VERSION: i32 = 6;
pub const FACT_TLS_CIPHER: i32 = 7;
pub const FACT_RESPONSE_BODY: i32 = 8;

/// Gives SIGPIPE the meaning that it has in programs of C, and not in those of Rust.
pub fn die_of_broken_pipes() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Lets this process, and those that it starts, have as many descriptors as the system allows.
/// Returns how many.
#[cfg(unix)]
pub fn use_all_descriptors() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit lives during the calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
    limit.rlim_cur
}

/// Lets another process have so many descriptors.
#[cfg(target_os = "linux")]
pub fn limit_descriptors(process: u32, count: u64) {
    let limit = libc::rlimit {
        rlim_cur: count,
        rlim_max: use_all_descriptors(),
    };
    let process = libc::pid_t::try_from(process).unwrap();
    // SAFETY: the limit lives during the call, and the old one is not asked for.
    let set = unsafe {
        let old = std::ptr::null_mut();
        libc::prlimit(process, libc::RLIMIT_NOFILE, &raw const limit, old)
    };
    assert_eq!(set, 0);
}

/// How many bytes this process has from its allocator, as far as that tells.
pub fn heap() -> u64 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it only reads the allocator's own figures.
        let info = unsafe { libc::mallinfo2() };
        (info.uordblks + info.hblkhd) as u64
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    0
}

/// The latest failure of this thread, for a message.
pub fn last_error() -> String {
    text_at((functions().last_error)())
}

/// The name of a status, for a message.
pub fn status_name(status: i32) -> String {
    text_at((functions().status_name)(status))
}

#[track_caller]
pub fn expect_ok(status: i32) {
    assert_eq!(status, OK, "{}: {}", status_name(status), last_error());
}

fn text_at(text: *const c_char) -> String {
    // SAFETY: it is NUL-terminated and lives until the next failure of this thread.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
