//! How the library starts threads: every signal blocked, so that the host's handlers run on the
//! host's threads; a stack of a known size; the host's hooks first and last; no panic comes out.
#![cfg_attr(
    unix,
    expect(unsafe_code, reason = "signal masks have no safe interface in std")
)]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Runs on a thread of the library.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// What runs first, and what runs last.
pub type Hooks = (Option<Hook>, Option<Hook>);

/// Of std, as every lock that is held across `fork()` has to be: those of parking_lot use a table of
/// the whole process, whose own locks another thread may hold then.
static HOOKS: Mutex<Hooks> = Mutex::new((None, None));

/// Sets what runs first and last on every thread that is started from now on and that can run
/// handlers.
pub fn set_hooks(start: Option<Hook>, stop: Option<Hook>) {
    let old = std::mem::replace(&mut *lock_hooks(), (start, stop));
    drop(old);
}

/// While the result lives, no other thread holds the lock of the hooks.
pub fn lock_hooks() -> MutexGuard<'static, Hooks> {
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a thread that may run code of the application, and so runs the hooks. Somebody joins it.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let hooks = lock_hooks().clone();
    start(name, hooks, body)
}

/// Starts a thread that runs no code of the application but its logger. It may outlive its runtime, and with
/// it the host's interpreter or virtual machine, so the hooks do not run on it.
pub fn spawn_bare(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    start(name, (None, None), body)
}

/// Whatever limit the process or its environment has: handlers rely on it.
const STACK: usize = 2 << 20;

fn start(
    name: &str,
    (start, stop): Hooks,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let _mask = signals::BlockAll::new();
    let builder = Builder::new().name(name.to_owned()).stack_size(STACK);
    builder.spawn(move || {
        if let Some(start) = start {
            contain("the application panicked where a thread started", &*start);
        }
        contain("a thread of the library ended by a panic", body);
        if let Some(stop) = stop {
            contain("the application panicked where a thread ended", &*stop);
        }
    })
}

/// Runs `act`. If it panics, the log has `sentence`.
fn contain(sentence: &str, act: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(act)).is_err() {
        log::error!("{sentence}");
    }
}

#[cfg(unix)]
mod signals {
    use std::mem::MaybeUninit;
    use std::ptr;

    /// Blocks every signal of this thread while it lives. A thread started meanwhile inherits
    /// that for good: there is no moment at which a signal could reach it.
    pub struct BlockAll {
        /// None: a sandbox refuses to block any.
        before: Option<libc::sigset_t>,
    }

    impl BlockAll {
        pub fn new() -> Self {
            let mut all = MaybeUninit::uninit();
            let mut before = MaybeUninit::uninit();
            // SAFETY: both sets are written before they are read: sigfillset cannot fail for a
            // valid pointer, and pthread_sigmask has not failed if it gives 0.
            unsafe {
                libc::sigfillset(all.as_mut_ptr());
                let status =
                    libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
                Self {
                    before: (status == 0).then(|| before.assume_init()),
                }
            }
        }
    }

    impl Drop for BlockAll {
        fn drop(&mut self) {
            if let Some(before) = &self.before {
                // SAFETY: `before` was filled in by pthread_sigmask.
                unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
            }
        }
    }
}

#[cfg(not(unix))]
mod signals {
    /// There are no signals to block.
    pub struct BlockAll;

    impl BlockAll {
        pub fn new() -> Self {
            Self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_its_thread_only() {
        spawn("panics", || panic!("on purpose"))
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn hooks_that_panic_take_neither_each_other_nor_the_thread_down() {
        let (sender, steps) = std::sync::mpsc::channel();
        let hook = |step: &'static str| -> Option<Hook> {
            let sender = sender.clone();
            Some(Arc::new(move || {
                sender.send(step).unwrap();
                panic!("on purpose");
            }))
        };
        let body = {
            let sender = sender.clone();
            move || sender.send("body").unwrap()
        };
        let thread = start("panics", (hook("start"), hook("stop")), body).unwrap();
        thread.join().unwrap();
        drop(sender);
        assert_eq!(steps.iter().collect::<Vec<_>>(), ["start", "body", "stop"]);
    }
}
