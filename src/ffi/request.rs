//! Request: a client asks a server for a WebSocket, and the application
//! decides.
//!
//! Without a handler of REQUEST a server accepts every valid request. With
//! one, each is to be answered once, at once or later, on any thread, by
//! wsabi_request_accept or wsabi_request_reject. Its handle ends with that,
//! or when the client has gone, the server is closed, or the time of
//! wsabi_options_set_connect_timeout_ms has passed since the request came:
//! the client then gets status 503.

use std::any::Any;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

use crate::delivery::{Event, Handler, Payload, Waiting};
use crate::error::Result;
use crate::ffi::event::{self, wsabi_event};
use crate::ffi::guard::{guard, guard_value};
use crate::ffi::handles::Reservation;
use crate::ffi::output::{Out, Room};
use crate::ffi::runtime::wsabi_runtime;
use crate::ffi::server::Door;
use crate::ffi::socket::{SocketEntry, attach, end_if_freed, wsabi_socket};
use crate::ffi::target::Target;
use crate::ffi::user_data::UserData;
use crate::ffi::{foreign, handles, input};
use crate::request::Request;

/// The handle of a request, known from its REQUEST event.
pub type wsabi_request = u64;

/// Writes the target of a request, path and query such as "/chat?room=1",
/// into the cap bytes at buf, as wsabi_socket_fact does. It begins with "/":
/// of a target that is a whole URL (RFC 9112 section 3.2.2), this is the
/// path and query.
///
/// # Safety
///
/// `cap` bytes can be written to `buf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_request_target(
    request: wsabi_request,
    buf: *mut c_char,
    cap: usize,
) -> i64 {
    guard_value(|| {
        // SAFETY: by contract of this function.
        let room = unsafe { Room::new(buf, cap) }?;
        Ok(room.fill(&find_request(request)?.request.target()))
    })
}

/// Writes a header field of a request into the cap bytes at buf, as
/// wsabi_socket_fact does. Several lines of one name are joined by ", ".
///
/// - name, len: the name of the field, in any letter case, such as "Origin",
///   "Cookie", "Authorization" or "Sec-WebSocket-Protocol". "Host" is the
///   host and port that the client means: where its target is a whole URL,
///   those of the URL, as RFC 9112 section 3.2.2 demands.
///
/// Returns the length without NUL, also if it is more than cap; 0 if there
/// is no such field. Browsers always send Origin, and other clients can
/// write there what they like.
///
/// # Safety
///
/// `len` says how much can be read at `name`; `cap` bytes can be written to `buf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_request_header(
    request: wsabi_request,
    name: *const c_char,
    len: usize,
    buf: *mut c_char,
    cap: usize,
) -> i64 {
    guard_value(|| {
        // SAFETY: by contract of this function.
        let room = unsafe { Room::new(buf, cap) }?;
        // SAFETY: as above.
        let name = unsafe { input::setting("name", name, len) }?;
        let entry = find_request(request)?;
        let value = entry.request.header(name);
        Ok(room.fill(value.as_deref().unwrap_or_default()))
    })
}

/// Writes the address and port of the client, as of WSABI_FACT_PEER_ADDRESS,
/// into the cap bytes at buf, as wsabi_socket_fact does.
///
/// # Safety
///
/// As for `wsabi_request_target`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_request_peer_address(
    request: wsabi_request,
    buf: *mut c_char,
    cap: usize,
) -> i64 {
    guard_value(|| {
        // SAFETY: by contract of this function.
        let room = unsafe { Room::new(buf, cap) }?;
        Ok(room.fill(&find_request(request)?.request.peer_address()))
    })
}

/// Adds a header field to the answer, whichever it will be: Set-Cookie with
/// a socket, Location with a redirect, WWW-Authenticate with status 401.
///
/// - name, value: as for wsabi_options_add_header. WSABI_ERR_ARGUMENT: what
///   could split the answer, or contradict what the library writes there.
///
/// WSABI_ERR_HANDLE: as for wsabi_request_accept.
///
/// # Safety
///
/// `name_len` and `value_len` say how much can be read at `name` and `value`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_request_add_header(
    request: wsabi_request,
    name: *const c_char,
    name_len: usize,
    value: *const c_char,
    value_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let name = unsafe { input::setting("name", name, name_len) }?;
        // SAFETY: as above.
        let value = unsafe { input::setting("value", value, value_len) }?;
        find_request(request)?.request.add_header(name, value)
    })
}

/// Accepts a request. The socket has the handlers and settings of the
/// server. OPEN follows, from which on it can send, or, if the client has
/// gone meanwhile, ERROR and CLOSE.
///
/// - subprotocol, len: one of those that the client offers in
///   Sec-WebSocket-Protocol; NULL and 0: none.
/// - user_data: what the handlers of this socket are called with. It is
///   given back to the function of wsabi_options_on_release, unless this
///   fails.
///
/// WSABI_ERR_ARGUMENT: the client does not offer that subprotocol.
/// WSABI_ERR_HANDLE: the request has been answered, or its client has gone.
///
/// # Safety
///
/// `len` says how much can be read at `subprotocol`; `socket_out` can be written to. The handlers
/// of the server can be called with `user_data` on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_request_accept(
    request: wsabi_request,
    subprotocol: *const c_char,
    len: usize,
    user_data: *mut c_void,
    socket_out: *mut wsabi_socket,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let socket_out = unsafe { Out::new("socket_out", socket_out) }?;
        // SAFETY: as above.
        let subprotocol = unsafe { input::setting("subprotocol", subprotocol, len) }?;
        let subprotocol = Some(subprotocol).filter(|it| !it.is_empty());
        let entry = find_request(request)?;
        let door = &entry.door;

        let reservation = Reservation::new()?;
        let handle = reservation.handle;
        let user_data = UserData::new(user_data, door.callbacks.release);
        let target = Target::new(handle, door.callbacks.clone(), user_data.clone(), true);
        let accepted = entry.request.accept(subprotocol, |socket| {
            attach(reservation, socket, target, door.runtime)
        });
        if let Err(error) = accepted {
            drop(handles::remove::<Arc<SocketEntry>>(handle));
            user_data.give_back();
            return Err(error);
        }
        // It may have ended already.
        drop(handles::remove::<Arc<RequestEntry>>(request));
        end_if_freed(&door.owner, handle);
        socket_out.write(handle);
        Ok(())
    })
}

/// Refuses a request.
///
/// - http_status: 300 to 599 but 304, such as 401, 403 or 404.
/// - body, len: a text for a person, which is sent as text/plain unless
///   wsabi_request_add_header has given a Content-Type. NULL and 0: none.
///
/// WSABI_ERR_HANDLE: as for wsabi_request_accept.
///
/// # Safety
///
/// `len` says how much can be read at `body`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_request_reject(
    request: wsabi_request,
    http_status: i32,
    body: *const c_char,
    len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let body = unsafe { input::text("body", body, len) }?;
        let entry = find_request(request)?;
        let status = u16::try_from(http_status)
            .map_err(|_| input::argument(format!("http_status cannot be {http_status}")))?;
        entry.request.reject(status, body)?;
        drop(handles::remove::<Arc<RequestEntry>>(request));
        Ok(())
    })
}

/// What the handle of a request stands for.
pub(super) struct RequestEntry {
    request: Request,
    door: Arc<Door>,
}

impl RequestEntry {
    pub(super) fn is_of(&self, runtime: wsabi_runtime) -> bool {
        self.door.runtime == runtime
    }
}

/// Tells the application of a request.
pub(super) struct Asking {
    handle: u64,
    door: Arc<Door>,
}

impl Asking {
    /// A handle for the request, and what tells of it; or nothing to tell, if that cannot be.
    pub(super) fn about(request: Request, door: Arc<Door>) -> Arc<dyn Handler> {
        let reservation = match Reservation::new() {
            Ok(reservation) => reservation,
            Err(error) => {
                log::error!("a request is refused: {error}");
                // Nobody else knows of it, so that it can be answered.
                let _ = request.reject(503, "the server has no place for a further request");
                return Arc::new(|_: Event<'_>| {});
            }
        };
        let handle = reservation.handle;
        let asking = Self {
            handle,
            door: Arc::clone(&door),
        };
        let owner = door.owner.clone();
        reservation.fill(Arc::new(RequestEntry { request, door }));
        if owner.is_freed() {
            // That may have missed this one.
            drop(handles::remove::<Arc<RequestEntry>>(handle));
        }
        Arc::new(asking)
    }

    /// The event as C sees it. With it, what its user_data belongs to.
    pub(super) fn lend(&self, event: &Waiting) -> (wsabi_event, Arc<UserData>) {
        let user_data = Arc::clone(&self.door.user_data);
        (self.describe(event.payload()), user_data)
    }

    fn describe(&self, target: Payload<'_>) -> wsabi_event {
        wsabi_event {
            size: size_of::<wsabi_event>() as u32,
            kind: event::WSABI_EVENT_REQUEST,
            handle: self.handle,
            user_data: self.door.user_data.pointer(),
            data: target.with_nul().as_ptr(),
            len: target.as_bytes().len(),
            r#type: 0,
            code: 0,
            was_clean: 0,
            reserved: 0,
            value: 0,
        }
    }
}

impl Handler for Asking {
    fn handle(&self, event: &Event<'_>) {
        let handler = self.door.callbacks.of(event::WSABI_EVENT_REQUEST);
        if let (Some(handler), Event::Request(target)) = (handler, event) {
            let event = self.describe(*target);
            // SAFETY: the application gave the function for calls like this one. The event and its
            // data live until it returns, and the door keeps user_data.
            foreign::call(|| unsafe { handler(&raw const event, event.user_data) });
        }
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // The application may have answered before.
        drop(handles::remove::<Arc<RequestEntry>>(self.handle));
    }
}

/// The request of a handle, which can be answered.
fn find_request(request: wsabi_request) -> Result<Arc<RequestEntry>> {
    let entry = handles::find::<Arc<RequestEntry>>(request)?;
    entry.request.check()?;
    Ok(entry)
}
