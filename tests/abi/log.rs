//! What the library logs, recorded for the test. There is one log in a process.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::slice;
use std::sync::Mutex;

use super::{expect_ok, functions};

static LOG: Mutex<String> = Mutex::new(String::new());

/// Records everything from now on.
pub fn start_log() {
    // SAFETY: `record` is what the header asks for, and needs no user_data.
    expect_ok(unsafe { (functions().set_log_handler)(5, Some(record), ptr::null_mut()) });
}

/// What was recorded, a record a line.
pub fn take_log() -> String {
    std::mem::take(&mut *LOG.lock().unwrap())
}

unsafe extern "C" fn record(
    _level: i32,
    target: *const c_char,
    message: *const c_char,
    len: usize,
    _user_data: *mut c_void,
) {
    // SAFETY: the library gives a NUL-terminated target and `len` bytes of text.
    let (target, message) = unsafe {
        let message = slice::from_raw_parts(message.cast::<u8>(), len);
        (CStr::from_ptr(target), str::from_utf8(message).unwrap())
    };
    let target = target.to_str().unwrap();
    LOG.lock()
        .unwrap()
        .push_str(&format!("{target}: {message}\n"));
}
