//! What waits, to the system: by whichever thread comes first, one at a time.

use std::io;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::Link;
use crate::defects::place;
use crate::error::{Error, Result};
use crate::net::Transport;
use crate::proto::{Encoding, Refused};
use crate::reactor::chunk::{CHUNK, Chunk};
use crate::reactor::outbox::Outbox;

impl Link {
    /// Writes what waits, until nothing does, the system takes no more, or `times` writes were
    /// made. The lock is open while the system works.
    pub(super) fn write_out(self: &Arc<Self>, out: &mut MutexGuard<'_, Outbox>, times: usize) {
        for _ in 0..times {
            if !out.prepare(&self.mailbox.buffers) {
                break;
            }
            let Some(transport) = out.transport.clone() else {
                break;
            };
            let mut front = std::mem::take(&mut out.backlog.front);
            let epoch = out.epoch;
            out.writing = true;
            out.unblocked = false;
            let result = MutexGuard::unlocked(out, || self.write(&transport, &mut front));
            if out.epoch != epoch {
                return;
            }
            out.writing = false;
            self.note(out, front, result);
        }
        self.settle(out);
    }

    /// Writes a large message from where it is, piece by piece, and keeps what the system does
    /// not take.
    pub(super) fn write_through(
        self: &Arc<Self>,
        out: &mut MutexGuard<'_, Outbox>,
        mut encoding: Encoding<'_>,
    ) {
        let Some(transport) = out.transport.clone() else {
            return;
        };
        out.accept(encoding.left());
        let mut front = std::mem::take(&mut out.backlog.front);
        if front.bytes.capacity() < CHUNK {
            front.bytes = self.mailbox.buffers.lock().take();
        }
        let epoch = out.epoch;
        out.writing = true;
        while !encoding.is_done() && !out.blocked && out.wishes.broken.is_none() {
            out.unblocked = false;
            let result = MutexGuard::unlocked(out, || {
                if front.is_empty() {
                    encode(&mut encoding, CHUNK, &mut front)
                        .map_err(|cause| io::Error::other(cause.error(CHUNK)))?;
                }
                self.write(&transport, &mut front)
            });
            if out.epoch != epoch {
                return;
            }
            self.note(out, front, result);
            front = std::mem::take(&mut out.backlog.front);
        }
        out.writing = false;
        out.backlog.front = front;
        let payload = encoding.left();
        let mut rest = Chunk::default();
        if !encoding.is_done()
            && let Err(cause) = encode(&mut encoding, usize::MAX, &mut rest)
                .and_then(|()| Ok(out.backlog.put_first(rest)?))
        {
            out.wishes.broken = Some(cause.error(payload));
        }
        self.settle(out);
    }

    /// Gives the system what is in `front`, without the lock.
    fn write(&self, transport: &Transport, front: &mut Chunk) -> io::Result<usize> {
        place("write");
        if !front.is_sealed && transport.is_secure() {
            transport.seal(&mut front.bytes, &self.mailbox.buffers)?;
            front.is_sealed = true;
        }
        transport.write(front.wire())
    }

    /// Takes note of how a write went.
    pub(super) fn note(
        self: &Arc<Self>,
        out: &mut Outbox,
        front: Chunk,
        result: io::Result<usize>,
    ) {
        let written = *result.as_ref().unwrap_or(&0);
        let partial = written < front.len();
        out.written(front, written);
        match result {
            Ok(_) => out.blocked = partial && !out.unblocked,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                out.blocked = !out.unblocked;
            }
            Err(error) => {
                let sentence = format!("writing failed: {error}");
                out.wishes.broken = Some(Error::Io(sentence.into()));
                out.blocked = true;
                self.call(out);
            }
        }
    }

    pub(super) fn settle(self: &Arc<Self>, out: &mut Outbox) {
        out.settle(&self.mailbox.buffers);
        if out.wishes.drain || out.wishes.broken.is_some() {
            self.call(out);
        }
    }
}

/// Appends at most `most` bytes of the payload.
fn encode(encoding: &mut Encoding<'_>, most: usize, chunk: &mut Chunk) -> Result<(), Refused> {
    let before = encoding.left();
    let result = encoding.write(most, &mut chunk.bytes);
    chunk.payload += (before - encoding.left()) as u64;
    result
}
