//! Events as a pickle, the serialisation of Python's standard library (its module `pickletools`
//! says what the opcodes do). Only lists, tuples, numbers, strings and bytes are written, each with
//! its length before it, so that nothing that a peer sends can be an opcode.

use std::mem::MaybeUninit;

use crate::ffi::event::{
    WSABI_EVENT_CLOSE, WSABI_EVENT_ERROR, WSABI_EVENT_MESSAGE, WSABI_EVENT_RECONNECT,
    WSABI_EVENT_REQUEST, WSABI_TEXT, wsabi_event,
};

/// How many bytes a pickle has besides its events.
pub(super) const FRAME: usize = 5;

/// How many bytes an event with `payload` takes at most.
pub(super) const fn size(payload: usize) -> usize {
    EVENT + STRING_HEAD + payload
}

const EVENT: usize = 46;
const STRING_HEAD: usize = 9;

/// A pickle that is being written: a list of tuples, of which the last one may be a message that
/// others of the same socket are put together with.
pub(super) struct Pickle<'a> {
    room: &'a mut [MaybeUninit<u8>],
    written: usize,
    messages: Option<Messages>,
}

struct Messages {
    handle: u64,
    user_data: u64,
    bytes: u64,
}

impl<'a> Pickle<'a> {
    /// `room` is large enough for `FRAME` and the `size` of every event.
    pub(super) fn begin(room: &'a mut [MaybeUninit<u8>]) -> Self {
        let mut pickle = Self {
            room,
            written: 0,
            messages: None,
        };
        pickle.put(&[PROTO, 4, MARK]);
        pickle
    }

    pub(super) fn add(&mut self, event: &wsabi_event, payload: &[u8]) {
        let user_data = event.user_data.expose_provenance() as u64;
        if event.kind != WSABI_EVENT_MESSAGE {
            self.end_messages();
            self.begin_tuple(event.kind, event.handle, user_data);
            let is_text = matches!(
                event.kind,
                WSABI_EVENT_ERROR | WSABI_EVENT_CLOSE | WSABI_EVENT_RECONNECT | WSABI_EVENT_REQUEST
            );
            self.put_string(payload, is_text);
            self.end_tuple(event.value, event.code, event.was_clean != 0);
            return;
        }
        let mut messages = match self.messages.take() {
            Some(it) if it.handle == event.handle && it.user_data == user_data => it,
            others => {
                self.messages = others;
                self.end_messages();
                self.begin_tuple(event.kind, event.handle, user_data);
                self.put(&[MARK]);
                Messages {
                    handle: event.handle,
                    user_data,
                    bytes: 0,
                }
            }
        };
        self.put_string(payload, event.r#type == WSABI_TEXT);
        messages.bytes += payload.len() as u64;
        self.messages = Some(messages);
    }

    /// Returns how many bytes the pickle has.
    pub(super) fn end(mut self) -> usize {
        self.end_messages();
        self.put(&[LIST, STOP]);
        self.written
    }

    fn end_messages(&mut self) {
        if let Some(messages) = self.messages.take() {
            self.put(&[LIST]);
            self.end_tuple(messages.bytes, 0, false);
        }
    }

    fn begin_tuple(&mut self, kind: i32, handle: u64, user_data: u64) {
        self.put(&[MARK]);
        self.put_int(kind);
        self.put_long(handle);
        self.put_long(user_data);
    }

    fn end_tuple(&mut self, value: u64, code: i32, was_clean: bool) {
        self.put_long(value);
        self.put_int(code);
        self.put(&[if was_clean { NEWTRUE } else { NEWFALSE }, TUPLE]);
    }

    fn put_int(&mut self, number: i32) {
        self.put(&[BININT]);
        self.put(&number.to_le_bytes());
    }

    fn put_long(&mut self, number: u64) {
        // With a sign, for which there has to be room.
        self.put(&[LONG1, 9]);
        self.put(&number.to_le_bytes());
        self.put(&[0]);
    }

    fn put_string(&mut self, bytes: &[u8], is_text: bool) {
        let [short, usual, long] = if is_text {
            [SHORT_BINUNICODE, BINUNICODE, BINUNICODE8]
        } else {
            [SHORT_BINBYTES, BINBYTES, BINBYTES8]
        };
        let len = bytes.len();
        if let Ok(len) = u8::try_from(len) {
            self.put(&[short, len]);
        } else if let Ok(len) = u32::try_from(len) {
            self.put(&[usual]);
            self.put(&len.to_le_bytes());
        } else {
            self.put(&[long]);
            self.put(&(len as u64).to_le_bytes());
        }
        self.put(bytes);
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.written + bytes.len();
        self.room[self.written..end].write_copy_of_slice(bytes);
        self.written = end;
    }
}

const MARK: u8 = b'(';
const STOP: u8 = b'.';
const BININT: u8 = b'J';
const LIST: u8 = b'l';
const TUPLE: u8 = b't';
const BINUNICODE: u8 = b'X';
const BINBYTES: u8 = b'B';
const SHORT_BINBYTES: u8 = b'C';
const PROTO: u8 = 0x80;
const NEWTRUE: u8 = 0x88;
const NEWFALSE: u8 = 0x89;
const LONG1: u8 = 0x8a;
const SHORT_BINUNICODE: u8 = 0x8c;
const BINUNICODE8: u8 = 0x8d;
const BINBYTES8: u8 = 0x8e;

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::ptr;

    use super::*;
    use crate::ffi::event::{WSABI_BINARY, WSABI_EVENT_OPEN};

    fn event(kind: i32, handle: u64, r#type: i32) -> wsabi_event {
        wsabi_event {
            size: size_of::<wsabi_event>() as u32,
            kind,
            handle,
            user_data: ptr::null_mut(),
            data: ptr::null(),
            len: 0,
            r#type,
            code: 1000,
            was_clean: 1,
            reserved: 0,
            value: 0,
        }
    }

    #[test]
    fn messages_of_one_socket_are_put_together() {
        let mut room = [const { MaybeUninit::uninit() }; 1000];
        let mut pickle = Pickle::begin(&mut room);
        pickle.add(&event(WSABI_EVENT_MESSAGE, 7, WSABI_TEXT), b"ab");
        pickle.add(&event(WSABI_EVENT_MESSAGE, 7, WSABI_BINARY), b"c");
        pickle.add(&event(WSABI_EVENT_MESSAGE, 8, WSABI_BINARY), b"");
        pickle.add(&event(WSABI_EVENT_CLOSE, 7, 0), b"bye");
        let len = pickle.end();
        // SAFETY: as many bytes were written.
        let written = unsafe { room[..len].assume_init_ref() };
        let long = |number: u8| [&[LONG1, 9, number], &[0; 8][..]].concat();
        let head =
            |kind: u8, handle| [b"(J", &[kind, 0, 0, 0][..], &long(handle), &long(0)].concat();
        let expected = [
            b"\x80\x04(".to_vec(),
            [head(2, 7), b"(\x8c\x02abC\x01cl".to_vec(), long(3)].concat(),
            b"J\0\0\0\0\x89t".to_vec(),
            [head(2, 8), b"(C\0l".to_vec(), long(0)].concat(),
            b"J\0\0\0\0\x89t".to_vec(),
            [head(4, 7), b"\x8c\x03bye".to_vec(), long(0)].concat(),
            b"J\xe8\x03\0\0\x88tl.".to_vec(),
        ];
        assert_eq!(written, expected.concat());
    }

    #[test]
    fn no_event_takes_more_than_its_size() {
        for kind in [WSABI_EVENT_OPEN, WSABI_EVENT_MESSAGE, WSABI_EVENT_CLOSE] {
            for len in [0, 255, 256, 1000] {
                let mut room = vec![MaybeUninit::uninit(); FRAME + 2 * size(len)];
                let mut pickle = Pickle::begin(&mut room);
                for handle in [1, 2] {
                    pickle.add(&event(kind, handle, 0), &vec![b'x'; len]);
                }
                pickle.end();
            }
        }
    }
}
