//! I/O threads, or the caller's: joins connections, timers and the protocol. No lock is held while
//! the application's code runs.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod alarm;
mod backlog;
mod chunk;
mod command;
mod compression;
mod connection;
mod deferred;
mod entrance;
mod link;
mod listener;
mod live;
mod outbox;
mod publication;
mod request;
mod settings;
mod timers;
mod tokens;
mod topics;
mod worker;

pub use command::{Command, Mailbox};
pub use connection::Connection;
pub use entrance::Entrance;
pub use link::{Link, Outgoing, Stats};
pub use listener::{Acceptor, Listener, Welcome};
pub use live::LiveCount;
pub use outbox::ReadyState;
pub use request::{Acceptance, Answer, Request};
pub use settings::{Reconnect, Settings, SlowSubscribers};
pub use topics::Topics;
pub use worker::Worker;
