//! How code of the application is called: what leaves it without returning, or returns in a forked
//! child, ends the process.

use std::io::Write;
use std::process::abort;
use std::thread::panicking;

use crate::ffi::process;

/// Calls a function of the application, which must return. A panic of this library's own Rust, such
/// as that of a handler in Rust, passes.
///
/// Anything else that unwinds (a C++ exception, `pthread_exit`, a cancelled thread) may belong to
/// another runtime, which cannot be asked to stop here, and without it what the library was doing is
/// lost. The process ends before that.
///
/// It also ends where the function has forked and returns in the child: what is under way here would
/// read from the connections of the parent, and write to them.
pub(super) fn call<T>(function: impl FnOnce() -> T) -> T {
    let forks = process::forks();
    let escape = Escape;
    let result = function();
    std::mem::forget(escape);
    if process::forks() != forks {
        end(RETURNED_IN_CHILD);
    }
    result
}

/// Dropped only while something unwinds.
struct Escape;

impl Drop for Escape {
    fn drop(&mut self) {
        if !panicking() {
            end(LEFT);
        }
    }
}

fn end(sentence: &[u8]) -> ! {
    // There is nobody left to tell if that fails.
    let _ = std::io::stderr().write_all(sentence);
    abort();
}

const LEFT: &[u8] = b"wsabi: a function of the application was left by an exception, \
    or by the end of its thread, instead of returning: abort\n";

const RETURNED_IN_CHILD: &[u8] = b"wsabi: a function of the application has returned in the child \
    of a fork: abort\n";
