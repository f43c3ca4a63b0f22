//! Where the events of one socket go: into the application's handlers.

use std::any::Any;
use std::ffi::c_void;
use std::sync::Arc;

use crate::delivery::{Event, Handler, MessageKind, Payload, Waiting};
use crate::ffi::callbacks::Callbacks;
use crate::ffi::event::{self, wsabi_event};
use crate::ffi::socket::SocketEntry;
use crate::ffi::user_data::{UserData, UserDataCell};
use crate::ffi::{current, foreign, handles, output, status};

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

    /// The event as C sees it, of a socket that nobody else is told about now. With it, what its
    /// user_data belongs to.
    pub(super) fn lend(&self, event: &Waiting) -> (wsabi_event, Arc<UserData>) {
        let (user_data, owner) = self.user_data.hold();
        let payload = event.payload();
        let event = event.event();
        let described = self.describe(&event, kind(&event), payload.with_nul(), user_data);
        (described, owner)
    }

    /// The handle that ends with this event, if one does.
    pub(super) fn ended_by(&self, event: &Waiting) -> Option<u64> {
        let is_last = matches!(event.event(), Event::Close { .. });
        (self.is_accepted && is_last).then_some(self.handle)
    }

    /// The event as C sees it. `sentence` is that of an error, with its NUL.
    fn describe(
        &self,
        event: &Event<'_>,
        kind: i32,
        sentence: &[u8],
        user_data: *mut c_void,
    ) -> wsabi_event {
        let (mut r#type, mut code, mut was_clean, mut value) = (0, 0, 0, 0);
        let payload = match *event {
            Event::Open | Event::Drain => Payload::EMPTY,
            Event::Message { kind, payload } => {
                r#type = match kind {
                    MessageKind::Text => event::WSABI_TEXT,
                    MessageKind::Binary => event::WSABI_BINARY,
                };
                payload
            }
            Event::Ping(payload) => payload,
            Event::Pong {
                payload,
                round_trip,
            } => {
                value = output::nanoseconds(round_trip);
                payload
            }
            Event::Error(error) => {
                code = status::of(error);
                Payload::new(sentence).unwrap_or(Payload::EMPTY)
            }
            Event::Reconnect { cause, delay } => {
                code = status::of(cause);
                value = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                Payload::new(sentence).unwrap_or(Payload::EMPTY)
            }
            // Requests are of no socket.
            Event::Request(target) => target,
            Event::Close {
                code: close_code,
                reason,
                was_clean: is_clean,
            } => {
                (code, was_clean) = (i32::from(close_code), i32::from(is_clean));
                reason
            }
        };
        wsabi_event {
            size: size_of::<wsabi_event>() as u32,
            kind,
            handle: self.handle,
            user_data,
            data: payload.with_nul().as_ptr(),
            len: payload.as_bytes().len(),
            r#type,
            code,
            was_clean,
            reserved: 0,
            value,
        }
    }
}

impl Handler for Target {
    fn handle(&self, event: &Event<'_>) {
        let kind = kind(event);
        if let Some(handler) = self.callbacks.of(kind) {
            let sentence = match event {
                Event::Error(error) | Event::Reconnect { cause: error, .. } => {
                    format!("{error}\0")
                }
                _ => String::new(),
            };
            self.user_data.lend(|user_data| {
                let event = self.describe(event, kind, sentence.as_bytes(), user_data);
                // SAFETY: the application gave the function for calls like this one. The event
                // and its data live until it returns.
                foreign::call(|| unsafe { handler(&raw const event, user_data) });
            });
        }
        if self.is_accepted && kind == event::WSABI_EVENT_CLOSE {
            // The application may have released it before.
            drop(handles::remove::<Arc<SocketEntry>>(self.handle));
        }
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn begin(&self) {
        self.user_data.begin();
        current::enter(self.handle);
    }

    fn end(&self) {
        current::leave();
        self.user_data.end();
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
        Event::Reconnect { .. } => event::WSABI_EVENT_RECONNECT,
        Event::Request(_) => event::WSABI_EVENT_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;
    use std::slice;
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::*;
    use crate::error::Error;
    use crate::ffi::event::{
        WSABI_BINARY, WSABI_EVENT_CLOSE, WSABI_EVENT_DRAIN, WSABI_EVENT_ERROR, WSABI_EVENT_MESSAGE,
        WSABI_EVENT_OPEN, WSABI_EVENT_PING, WSABI_EVENT_PONG, WSABI_TEXT,
    };

    /// What a handler saw.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Seen {
        kind: i32,
        data: Vec<u8>,
        r#type: i32,
        code: i32,
        was_clean: i32,
        value: u64,
    }

    type Log = Mutex<Vec<Seen>>;

    unsafe extern "C-unwind" fn record(event: *const wsabi_event, user_data: *mut c_void) {
        // SAFETY: by contract of handlers; the tests hand over a log that outlives the call.
        let (event, log) = unsafe { (&*event, &*user_data.cast::<Log>()) };
        assert_eq!(event.size as usize, size_of::<wsabi_event>());
        assert_eq!(
            (event.handle, event.user_data, event.reserved),
            (7, user_data, 0)
        );
        // SAFETY: data has len bytes and a NUL.
        let data = unsafe { slice::from_raw_parts(event.data, event.len + 1) };
        assert_eq!(data[event.len], 0);
        log.lock().push(Seen {
            kind: event.kind,
            data: data[..event.len].to_vec(),
            r#type: event.r#type,
            code: event.code,
            was_clean: event.was_clean,
            value: event.value,
        });
    }

    fn target(callbacks: Callbacks, log: &Log) -> Target {
        let user_data = ptr::from_ref(log).cast_mut().cast();
        Target::new(
            7,
            Arc::new(callbacks),
            UserData::new(user_data, None),
            false,
        )
    }

    #[test]
    fn every_event_is_described_as_c_sees_it() {
        let log = Log::default();
        let mut callbacks = Callbacks::default();
        callbacks.set(0, Some(record)).unwrap();
        let target = target(callbacks, &log);
        let error = Error::Tls("certificate has expired".into());
        let payload = Payload::new(b"a\0b\0").unwrap();
        let round_trip = Some(Duration::from_micros(3));

        target.handle(&Event::Open);
        target.handle(&Event::Message {
            kind: MessageKind::Text,
            payload,
        });
        target.handle(&Event::Message {
            kind: MessageKind::Binary,
            payload: Payload::EMPTY,
        });
        target.handle(&Event::Ping(payload));
        target.handle(&Event::Pong {
            payload,
            round_trip,
        });
        target.handle(&Event::Drain);
        target.handle(&Event::Error(&error));
        target.handle(&Event::Close {
            code: 4999,
            reason: payload,
            was_clean: true,
        });

        let data = b"a\0b".to_vec();
        let kind = |kind| Seen {
            kind,
            ..Seen::default()
        };
        let expected = [
            kind(WSABI_EVENT_OPEN),
            Seen {
                data: data.clone(),
                r#type: WSABI_TEXT,
                ..kind(WSABI_EVENT_MESSAGE)
            },
            Seen {
                r#type: WSABI_BINARY,
                ..kind(WSABI_EVENT_MESSAGE)
            },
            Seen {
                data: data.clone(),
                ..kind(WSABI_EVENT_PING)
            },
            Seen {
                data: data.clone(),
                value: 3000,
                ..kind(WSABI_EVENT_PONG)
            },
            kind(WSABI_EVENT_DRAIN),
            Seen {
                data: b"certificate has expired".to_vec(),
                code: status::WSABI_ERR_TLS,
                ..kind(WSABI_EVENT_ERROR)
            },
            Seen {
                data,
                code: 4999,
                was_clean: 1,
                ..kind(WSABI_EVENT_CLOSE)
            },
        ];
        assert_eq!(*log.lock(), expected);
    }

    #[test]
    fn only_kinds_with_a_handler_are_told() {
        let log = Log::default();
        let mut callbacks = Callbacks::default();
        callbacks.set(0, Some(record)).unwrap();
        callbacks.set(WSABI_EVENT_OPEN, None).unwrap();
        assert!(
            callbacks
                .set(event::KINDS as i32 + 1, Some(record))
                .is_err()
        );
        assert!(callbacks.set(-1, Some(record)).is_err());
        let target = target(callbacks, &log);
        target.handle(&Event::Open);
        target.handle(&Event::Drain);
        assert_eq!(log.lock().len(), 1);
    }

    #[test]
    fn a_handler_can_replace_its_user_data() {
        unsafe extern "C-unwind" fn replace(event: *const wsabi_event, user_data: *mut c_void) {
            // SAFETY: by contract of handlers; the tests hand over what outlives the call.
            let (event, (target, log)) = unsafe {
                (
                    &*event,
                    &*user_data.cast::<(Arc<Mutex<Option<Arc<Target>>>>, Log)>(),
                )
            };
            log.lock().push(Seen {
                kind: event.kind,
                ..Seen::default()
            });
            let target = target.lock().clone().unwrap();
            target.set_user_data(ptr::null_mut());
        }

        let cell = Arc::new(Mutex::new(None));
        let shared = (cell.clone(), Log::default());
        let mut callbacks = Callbacks::default();
        callbacks.set(WSABI_EVENT_OPEN, Some(replace)).unwrap();
        let user_data = UserData::new(ptr::from_ref(&shared).cast_mut().cast(), None);
        let target = Arc::new(Target::new(7, Arc::new(callbacks), user_data, false));
        *cell.lock() = Some(target.clone());
        target.handle(&Event::Open);
        assert_eq!(shared.1.lock().len(), 1);
        *cell.lock() = None;
    }
}
