//! How code of the application is called: what leaves it without returning ends the process.

use std::io::Write;
use std::process::abort;
use std::thread::panicking;

/// Calls a function of the application, which must return. A panic of this library's own Rust, such
/// as that of a handler in Rust, passes.
///
/// Anything else that unwinds (a C++ exception, `pthread_exit`, a cancelled thread) may belong to
/// another runtime, which cannot be asked to stop here, and without it what the library was doing is
/// lost. The process ends before that.
pub(super) fn call<T>(function: impl FnOnce() -> T) -> T {
    let escape = Escape;
    let result = function();
    std::mem::forget(escape);
    result
}

/// Dropped only while something unwinds.
struct Escape;

impl Drop for Escape {
    fn drop(&mut self) {
        if !panicking() {
            // There is nobody left to tell if that fails.
            let _ = std::io::stderr().write_all(SENTENCE);
            abort();
        }
    }
}

const SENTENCE: &[u8] = b"wsabi: a function of the application was left by an exception, \
    or by the end of its thread, instead of returning: abort\n";
