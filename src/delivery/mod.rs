//! Order and lifetime of events. Knows no sockets and no threads of its own.

mod event;
mod gate;

pub use event::{Event, Handler, MessageKind, Payload};
pub use gate::Gate;
