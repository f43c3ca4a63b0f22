//! Polling: a runtime with WSABI_DELIVER_ON_POLL, whose events come when the
//! application asks for them.
//!
//! One thread at a time can ask. Another one, and a handler that is being
//! run by a poll, gets WSABI_ERR_STATE at once; so does a runtime with
//! WSABI_DELIVER_ON_THREADS.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;
use std::{ptr, slice};

use crate::delivery::Waiting;
use crate::error::Result;
use crate::ffi::event::wsabi_event;
use crate::ffi::guard::{guard, guard_value};
use crate::ffi::library::hook;
use crate::ffi::output::{Out, check_room};
use crate::ffi::pickle::{self, Pickle};
use crate::ffi::request::Asking;
use crate::ffi::runtime::{find_runtime, wsabi_runtime};
use crate::ffi::socket::SocketEntry;
use crate::ffi::target::Target;
use crate::ffi::user_data::UserData;
use crate::ffi::{handles, input};
use crate::runtime::Runtime;

/// Runs the handlers of the events that wait, and returns for how many.
///
/// - max_events: how many at most, for a frame of a game; 0: all that wait.
///   An event counts whether it has a handler or not.
/// - timeout_ms: how many milliseconds it waits for the first event; 0: not
///   at all, -1: for ever. wsabi_runtime_wake ends it.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_runtime_poll(
    runtime: wsabi_runtime,
    max_events: u32,
    timeout_ms: i32,
) -> i32 {
    guard_value(|| {
        let runtime = find_runtime(runtime)?;
        let most = match max_events {
            0 => i32::MAX as usize,
            most => most as usize,
        };
        let count = runtime.poll(most, input::timeout(timeout_ms)?)?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    })
}

/// Fills an array with events instead of running handlers, for hosts that
/// cannot be called back, and returns how many. They and their data live
/// until the next call of this or another function that takes events of the
/// runtime, or its end.
///
/// - events: capacity of them, each event_size bytes behind the last.
/// - event_size: sizeof(wsabi_event), as the application knows it.
/// - timeout_ms: as for wsabi_runtime_poll.
///
/// WSABI_ERR_ARGUMENT: event_size is smaller than in the first version, or
/// no multiple of 8.
///
/// # Safety
///
/// `event_size * capacity` bytes can be written to at `events`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_runtime_next_events(
    runtime: wsabi_runtime,
    events: *mut wsabi_event,
    event_size: u32,
    capacity: u32,
    timeout_ms: i32,
) -> i32 {
    guard_value(|| {
        let (stride, capacity) = (event_size as usize, capacity as usize);
        if stride < size_of::<wsabi_event>() || stride % align_of::<wsabi_event>() != 0 {
            return Err(input::argument(format!(
                "event_size is {event_size}, less than {} or not a multiple of 8",
                size_of::<wsabi_event>()
            )));
        }
        if events.is_null() && capacity > 0 {
            return Err(input::null("events"));
        }
        let runtime = find_runtime(runtime)?;
        let timeout = input::timeout(timeout_ms)?;
        let most = capacity.min(i32::MAX as usize);
        let count = runtime.take_events(
            most,
            timeout,
            |_| true,
            |waiting| {
                let mut kept = Kept::default();
                for (index, event) in waiting.iter().enumerate() {
                    let Some(event) = kept.lend(event) else {
                        continue;
                    };
                    // SAFETY: by contract of this function; `index` is less than `capacity`.
                    unsafe { events.byte_add(index * stride).write_unaligned(event) };
                }
                kept
            },
        )?;
        Ok(count as i32)
    })
}

/// Writes events and their payloads into one buffer, for hosts where reading
/// through pointers is dear, and returns how many. Whole events only.
///
/// Each is a header of 48 bytes in native byte order, and its data, padded
/// with zeros to a multiple of 8. The header is kind, type, code and
/// was_clean, 4 bytes each, and handle, user_data, value and len, 8 bytes
/// each.
///
/// - buf, cap: where they go, and how many bytes there is room for.
/// - timeout_ms: as for wsabi_runtime_poll.
/// - bytes_out: how many bytes were written. If no event was, but bytes_out
///   is larger than cap, the first event needs that much room.
///
/// # Safety
///
/// `cap` bytes can be written to at `buf`, and `bytes_out` can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_runtime_next_packed(
    runtime: wsabi_runtime,
    buf: *mut u8,
    cap: usize,
    timeout_ms: i32,
    bytes_out: *mut usize,
) -> i32 {
    guard_value(|| {
        // SAFETY: by contract of this function.
        let page = unsafe { Page::new(runtime, buf, cap, timeout_ms, bytes_out) }?;
        page.fill(0, packed_size, |waiting, kept| {
            let mut written = 0;
            for event in waiting {
                let Some(described) = kept.lend(event) else {
                    continue;
                };
                // SAFETY: the sizes of all these events together are at most `cap`.
                unsafe { pack(&described, buf.add(written)) };
                written += packed_size(event);
            }
            written
        })
    })
}

/// Writes events as a pickle of Python, protocol 4, for bindings to that
/// language: pickle.loads makes objects of all of them in one go. Returns
/// how many there were.
///
/// It is a list of tuples: kind, handle, user_data, data, value, code and
/// was_clean, as in wsabi_event. All are int, but was_clean is bool, and
/// data is str for ERROR, RECONNECT, CLOSE and REQUEST, and otherwise bytes.
/// Messages of a socket that follow one another share a tuple: its data is a
/// list of str and bytes, and its value how many bytes they have together.
///
/// - buf, cap, timeout_ms, bytes_out: as for wsabi_runtime_next_packed. With
///   no event, nothing is written.
///
/// # Safety
///
/// `cap` bytes can be written to at `buf`, and `bytes_out` can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_runtime_next_pickled(
    runtime: wsabi_runtime,
    buf: *mut u8,
    cap: usize,
    timeout_ms: i32,
    bytes_out: *mut usize,
) -> i32 {
    guard_value(|| {
        // SAFETY: by contract of this function.
        let page = unsafe { Page::new(runtime, buf, cap, timeout_ms, bytes_out) }?;
        let size = |event: &Waiting| pickle::size(event.payload().as_bytes().len());
        page.fill(pickle::FRAME, size, |waiting, kept| {
            // SAFETY: by contract of this function; there are events only where there is room.
            let room = unsafe { slice::from_raw_parts_mut(buf.cast::<MaybeUninit<u8>>(), cap) };
            let mut pickle = Pickle::begin(room);
            for event in waiting {
                if let Some(described) = kept.lend(event) {
                    pickle.add(&described, event.payload().as_bytes());
                }
            }
            pickle.end()
        })
    })
}

/// Gives a descriptor that is readable exactly while wsabi_runtime_poll has
/// something to do: for epoll, select, asyncio, GLib, libuv. It belongs to
/// the runtime: watch it, and neither read nor close it. It lives as long as
/// the runtime.
///
/// WSABI_ERR_STATE: the system has none. With threads it has one on every
/// system but Windows, without threads on Linux.
///
/// # Safety
///
/// `fd_out` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_runtime_fd(runtime: wsabi_runtime, fd_out: *mut isize) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let fd_out = unsafe { Out::new("fd_out", fd_out) }?;
        fd_out.write(find_runtime(runtime)?.descriptor()? as isize);
        Ok(())
    })
}

/// Has a poll of the runtime that waits, or the next one, return without an
/// event.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_runtime_wake(runtime: wsabi_runtime) -> i32 {
    guard(|| find_runtime(runtime)?.wake())
}

/// Sets what is called when events begin to wait, for loops that watch no
/// descriptors; once, and not again before a poll. NULL removes it. The old
/// one does not run any more when this returns.
///
/// It is called on a thread of the library, or inside the call that leaves
/// events waiting, and may only signal: post a message to a window, set an
/// event. It must not call this library.
///
/// WSABI_ERR_STATE: the runtime has no threads to call from.
///
/// # Safety
///
/// `signal` can be called with `user_data` on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_runtime_on_ready(
    runtime: wsabi_runtime,
    signal: Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>,
    user_data: *mut c_void,
) -> i32 {
    guard(|| {
        let signal = signal.map(|function| {
            let call = hook(function, user_data);
            Box::new(move || call()) as crate::runtime::Signal
        });
        find_runtime(runtime)?.on_ready(signal)
    })
}

/// A caller's buffer, for the events of a runtime.
struct Page {
    runtime: Runtime,
    timeout: Option<Duration>,
    cap: usize,
    bytes_out: Out<usize>,
}

impl Page {
    /// # Safety
    ///
    /// If `bytes_out` is not NULL, it can be written to until the result is dropped.
    unsafe fn new(
        runtime: wsabi_runtime,
        buf: *mut u8,
        cap: usize,
        timeout_ms: i32,
        bytes_out: *mut usize,
    ) -> Result<Self> {
        // SAFETY: by contract of this function.
        let bytes_out = unsafe { Out::new("bytes_out", bytes_out) }?;
        check_room(buf, cap)?;
        Ok(Self {
            runtime: find_runtime(runtime)?,
            timeout: input::timeout(timeout_ms)?,
            cap,
            bytes_out,
        })
    }

    /// Takes the events that have room, besides the `least` bytes that all of them share; `write`
    /// writes those, and says how many bytes it wrote. Returns how many events there were.
    fn fill(
        self,
        least: usize,
        size: impl Fn(&Waiting) -> usize,
        write: impl FnOnce(&[Waiting], &mut Kept) -> usize,
    ) -> Result<i32> {
        let mut fitting = Fitting::new(self.cap, least);
        let fits = |event: &Waiting| fitting.take(size(event));
        let most = i32::MAX as usize;
        let mut written = 0;
        let count = self
            .runtime
            .take_events(most, self.timeout, fits, |waiting| {
                let mut kept = Kept::default();
                if !waiting.is_empty() {
                    written = write(waiting, &mut kept);
                }
                kept
            })?;
        self.bytes_out
            .write(if count == 0 { fitting.missing } else { written });
        Ok(count as i32)
    }
}

/// How much fits into a buffer.
struct Fitting {
    cap: usize,
    taken: usize,
    /// What is taken without any event.
    least: usize,
    /// How large the buffer has to be, if nothing has fitted.
    missing: usize,
}

impl Fitting {
    fn new(cap: usize, least: usize) -> Self {
        Self {
            cap,
            taken: least,
            least,
            missing: 0,
        }
    }

    /// Whether an event of this size fits, too.
    fn take(&mut self, size: usize) -> bool {
        let taken = self.taken + size;
        let fits = taken <= self.cap;
        if fits {
            self.taken = taken;
        } else if self.taken == self.least {
            self.missing = taken;
        }
        fits
    }
}

/// What lives as long as events that were handed out.
#[derive(Default)]
struct Kept {
    /// The events' user_data.
    owners: Vec<Arc<UserData>>,
    /// The handles of sockets whose last event was among them.
    ended: Vec<u64>,
}

impl Kept {
    /// The event as C sees it.
    fn lend(&mut self, event: &Waiting) -> Option<wsabi_event> {
        let told = event.target()?;
        let (described, owner) = if let Some(target) = told.downcast_ref::<Target>() {
            self.ended.extend(target.ended_by(event));
            target.lend(event)
        } else {
            told.downcast_ref::<Asking>()?.lend(event)
        };
        if !self.owners.last().is_some_and(|it| Arc::ptr_eq(it, &owner)) {
            self.owners.push(owner);
        }
        Some(described)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for handle in self.ended.drain(..) {
            // The application may have released it before.
            drop(handles::remove::<Arc<SocketEntry>>(handle));
        }
    }
}

const HEADER: usize = 48;

fn packed_size(event: &Waiting) -> usize {
    HEADER + event.payload().as_bytes().len().next_multiple_of(8)
}

/// # Safety
///
/// As many bytes as the event takes can be written to at `place`.
unsafe fn pack(event: &wsabi_event, place: *mut u8) {
    let mut header = [0; HEADER];
    let numbers = [event.kind, event.r#type, event.code, event.was_clean];
    let (small, large) = header.split_at_mut(16);
    for (room, number) in small.chunks_exact_mut(4).zip(numbers) {
        room.copy_from_slice(&number.to_ne_bytes());
    }
    let user_data = event.user_data.expose_provenance() as u64;
    let numbers = [event.handle, user_data, event.value, event.len as u64];
    for (room, number) in large.chunks_exact_mut(8).zip(numbers) {
        room.copy_from_slice(&number.to_ne_bytes());
    }
    let padding = event.len.next_multiple_of(8) - event.len;
    // SAFETY: by contract of this function; the data has that length, and lies elsewhere.
    unsafe {
        ptr::copy_nonoverlapping(header.as_ptr(), place, HEADER);
        ptr::copy_nonoverlapping(event.data, place.add(HEADER), event.len);
        ptr::write_bytes(place.add(HEADER + event.len), 0, padding);
    }
}
