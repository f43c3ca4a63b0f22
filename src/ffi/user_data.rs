//! The application's pointers that handlers are called with, and when each is released.

use std::ffi::c_void;
use std::mem;
use std::sync::Arc;

use crate::ffi::foreign;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};

/// The function that releases a `user_data`.
pub(super) type Release = unsafe extern "C-unwind" fn(user_data: *mut c_void);

/// One pointer that was handed over. The application gets it back when this is dropped.
pub(super) struct UserData {
    pointer: *mut c_void,
    release: Option<Release>,
    is_returned: AtomicBool,
}

// SAFETY: the library only hands the pointer back. That it may be used on any thread is in the
// contract of the functions that take it.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    pub(super) fn new(pointer: *mut c_void, release: Option<Release>) -> Arc<Self> {
        Arc::new(Self {
            pointer,
            release,
            is_returned: AtomicBool::new(false),
        })
    }

    /// What handlers are called with. It is not released as long as this lives.
    pub(super) fn pointer(&self) -> *mut c_void {
        self.pointer
    }

    /// The call that handed it over fails, so the application has it still.
    pub(super) fn give_back(&self) {
        self.is_returned.store(true, Ordering::Release);
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(release) = self.release
            && !self.is_returned.load(Ordering::Acquire)
        {
            // SAFETY: the function and the pointer were given for this call, which is the only one.
            foreign::call(|| unsafe { release(self.pointer) });
        }
    }
}

/// The `user_data` of one socket. It can be replaced at any time; a handler that runs meanwhile
/// keeps the one that it was called with.
pub(super) struct UserDataCell {
    /// The pointer of `owners.current`, to be read without the lock.
    pointer: AtomicPtr<c_void>,
    state: AtomicU8,
    owners: Mutex<Owners>,
}

struct Owners {
    current: Arc<UserData>,
    /// Replaced while the handler ran that can still see them. INVARIANT: empty while `IDLE`,
    /// once the lock is released.
    replaced: Vec<Arc<UserData>>,
}

impl UserDataCell {
    pub(super) fn new(user_data: Arc<UserData>) -> Self {
        Self {
            pointer: AtomicPtr::new(user_data.pointer),
            state: AtomicU8::new(IDLE),
            owners: Mutex::new(Owners {
                current: user_data,
                replaced: Vec::new(),
            }),
        }
    }

    /// Several handlers are about to be called on this thread, one after the other.
    pub(super) fn begin(&self) {
        // With the orderings below, either `lend` sees the pointer that `replace` stored before
        // it looked at the state, or `replace` sees that a handler may run.
        self.state.swap(RUNNING, Ordering::SeqCst);
    }

    /// They have returned.
    pub(super) fn end(&self) {
        if self.state.swap(IDLE, Ordering::SeqCst) == RUNNING_REPLACED {
            self.return_replaced();
        }
    }

    /// Calls a handler with the pointer, which is not released before the handler has returned.
    /// Two such calls must not overlap.
    pub(super) fn lend(&self, handler: impl FnOnce(*mut c_void)) {
        // Only the calling thread makes it idle, or ends that.
        let is_alone = self.state.load(Ordering::Relaxed) == IDLE;
        if is_alone {
            self.begin();
        }
        let _loan = Loan { of: self, is_alone };
        handler(self.pointer.load(Ordering::SeqCst));
    }

    /// The pointer, which is not released as long as the result lives.
    pub(super) fn hold(&self) -> (*mut c_void, Arc<UserData>) {
        let owner = Arc::clone(&self.owners.lock().current);
        (owner.pointer, owner)
    }

    /// Replaces the pointer.
    pub(super) fn replace(&self, user_data: Arc<UserData>) {
        let mut owners = self.owners.lock();
        self.pointer.store(user_data.pointer, Ordering::SeqCst);
        let old = mem::replace(&mut owners.current, user_data);
        let state = self.state.compare_exchange(
            RUNNING,
            RUNNING_REPLACED,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        let is_idle = state == Err(IDLE);
        if !is_idle {
            owners.replaced.push(old);
            return;
        }
        drop(owners);
        drop(old);
    }

    fn return_replaced(&self) {
        let replaced = mem::take(&mut self.owners.lock().replaced);
        drop(replaced);
    }
}

/// The time in which a handler runs.
struct Loan<'a> {
    of: &'a UserDataCell,
    /// Whether no others are about to follow.
    is_alone: bool,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if self.is_alone {
            self.of.end();
        } else if self.of.state.load(Ordering::Acquire) == RUNNING_REPLACED {
            self.of.state.swap(RUNNING, Ordering::SeqCst);
            self.of.return_replaced();
        }
    }
}

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const RUNNING_REPLACED: u8 = 2;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often it has been released.
    fn counted(count: &AtomicUsize) -> Arc<UserData> {
        unsafe extern "C-unwind" fn release(user_data: *mut c_void) {
            // SAFETY: the tests hand over pointers to counters that outlive the call.
            let count = unsafe { &*user_data.cast::<AtomicUsize>() };
            count.fetch_add(1, Ordering::SeqCst);
        }
        UserData::new(std::ptr::from_ref(count).cast_mut().cast(), Some(release))
    }

    #[test]
    fn a_replaced_pointer_is_released_at_once_when_no_handler_runs() {
        let (first, second) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let cell = UserDataCell::new(counted(&first));
        cell.replace(counted(&second));
        assert_eq!(
            (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)),
            (1, 0)
        );
        drop(cell);
        assert_eq!(
            (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)),
            (1, 1)
        );
    }

    #[test]
    fn in_a_batch_a_replaced_pointer_is_released_when_its_handler_returns() {
        let counts = [const { AtomicUsize::new(0) }; 3];
        let released = || counts.each_ref().map(|count| count.load(Ordering::SeqCst));
        let cell = UserDataCell::new(counted(&counts[0]));
        cell.begin();
        cell.lend(|_| cell.replace(counted(&counts[1])));
        assert_eq!(released(), [1, 0, 0]);
        cell.lend(|user_data| {
            assert_eq!(user_data, std::ptr::from_ref(&counts[1]).cast_mut().cast());
        });
        cell.replace(counted(&counts[2]));
        assert_eq!(released(), [1, 0, 0]);
        cell.end();
        assert_eq!(released(), [1, 1, 0]);
        drop(cell);
        assert_eq!(released(), [1, 1, 1]);
    }

    #[test]
    fn a_running_handler_keeps_the_pointer_that_it_was_called_with() {
        let counts = [const { AtomicUsize::new(0) }; 3];
        let cell = UserDataCell::new(counted(&counts[0]));
        cell.lend(|user_data| {
            cell.replace(counted(&counts[1]));
            cell.replace(counted(&counts[2]));
            assert_eq!(user_data, std::ptr::from_ref(&counts[0]).cast_mut().cast());
            assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 0));
        });
        assert_eq!(
            counts.each_ref().map(|count| count.load(Ordering::SeqCst)),
            [1, 1, 0]
        );
        cell.lend(|user_data| {
            assert_eq!(user_data, std::ptr::from_ref(&counts[2]).cast_mut().cast());
        });
        drop(cell);
        assert_eq!(
            counts.each_ref().map(|count| count.load(Ordering::SeqCst)),
            [1, 1, 1]
        );
    }

    #[test]
    fn a_pointer_that_was_given_back_is_not_released() {
        let count = AtomicUsize::new(0);
        let user_data = counted(&count);
        user_data.give_back();
        drop(user_data);
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_handler_that_unwinds_ends_its_loan() {
        let (first, second) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let cell = UserDataCell::new(counted(&first));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cell.lend(|_| {
                cell.replace(counted(&second));
                std::panic::resume_unwind(Box::new(()));
            });
        }));
        assert!(outcome.is_err());
        assert_eq!(
            (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)),
            (1, 0)
        );
    }

    #[test]
    fn no_handler_sees_a_pointer_that_has_been_released() {
        let rounds = if cfg!(miri) { 50 } else { 20_000 };
        let counts: Vec<_> = (0..=rounds).map(|_| AtomicUsize::new(0)).collect();
        let cell = UserDataCell::new(counted(&counts[0]));
        std::thread::scope(|scope| {
            let handlers = scope.spawn(|| {
                for _ in 0..rounds {
                    cell.lend(|user_data| {
                        // SAFETY: it points into `counts`.
                        let count = unsafe { &*user_data.cast::<AtomicUsize>() };
                        assert_eq!(count.load(Ordering::SeqCst), 0);
                        std::hint::spin_loop();
                        assert_eq!(count.load(Ordering::SeqCst), 0);
                    });
                }
            });
            for count in counts.iter().skip(1) {
                cell.replace(counted(count));
            }
            handlers.join().unwrap();
        });
        drop(cell);
        assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 1));
    }
}
