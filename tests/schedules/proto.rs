//! What the queue takes from the layer below.

#[path = "../../src/proto/buffer.rs"]
mod buffer;

pub use buffer::{Buffer, OutOfMemory, Pool};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Text,
    Binary,
}
