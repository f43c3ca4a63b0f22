//! The bytes that wait to be written on a connection, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::chunk::{CHUNK, Chunk, Framed};
use crate::proto::{Buffer, OutOfMemory, Pool, Refused};

/// A queue of chunks.
#[derive(Default)]
pub struct Backlog {
    /// What is being written, or has been in part.
    pub front: Chunk,
    /// What comes behind it, and is complete.
    middle: VecDeque<Chunk>,
    /// What comes last, and is added to.
    back: Chunk,
}

/// A published message of so many bytes is shared by those who send it; a smaller one is copied, so
/// that it goes with others to the system.
pub const SHARED: usize = 16 << 10;
/// How long a list of chunks a connection may keep that has none.
const KEPT_CHUNKS: usize = 8;

impl Backlog {
    /// Appends about `wire` bytes by `append`, which count as `payload`. If that fails, nothing is
    /// appended.
    pub fn append(
        &mut self,
        wire: usize,
        payload: usize,
        pool: &Mutex<Pool>,
        append: impl FnOnce(&mut Buffer) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        self.make_room(wire, pool)?;
        let bytes = &mut self.back.bytes;
        let before = bytes.len();
        if let Err(cause) = append(bytes) {
            // Of a message in several frames, some may be there.
            bytes.take_back(bytes.len() - before);
            return Err(cause);
        }
        self.back.payload += payload as u64;
        Ok(())
    }

    /// Appends a message that other connections send as well.
    pub fn append_framed(
        &mut self,
        message: &Arc<Framed>,
        pool: &Mutex<Pool>,
    ) -> Result<(), OutOfMemory> {
        let wire = &message.wire;
        if wire.len() < SHARED {
            self.make_room(wire.len(), pool)?;
            self.back.bytes.append(wire.bytes())?;
            self.back.payload += message.payload as u64;
            return Ok(());
        }
        self.middle.try_reserve(2).map_err(|_| OutOfMemory)?;
        if !self.back.is_empty() {
            self.middle.push_back(std::mem::take(&mut self.back));
        }
        self.middle.push_back(Chunk::shared(message));
        Ok(())
    }

    /// Where small things that are no payload are appended.
    pub fn tail(&mut self) -> &mut Buffer {
        &mut self.back.bytes
    }

    /// Puts what is left of a message in front of all others but what is being written.
    pub fn put_first(&mut self, rest: Chunk) -> Result<(), OutOfMemory> {
        self.middle.try_reserve(1).map_err(|_| OutOfMemory)?;
        self.middle.push_front(rest);
        Ok(())
    }

    /// Makes `front` the next bytes to write, if all before have been written. They are the
    /// connection's own if they are to be sealed.
    pub fn advance(&mut self, is_sealing: bool, pool: &Mutex<Pool>) -> Result<(), OutOfMemory> {
        if !self.front.is_empty() {
            return Ok(());
        }
        let Some(mut next) = self.middle.pop_front() else {
            std::mem::swap(&mut self.front, &mut self.back);
            return Ok(());
        };
        if is_sealing && next.is_shared() {
            let own = next.split(pool)?;
            if !next.is_empty() {
                self.put_first(next)?;
            }
            next = own;
        }
        give_back(pool, [std::mem::replace(&mut self.front, next)]);
        Ok(())
    }

    /// Gives memory back that an idle connection should not own. There are no bytes.
    pub fn shrink(&mut self, pool: &Mutex<Pool>) {
        give_back(pool, [&mut self.front, &mut self.back].map(std::mem::take));
        if self.middle.capacity() > KEPT_CHUNKS {
            self.middle = VecDeque::new();
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.front.is_empty() && self.middle.is_empty() && self.back.is_empty()
    }

    /// Whether there is so much that a call of the system for it pays.
    pub fn is_long(&self) -> bool {
        !self.middle.is_empty()
    }

    /// Sees to it that `wire` bytes fit behind all others.
    fn make_room(&mut self, wire: usize, pool: &Mutex<Pool>) -> Result<(), OutOfMemory> {
        let bytes = &self.back.bytes;
        if bytes.len().saturating_add(wire) > CHUNK && !bytes.is_empty() {
            self.middle.try_reserve(1).map_err(|_| OutOfMemory)?;
            self.middle.push_back(std::mem::take(&mut self.back));
        }
        let bytes = &mut self.back.bytes;
        if bytes.capacity() == 0 {
            *bytes = pool.lock().take();
        }
        // A chunk for many small messages is taken as a whole; a large one gets what it needs.
        let room = if self.middle.is_empty() || wire > CHUNK / 4 {
            0
        } else {
            CHUNK
        };
        bytes.spare(wire.max(room.saturating_sub(bytes.len())))?;
        Ok(())
    }
}

/// Puts the memory of written chunks back.
fn give_back<const N: usize>(pool: &Mutex<Pool>, written: [Chunk; N]) {
    for Chunk { bytes, .. } in written {
        if bytes.capacity() > 0 {
            pool.lock().give(bytes);
        }
    }
}
