//! The frame of every entry point: no panic leaves it, and the thread remembers its failure.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_char;
use std::io::Write;
use std::panic::{self, AssertUnwindSafe};

use crate::defects;
use crate::error::{Error, Result};
use crate::ffi::status::{self, WSABI_OK};

/// Runs the body of an entry point that returns only a status.
pub(super) fn guard(body: impl FnOnce() -> Result<()>) -> i32 {
    guard_value(|| body().map(|()| WSABI_OK))
}

/// Runs the body of an entry point that returns a number, which is not negative.
pub(super) fn guard_value<T: From<i32>>(body: impl FnOnce() -> Result<T>) -> T {
    // What a panic leaves half-done is behind locks and atomics that stay consistent.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        defects::place("call");
        body()
    }))
    .unwrap_or_else(|payload| {
        let error = Error::Internal(format!("panic: {}", panic_message(&*payload)).into());
        log::error!("{error}");
        Err(error)
    });
    outcome.unwrap_or_else(|error| {
        remember(&error);
        T::from(status::of(&error))
    })
}

/// The sentence of this thread's latest failure, NUL-terminated.
pub(super) fn last_failure() -> *const c_char {
    let nothing = c"".as_ptr();
    LAST_FAILURE
        .try_with(|last| {
            last.try_borrow()
                .ok()
                .filter(|last| !last.is_empty())
                .map(|it| it.as_ptr())
        })
        .ok()
        .flatten()
        .map_or(nothing, <*const u8>::cast)
}

fn remember(error: &Error) {
    // While a thread ends, its failures are forgotten.
    let _ = LAST_FAILURE.try_with(|last| {
        let Ok(mut last) = last.try_borrow_mut() else {
            return;
        };
        last.clear();
        // Writing to memory cannot fail.
        let _ = write!(last, "{error}");
        for byte in last.iter_mut().filter(|byte| **byte == 0) {
            *byte = b' ';
        }
        last.push(0);
    });
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

thread_local! {
    /// Empty, or a sentence and one NUL at its end.
    static LAST_FAILURE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::ffi::status::{WSABI_ERR_ARGUMENT, WSABI_ERR_INTERNAL, WSABI_ERR_STATE};

    fn last_text() -> String {
        // SAFETY: the pointer is that of a NUL-terminated text of this thread.
        unsafe { CStr::from_ptr(last_failure()) }
            .to_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_thread_without_failures_has_an_empty_sentence() {
        std::thread::spawn(|| assert_eq!(last_text(), ""))
            .join()
            .unwrap();
    }

    #[test]
    fn a_failure_becomes_a_status_and_its_sentence_stays_until_the_next_failure() {
        assert_eq!(
            guard(|| Err(Error::Argument("a\0b".into()))),
            WSABI_ERR_ARGUMENT
        );
        assert_eq!(last_text(), "a b");
        assert_eq!(guard(|| Ok(())), WSABI_OK);
        assert_eq!(guard_value(|| Ok(7_i64)), 7);
        assert_eq!(last_text(), "a b");
        assert_eq!(
            guard_value::<i64>(|| Err(Error::State("c".into()))),
            WSABI_ERR_STATE.into()
        );
        assert_eq!(last_text(), "c");
        std::thread::spawn(|| assert_eq!(last_text(), ""))
            .join()
            .unwrap();
    }

    #[test]
    fn a_panic_becomes_an_internal_error() {
        assert_eq!(guard(|| panic!("lost {}", 1)), WSABI_ERR_INTERNAL);
        assert_eq!(last_text(), "panic: lost 1");
        assert_eq!(
            guard(|| panic::resume_unwind(Box::new(5))),
            WSABI_ERR_INTERNAL
        );
        assert_eq!(last_text(), "panic: no message");
    }

    #[test]
    fn failures_while_a_thread_ends_are_harmless() {
        struct FailsLate;
        impl Drop for FailsLate {
            fn drop(&mut self) {
                assert_eq!(guard(|| Err(Error::State("late".into()))), WSABI_ERR_STATE);
                // SAFETY: as in `last_text`.
                let _ = unsafe { CStr::from_ptr(last_failure()) };
            }
        }
        thread_local! {
            static EARLY: FailsLate = const { FailsLate };
            static LATE: FailsLate = const { FailsLate };
        }
        std::thread::spawn(|| {
            EARLY.with(|_| ());
            assert_eq!(guard(|| Err(Error::State("first".into()))), WSABI_ERR_STATE);
            LATE.with(|_| ());
        })
        .join()
        .unwrap();
    }
}
