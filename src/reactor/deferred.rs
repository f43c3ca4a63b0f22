//! What is published while a message is being sent in pieces.

use std::sync::Arc;

use super::chunk::Framed;
use crate::error::{Error, Result};
use crate::proto::Refused;

/// Messages that are to follow that one.
#[derive(Default)]
pub struct Deferred {
    messages: Vec<Arc<Framed>>,
    /// The memory that they take.
    held: u64,
}

/// What a message takes besides its bytes, about.
const OVERHEAD: u64 = 128;

impl Deferred {
    /// Keeps a message, if no more than `max` bytes are kept then.
    pub fn push(&mut self, message: &Arc<Framed>, max: u64) -> Result<()> {
        let held = self.held + message.wire.len() as u64 + OVERHEAD;
        if held > max {
            let sentence = "too much waits for the end of a message that is sent in pieces";
            return Err(Error::BufferFull(sentence.into()));
        }
        self.messages
            .try_reserve(1)
            .map_err(|_| Refused::Memory.error(message.payload))?;
        self.messages.push(Arc::clone(message));
        self.held = held;
        Ok(())
    }

    /// The message that was sent in pieces is complete.
    pub fn take(&mut self) -> Vec<Arc<Framed>> {
        std::mem::take(self).messages
    }
}
