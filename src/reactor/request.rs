//! An upgrade request that waits for the application's answer.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::Mutex;

use super::link::Link;
use crate::delivery::{Gate, Handler};
use crate::error::{Error, Result};
use crate::proto::handshake::{Refusal, Upgrade};

/// A valid request, until it has been answered or its client has gone.
pub struct Request {
    pub link: Arc<Link>,
    pub upgrade: Upgrade,
    /// Of the event that tells of it.
    pub gate: Arc<Gate>,
    state: Mutex<State>,
}

enum State {
    /// With header fields for the answer.
    Waiting(Vec<(String, String)>),
    Answered(Answer),
    Over,
}

/// What the application says to a request.
pub enum Answer {
    Accept(Acceptance),
    Reject(Refusal),
}

/// How a request is accepted.
pub struct Acceptance {
    /// One of those that were offered.
    pub subprotocol: Option<String>,
    /// What the response says besides.
    pub headers: Vec<(String, String)>,
    /// Takes the events of the socket.
    pub handler: Arc<dyn Handler>,
}

impl Request {
    /// A request of the client at the other end of `link`.
    pub fn new(link: Arc<Link>, upgrade: Upgrade) -> Self {
        Self {
            link,
            upgrade,
            gate: Arc::default(),
            state: Mutex::new(State::Waiting(Vec::new())),
        }
    }

    /// Fails if it cannot be answered any more.
    pub fn check(&self) -> Result<()> {
        match *self.state.lock() {
            State::Waiting(_) => Ok(()),
            State::Answered(_) | State::Over => Err(over()),
        }
    }

    /// A header field.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.upgrade.field(name)
    }

    /// Has the answer say this, too.
    pub fn add_header(&self, name: &str, value: &str) -> Result<()> {
        match &mut *self.state.lock() {
            State::Waiting(headers) => {
                headers.push((name.to_owned(), value.to_owned()));
                Ok(())
            }
            State::Answered(_) | State::Over => Err(over()),
        }
    }

    /// Answers it, once; `answer` gets the header fields for it.
    pub fn answer(&self, answer: impl FnOnce(Vec<(String, String)>) -> Answer) -> Result<()> {
        {
            let mut state = self.state.lock();
            let State::Waiting(headers) = &mut *state else {
                return Err(over());
            };
            let headers = std::mem::take(headers);
            *state = State::Answered(answer(headers));
        }
        self.link.summon();
        Ok(())
    }

    /// The answer, once there is one.
    pub(super) fn take_answer(&self) -> Option<Answer> {
        let mut state = self.state.lock();
        if matches!(*state, State::Waiting(_)) {
            return None;
        }
        match std::mem::replace(&mut *state, State::Over) {
            State::Answered(answer) => Some(answer),
            State::Waiting(_) | State::Over => None,
        }
    }

    /// Takes it back from the application. False: that has answered, and its answer holds.
    pub(super) fn withdraw(&self) -> bool {
        let mut state = self.state.lock();
        let is_waiting = matches!(*state, State::Waiting(_));
        if is_waiting {
            *state = State::Over;
        }
        is_waiting
    }

    /// It cannot be answered any more. Returns what it was answered with before.
    pub(super) fn end(&self) -> Option<Answer> {
        self.gate.detach();
        match std::mem::replace(&mut *self.state.lock(), State::Over) {
            State::Answered(answer) => Some(answer),
            State::Waiting(_) | State::Over => None,
        }
    }
}

fn over() -> Error {
    Error::Handle("the request has been answered, or its client has gone".into())
}
