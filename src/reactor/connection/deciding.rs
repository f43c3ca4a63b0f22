//! A server's application is asked whether to accept an upgrade request, and answers at once, later,
//! or never.

use std::sync::Arc;
use std::time::Instant;

use super::answering::Extensions;
use super::{Connection, Context, Phase};
use crate::delivery::{Event, Handler, Payload, drop_handler};
use crate::error::Error;
use crate::proto::Buffer;
use crate::proto::handshake::{Refusal, Upgrade};
use crate::reactor::request::{Answer, Request};

/// A request that the application has been told of.
pub struct Pending {
    request: Arc<Request>,
    extensions: Extensions,
    /// What was told. Its end shows that the request has ended.
    handler: Option<Arc<dyn Handler>>,
    deadline: Option<Instant>,
}

impl Pending {
    /// When the client gets an answer anyway.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether a handler has panicked over it.
    pub fn has_panic(&self) -> bool {
        self.request.gate.has_panic()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.request.end();
        drop_handler(self.handler.take());
    }
}

impl Connection {
    /// Tells the application of a request, and keeps what has come behind it, which would be frames.
    pub(super) fn consult(
        &mut self,
        ask: &dyn Fn(&Arc<Request>) -> Arc<dyn Handler>,
        upgrade: Upgrade,
        extensions: Extensions,
        behind: &[u8],
        now: Instant,
    ) {
        if self.tail.append(behind).is_err() {
            let sentence = "no memory for received bytes";
            return self.give_up(Error::Resource(sentence.into()));
        }
        let mut target = upgrade.target().into_owned();
        target.push('\0');
        let request = Arc::new(Request::new(Arc::clone(&self.link), upgrade));
        let handler = ask(&request);
        let limit = self.link.settings.connect_timeout;
        self.phase = Phase::Deciding(Box::new(Pending {
            request: Arc::clone(&request),
            extensions,
            handler: Some(Arc::clone(&handler)),
            deadline: limit.and_then(|it| now.checked_add(it)),
        }));
        if request.check().is_err() {
            // It was refused for want of a place where the application could find it.
            return;
        }
        let target = Payload::new(target.as_bytes()).unwrap_or(Payload::EMPTY);
        let event = Event::Request(target);
        if self.outlet.tell(&handler, &request.gate, &event).is_err() {
            self.refuse_pending(500, "the application failed", now);
        }
    }

    /// Does what the application has answered.
    pub(super) fn decide(&mut self, cx: &mut Context<'_>) {
        let Phase::Deciding(pending) = &mut self.phase else {
            return;
        };
        let request = Arc::clone(&pending.request);
        match request.take_answer() {
            Some(Answer::Accept(acceptance)) => {
                // A client must not send anything before it is answered. If it did, it is used now.
                let extensions = pending.extensions.take();
                let len = self.tail.len();
                cx.buffer[..len].copy_from_slice(self.tail.bytes());
                self.tail = Buffer::new();
                self.outlet.attach(Arc::clone(&acceptance.handler));
                self.accept(&request.upgrade, extensions, &acceptance, 0, len, cx);
            }
            Some(Answer::Reject(refusal)) => self.refuse(&refusal, cx.now),
            None if request.gate.take_panic() => {
                self.refuse_pending(500, "the application failed", cx.now);
            }
            None if self.read_closed => {
                let sentence = "the client left before its request was answered";
                self.give_up(Error::Io(sentence.into()));
            }
            None => {}
        }
    }

    /// Answers in place of the application, if that has not.
    pub(super) fn refuse_pending(&mut self, status: u16, sentence: &str, now: Instant) {
        let Phase::Deciding(pending) = &self.phase else {
            return;
        };
        if pending.request.withdraw() {
            self.refuse(&Refusal::because(status, sentence), now);
        }
    }

    /// The connection ends. A socket that was made for it hears of that.
    pub(super) fn undecided(&mut self) {
        if let Phase::Deciding(pending) = &self.phase
            && let Some(Answer::Accept(acceptance)) = pending.request.end()
        {
            self.outlet.attach(acceptance.handler);
        }
    }
}
