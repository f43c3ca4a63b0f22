//! Messages that a server publishes, and the topics of a socket.

use std::sync::Arc;

use super::Link;
use crate::defects::place;
use crate::error::{Error, Result};
use crate::reactor::outbox::Outbox;
use crate::reactor::publication::Publication;
use crate::reactor::topics::Topics;

impl Link {
    /// Subscribes to a topic of the server.
    pub fn subscribe(self: &Arc<Self>, topic: &str) -> Result<()> {
        self.topics()?.subscribe(self, topic)
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(self: &Arc<Self>, topic: &str) -> Result<()> {
        self.topics()?.unsubscribe(self, topic)
    }

    /// Takes a message that is published, behind all that was sent before. A message that is being
    /// sent in pieces is completed first. Fails where the message is not taken.
    ///
    /// What is compressed was so by itself: whatever the peer has inflated before, it can inflate
    /// this (RFC 7692 §7.2.3.2), but our own compressor must not refer beyond it. Where another
    /// thread is compressing for this socket right now, the message goes uncompressed, which fits
    /// between any others, and this one does not wait.
    pub(in crate::reactor) fn take_published(
        self: &Arc<Self>,
        publication: &mut Publication<'_>,
        is_alone: bool,
    ) -> Result<()> {
        let compressed = self
            .compression
            .window_bits()
            .and_then(|bits| publication.compressed(bits));
        let compressed = compressed.zip(self.compression.free_turn());
        let mut out = self.outbox.lock();
        place("publish");
        out.check_open()?;
        if out.sender.check_message().is_err() {
            let max = self.settings.max_buffered;
            return out.deferred.push(publication.plain(), max);
        }
        out.check_room(publication.plain().payload, &self.settings)?;
        let pool = &self.mailbox.buffers;
        match compressed {
            None => out.append_framed(publication.plain(), pool)?,
            Some((framed, mut turn)) => {
                out.append_framed(&framed, pool)?;
                if let Some(half) = &mut *turn {
                    half.forget();
                }
            }
        }
        self.count(&mut out, 1);
        if is_alone {
            self.push_out(&mut out, false);
        } else if out.needs_call(self.mailbox.is_current()) {
            out.called = true;
            publication.call(self);
        }
        Ok(())
    }

    /// The message that was sent in pieces is complete: what was published meanwhile follows it.
    pub(super) fn append_deferred(self: &Arc<Self>, out: &mut Outbox) {
        for message in out.deferred.take() {
            match out.append_framed(&message, &self.mailbox.buffers) {
                Ok(()) => self.count(out, 1),
                Err(error) => {
                    // It was taken, and must not be lost while others arrive.
                    out.wishes.broken = Some(error);
                    return self.call(out);
                }
            }
        }
    }

    /// A server's socket is about to be open.
    pub(super) fn join(self: &Arc<Self>) {
        if let Some(topics) = &self.topics {
            topics.join(self);
        }
    }

    /// A server's socket is closed.
    pub(super) fn leave(self: &Arc<Self>) {
        if let Some(topics) = &self.topics {
            topics.leave(self);
        }
    }

    fn topics(&self) -> Result<&Topics> {
        self.topics
            .as_deref()
            .ok_or_else(|| Error::Argument("the socket is a client's, and has no topics".into()))
    }
}
