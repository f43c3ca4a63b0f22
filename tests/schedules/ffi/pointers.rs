//! Models of user_data: what handlers are called with, and when the application gets it back.

use std::ffi::c_void;
use std::sync::Arc;

use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;

use super::user_data::{UserData, UserDataCell};
use crate::{explore, join};

/// What a pointer leads to.
#[derive(Default)]
struct Given {
    /// Handlers that see it.
    handlers: AtomicUsize,
    releases: AtomicUsize,
    /// How often a handler has seen it though it was released.
    late: AtomicUsize,
}

impl Given {
    fn handed_over(&self) -> Arc<UserData> {
        let pointer = std::ptr::from_ref(self).cast_mut().cast();
        UserData::new(pointer, Some(release))
    }

    fn check_released(&self) {
        let is_released = self.releases.load(Ordering::SeqCst) > 0;
        self.late
            .fetch_add(usize::from(is_released), Ordering::SeqCst);
    }
}

/// The function that gets it back.
unsafe extern "C-unwind" fn release(pointer: *mut c_void) {
    // SAFETY: what it leads to lives as long as its model.
    let given = unsafe { &*pointer.cast::<Given>() };
    given.releases.fetch_add(1, Ordering::SeqCst);
    given
        .late
        .fetch_add(given.handlers.load(Ordering::SeqCst), Ordering::SeqCst);
}

/// A handler, which uses it at its beginning and at its end.
fn handle(pointer: *mut c_void) {
    // SAFETY: as above.
    let given = unsafe { &*pointer.cast::<Given>() };
    given.handlers.fetch_add(1, Ordering::SeqCst);
    given.check_released();
    given.check_released();
    given.handlers.fetch_sub(1, Ordering::SeqCst);
}

/// Two threads replace the pointer while a third one does this. All three have gone back once in the
/// end, and the last one not before that.
fn while_it_is_replaced(act: impl Fn(&UserDataCell) + Send + Sync + Copy + 'static) {
    explore(move || {
        let given = Arc::<[Given; 3]>::default();
        let cell = Arc::new(UserDataCell::new(given[0].handed_over()));
        let replacing = [1, 2].map(|next| {
            let (cell, given) = (Arc::clone(&cell), Arc::clone(&given));
            thread::spawn(move || cell.replace(given[next].handed_over()))
        });
        act(&cell);
        join(replacing);
        let releases = || -> usize {
            let releases = given.iter().map(|it| it.releases.load(Ordering::SeqCst));
            releases.sum()
        };
        assert_eq!(releases(), 2);
        drop(cell);
        assert_eq!(releases(), 3);
        for it in &*given {
            assert_eq!(it.releases.load(Ordering::SeqCst), 1);
            assert_eq!(it.late.load(Ordering::SeqCst), 0);
        }
    });
}

pub fn what_is_replaced_goes_back_once_and_when_no_handler_sees_it() {
    while_it_is_replaced(|cell| {
        cell.lend(handle);
        cell.lend(handle);
    });
}

pub fn what_is_replaced_in_a_batch_goes_back_once_and_when_no_handler_sees_it() {
    while_it_is_replaced(|cell| {
        cell.begin();
        cell.lend(handle);
        cell.lend(handle);
        cell.end();
    });
}

/// Events that are taken out keep theirs as long as they are used.
pub fn what_is_handed_out_goes_back_after_it() {
    while_it_is_replaced(|cell| {
        for _ in 0..2 {
            let (pointer, owner) = cell.hold();
            handle(pointer);
            drop(owner);
        }
    });
}
