//! How the runtimes of the tests deliver. `WSABI_DELIVERY` says it; the tests are the same.

use std::env;
use std::mem::MaybeUninit;
use std::process::Command;
use std::ptr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::ReentrantMutex;

use super::events::record;
use super::functions::{RawEvent, functions};
use super::{ERR_HANDLE, ERR_STATE, last_error};

/// Where the handlers of the tests run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delivery {
    /// On the runtime's threads.
    Threads,
    /// On a thread of the tests that polls.
    Poll,
    /// On a thread of the tests that takes the events out.
    NextEvents,
    /// On a thread of the tests that polls a runtime which has no threads.
    None,
}

const ALL: [(&str, Delivery); 4] = [
    ("threads", Delivery::Threads),
    ("poll", Delivery::Poll),
    ("next_events", Delivery::NextEvents),
    ("none", Delivery::None),
];

const VARIABLE: &str = "WSABI_DELIVERY";

impl Delivery {
    /// The one that is asked for, or the first.
    pub fn of_tests() -> Self {
        let Ok(name) = env::var(VARIABLE) else {
            return Self::Threads;
        };
        let found = ALL.iter().find(|(it, _)| *it == name);
        found.unwrap_or_else(|| panic!("{VARIABLE}={name}")).1
    }

    pub fn is_polled(self) -> bool {
        self != Self::Threads
    }

    /// The mebibytes of events that may wait to be polled, twice, as buffers have room to grow.
    pub fn waiting(self) -> u64 {
        if self.is_polled() { 2 * 16 } else { 0 }
    }

    pub(super) fn threads(self) -> u32 {
        u32::from(self != Self::None)
    }
}

/// Whether a polled runtime promises something else than the test, and why.
pub fn differs(reason: &str) -> bool {
    let differs = Delivery::of_tests().is_polled();
    if differs {
        println!("not with polling: {reason}");
    }
    differs
}

/// Runs the tests of this program again, in each of the other deliveries, but for one: the caller.
pub fn in_every_other_delivery(caller: &str) {
    for (name, mut again) in others(caller) {
        let status = again.status().unwrap();
        assert!(status.success(), "{VARIABLE}={name}: {status}");
    }
}

/// The same at once, of tests that spend their time waiting.
pub fn in_every_other_delivery_at_once(caller: &str) {
    let running = others(caller).map(|(name, mut again)| (name, again.spawn().unwrap()));
    let running: Vec<_> = running.collect();
    let ended = running
        .into_iter()
        .map(|(name, mut child)| (name, child.wait().unwrap()));
    // All have ended before one is complained of.
    let ended: Vec<_> = ended.collect();
    for (name, status) in ended {
        assert!(status.success(), "{VARIABLE}={name}: {status}");
    }
}

/// This program, to be run in each of the other deliveries; none if it is one of them already.
fn others(caller: &str) -> impl Iterator<Item = (&'static str, Command)> {
    let is_other = env::var_os(VARIABLE).is_some();
    let names = if is_other { &[] } else { &ALL[1..] };
    names.iter().map(move |(name, _)| {
        let mut again = Command::new(env::current_exe().unwrap());
        again
            .args(["--exact", "--skip", caller])
            .env(VARIABLE, name);
        (*name, again)
    })
}

/// A thread of the tests that asks a runtime for its events, until it is freed.
pub(super) struct Pump {
    thread: Option<JoinHandle<()>>,
    /// Held while an event that was taken out is in use, which lives as long as its runtime.
    taking: Arc<ReentrantMutex<()>>,
}

impl Pump {
    /// None for a runtime with handlers on its own threads.
    pub(super) fn start(runtime: u64, delivery: Delivery) -> Option<Self> {
        if !delivery.is_polled() {
            return None;
        }
        let taking = Arc::new(ReentrantMutex::new(()));
        let lock = Arc::clone(&taking);
        let turn = move || match delivery {
            Delivery::NextEvents => take_event(runtime, &lock),
            _ => (functions().runtime_poll)(runtime, 0, -1),
        };
        let thread = thread::spawn(move || {
            loop {
                match turn() {
                    ERR_HANDLE => break,
                    // Whoever frees it, or shuts one without threads down, may have its turn.
                    ERR_STATE => thread::yield_now(),
                    status => assert!(status >= 0, "{}", last_error()),
                }
            }
        });
        Some(Self {
            thread: Some(thread),
            taking,
        })
    }

    pub(super) fn free(&self, runtime: u64) -> i32 {
        let is_taking = Delivery::of_tests() == Delivery::NextEvents;
        let _taking = is_taking.then(|| self.taking.lock());
        (functions().runtime_free)(runtime)
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        let thread = self.thread.take().unwrap();
        // A handler may hold the runtime.
        if thread.thread().id() != thread::current().id() {
            let pumped = thread.join();
            assert!(pumped.is_ok() || thread::panicking());
        }
    }
}

/// One at a time, as the handler of one may end the socket of the next.
fn take_event(runtime: u64, taking: &ReentrantMutex<()>) -> i32 {
    let take = functions().runtime_next_events;
    let size = size_of::<RawEvent>() as u32;
    // SAFETY: there is no room at NULL, and none is said to be.
    let status = unsafe { take(runtime, ptr::null_mut(), size, 0, -1) };
    if status < 0 {
        return status;
    }
    let _taking = taking.lock();
    let mut event = MaybeUninit::<RawEvent>::uninit();
    // SAFETY: there is room for one.
    let count = unsafe { take(runtime, event.as_mut_ptr(), size, 1, 0) };
    if count == 1 {
        // SAFETY: it was written, and lives until the next call, or the runtime is freed.
        unsafe { record(event.as_ptr(), (*event.as_ptr()).user_data) };
    }
    count
}
