//! A value that is made at the first call that wants it.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::error::Result;
use crate::records;

/// Keeps what was made; a failure is not kept.
pub struct Once<T> {
    value: OnceLock<Arc<T>>,
    /// Held while the value is made, so that it is made once.
    making: Mutex<()>,
}

impl<T> Once<T> {
    /// The value, made by `make` unless it is there.
    pub fn get_or_make(&self, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        if let Some(value) = self.value.get() {
            return Ok(value.clone());
        }
        records::hold(|| {
            let _making = self.making.lock();
            if let Some(value) = self.value.get() {
                return Ok(value.clone());
            }
            let value = Arc::new(make()?);
            Ok(self.value.get_or_init(|| value).clone())
        })
    }

    /// Whether the value is there. Never waits.
    pub fn is_made(&self) -> bool {
        self.value.get().is_some()
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self {
            value: OnceLock::new(),
            making: Mutex::new(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;
    use crate::error::Error;

    #[test]
    fn threads_that_come_together_get_one_value() {
        let once = Once::default();
        let made = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let value = once.get_or_make(|| Ok(made.fetch_add(1, Ordering::Relaxed)));
                    assert_eq!(*value.unwrap(), 0);
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn a_failure_is_not_kept() {
        let once = Once::default();
        let failed = once.get_or_make(|| Err(Error::Tls("no".into())));
        assert!(failed.is_err() && !once.is_made());
        assert_eq!(*once.get_or_make(|| Ok(7)).unwrap(), 7);
        assert!(once.is_made());
    }
}
