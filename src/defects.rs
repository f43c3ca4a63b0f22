//! What a defect of the library may do: a panic ends what it is about, and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};

/// Runs `act`. A panic becomes an error.
pub fn contain<T>(act: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|_| {
        let error = Error::Internal("a defect of the library ended the connection".into());
        log::error!("{error}");
        error
    })
}

/// A place at which the tests have the library panic; nothing outside of them.
#[inline(always)]
pub fn place(_name: &str) {
    #[cfg(test)]
    on_purpose::pass(_name);
}

/// One panic on purpose. For a process that runs one test only.
#[cfg(test)]
pub mod on_purpose {
    use parking_lot::Mutex;

    static NEXT: Mutex<Option<&str>> = Mutex::new(None);

    /// Whoever passes the place next panics there.
    pub fn arm(place: &'static str) {
        *NEXT.lock() = Some(place);
    }

    /// Whether nobody has passed it yet.
    pub fn is_armed() -> bool {
        NEXT.lock().is_some()
    }

    pub(super) fn pass(place: &str) {
        let is_next = NEXT.lock().take_if(|it| *it == place).is_some();
        assert!(!is_next, "a panic on purpose: {place}");
    }
}
