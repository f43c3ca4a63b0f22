//! Runtime: the threads that run connections.
//!
//! Most programs need only WSABI_DEFAULT_RUNTIME. One of one's own can be
//! shut down, and can have more threads.

use std::sync::Arc;

use crate::error::Result;
use crate::ffi::guard::guard;
use crate::ffi::output::Out;
use crate::ffi::request::RequestEntry;
use crate::ffi::server::ServerEntry;
use crate::ffi::socket::SocketEntry;
use crate::ffi::{handles, input, process};
use crate::runtime::{Delivery, Runtime};

/// The handle of a runtime, made by wsabi_runtime_new and ended by
/// wsabi_runtime_free.
pub type wsabi_runtime = u64;

/// The runtime of the process, which is there without being made. It starts
/// its threads at its first use, one for each processor but at most 4, and
/// cannot be freed.
pub const WSABI_DEFAULT_RUNTIME: u64 = 0;

/// Handlers run on the threads of the runtime, as things happen.
pub const WSABI_DELIVER_ON_THREADS: i32 = 0;

/// Handlers run, or events are handed out, inside wsabi_runtime_poll or one
/// of wsabi_runtime_next_* only: on the thread of a game loop, of an
/// interpreter, of a user interface.
///
/// Until then events wait. When more than 16 MiB of them do, sockets that
/// have some are not read, so that TCP holds their peers back; nothing is
/// lost. Pings are answered as long as a socket is read, and while so much
/// waits, only the first of them are told.
pub const WSABI_DELIVER_ON_POLL: i32 = 1;

/// Starts a runtime.
///
/// - threads: 1 to 64. A socket stays on one of them; a program with few
///   sockets needs one. 0, only with WSABI_DELIVER_ON_POLL: none at all, and
///   the reading and writing is done by whoever polls.
/// - delivery: WSABI_DELIVER_ON_THREADS or WSABI_DELIVER_ON_POLL.
///
/// # Safety
///
/// `runtime_out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_runtime_new(
    threads: u32,
    delivery: i32,
    runtime_out: *mut wsabi_runtime,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let runtime_out = unsafe { Out::new("runtime_out", runtime_out) }?;
        let delivery = match delivery {
            WSABI_DELIVER_ON_THREADS => Delivery::Threads,
            WSABI_DELIVER_ON_POLL => Delivery::Poll,
            _ => return Err(input::argument(format!("there is no delivery {delivery}"))),
        };
        let runtime = Runtime::new(threads, delivery)?;
        let handle = handles::insert(runtime.clone()).inspect_err(|_| runtime.free())?;
        runtime_out.write(handle);
        Ok(())
    })
}

/// Closes every socket of a runtime with code 1001, and its servers, and
/// waits until all are closed. The runtime can be used again afterwards.
/// With WSABI_DELIVER_ON_POLL the events about it wait to be polled.
///
/// - timeout_ms: how many milliseconds it waits at most; -1: for ever, 0:
///   not at all. Inside a handler of the runtime it never waits, nor where
///   a handler of it waits in this function, or in wsabi_runtime_free, for
///   the one that calls.
///
/// WSABI_ERR_TIMEOUT: some are not closed yet, but are closing.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_runtime_shutdown(runtime: wsabi_runtime, timeout_ms: i32) -> i32 {
    guard(|| {
        let runtime = find_runtime(runtime)?;
        runtime.shutdown(input::timeout(timeout_ms)?)
    })
}

/// Ends a runtime: drops its connections, whose handlers get ERROR with
/// WSABI_ERR_ABORTED and CLOSE, and waits until its threads have ended. No
/// handler runs afterwards, and the handles of its sockets, servers and
/// requests end.
/// With WSABI_DELIVER_ON_POLL, they end without these events, and those that
/// wait are dropped; it waits for a poll of another thread to return.
///
/// Inside a handler of the runtime it does not wait for the thread of that
/// one, and the sockets of that thread end without events. It does not wait,
/// either, for a thread that itself waits for the calling one: of two
/// handlers that free each other's runtimes, one returns at once. To end
/// connections politely, call wsabi_runtime_shutdown before.
///
/// WSABI_ERR_ARGUMENT: WSABI_DEFAULT_RUNTIME cannot be freed.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_runtime_free(runtime: wsabi_runtime) -> i32 {
    guard(|| {
        if runtime == WSABI_DEFAULT_RUNTIME {
            return Err(input::argument(
                "the default runtime cannot be freed".into(),
            ));
        }
        handles::remove::<Runtime>(runtime)?.free();
        handles::sweep::<Arc<SocketEntry>>(
            |entry| entry.runtime == runtime,
            |entry| entry.socket.release(),
        );
        handles::sweep::<Arc<ServerEntry>>(|entry| entry.runtime == runtime, drop);
        handles::sweep::<Arc<RequestEntry>>(|entry| entry.is_of(runtime), drop);
        Ok(())
    })
}

/// The runtime of a handle, or the default one.
pub(super) fn find_runtime(handle: wsabi_runtime) -> Result<Runtime> {
    if handle == WSABI_DEFAULT_RUNTIME {
        // From here on forks are watched, which the default runtime relies on.
        process::current()?;
        return Runtime::process();
    }
    handles::find(handle)
}
