//! Library: version, log, threads.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, OnceLock};

use log::{LevelFilter, Log, Metadata, Record};

use crate::error::{Error, Result};
use crate::ffi::guard::guard;
use crate::ffi::{foreign, input, process};
use crate::{records, runtime};

/// The version of the binary interface that this header describes. It
/// changes only when programs must be compiled anew.
pub const WSABI_ABI_VERSION: u32 = 1;

/// As the length of a text: it goes up to its NUL.
pub const WSABI_NUL_TERMINATED: usize = SIZE_MAX;

/// Returns WSABI_ABI_VERSION of the library that is loaded. A program that
/// loads it at run time should refuse one with another number.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_abi_version() -> u32 {
    WSABI_ABI_VERSION
}

/// Returns the version of the library, such as "0.1.0". The text lives for
/// ever.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// A function that is called with log records, on any thread, also on
/// several at the same time. What the library logs on the same thread
/// meanwhile is dropped.
///
/// - level: 1 error, 2 warning, 3 information, 4 debugging, 5 trace.
/// - target: the part of the library, NUL-terminated.
/// - message, len: the text, and its length without the NUL behind it.
///
/// The texts live until the function returns.
pub type wsabi_log_handler = Option<
    unsafe extern "C-unwind" fn(
        level: i32,
        target: *const c_char,
        message: *const c_char,
        len: usize,
        user_data: *mut c_void,
    ),
>;

/// Sets the function that is called with log records, for the whole process.
/// NULL: none, which is the default.
///
/// - max_level: 0 nothing, 1 errors, 2 also warnings, 3 also information, 4
///   also debugging, 5 everything.
/// - user_data: not released by the library. A call of the earlier function
///   that is under way on another thread may end after this has returned.
///
/// WSABI_ERR_STATE: the program is written in Rust and has another logger.
///
/// # Safety
///
/// `handler` can be called as its type says, with `user_data`, on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_set_log_handler(
    max_level: i32,
    handler: wsabi_log_handler,
    user_data: *mut c_void,
) -> i32 {
    guard(|| {
        let filter = level_filter(max_level)?;
        let process = process::current()?;
        install_logger()?;
        *process.log.write() = handler.map(|handler| LogHandler { handler, user_data });
        log::set_max_level(if handler.is_some() {
            filter
        } else {
            LevelFilter::Off
        });
        Ok(())
    })
}

/// Sets functions that run first and last on every thread that a runtime
/// starts from now on, which are those that handlers run on: to attach it to
/// a virtual machine, to keep an interpreter's state for it, or to name it
/// for a profiler.
///
/// start returns before any handler runs on the thread, and no handler runs
/// on it after stop was called. Either may be NULL, the default. user_data
/// is not released by the library. Threads of a runtime that is not freed
/// when the process ends never call stop. After fork() the child has the
/// same functions.
///
/// They do not run on the threads on which a runtime looks names up and
/// reads certificates, and which may outlive it: of the application, only
/// the function of wsabi_set_log_handler can be called there.
///
/// # Safety
///
/// The functions can be called with `user_data` on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_set_thread_hooks(
    start: Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>,
    stop: Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>,
    user_data: *mut c_void,
) -> i32 {
    guard(|| {
        // From here on forks are watched, which the hooks rely on.
        process::current()?;
        runtime::set_thread_hooks(
            start.map(|function| hook(function, user_data)),
            stop.map(|function| hook(function, user_data)),
        );
        Ok(())
    })
}

/// Where log records go.
#[derive(Clone, Copy)]
pub(super) struct LogHandler {
    handler: unsafe extern "C-unwind" fn(i32, *const c_char, *const c_char, usize, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: the library only hands the pointer back, on any thread, as the documentation says.
unsafe impl Send for LogHandler {}
// SAFETY: as above.
unsafe impl Sync for LogHandler {}

/// A `user_data` of the application.
#[derive(Clone, Copy)]
struct Pointer(*mut c_void);

impl Pointer {
    fn get(self) -> *mut c_void {
        self.0
    }
}

// SAFETY: the library only hands the pointer back, on any thread, as the documentation says.
unsafe impl Send for Pointer {}
// SAFETY: as above.
unsafe impl Sync for Pointer {}

/// A function of the application with its `user_data`.
pub(super) fn hook(
    function: unsafe extern "C-unwind" fn(*mut c_void),
    user_data: *mut c_void,
) -> Arc<dyn Fn() + Send + Sync> {
    let user_data = Pointer(user_data);
    Arc::new(move || {
        // SAFETY: by contract of those who were given the function.
        foreign::call(|| unsafe { function(user_data.get()) });
    })
}

fn level_filter(max_level: i32) -> Result<LevelFilter> {
    Ok(match max_level {
        0 => LevelFilter::Off,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        5 => LevelFilter::Trace,
        _ => {
            return Err(input::argument(format!(
                "max_level is {max_level}, not 0 to 5"
            )));
        }
    })
}

fn install_logger() -> Result<()> {
    static IS_INSTALLED: OnceLock<bool> = OnceLock::new();

    if !IS_INSTALLED.get_or_init(|| log::set_logger(&Logger).is_ok()) {
        return Err(Error::State("the process has another logger".into()));
    }
    Ok(())
}

/// Hands records to the handler of the process.
struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if records::keep(record) {
            return;
        }
        let Some(process) = process::latest().filter(|process| !process.is_inherited()) else {
            return;
        };
        let Some(LogHandler { handler, user_data }) = *process.log.read() else {
            return;
        };
        let target = CString::new(record.target()).unwrap_or_default();
        let message = format!("{}\0", record.args());
        let len = message.len() - 1;
        // SAFETY: by contract of `wsabi_set_log_handler`; the texts live until it returns.
        let call = || unsafe {
            handler(
                record.level() as i32,
                target.as_ptr(),
                message.as_ptr().cast(),
                len,
                user_data,
            );
        };
        // While a thread ends, its records are dropped.
        let _ = IS_LOGGING.try_with(|is_logging| {
            if !is_logging.replace(true) {
                foreign::call(call);
                is_logging.set(false);
            }
        });
    }

    fn flush(&self) {}
}

/// As C calls it.
const SIZE_MAX: usize = usize::MAX;

thread_local! {
    /// Whether the log handler runs on this thread.
    static IS_LOGGING: Cell<bool> = const { Cell::new(false) };
}
