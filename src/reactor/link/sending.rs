//! Messages from the application: checked, compressed, queued.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::Link;
use crate::defects::place;
use crate::error::Result;
use crate::proto::MessageKind;
use crate::reactor::command::now;
use crate::reactor::outbox::Outbox;

/// What the application wants to be sent.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    pub kind: MessageKind,
    pub payload: &'a [u8],
    /// Not to be compressed.
    pub plain: bool,
}

/// A payload of this size is written piece by piece, so that a piece is still in the cache when
/// the system copies it.
const LARGE: usize = 64 << 10;

/// A thread of the application writes by itself when the last message is this long ago. In a
/// burst the I/O thread collects what comes meanwhile and writes it in one go.
const QUIET: Duration = Duration::from_micros(50);

impl Link {
    /// Sends a message.
    pub fn send(self: &Arc<Self>, message: Outgoing<'_>) -> Result<()> {
        if self.may_compress(&message) {
            self.accept_compressed(message)?;
            self.push_out(&mut self.outbox.lock(), false);
            return Ok(());
        }
        let mut out = self.outbox.lock();
        place("send");
        self.check(&mut out, message.payload)?;
        self.enqueue(&mut out, message)
    }

    /// Sends several messages with one write. Returns how many were accepted; an error only where
    /// the first was not.
    pub fn send_many<'a>(
        self: &Arc<Self>,
        messages: impl Iterator<Item = Result<Outgoing<'a>>>,
    ) -> Result<usize> {
        let mut accepted = 0;
        for message in messages {
            let result = message.and_then(|message| {
                if self.may_compress(&message) {
                    return self.accept_compressed(message);
                }
                let mut out = self.outbox.lock();
                self.check(&mut out, message.payload)?;
                self.append(&mut out, message)
            });
            match result {
                Ok(()) => accepted += 1,
                Err(error) if accepted == 0 => return Err(error),
                Err(_) => break,
            }
        }
        self.push_out(&mut self.outbox.lock(), false);
        Ok(accepted)
    }

    /// Sends a piece of a message.
    pub fn send_piece(self: &Arc<Self>, piece: Outgoing<'_>, fin: bool) -> Result<()> {
        let Outgoing {
            kind,
            payload,
            plain,
        } = piece;
        // Also where nothing is compressed, it keeps the pieces of several threads apart.
        let mut turn = self.compression.turn();
        let (pieces, epoch) = {
            let mut out = self.outbox.lock();
            out.check_open()?;
            out.check_room(payload.len(), &self.settings)?;
            (out.sender.check_piece(kind, payload, fin)?, out.epoch)
        };
        let compressed = match pieces.compressed() {
            Some(compressed) => compressed,
            None => turn.is_some() && !plain && (!fin || self.may_compress(&piece)),
        };
        let wire = match &mut *turn {
            Some(half) if compressed => half.compress(payload, fin, &self.mailbox.buffers)?,
            _ => payload,
        };
        let result = {
            let mut out = self.outbox.lock();
            out.check_same(epoch).and_then(|()| {
                let encoding = out
                    .sender
                    .piece(&pieces, wire, fin, compressed)
                    .map_err(|cause| cause.error(payload.len()))?;
                out.append_piece(encoding, payload.len(), &self.mailbox.buffers)?;
                out.sender.accept_piece(pieces, fin, compressed);
                self.count(&mut out, u64::from(fin));
                if fin {
                    self.append_deferred(&mut out);
                }
                Ok(())
            })
        };
        if let Some(half) = turn.as_mut().filter(|_| compressed) {
            half.done(result.is_ok(), &self.mailbox.buffers);
        }
        // What is logged while it is written calls the application.
        drop(turn);
        result?;
        self.push_out(&mut self.outbox.lock(), false);
        Ok(())
    }

    /// Sends a ping of at most 125 bytes.
    pub fn ping(self: &Arc<Self>, payload: &[u8]) -> Result<()> {
        let mut out = self.outbox.lock();
        out.check_open()?;
        out.ping(payload, now())?;
        self.push_out(&mut out, false);
        Ok(())
    }

    pub(super) fn may_compress(&self, message: &Outgoing<'_>) -> bool {
        let min = self.settings.compression.as_ref().map(|config| config.min);
        !message.plain
            && self.compression.is_on()
            && min.is_some_and(|min| message.payload.len() as u64 >= min)
    }

    /// Fails unless a message of this payload can be accepted.
    pub(super) fn check(&self, out: &mut Outbox, payload: &[u8]) -> Result<()> {
        out.check_open()?;
        out.sender.check_message()?;
        out.check_room(payload.len(), &self.settings)
    }

    /// Queues a message, compressed.
    pub(super) fn accept_compressed(self: &Arc<Self>, message: Outgoing<'_>) -> Result<()> {
        let Outgoing { kind, payload, .. } = message;
        let mut turn = self.compression.turn();
        let Some(half) = &mut *turn else {
            // The connection has been made anew meanwhile, without compression.
            let mut out = self.outbox.lock();
            self.check(&mut out, payload)?;
            return self.append(&mut out, message);
        };
        self.check(&mut self.outbox.lock(), payload)?;
        let wire = half.compress(payload, true, &self.mailbox.buffers)?;
        let result = {
            let mut out = self.outbox.lock();
            self.check(&mut out, payload).and_then(|()| {
                let pool = &self.mailbox.buffers;
                out.append(kind, wire, true, payload.len(), pool)?;
                self.count(&mut out, 1);
                Ok(())
            })
        };
        half.done(result.is_ok(), &self.mailbox.buffers);
        result
    }

    /// Queues a message that has been checked.
    pub(super) fn append(&self, out: &mut Outbox, message: Outgoing<'_>) -> Result<()> {
        let Outgoing { kind, payload, .. } = message;
        out.append(kind, payload, false, payload.len(), &self.mailbox.buffers)?;
        self.count(out, 1);
        Ok(())
    }

    /// Takes a message that has been checked, and sees to it that it is written.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        out: &mut MutexGuard<'_, Outbox>,
        message: Outgoing<'_>,
    ) -> Result<()> {
        let large = message.payload.len() >= LARGE;
        if large {
            // What waits goes first. If it cannot, the message waits behind it. Meanwhile other
            // threads may have closed the connection, or it was lost.
            let epoch = out.epoch;
            self.write_out(out, usize::MAX);
            out.check_same(epoch)?;
            out.sender.check_message()?;
        }
        if large && out.is_empty() && out.transport.is_some() && !out.blocked {
            let encoding = out
                .sender
                .message(message.kind, message.payload, false)
                .map_err(|cause| cause.error(message.payload.len()))?;
            self.write_through(out, encoding);
            self.count(out, 1);
        } else {
            self.append(out, message)?;
        }
        self.push_out(out, large);
        Ok(())
    }

    pub(super) fn count(&self, out: &mut Outbox, messages: u64) {
        out.messages_sent += messages;
        if self.settings.idle_timeout.is_some() {
            out.last_message = Some(now());
        }
        out.watch(self.settings.low_water);
    }

    /// Sees to it that what waits is written: by this thread if the connection is quiet, else by
    /// the I/O thread, at the end of its batch or as soon as it can.
    pub(super) fn push_out(self: &Arc<Self>, out: &mut MutexGuard<'_, Outbox>, at_once: bool) {
        if out.blocked || out.writing || out.is_empty() {
            // Whoever writes, or the event of writability, continues.
            return;
        }
        if self.mailbox.is_current() {
            if !out.corked {
                self.call(out);
            }
            return;
        }
        if at_once || out.backlog.is_long() {
            self.write_out(out, 1);
        } else if out.called {
            // In a burst: the I/O thread will take this one along.
            return;
        } else {
            let time = Instant::now();
            if self.is_lone(out.last_push, time) {
                self.write_out(out, 1);
            }
            out.last_push = Some(time);
        }
        if out.prepare(&self.mailbox.buffers) || out.wishes.broken.is_some() {
            self.call(out);
        }
    }

    /// Whether a message is alone, or a first answer to what was received, so that it should go
    /// at once.
    pub(super) fn is_lone(&self, last: Option<Instant>, time: Instant) -> bool {
        let Some(last) = last else { return true };
        let quiet = last.checked_add(QUIET).is_none_or(|at| at <= time);
        quiet || self.received.at.lock().is_some_and(|at| at > last)
    }
}
