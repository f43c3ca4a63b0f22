//! What handlers are told, recorded for the test.

use std::ffi::c_void;
use std::ptr;
use std::slice;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::functions::RawEvent;
use super::{BINARY, Socket, TEXT};

/// What a handler was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Open,
    Message {
        kind: i32,
        data: Vec<u8>,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Drain,
    Error {
        status: i32,
        sentence: String,
    },
    Close(Close),
    Reconnect {
        status: i32,
        sentence: String,
        delay: Duration,
    },
    /// Of a server, with the target; the handle is that of the request.
    Request(String),
    /// The user_data was given back: not an event, but always the very last.
    Released,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Close {
    pub code: i32,
    pub reason: String,
    pub was_clean: bool,
}

impl Seen {
    pub fn text(text: &str) -> Self {
        Self::Message {
            kind: TEXT,
            data: text.into(),
        }
    }

    pub fn binary(data: impl Into<Vec<u8>>) -> Self {
        Self::Message {
            kind: BINARY,
            data: data.into(),
        }
    }

    /// An end that both sides agreed on.
    pub fn clean(code: i32, reason: &str) -> Self {
        Self::close(code, reason, true)
    }

    /// Another end.
    pub fn died(code: i32) -> Self {
        Self::close(code, "", false)
    }

    fn close(code: i32, reason: &str, was_clean: bool) -> Self {
        Self::Close(Close {
            code,
            reason: reason.to_owned(),
            was_clean,
        })
    }

    /// The status of an error or a reconnect event.
    pub fn status(&self) -> Option<i32> {
        match self {
            Self::Error { status, .. } | Self::Reconnect { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// What the handlers of one socket, or of a server's sockets, are told.
pub struct Events(Receiver<(Socket, Seen)>);

impl Events {
    /// The next one.
    #[track_caller]
    pub fn next(&self) -> Seen {
        self.next_of().1
    }

    /// The next one, and whose it is.
    #[track_caller]
    pub fn next_of(&self) -> (Socket, Seen) {
        self.0
            .recv_timeout(PATIENCE)
            .expect("an event within the test's patience")
    }

    /// All that come up to CLOSE, which is the last; as the user_data is given back after it, the
    /// socket is released.
    #[track_caller]
    pub fn until_close(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while !matches!(seen.last(), Some(Seen::Close(_))) {
            seen.push(self.next());
        }
        seen
    }

    /// All that come until the user_data is given back.
    #[track_caller]
    pub fn until_released(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while seen.last() != Some(&Seen::Released) {
            seen.push(self.next());
        }
        seen
    }

    /// What comes up to CLOSE is exactly this.
    #[track_caller]
    pub fn expect(&self, expected: &[Seen]) {
        assert_eq!(self.until_close(), expected);
    }

    /// An ERROR and a CLOSE are all that comes: the ERROR's status, and the CLOSE.
    #[track_caller]
    pub fn expect_failure(&self) -> (i32, Close) {
        let seen = self.until_close();
        match seen.as_slice() {
            [Seen::Error { status, .. }, Seen::Close(close)] => (*status, close.clone()),
            _ => panic!("{seen:?}"),
        }
    }

    /// What has come so far.
    pub fn so_far(&self) -> Vec<Seen> {
        self.0.try_iter().map(|(_, seen)| seen).collect()
    }

    /// Whether something comes within a time.
    pub fn comes_within(&self, time: Duration) -> Option<Seen> {
        match self.0.recv_timeout(time) {
            Ok((_, seen)) => Some(seen),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

/// The user_data.
pub(super) struct Recorder {
    seen: Sender<(Socket, Seen)>,
    hook: Mutex<Hook>,
}

type Hook = Box<dyn FnMut(Socket, &Seen) + Send>;

impl Recorder {
    pub(super) fn new(hook: impl FnMut(Socket, &Seen) + Send + 'static) -> (*mut Self, Events) {
        let (seen, events) = channel();
        let hook: Mutex<Hook> = Mutex::new(Box::new(hook));
        (Box::into_raw(Box::new(Self { seen, hook })), Events(events))
    }
}

pub(super) unsafe extern "C" fn record(event: *const RawEvent, user_data: *mut c_void) {
    // SAFETY: the library gives an event that lives during the call, and the user_data that
    // `Runtime` gave it and `release` has not yet had.
    let (event, recorder) = unsafe { (&*event, &*user_data.cast::<Recorder>()) };
    assert_eq!(event.size as usize, size_of::<RawEvent>());
    assert!(ptr::eq(event.user_data, user_data));
    // SAFETY: data is never NULL, and there is a NUL behind it.
    let data = unsafe { slice::from_raw_parts(event.data, event.len + 1) };
    let Some((0, data)) = data.split_last() else {
        panic!("no NUL behind the data");
    };
    let text = || str::from_utf8(data).unwrap().to_owned();
    let seen = match event.kind {
        1 => Seen::Open,
        2 => Seen::Message {
            kind: event.message_type,
            data: data.into(),
        },
        3 => Seen::Error {
            status: event.code,
            sentence: text(),
        },
        4 => Seen::Close(Close {
            code: event.code,
            reason: text(),
            was_clean: event.was_clean == 1,
        }),
        5 => Seen::Ping(data.into()),
        6 => Seen::Pong(data.into()),
        7 => Seen::Drain,
        8 => Seen::Reconnect {
            status: event.code,
            sentence: text(),
            delay: Duration::from_millis(event.value),
        },
        9 => Seen::Request(text()),
        kind => panic!("an event of kind {kind}"),
    };
    let socket = Socket(event.handle);
    (recorder.hook.lock().unwrap())(socket, &seen);
    // The test may have seen enough.
    let _ = recorder.seen.send((socket, seen));
}

pub(super) unsafe extern "C" fn release(user_data: *mut c_void) {
    // SAFETY: it comes from `Recorder::new`, and is given back once.
    let recorder = unsafe { Box::from_raw(user_data.cast::<Recorder>()) };
    let _ = recorder.seen.send((Socket(0), Seen::Released));
}

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);
