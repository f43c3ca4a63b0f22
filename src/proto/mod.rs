//! The protocol, sans-IO: bytes and the time are arguments, what is to be done comes back. No
//! sockets, no threads, no clocks. Its input is hostile, so that indexing, unwrapping and
//! unchecked arithmetic are refused by the compiler.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod buffer;
pub mod close;
mod closing;
pub mod deflate;
pub mod frame;
pub mod handshake;
mod keepalive;
pub mod mask;
pub mod proxy;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;
mod utf8;

pub use buffer::{Buffer, OutOfMemory, Pool};
pub use close::CloseFrame;
pub use closing::{Closing, Ending};
pub use keepalive::{Keepalive, Overdue};
pub use receiver::{Failure, Location, Received, Receiver};
pub use sender::{Encoding, Refused, Sender};

/// Which end of the connection this is. Only the handshake, the masking and the order in which
/// TCP is closed ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Masks what it sends.
    Client,
    /// Receives masked frames.
    Server,
}

/// Whether a message is text or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8, always valid.
    Text,
    /// Any bytes.
    Binary,
}
