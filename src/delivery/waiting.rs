//! One event that waits until the application asks for it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::event::{Event, Handler, MessageKind, Payload};
use super::gate::{Batch, Gate, Undelivered};
use crate::error::Error;
use crate::proto::{Buffer, OutOfMemory, Pool};
use crate::sync::atomic::AtomicUsize;

/// An event, and whom it is for.
pub struct Waiting {
    handler: Arc<dyn Handler>,
    gate: Arc<Gate>,
    kind: Kind,
    /// With a NUL behind it: what the event carries, or the sentence of its error. Empty: neither.
    payload: Buffer,
}

enum Kind {
    Open,
    Message(MessageKind),
    Ping,
    Pong(Option<Duration>),
    Drain,
    Error(Error),
    Reconnect(Error, Duration),
    Request,
    Close(u16, bool),
}

/// What an event counts for besides its payload.
const OVERHEAD: usize = 128;

impl Waiting {
    /// A copy of the event, with memory from `pool`.
    pub(super) fn new(
        handler: &Arc<dyn Handler>,
        gate: &Arc<Gate>,
        event: &Event<'_>,
        pool: &mut Pool,
    ) -> Result<Self, OutOfMemory> {
        let (kind, payload) = match *event {
            Event::Open => (Kind::Open, Buffer::new()),
            Event::Message { kind, payload } => (Kind::Message(kind), copy(payload, pool)?),
            Event::Ping(payload) => (Kind::Ping, copy(payload, pool)?),
            Event::Pong {
                payload,
                round_trip,
            } => (Kind::Pong(round_trip), copy(payload, pool)?),
            Event::Drain => (Kind::Drain, Buffer::new()),
            Event::Error(error) => (Kind::Error(error.clone()), sentence(error)),
            Event::Reconnect { cause, delay } => {
                (Kind::Reconnect(cause.clone(), delay), sentence(cause))
            }
            Event::Request(target) => (Kind::Request, copy(target, pool)?),
            // Its few bytes are never left out, as little as the sentence of an error.
            Event::Close {
                code,
                reason,
                was_clean,
            } => (
                Kind::Close(code, was_clean),
                Buffer::from(reason.with_nul().to_vec()),
            ),
        };
        Ok(Self {
            handler: Arc::clone(handler),
            gate: Arc::clone(gate),
            kind,
            payload,
        })
    }

    /// Whether the connection can fail in its place: it is not about the end of one.
    pub(super) fn is_refusable(event: &Event<'_>) -> bool {
        matches!(
            event,
            Event::Message { .. } | Event::Ping(_) | Event::Pong { .. }
        )
    }

    /// Whether it is for the handler of this batch.
    pub fn is_in(&self, batch: &Batch) -> bool {
        batch.is_of(&self.handler)
    }

    /// The handler as what it is, where it wants to be known.
    pub fn target(&self) -> Option<&dyn Any> {
        self.handler.as_any()
    }

    /// What the event carries, or the sentence of its error; with a NUL.
    pub fn payload(&self) -> Payload<'_> {
        Payload::new(self.payload.bytes()).unwrap_or(Payload::EMPTY)
    }

    /// The event.
    pub fn event(&self) -> Event<'_> {
        let payload = self.payload();
        match &self.kind {
            Kind::Open => Event::Open,
            Kind::Message(kind) => Event::Message {
                kind: *kind,
                payload,
            },
            Kind::Ping => Event::Ping(payload),
            Kind::Pong(round_trip) => Event::Pong {
                payload,
                round_trip: *round_trip,
            },
            Kind::Drain => Event::Drain,
            Kind::Error(error) => Event::Error(error),
            Kind::Reconnect(cause, delay) => Event::Reconnect {
                cause,
                delay: *delay,
            },
            Kind::Request => Event::Request(payload),
            Kind::Close(code, was_clean) => Event::Close {
                code: *code,
                reason: payload,
                was_clean: *was_clean,
            },
        }
    }

    /// Begins a batch of events for the same handler.
    pub fn batch(&self) -> Result<Batch, Undelivered> {
        Batch::of(&self.handler).inspect_err(|_| self.gate.panic())
    }

    /// Runs the handler.
    pub fn handle(&self) -> Result<(), Undelivered> {
        let handled = catch_unwind(AssertUnwindSafe(|| self.handler.handle(&self.event())));
        handled.map_err(|_| {
            self.gate.panic();
            Undelivered::Panicked
        })
    }

    /// Whether the application still wants it: not after it has let go of the socket; no message
    /// after `close()` (WHATWG), though the end has its beginning; and only the end after a panic.
    pub(super) fn is_wanted(&self) -> bool {
        let gate = &self.gate;
        !gate.is_detached()
            && match self.kind {
                Kind::Error(_) | Kind::Close(..) => true,
                Kind::Open => !gate.has_panicked(),
                _ => !gate.has_panicked() && !gate.is_ending(),
            }
    }

    /// What counts it while it waits.
    pub(super) fn counter(&self) -> &AtomicUsize {
        match self.kind {
            Kind::Ping | Kind::Pong(_) => &self.gate.pings,
            _ => &self.gate.waiting,
        }
    }

    /// Gives up the memory of what it carries.
    pub(super) fn take_payload(&mut self) -> Buffer {
        std::mem::take(&mut self.payload)
    }

    /// For how many bytes it counts while it waits.
    pub(super) fn cost(&self) -> usize {
        // Of a buffer that was used before, more than the payload.
        self.payload.capacity() + OVERHEAD
    }
}

fn copy(payload: Payload<'_>, pool: &mut Pool) -> Result<Buffer, OutOfMemory> {
    let mut buffer = pool.take();
    let copied = buffer.append(payload.with_nul());
    match copied {
        Ok(()) => Ok(buffer),
        Err(refused) => {
            pool.give(buffer);
            Err(refused)
        }
    }
}

fn sentence(error: &Error) -> Buffer {
    Buffer::from(format!("{error}\0").into_bytes())
}
