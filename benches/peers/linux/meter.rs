//! What a client's run costs: time, CPU, allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::sys;

/// The system's allocator, counted.
pub struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Bytes that are allocated and not freed.
static LIVE: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: by the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: by the caller's contract.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

fn count(size: usize, old_size: usize) {
    ALLOCATIONS.fetch_add(1, Relaxed);
    LIVE.fetch_add((size as u64).wrapping_sub(old_size as u64), Relaxed);
}

/// Bytes on the heap.
pub fn live_bytes() -> u64 {
    LIVE.load(Relaxed)
}

/// What a number of messages took.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How many messages.
    pub messages: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// User and system time of all the process's threads.
    pub cpu_seconds: f64,
    /// Calls that allocate or grow memory.
    pub allocations: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            messages,
            seconds,
            cpu_seconds,
            allocations,
        } = self;
        write!(f, "{messages} {seconds} {cpu_seconds} {allocations}")
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let numbers: Vec<f64> = line
            .split_whitespace()
            .map_while(|number| number.parse().ok())
            .collect();
        match numbers[..] {
            [messages, seconds, cpu_seconds, allocations] => Ok(Self {
                messages: messages as u64,
                seconds,
                cpu_seconds,
                allocations: allocations as u64,
            }),
            _ => Err(format!("not a sample: {line:?}")),
        }
    }
}

/// A point in time.
struct Mark {
    at: Instant,
    cpu_seconds: f64,
    allocations: u64,
}

impl Mark {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            cpu_seconds: sys::cpu_seconds(),
            allocations: ALLOCATIONS.load(Relaxed),
        }
    }
}

/// Counts messages, and measures those behind the first ones, which warm everything up.
pub struct Meter {
    warm_up: u64,
    messages: u64,
    seen: AtomicU64,
    begin: OnceLock<Mark>,
    sample: OnceLock<Sample>,
}

impl Meter {
    /// Measures `messages` messages behind `warm_up` ones, at least one of each.
    pub fn new(warm_up: u64, messages: u64) -> Self {
        Self {
            warm_up,
            messages,
            seen: AtomicU64::new(0),
            begin: OnceLock::new(),
            sample: OnceLock::new(),
        }
    }

    /// Counts one message; by one thread only. True with the last one.
    pub fn step(&self) -> bool {
        let seen = self.seen.load(Relaxed) + 1;
        self.seen.store(seen, Relaxed);
        if seen == self.warm_up {
            self.begin();
        }
        let last = seen == self.warm_up + self.messages;
        if last {
            self.end();
        }
        last
    }

    /// The warm-up is over.
    pub fn begin(&self) {
        self.begin.get_or_init(Mark::now);
    }

    /// All messages are done.
    pub fn end(&self) {
        let Some(begin) = self.begin.get() else {
            return;
        };
        let end = Mark::now();
        self.sample.get_or_init(|| Sample {
            messages: self.messages,
            seconds: (end.at - begin.at).as_secs_f64(),
            cpu_seconds: end.cpu_seconds - begin.cpu_seconds,
            allocations: end.allocations - begin.allocations,
        });
    }

    /// What was measured, once it is done.
    pub fn sample(&self) -> Option<Sample> {
        self.sample.get().copied()
    }
}
