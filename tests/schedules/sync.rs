//! The locks of shuttle, with the interface of parking_lot.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use shuttle::sync;
pub use shuttle::sync::atomic;
pub use shuttle::thread_local;

#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// It lends its guard to [`Condvar`].
pub struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

#[derive(Default)]
pub struct Condvar(sync::Condvar);

pub struct TimedOut;

#[derive(Default)]
pub struct RwLock<T>(sync::RwLock<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap()))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().unwrap()
    }
}

impl Condvar {
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let locked = guard.0.take().unwrap();
        guard.0 = Some(self.0.wait(locked).unwrap());
    }

    /// No time passes here.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> TimedOut {
        self.wait(guard);
        TimedOut
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl TimedOut {
    pub fn timed_out(&self) -> bool {
        false
    }
}

impl<T> RwLock<T> {
    pub fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap()
    }

    pub fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap()
    }
}
