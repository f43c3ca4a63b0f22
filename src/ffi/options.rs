//! Options: a template of handlers and settings for any number of sockets
//! and servers.
//!
//! A socket or server copies what it needs: later changes concern only those
//! that are made later. A socket is a client's or one that a server opened.

use std::ffi::c_void;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::Result;
use crate::ffi::callbacks::Callbacks;
use crate::ffi::event::{self, wsabi_handler};
use crate::ffi::guard::guard;
use crate::ffi::output::Out;
use crate::ffi::{handles, process};
use crate::options::Options;

/// The handle of options, made by wsabi_options_new or wsabi_options_clone
/// and ended by wsabi_options_free.
pub type wsabi_options = u64;

/// The options that sockets and servers get when none are given: the
/// defaults, without handlers. They can be cloned, but neither changed nor
/// freed.
pub const WSABI_DEFAULT_OPTIONS: u64 = 0;

/// Makes options with the default settings and without handlers.
///
/// # Safety
///
/// `options_out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_new(options_out: *mut wsabi_options) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let options_out = unsafe { Out::new("options_out", options_out) }?;
        let template = Mutex::new(snapshot(WSABI_DEFAULT_OPTIONS)?);
        options_out.write(handles::insert(Arc::new(template))?);
        Ok(())
    })
}

/// Makes options that equal others, handlers included.
///
/// # Safety
///
/// `options_out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_clone(
    options: wsabi_options,
    options_out: *mut wsabi_options,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let options_out = unsafe { Out::new("options_out", options_out) }?;
        let template = Mutex::new(snapshot(options)?);
        options_out.write(handles::insert(Arc::new(template))?);
        Ok(())
    })
}

/// Ends options. Sockets and servers made with them keep what they took.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_free(options: wsabi_options) -> i32 {
    guard(|| handles::remove::<Arc<Template>>(options).map(drop))
}

/// Sets the handler of OPEN: the connection is established.
///
/// This and the next functions set handlers: NULL removes one, which is the
/// default. Handlers run on the threads of the runtime or, with
/// WSABI_DELIVER_ON_POLL, inside wsabi_runtime_poll.
///
/// # Safety
///
/// `handler` can be called as its type says, on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_on_open(
    options: wsabi_options,
    handler: wsabi_handler,
) -> i32 {
    guard(|| set_handler(options, event::WSABI_EVENT_OPEN, handler))
}

/// Sets the handler of MESSAGE: a message has come.
///
/// # Safety
///
/// As for `wsabi_options_on_open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_on_message(
    options: wsabi_options,
    handler: wsabi_handler,
) -> i32 {
    guard(|| set_handler(options, event::WSABI_EVENT_MESSAGE, handler))
}

/// Sets the handler of ERROR: the connection failed, and CLOSE follows.
///
/// # Safety
///
/// As for `wsabi_options_on_open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_on_error(
    options: wsabi_options,
    handler: wsabi_handler,
) -> i32 {
    guard(|| set_handler(options, event::WSABI_EVENT_ERROR, handler))
}

/// Sets the handler of CLOSE: the end, which comes exactly once.
///
/// # Safety
///
/// As for `wsabi_options_on_open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_on_close(
    options: wsabi_options,
    handler: wsabi_handler,
) -> i32 {
    guard(|| set_handler(options, event::WSABI_EVENT_CLOSE, handler))
}

/// Sets the handler of one kind of event, WSABI_EVENT_*, or with kind 0 that
/// of every kind but REQUEST. The functions above are short forms of it.
///
/// With a handler of REQUEST, a server accepts only what is accepted by
/// wsabi_request_accept; so it is only set by its own kind.
///
/// # Safety
///
/// As for `wsabi_options_on_open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_on_event(
    options: wsabi_options,
    kind: i32,
    handler: wsabi_handler,
) -> i32 {
    guard(|| set_handler(options, kind, handler))
}

/// Sets the function that gives user_data back. NULL: none, which is the
/// default.
///
/// It is called exactly once for each user_data that was handed over by
/// wsabi_socket_connect, wsabi_server_listen, wsabi_request_accept or
/// wsabi_socket_set_user_data, NULL too, on any thread, when no handler will
/// see it again. A call that fails hands nothing over.
///
/// - A client's socket: soon after wsabi_socket_release or
///   wsabi_runtime_free, when its handler has returned if one is running.
///   CLOSE alone gives nothing back: a closed socket can still be asked.
/// - A server's socket with a user_data of its own, by wsabi_request_accept
///   or wsabi_socket_set_user_data: soon after the handler of CLOSE has
///   returned, or after the socket was released before.
/// - A server: when it accepts no more and the last of its sockets has
///   ended, since they share its user_data.
/// - What wsabi_socket_set_user_data replaced: see there.
///
/// # Safety
///
/// `release` can be called on any thread, once with each `user_data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_on_release(
    options: wsabi_options,
    release: Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>,
) -> i32 {
    guard(|| {
        edit(options, |contents| {
            Arc::make_mut(&mut contents.callbacks).release = release;
            Ok(())
        })
    })
}

/// What options hold, behind the lock that makes changes one at a time.
pub(super) type Template = Mutex<Contents>;

/// Settings and handlers.
#[derive(Clone, Default)]
pub(super) struct Contents {
    pub(super) settings: Options,
    pub(super) callbacks: Arc<Callbacks>,
}

/// What the options of a handle hold at this moment; 0 stands for the
/// defaults.
pub(super) fn snapshot(options: wsabi_options) -> Result<Contents> {
    if options == WSABI_DEFAULT_OPTIONS {
        return Ok(process::current()?.defaults.clone());
    }
    let template = handles::find::<Arc<Template>>(options)?;
    let contents = template.lock().clone();
    Ok(contents)
}

/// Changes the options of a handle.
pub(super) fn edit(
    options: wsabi_options,
    change: impl FnOnce(&mut Contents) -> Result<()>,
) -> Result<()> {
    let template = handles::find::<Arc<Template>>(options)?;
    change(&mut template.lock())
}

fn set_handler(options: wsabi_options, kind: i32, handler: wsabi_handler) -> Result<()> {
    edit(options, |contents| {
        Arc::make_mut(&mut contents.callbacks).set(kind, handler)
    })
}
