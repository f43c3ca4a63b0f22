//! Events that wait until the application asks for them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

#[cfg(unix)]
use super::descriptor::Descriptor;
use super::event::{Event, Handler};
use super::gate::{Gate, drop_handler};
use super::waiting::Waiting;
use crate::proto::{OutOfMemory, Pool};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, RwLock, thread_local};

/// The events of one runtime, in the order in which they happened.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    /// How many wait, to be read without the lock.
    len: AtomicUsize,
    is_full: AtomicBool,
    /// How many events may be handled where they arise, on the thread that asks for them.
    direct: AtomicUsize,
    /// What to do when there is room again.
    on_room: OnceLock<Box<dyn Fn() + Send + Sync>>,
    signal: RwLock<Option<Signal>>,
    /// Nobody has asked for events since the signal was given.
    is_signalled: AtomicBool,
    #[cfg(unix)]
    descriptor: OnceLock<Descriptor>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Waiting>,
    /// What they count for.
    bytes: usize,
    pool: Pool,
    /// Somebody who waits is to go on without an event.
    is_woken: bool,
}

/// Tells the application that events begin to wait.
pub type Signal = Box<dyn Fn() + Send + Sync>;

/// While more than this waits, sockets of which something waits are not read.
const LIMIT: usize = 16 << 20;
/// Reading goes on when so much is left.
const ROOM_AGAIN: usize = LIMIT / 2;
/// Pings and pongs of one socket that wait while there is no room.
const MOST_PINGS: usize = 16;

thread_local! {
    static IN_SIGNAL: Cell<bool> = const { Cell::new(false) };
}

impl Queue {
    /// Sets what is to be done when there is room again, once.
    pub fn on_room(&self, act: impl Fn() + Send + Sync + 'static) {
        let set = self.on_room.set(Box::new(act));
        debug_assert!(set.is_ok());
    }

    /// Sets what tells the application that events begin to wait. None of the old one runs
    /// afterwards, unless this is called from inside it.
    pub fn set_signal(&self, signal: Option<Signal>) {
        if IN_SIGNAL.with(Cell::get) {
            // What runs now is to be replaced. It cannot be waited for.
            log::error!("a signal of events must not replace itself");
            return;
        }
        let old = std::mem::replace(&mut *self.signal.write(), signal);
        drop(old);
        self.asked();
    }

    /// Appends an event. It is whole, or there is no memory and it does not wait.
    pub fn push(
        &self,
        handler: &Arc<dyn Handler>,
        gate: &Arc<Gate>,
        event: &Event<'_>,
    ) -> Result<(), OutOfMemory> {
        let is_ping = matches!(event, Event::Ping(_) | Event::Pong { .. });
        if is_ping && self.is_full() && gate.pings.load(Ordering::Relaxed) >= MOST_PINGS {
            // Pings are answered all the same, and nobody who does not listen misses them.
            return Ok(());
        }
        let is_first = {
            let mut state = self.state.lock();
            if Waiting::is_refusable(event) {
                state.events.try_reserve(1).map_err(|_| OutOfMemory)?;
            }
            let waiting = Waiting::new(handler, gate, event, &mut state.pool)?;
            waiting.counter().fetch_add(1, Ordering::Relaxed);
            state.bytes = state.bytes.saturating_add(waiting.cost());
            if state.bytes > LIMIT {
                self.is_full.store(true, Ordering::Release);
            }
            state.events.push_back(waiting);
            self.len.store(state.events.len(), Ordering::Release);
            let is_first = state.events.len() == 1;
            if is_first {
                self.show(&state);
            }
            is_first
        };
        if is_first {
            self.arrived.notify_all();
            self.signal();
        }
        Ok(())
    }

    /// Takes the first event that is still wanted, if `fits` agrees. `used` has been handled.
    pub fn next(
        &self,
        used: Option<Waiting>,
        mut fits: impl FnMut(&Waiting) -> bool,
    ) -> Option<Waiting> {
        let mut unwanted = Vec::new();
        let (next, has_room) = {
            let mut state = self.state.lock();
            let used = used.map(|mut used| {
                state.pool.give(used.take_payload());
                used
            });
            unwanted.extend(used);
            let next = loop {
                let Some(first) = state.events.front() else {
                    break None;
                };
                if first.is_wanted() && !fits(first) {
                    break None;
                }
                let Some(first) = state.events.pop_front() else {
                    break None;
                };
                state.bytes = state.bytes.saturating_sub(first.cost());
                first.counter().fetch_sub(1, Ordering::Relaxed);
                if first.is_wanted() {
                    break Some(first);
                }
                unwanted.push(first);
            };
            self.len.store(state.events.len(), Ordering::Release);
            if state.events.is_empty() {
                self.show(&state);
            }
            let has_room = self.is_full() && state.bytes < ROOM_AGAIN;
            if has_room {
                self.is_full.store(false, Ordering::Release);
            }
            (next, has_room)
        };
        // The application may be called when the last handler of a socket goes.
        unwanted.into_iter().for_each(drop_handler);
        if has_room {
            self.tell_of_room();
        }
        next
    }

    /// Takes the memory of events that have been used, and leaves an empty list.
    pub fn recycle(&self, used: &mut Vec<Waiting>) {
        if used.is_empty() {
            return;
        }
        {
            let mut state = self.state.lock();
            for event in &mut *used {
                state.pool.give(event.take_payload());
            }
        }
        used.drain(..).for_each(drop_handler);
    }

    /// Has connections look at their gates, and read if there is room.
    pub fn tell_of_room(&self) {
        if let Some(act) = self.on_room.get() {
            act();
        }
    }

    /// Waits until there are events, somebody calls [`Self::wake`], or the time is up.
    pub fn wait(&self, deadline: Option<Instant>) {
        let mut state = self.state.lock();
        while state.events.is_empty() && !state.is_woken {
            match deadline {
                None => self.arrived.wait(&mut state),
                Some(deadline) => {
                    if self.arrived.wait_until(&mut state, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
    }

    /// Has the one who waits, or is about to, go on.
    pub fn wake(&self) {
        {
            let mut state = self.state.lock();
            state.is_woken = true;
            self.show(&state);
        }
        self.arrived.notify_all();
    }

    /// Whether somebody is to go on.
    pub fn is_woken(&self) -> bool {
        self.state.lock().is_woken
    }

    /// The same, which is thereby done.
    pub fn take_wake(&self) -> bool {
        let mut state = self.state.lock();
        let was_woken = std::mem::take(&mut state.is_woken);
        if was_woken {
            self.show(&state);
        }
        was_woken
    }

    /// The application has asked for events: the next that come, or those that are left, are
    /// signalled again.
    pub fn asked(&self) {
        // A swap, not a store: with it, what was pushed while the signal was still given is seen.
        self.is_signalled.swap(false, Ordering::SeqCst);
        if self.len() > 0 {
            self.signal();
        }
    }

    /// Forgets all events.
    pub fn clear(&self) {
        let events = {
            let mut state = self.state.lock();
            state.bytes = 0;
            self.len.store(0, Ordering::Release);
            let events = std::mem::take(&mut state.events);
            self.show(&state);
            events
        };
        for event in &events {
            event.counter().fetch_sub(1, Ordering::Relaxed);
        }
        events.into_iter().for_each(drop_handler);
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether so much waits that sockets are not read.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    /// Lets so many events be handled where they arise. Returns how many of the last ones were not.
    pub fn set_direct(&self, most: usize) -> usize {
        self.direct.swap(most, Ordering::Relaxed)
    }

    /// Whether events may be handled where they arise.
    pub fn is_direct(&self) -> bool {
        self.direct.load(Ordering::Relaxed) > 0 && self.len() == 0
    }

    /// Counts one event that is handled where it arises.
    pub fn count_direct(&self) {
        let left = self.direct.load(Ordering::Relaxed);
        self.direct.store(left.saturating_sub(1), Ordering::Relaxed);
    }

    /// A descriptor that is readable while events wait, or somebody is to go on.
    #[cfg(unix)]
    pub fn descriptor(&self) -> std::io::Result<std::os::fd::RawFd> {
        let state = self.state.lock();
        if self.descriptor.get().is_none() {
            let descriptor = Descriptor::new()?;
            descriptor.show(state.is_ready());
            let set = self.descriptor.set(descriptor);
            debug_assert!(set.is_ok(), "the state is locked");
        }
        drop(state);
        Ok(self.descriptor.get().map_or(-1, Descriptor::number))
    }

    /// Makes the descriptor readable, or not, as the state is while it is locked.
    fn show(&self, state: &State) {
        #[cfg(unix)]
        if let Some(descriptor) = self.descriptor.get() {
            descriptor.show(state.is_ready());
        }
        #[cfg(not(unix))]
        let _ = state;
    }

    fn signal(&self) {
        let signalled = {
            let signal = self.signal.read();
            let Some(signal) = &*signal else { return };
            if self.is_signalled.swap(true, Ordering::SeqCst) {
                return;
            }
            IN_SIGNAL.with(|it| it.set(true));
            let signalled = catch_unwind(AssertUnwindSafe(signal));
            IN_SIGNAL.with(|it| it.set(false));
            signalled
        };
        if signalled.is_err() {
            log::error!("the application panicked in its signal of events");
        }
    }
}

#[cfg(unix)]
impl State {
    /// Whether a poll would return at once.
    fn is_ready(&self) -> bool {
        !self.events.is_empty() || self.is_woken
    }
}

#[cfg(test)]
mod tests;
