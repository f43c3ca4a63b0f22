//! An open connection: messages, control frames, keepalive.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::reading::is_held;
use super::{Connection, Context, KEPT, Phase};
use crate::delivery::{Event, Payload, Undelivered};
use crate::error::{Error, Sentence};
use crate::proto::deflate::Agreed;
use crate::proto::{
    Buffer, CloseFrame, Failure, Location, MessageKind, Overdue, Received, Receiver, close,
};
use crate::reactor::outbox::ReadyState;

impl Connection {
    /// The handshake is done; the first frames may be in the buffer already.
    pub(super) fn open(
        &mut self,
        agreed: Option<Agreed>,
        used: usize,
        len: usize,
        cx: &mut Context<'_>,
    ) {
        let settings = &self.link.settings;
        let level = settings.compression.as_ref().map(|config| config.level);
        let deflater = agreed.as_ref().zip(level);
        // Before anything can be sent: what an earlier connection has compressed is unknown to the
        // peer of this one.
        self.link
            .compress(deflater.map(|(agreed, level)| agreed.deflater(level)));
        if !self.link.established() {
            let sentence = "the socket was closed before the connection was established";
            return self.give_up(Error::Aborted(sentence.into()));
        }
        {
            let mut facts = self.link.facts.lock();
            facts.upgrade = cx.now.saturating_duration_since(self.phase_began);
            facts.opened += 1;
        }
        let settings = &self.link.settings;
        self.keepalive = settings.keepalive(cx.now);
        let inflater = agreed.map(|agreed| agreed.inflater());
        let receiver = Receiver::new(self.link.role, settings.max_message, inflater);
        self.enter(Phase::Open(receiver), cx.now);
        self.link.cork();
        self.deliver(Event::Open, cx);
        self.messages(used, len, cx);
    }

    /// Delivers what the shared buffer holds from `start` to `end`.
    pub(super) fn messages(&mut self, mut start: usize, end: usize, cx: &mut Context<'_>) {
        let _batch = match self.outlet.batch() {
            Ok(batch) => batch,
            Err(cause) => return self.undelivered(cause, cx),
        };
        let mut alive = false;
        while let Phase::Open(receiver) = &mut self.phase {
            if self.link.is_dropped() {
                return;
            }
            if is_held(&self.link, &self.outlet) {
                self.held_back = true;
                break;
            }
            match receiver.receive(&mut cx.buffer[start..end], cx.pool) {
                Err(failure) => return self.fail(failure, cx),
                Ok(None) => break,
                Ok(Some(step)) => {
                    cx.frames += 1;
                    let base = start;
                    start += step.consumed;
                    alive |= match step.received {
                        None => true,
                        Some(received) => self.take(received, base, cx),
                    };
                }
            }
        }
        if alive {
            self.keepalive.heard(cx.now);
        }
        if matches!(self.phase, Phase::Open(_)) {
            self.keep(start, end, cx);
        }
    }

    /// Keeps what cannot be used yet.
    pub(super) fn keep(&mut self, start: usize, end: usize, cx: &mut Context<'_>) {
        if self.tail.append(&cx.buffer[start..end]).is_err() {
            let error = Error::Resource("no memory for received bytes".into());
            return self.fail(
                Failure {
                    code: close::INTERNAL_ERROR,
                    error,
                },
                cx,
            );
        }
        if self.tail.is_empty() && self.tail.capacity() > KEPT {
            self.tail = Buffer::new();
        }
    }

    /// Uses what was read straight into a message.
    pub(super) fn filled(&mut self, len: usize, cx: &mut Context<'_>) {
        let Phase::Open(receiver) = &mut self.phase else {
            return;
        };
        self.keepalive.heard(cx.now);
        match receiver.filled(len) {
            Err(failure) => self.fail(failure, cx),
            Ok(None) => {}
            Ok(Some(received)) => {
                self.take(received, 0, cx);
            }
        }
    }

    /// Delivers something complete. Whether it shows that the peer is alive.
    pub(super) fn take(&mut self, received: Received, base: usize, cx: &mut Context<'_>) -> bool {
        match received {
            Received::Message(kind, location) => self.take_message(kind, location, base, cx),
            Received::Ping(Location::Input(range)) => {
                let payload = &cx.buffer[base + range.start..base + range.end];
                self.link.pong(payload);
                self.deliver_input(base + range.start, base + range.end, cx, |it| {
                    Event::Ping(it)
                });
            }
            Received::Pong(Location::Input(range)) => {
                let (start, end) = (base + range.start, base + range.end);
                let round_trip = self.link.round_trip(&cx.buffer[start..end], Instant::now());
                self.deliver_input(start, end, cx, |payload| Event::Pong {
                    payload,
                    round_trip,
                });
                return round_trip.is_some();
            }
            Received::Close(frame) => self.take_close(frame),
            // Control frames are never assembled.
            Received::Ping(_) | Received::Pong(_) => {}
        }
        true
    }

    pub(super) fn take_message(
        &mut self,
        kind: MessageKind,
        location: Location,
        base: usize,
        cx: &mut Context<'_>,
    ) {
        self.keepalive.message(cx.now);
        let received = &self.link.received;
        match location {
            Location::Input(range) => {
                add(&received.messages, 1);
                add(&received.payload, range.len());
                let (start, end) = (base + range.start, base + range.end);
                self.deliver_input(start, end, cx, |payload| Event::Message { kind, payload });
            }
            Location::Assembled => {
                let Phase::Open(receiver) = &mut self.phase else {
                    return;
                };
                let mut delivered = Ok(());
                match receiver.assembled() {
                    Err(failure) => return self.fail(failure, cx),
                    Ok(bytes) => {
                        add(&received.messages, 1);
                        add(&received.payload, bytes.len() - 1);
                        let open = self.link.ready_state() == ReadyState::Open;
                        if let Some(payload) = Payload::new(bytes).filter(|_| open) {
                            let event = Event::Message { kind, payload };
                            delivered = self.outlet.deliver(&self.link.gate, &event);
                        }
                    }
                }
                receiver.recycle(cx.pool);
                if let Err(cause) = delivered {
                    self.undelivered(cause, cx);
                }
            }
        }
    }

    /// RFC 6455 §5.5.1: a Close frame is answered with one, unless it is the answer.
    pub(super) fn take_close(&mut self, frame: CloseFrame) {
        self.link.send_close(&CloseFrame {
            code: frame.code,
            reason: Box::default(),
        });
        // Not the time of the turn: a handler may have taken long since it began.
        let now = Instant::now();
        self.closing.received(frame, now);
        self.closing.sent(now);
        self.phase = Phase::Leaving;
    }

    /// Delivers a payload where it is. The byte behind it is a NUL meanwhile.
    pub(super) fn deliver_input(
        &mut self,
        start: usize,
        end: usize,
        cx: &mut Context<'_>,
        event: impl FnOnce(Payload<'_>) -> Event<'_>,
    ) {
        // WHATWG: a message is dropped once close() was called.
        if self.link.ready_state() != ReadyState::Open {
            return;
        }
        let behind = std::mem::replace(&mut cx.buffer[end], 0);
        let delivered = match Payload::new(&cx.buffer[start..=end]) {
            Some(payload) => self.outlet.deliver(&self.link.gate, &event(payload)),
            None => Ok(()),
        };
        cx.buffer[end] = behind;
        if let Err(cause) = delivered {
            self.undelivered(cause, cx);
        }
    }

    pub(super) fn deliver(&mut self, event: Event<'_>, cx: &mut Context<'_>) {
        if let Err(cause) = self.outlet.deliver(&self.link.gate, &event) {
            self.undelivered(cause, cx);
        }
    }

    /// The application has not been told as it should.
    pub(super) fn undelivered(&mut self, cause: Undelivered, cx: &mut Context<'_>) {
        let error = cause.error();
        if !self.is_established() {
            // An event of an earlier connection was told.
            return self.give_up(error);
        }
        self.fail(
            Failure {
                code: close::INTERNAL_ERROR,
                error,
            },
            cx,
        );
    }

    pub(super) fn keep_alive(&mut self, cx: &mut Context<'_>) {
        if let Some(at) = self.link.last_message() {
            self.keepalive.message(at);
        }
        if self.is_held() {
            // The answer may be there, and is not read before the application wants it.
            self.keepalive.heard(cx.now);
        }
        match self.keepalive.overdue(cx.now) {
            None => {}
            Some(Overdue::Ping) => {
                self.link.rest();
                if let Phase::Open(receiver) = &mut self.phase {
                    receiver.rest();
                }
                self.pings += 1;
                self.link.keepalive_ping(&self.pings.to_be_bytes(), cx.now);
            }
            Some(Overdue::Pong(limit)) => {
                self.give_up(timeout("the peer did not answer a ping", limit));
            }
            Some(Overdue::Idle(limit)) => {
                let error = timeout("no message passed", limit);
                self.fail(
                    Failure {
                        code: close::GOING_AWAY,
                        error,
                    },
                    cx,
                );
            }
        }
    }
}

fn timeout(what: &str, limit: Duration) -> Error {
    let limit = limit.as_millis();
    let sentence: Sentence = format!("{what} within {limit} ms").into();
    Error::Timeout(sentence)
}

/// Adds to a counter that only this thread changes.
pub(super) fn add(counter: &AtomicU64, len: usize) {
    counter.store(
        counter.load(Ordering::Relaxed) + len as u64,
        Ordering::Relaxed,
    );
}
