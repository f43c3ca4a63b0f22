//! How many connections a runtime has, so that a shutdown can wait for their end.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// The count.
#[derive(Default)]
pub struct LiveCount {
    count: Mutex<usize>,
    none: Condvar,
}

/// Counts one connection while it exists.
pub struct Live {
    of: Arc<LiveCount>,
}

impl LiveCount {
    /// Counts a connection.
    pub fn enter(this: &Arc<Self>) -> Live {
        *this.count.lock() += 1;
        Live {
            of: Arc::clone(this),
        }
    }

    /// How many connections there are.
    pub fn count(&self) -> usize {
        *self.count.lock()
    }

    /// Waits until there are no connections. Returns how many are left when the time is up.
    pub fn wait_for_none(&self, deadline: Option<Instant>) -> usize {
        let mut count = self.count.lock();
        while *count > 0 {
            match deadline {
                None => self.none.wait(&mut count),
                Some(deadline) => {
                    if self.none.wait_until(&mut count, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        *count
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut count = self.of.count.lock();
        *count -= 1;
        if *count == 0 {
            self.of.none.notify_all();
        }
    }
}
