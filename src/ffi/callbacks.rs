//! The handlers of a template, one for each kind of event.

use crate::error::{Error, Result};
use crate::ffi::event::{self, wsabi_handler};
use crate::ffi::user_data::Release;

/// What an application wants to be called with.
#[derive(Clone, Default)]
pub(super) struct Callbacks {
    handlers: [wsabi_handler; event::KINDS],
    /// Whether a server asks even if there is no handler to ask.
    pub(super) asks: bool,
    pub(super) release: Option<Release>,
}

impl Callbacks {
    /// Sets the handler of one kind of event, or with 0 that of every kind that wants no answer.
    pub(super) fn set(&mut self, kind: i32, handler: wsabi_handler) -> Result<()> {
        if kind == 0 {
            let (of_sockets, _) = self.handlers.split_at_mut(event::OF_SOCKETS);
            of_sockets.fill(handler);
            return Ok(());
        }
        let place = index(kind)
            .and_then(|index| self.handlers.get_mut(index))
            .ok_or_else(|| Error::Argument(format!("there is no event of kind {kind}").into()))?;
        *place = handler;
        Ok(())
    }

    /// Whether a server asks about requests.
    pub(super) fn are_asked(&self) -> bool {
        self.asks || self.of(event::WSABI_EVENT_REQUEST).is_some()
    }

    /// The handler of a kind of event.
    pub(super) fn of(&self, kind: i32) -> wsabi_handler {
        index(kind).and_then(|index| *self.handlers.get(index)?)
    }
}

/// Kinds are counted from 1.
fn index(kind: i32) -> Option<usize> {
    usize::try_from(kind).ok()?.checked_sub(1)
}
