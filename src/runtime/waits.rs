//! Which threads wait for which, while a runtime is freed or shut down: two that wait for each other
//! would do so for ever.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// A thread that waits, and one for which it does.
pub type Wait = (ThreadId, ThreadId);

/// What the process waits for at the moment: hardly ever anything. Of std, as every lock that is held
/// across `fork()` has to be.
static WAITS: Mutex<Vec<Wait>> = Mutex::new(Vec::new());

/// The calling thread waits for others while this lives.
pub struct Waiting(());

impl Waiting {
    /// Begins to wait for these threads. None: one of them waits, if through others, for the
    /// calling thread, or is that.
    pub fn begin(threads: impl IntoIterator<Item = ThreadId>) -> Option<Self> {
        let current = thread::current().id();
        let mut waits = lock();
        let before = waits.len();
        waits.extend(threads.into_iter().map(|thread| (current, thread)));
        if leads_back(&waits, current) {
            waits.truncate(before);
            return None;
        }
        Some(Self(()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let current = thread::current().id();
        lock().retain(|(waiting, _)| *waiting != current);
    }
}

/// While the result lives, no other thread holds the lock.
pub fn lock() -> MutexGuard<'static, Vec<Wait>> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether someone for whom `thread` waits, if through others, waits for it.
fn leads_back(waits: &[Wait], thread: ThreadId) -> bool {
    let mut reached = vec![thread];
    let mut next = 0;
    while let Some(&from) = reached.get(next) {
        for &(_, to) in waits.iter().filter(|(waiting, _)| *waiting == from) {
            if to == thread {
                return true;
            }
            if !reached.contains(&to) {
                reached.push(to);
            }
        }
        next += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn of_threads_that_would_wait_in_a_circle_one_does_not() {
        let meeting = Barrier::new(3);
        let ids = Mutex::new([None; 3]);
        let waiting: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|own| {
                    let (meeting, ids) = (&meeting, &ids);
                    scope.spawn(move || {
                        ids.lock().unwrap()[own] = Some(thread::current().id());
                        meeting.wait();
                        let next = ids.lock().unwrap()[(own + 1) % 3];
                        let waiting = Waiting::begin(next);
                        meeting.wait();
                        usize::from(waiting.is_some())
                    })
                })
                .collect();
            threads.into_iter().map(|it| it.join().unwrap()).sum()
        });
        assert_eq!(waiting, 2);
    }

    #[test]
    fn nobody_waits_for_itself() {
        assert!(Waiting::begin([thread::current().id()]).is_none());
        assert!(Waiting::begin([]).is_some());
    }

    #[test]
    fn who_has_waited_can_be_waited_for() {
        let current = thread::current().id();
        let other = thread::spawn(move || drop(Waiting::begin([current])));
        let id = other.thread().id();
        other.join().unwrap();
        assert!(Waiting::begin([id]).is_some());
    }
}
