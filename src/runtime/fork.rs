//! What the process shares is locked while it forks, so that the child finds no lock held by a
//! thread that it does not have.

use std::cell::RefCell;
use std::sync::MutexGuard;

use super::waits::{self, Wait};
use super::{ProcessRuntime, lock_process};
use crate::threads::{self, Hooks};

/// Takes the locks: for the thread that calls `fork()`, just before.
pub(crate) fn prepare() {
    // A thread that is ending has no place for them any more, and forks without.
    let _ = HELD.try_with(|held| {
        let mut held = held.borrow_mut();
        if held.is_none() {
            *held = Some((lock_process(), threads::lock_hooks(), waits::lock()));
        }
    });
}

/// Releases them: for the same thread, in the parent and in the child.
pub(crate) fn done() {
    let _ = HELD.try_with(RefCell::take);
}

type Held = (
    MutexGuard<'static, ProcessRuntime>,
    MutexGuard<'static, Hooks>,
    MutexGuard<'static, Vec<Wait>>,
);

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}
