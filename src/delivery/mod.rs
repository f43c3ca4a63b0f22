//! Order and lifetime of events. Knows no sockets and no threads of its own.

#[cfg(unix)]
mod descriptor;
mod event;
mod gate;
mod queue;
mod waiting;

pub use event::{Event, Handler, MessageKind, Payload};
pub use gate::{Batch, Gate, Outlet, Undelivered, drop_handler};
pub use queue::{Queue, Signal};
pub use waiting::Waiting;
