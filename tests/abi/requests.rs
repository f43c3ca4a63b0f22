//! What a server is asked for.

use super::events::Recorder;
use super::functions::functions;
use super::objects::read_text;
use super::{Events, OK, Socket, expect_ok};

/// The handle of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request(pub u64);

impl Request {
    pub fn target(self) -> String {
        read_text(|buf, cap| {
            // SAFETY: there are `cap` bytes at `buf`.
            unsafe { (functions().request_target)(self.0, buf, cap) }
        })
    }

    pub fn header(self, name: &str) -> String {
        read_text(|buf, cap| {
            let read = functions().request_header;
            // SAFETY: `name` lives during the call, and there are `cap` bytes at `buf`.
            unsafe { read(self.0, name.as_ptr(), name.len(), buf, cap) }
        })
    }

    pub fn peer_address(self) -> String {
        // SAFETY: there are `cap` bytes at `buf`.
        read_text(|buf, cap| unsafe { (functions().request_peer_address)(self.0, buf, cap) })
    }

    /// Adds a header field to the answer.
    pub fn add_header(self, name: &str, value: &str) {
        let add = functions().request_add_header;
        // SAFETY: `name` and `value` live during the call.
        expect_ok(unsafe {
            add(
                self.0,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        });
    }

    /// Accepts it, and gives the socket events of its own.
    #[track_caller]
    pub fn accept(self, subprotocol: &str) -> (Socket, Events) {
        let (recorder, seen) = Recorder::new(|_, _| {});
        let mut handle = 0;
        // SAFETY: `subprotocol` lives during the call; `recorder` is given back to `release`.
        let status = unsafe {
            (functions().request_accept)(
                self.0,
                subprotocol.as_ptr(),
                subprotocol.len(),
                recorder.cast(),
                &raw mut handle,
            )
        };
        if status != OK {
            // SAFETY: a call that fails has taken nothing.
            drop(unsafe { Box::from_raw(recorder) });
        }
        expect_ok(status);
        (Socket(handle), seen)
    }

    pub fn reject(self, http_status: i32, body: &str) -> i32 {
        let reject = functions().request_reject;
        // SAFETY: `body` lives during the call.
        unsafe { reject(self.0, http_status, body.as_ptr(), body.len()) }
    }
}
