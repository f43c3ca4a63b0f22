//! The end of a connection, and what its application is told.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Connection, Context, Phase, retry};
use crate::delivery::{Event, Payload};
use crate::error::Error;
use crate::proto::{Buffer, CloseFrame, Closing, Ending, Failure, Role};
use crate::reactor::command::now;
use crate::reactor::outbox::ReadyState;

impl Connection {
    /// What the system does not take now is lost, our Close frame first of all. Whether there is
    /// any.
    pub(super) fn give_up_sending(&mut self) -> bool {
        // A stream that is broken is told of by its own error.
        let is_broken = self.write_error.is_some() || self.link.attend().broken.is_some();
        let is_lost = !is_broken && self.link.is_stuck();
        if is_lost {
            self.closing.unsent();
        }
        is_lost
    }

    /// RFC 6455 §7.1.7: tells both sides, and leaves.
    pub(super) fn fail(&mut self, failure: Failure, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Leaving | Phase::Over) {
            return;
        }
        self.phase = Phase::Leaving;
        self.tail = Buffer::new();
        let code = Some(failure.code);
        let sent = self.link.send_close(&CloseFrame {
            code,
            reason: Box::default(),
        });
        self.link.closing();
        self.closing.failed(code.filter(|_| sent), cx.now);
        self.closing.sent(cx.now);
        let _ = self
            .outlet
            .deliver(&self.link.gate, &Event::Error(&failure.error));
    }

    /// Once nothing but the end of TCP is missing, says so to the peer. RFC 6455 §7.1.1: the server
    /// closes first.
    pub(super) fn leave(&mut self) {
        if self.shut || !self.closing.is_over() || !self.link.is_flushed() {
            return;
        }
        let is_ours = self.link.role == Role::Server || self.closing.is_failed();
        if let Some(transport) = self.transport.clone().filter(|_| is_ours) {
            transport.close_tls();
            // What the system does not take of these few bytes now is lost with the connection.
            self.link.attend();
            transport.shutdown_write();
        }
        self.shut = true;
    }

    /// Ends without a closing handshake.
    pub(super) fn give_up(&mut self, error: Error) {
        self.finish(Ending::abnormal(error));
    }

    /// The end of the connection: the last events, unless another one follows.
    pub(super) fn finish(&mut self, ending: Ending) {
        if self.is_over() {
            return;
        }
        if !self.link.is_dropped() {
            if let Some(transport) = &self.transport {
                transport.close_tls();
            }
            // A last Close frame may wait; what the system does not take now is lost.
            self.link.attend();
        }
        if let Some(error) = &ending.error {
            self.note_loss(error);
        }
        if let Some((cause, delay)) = self.plan_retry(&ending)
            && self.link.reconnect()
        {
            return self.retry(&cause, delay);
        }
        self.undecided();
        self.phase = Phase::Over;
        self.link.closed();
        self.transport = None;
        self.tail = Buffer::new();
        if let Some(error) = &ending.error {
            let _ = self.outlet.deliver(&self.link.gate, &Event::Error(error));
        }
        let mut reason = ending.reason.into_string();
        reason.push('\0');
        let reason = Payload::new(reason.as_bytes()).unwrap_or(Payload::EMPTY);
        let (code, was_clean) = (ending.code, ending.was_clean);
        let event = Event::Close {
            code,
            reason,
            was_clean,
        };
        let _ = self.outlet.deliver(&self.link.gate, &event);
    }

    /// Why and when there is to be another attempt. None: it is over.
    fn plan_retry(&mut self, ending: &Ending) -> Option<(Error, Duration)> {
        if self.is_hopeless || self.link.is_let_go() {
            return None;
        }
        let cause = match &ending.error {
            Some(error) if retry::is_permanent(error) => return None,
            Some(error) => error.clone(),
            None if ending.was_clean && retry::is_temporary_code(ending.code) => {
                let code = ending.code;
                Error::Closed(format!("the peer closed the connection with code {code}").into())
            }
            None => return None,
        };
        let was_open = self.link.ready_state() != ReadyState::Connecting;
        let lasted = now().saturating_duration_since(self.phase_began);
        let asked_for = self.retry_after().filter(|_| !was_open);
        let retry = self.way()?.retry.as_mut()?;
        if was_open {
            retry.lasted(lasted);
        }
        let delay = retry.next(asked_for)?;
        // A time that the clock cannot show does not come.
        now().checked_add(delay)?;
        Some((cause, delay))
    }

    /// How long the server that has refused wants us to wait.
    fn retry_after(&self) -> Option<Duration> {
        let facts = self.link.facts.lock();
        let value = facts.response.as_ref()?.field("Retry-After")?;
        retry::parse_retry_after(&value, SystemTime::now())
    }

    /// Waits for the next attempt.
    fn retry(&mut self, cause: &Error, delay: Duration) {
        log::debug!("reconnecting in {} ms: {cause}", delay.as_millis());
        self.forget();
        let now = now();
        self.connect_deadline = None;
        self.enter(Phase::Waiting(now + delay), now);
        let event = Event::Reconnect { cause, delay };
        if let Err(cause) = self.outlet.deliver(&self.link.gate, &event) {
            self.give_up(cause.error());
        }
    }

    /// Ends the connection before it is established, for another one of the same attempt.
    pub(super) fn disconnect(&mut self) {
        self.link.disconnected();
        self.forget();
    }

    /// Forgets the connection, and is as before the first.
    fn forget(&mut self) {
        let settings = Arc::clone(&self.link.settings);
        self.transport = None;
        self.token = None;
        self.tls_ending = None;
        self.tail = Buffer::new();
        self.held_back = false;
        self.readable = false;
        self.read_closed = false;
        self.write_error = None;
        self.closing = Closing::new(settings.close_timeout);
        self.keepalive = settings.keepalive(now());
        self.shut = false;
        self.is_hopeless = false;
    }
}
