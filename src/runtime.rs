//! Runtime: the threads that run connections.

#[cfg(all(unix, not(miri)))]
pub(crate) mod fork;
mod polling;
mod waits;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{self, Arc, MutexGuard, PoisonError, Weak};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::delivery::Queue;
pub use crate::delivery::Signal;
use crate::error::{Error, Result};
use crate::net::Resolver;
use crate::reactor::{Command, LiveCount, Mailbox, Worker};
use crate::threads;
pub use crate::threads::{Hook, set_hooks as set_thread_hooks};
use polling::Polling;
use waits::Waiting;

/// Where handlers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// On the runtime's threads, as things happen.
    Threads,
    /// Inside a call of the application.
    Poll,
}

/// I/O threads, shared by any number of sockets and servers. Clones are the same runtime, which
/// lives until [`Runtime::free`].
#[derive(Clone)]
pub struct Runtime {
    core: Arc<Core>,
}

struct Core {
    workers: Arc<[Arc<Mailbox>]>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicUsize,
    live: Arc<LiveCount>,
    freed: AtomicBool,
    /// How events are asked for, unless handlers run as things happen.
    polling: Option<Polling>,
}

const MOST_THREADS: u32 = 64;
/// The default runtime's threads, where the machine has as many processors.
const DEFAULT_THREADS: usize = 4;

impl Runtime {
    /// Starts `threads` I/O threads, 1 to 64; 0, only with delivery on poll: the I/O is done by
    /// whoever polls.
    pub fn new(threads: u32, delivery: Delivery) -> Result<Self> {
        let least = u32::from(delivery == Delivery::Threads);
        if !(least..=MOST_THREADS).contains(&threads) {
            let sentence = format!("{threads} threads are not from {least} to {MOST_THREADS}");
            return Err(Error::Argument(sentence.into()));
        }
        let queue = (delivery == Delivery::Poll).then(Arc::<Queue>::default);
        let prepared: Vec<_> = (0..threads.max(1))
            .map(|_| Worker::prepare(queue.clone()))
            .collect::<Result<_, _>>()
            .map_err(|error| refused("descriptors", &error))?;
        let workers: Arc<[_]> = prepared
            .iter()
            .map(|(_, mailbox)| Arc::clone(mailbox))
            .collect();
        let resolver = Arc::new(Resolver::new());
        let live = Arc::<LiveCount>::default();
        let mut idle: Vec<_> = prepared
            .into_iter()
            .map(|prepared| {
                let (peers, resolver) = (Arc::clone(&workers), Arc::clone(&resolver));
                Worker::new(prepared, peers, resolver, Arc::clone(&live))
            })
            .collect();
        if let Some(queue) = &queue {
            // Weak: the workers hold the queue.
            let workers: Vec<_> = workers.iter().map(Arc::downgrade).collect();
            queue.on_room(move || {
                for worker in workers.iter().filter_map(Weak::upgrade) {
                    worker.push(Command::Resume);
                }
            });
        }
        let own = if threads == 0 { idle.pop() } else { None };
        let polling = queue
            .map(|queue| Polling::new(queue, own))
            .transpose()
            .map_err(|error| refused("a descriptor", &error))?;
        let runtime = Self {
            core: Arc::new(Core {
                workers,
                threads: Mutex::default(),
                next: AtomicUsize::new(0),
                live,
                freed: AtomicBool::new(false),
                polling,
            }),
        };
        for mut worker in idle {
            let thread = threads::spawn("wsabi", move || while worker.turn(None) {});
            match thread {
                Ok(thread) => runtime.core.threads.lock().push(thread),
                Err(error) => {
                    runtime.free();
                    return Err(refused("a thread", &error));
                }
            }
        }
        Ok(runtime)
    }

    /// The process's own runtime, started at first use. It is never freed. After `fork` the child
    /// gets one of its own.
    pub fn process() -> Result<Self> {
        let pid = std::process::id();
        let mut process = lock_process();
        if let Some((owner, runtime)) = &*process
            && *owner == pid
        {
            return Ok(runtime.clone());
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(DEFAULT_THREADS) as u32;
        let runtime = Self::new(threads, Delivery::Threads)?;
        // The parent's threads do not exist here: its runtime must not be taken down.
        std::mem::forget(process.replace((pid, runtime.clone())));
        Ok(runtime)
    }

    /// Closes every socket with 1001 and every server, and waits until all are closed; without a
    /// timeout for ever. From inside a handler it does not wait, nor where a handler of this runtime
    /// waits for the calling thread.
    pub fn shutdown(&self, timeout: Option<Duration>) -> Result<()> {
        let core = &self.core;
        for worker in &*core.workers {
            worker.push(Command::Shutdown);
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.drive(deadline);
        let waiting = Waiting::begin(self.threads());
        let deadline = match &waiting {
            Some(_) => deadline,
            None => Some(Instant::now()),
        };
        match core.live.wait_for_none(deadline) {
            0 => Ok(()),
            left => Err(Error::Timeout(
                format!("{left} sockets are not closed yet").into(),
            )),
        }
    }

    /// Ends every connection and every thread. No handler runs afterwards: those of open sockets
    /// are told on their threads before this returns. From inside a handler it does not wait for
    /// that one, and the sockets of its thread end without events. Nor does it wait for a thread
    /// that itself waits for the calling one.
    pub fn free(&self) {
        let core = &self.core;
        if core.freed.swap(true, Ordering::SeqCst) {
            return;
        }
        for worker in &*core.workers {
            worker.push(Command::Stop {
                tell: core.polling.is_none() && !worker.is_current(),
            });
        }
        let threads = std::mem::take(&mut *core.threads.lock());
        for thread in threads {
            if let Some(_waiting) = Waiting::begin([thread.thread().id()]) {
                // A thread of ours catches its panics.
                let _ = thread.join();
            }
        }
        self.end_polling();
    }

    /// Whether it has been freed.
    pub fn is_freed(&self) -> bool {
        self.core.freed.load(Ordering::SeqCst)
    }

    /// The threads on which its connections and its handlers are run.
    fn threads(&self) -> Vec<ThreadId> {
        let threads = self.core.threads.lock();
        let poller = self.core.polling.as_ref().and_then(Polling::poller);
        let ids = threads.iter().map(|it| it.thread().id());
        ids.chain(poller).collect()
    }

    fn polling(&self) -> Result<&Polling> {
        self.core.polling.as_ref().ok_or_else(not_polled)
    }

    /// The worker for the next connection.
    pub(crate) fn worker(&self) -> Result<&Arc<Mailbox>> {
        if self.is_freed() {
            return Err(Error::Handle("the runtime has been freed".into()));
        }
        let next = self.core.next.fetch_add(1, Ordering::Relaxed);
        Ok(&self.core.workers[next % self.core.workers.len()])
    }

    pub(crate) fn workers(&self) -> &[Arc<Mailbox>] {
        &self.core.workers
    }

    pub(crate) fn live(&self) -> &Arc<LiveCount> {
        &self.core.live
    }
}

/// The process's own runtime, and the process that it belongs to.
type ProcessRuntime = Option<(u32, Runtime)>;

fn lock_process() -> MutexGuard<'static, ProcessRuntime> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Its lock is taken before that of the hooks, and is of std for the same reason.
static PROCESS: sync::Mutex<ProcessRuntime> = sync::Mutex::new(None);

fn not_polled() -> Error {
    Error::State("the runtime delivers on threads, and has nothing to poll".into())
}

fn refused(what: &str, error: &std::io::Error) -> Error {
    Error::Resource(format!("the system refused {what}: {error}").into())
}
