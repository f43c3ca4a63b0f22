//! Where the events of one socket go: into the application's handlers.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use crate::delivery::{Event, Handler, MessageKind, Payload};
use crate::ffi::callbacks::Callbacks;
use crate::ffi::event::{self, wsabi_event};
use crate::ffi::socket::SocketEntry;
use crate::ffi::user_data::{UserData, UserDataCell};
use crate::ffi::{handles, output, status};

/// Turns the events of one socket into calls of handlers.
pub(super) struct Target {
    callbacks: Arc<Callbacks>,
    handle: u64,
    /// Whether a server accepted the socket. Nobody else knows such a handle for sure, so it ends
    /// with the socket.
    is_accepted: bool,
    user_data: UserDataCell,
}

impl Target {
    pub(super) fn new(
        handle: u64,
        callbacks: Arc<Callbacks>,
        user_data: Arc<UserData>,
        is_accepted: bool,
    ) -> Self {
        Self {
            callbacks,
            handle,
            is_accepted,
            user_data: UserDataCell::new(user_data),
        }
    }

    /// Replaces the pointer that handlers are called with.
    pub(super) fn set_user_data(&self, pointer: *mut c_void) {
        self.user_data
            .replace(UserData::new(pointer, self.callbacks.release));
    }
}

impl Handler for Target {
    fn handle(&self, event: Event<'_>) {
        let kind = kind(&event);
        if let Some(handler) = self.callbacks.of(kind) {
            let sentence = match event {
                Event::Error(error) => format!("{error}\0"),
                _ => String::new(),
            };
            let described = describe(&event, kind, &sentence);
            self.user_data.lend(|user_data| {
                let event = wsabi_event {
                    handle: self.handle,
                    user_data,
                    ..described
                };
                // SAFETY: the application gave the function for calls like this one. The event
                // and its data live until it returns.
                unsafe { handler(&raw const event, user_data) };
            });
        }
        if self.is_accepted && kind == event::WSABI_EVENT_CLOSE {
            // The application may have released it before.
            drop(handles::remove::<Arc<SocketEntry>>(self.handle));
        }
    }
}

fn kind(event: &Event<'_>) -> i32 {
    match event {
        Event::Open => event::WSABI_EVENT_OPEN,
        Event::Message { .. } => event::WSABI_EVENT_MESSAGE,
        Event::Error(_) => event::WSABI_EVENT_ERROR,
        Event::Close { .. } => event::WSABI_EVENT_CLOSE,
        Event::Ping(_) => event::WSABI_EVENT_PING,
        Event::Pong { .. } => event::WSABI_EVENT_PONG,
        Event::Drain => event::WSABI_EVENT_DRAIN,
    }
}

/// The event as C sees it, but for the handle and the user_data. `sentence` is that of an error,
/// with its NUL.
fn describe(event: &Event<'_>, kind: i32, sentence: &str) -> wsabi_event {
    let with = |payload: Payload<'_>| wsabi_event {
        size: size_of::<wsabi_event>() as u32,
        kind,
        handle: 0,
        user_data: ptr::null_mut(),
        data: payload.with_nul().as_ptr(),
        len: payload.as_bytes().len(),
        r#type: 0,
        code: 0,
        was_clean: 0,
        reserved: 0,
        value: 0,
    };
    match *event {
        Event::Open | Event::Drain => with(Payload::EMPTY),
        Event::Message {
            kind: MessageKind::Text,
            payload,
        } => wsabi_event {
            r#type: event::WSABI_TEXT,
            ..with(payload)
        },
        Event::Message {
            kind: MessageKind::Binary,
            payload,
        } => wsabi_event {
            r#type: event::WSABI_BINARY,
            ..with(payload)
        },
        Event::Ping(payload) => with(payload),
        Event::Pong {
            payload,
            round_trip,
        } => wsabi_event {
            value: output::nanoseconds(round_trip),
            ..with(payload)
        },
        Event::Error(error) => {
            let payload = Payload::new(sentence.as_bytes()).unwrap_or(Payload::EMPTY);
            wsabi_event {
                code: status::of(error),
                ..with(payload)
            }
        }
        Event::Close {
            code,
            reason,
            was_clean,
        } => wsabi_event {
            code: i32::from(code),
            was_clean: i32::from(was_clean),
            ..with(reason)
        },
    }
}
