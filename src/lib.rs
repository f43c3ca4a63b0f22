//! wsabi is a WebSocket engine behind a C ABI: RFC 6455, client and server, over TCP, TLS and Unix
//! sockets.
//!
//! C programs use `include/wsabi.h`; Rust programs use the types below, which are what the C
//! functions call.
#![warn(
    clippy::float_arithmetic,
    reason = "handlers may leave their thread with floating point exceptions that trap"
)]

mod defects;
mod delivery;
mod error;
mod ffi;
#[cfg(any(test, fuzzing))]
#[path = "../tests/fuzz/checks/mod.rs"]
pub mod fuzzing;
mod net;
mod options;
mod proto;
mod reactor;
mod records;
mod request;
mod runtime;
mod server;
mod socket;
mod sync;
mod threads;

pub use delivery::{Event, Handler, MessageKind, Payload};
pub use error::{Error, Result, Sentence};
pub use options::{Options, SlowSubscribers};
pub use request::Request;
pub use runtime::{Delivery, Hook, Runtime, set_thread_hooks};
pub use server::Server;
pub use socket::{Fact, Message, ReadyState, Socket, Stats};
