//! A runtime whose events wait until the application asks for them, and whose I/O may be done by
//! the thread that asks.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Runtime, waits};
use crate::delivery::{Batch, Queue, Signal, Undelivered, Waiting};
use crate::error::{Error, Result};
use crate::reactor::Worker;

/// What only such a runtime has.
pub struct Polling {
    /// Where the events wait.
    queue: Arc<Queue>,
    /// The thread that is asking for events.
    poller: Mutex<Option<ThreadId>>,
    polled: Condvar,
    /// Of a runtime without threads.
    own: Option<Own>,
    /// What the last call has handed out.
    lent: Mutex<Lent>,
}

/// The worker of a runtime without threads, which whoever asks for events turns.
struct Own {
    worker: Mutex<Worker>,
    /// Readable while a turn has something to do, where the system has such.
    #[cfg(unix)]
    descriptor: Option<std::os::fd::RawFd>,
    is_watched: AtomicBool,
}

#[derive(Default)]
struct Lent {
    events: Vec<Waiting>,
    /// What has to live as long as they.
    kept: Option<Box<dyn Any + Send>>,
}

/// The time in which one thread asks for events, and no other can.
struct Turn<'a> {
    polling: &'a Polling,
}

impl Polling {
    /// With the worker of a runtime that has no threads.
    pub fn new(queue: Arc<Queue>, worker: Option<Worker>) -> io::Result<Self> {
        Ok(Self {
            queue,
            poller: Mutex::default(),
            polled: Condvar::new(),
            own: worker.map(Own::new).transpose()?,
            lent: Mutex::default(),
        })
    }

    fn begin(&self) -> Result<Turn<'_>> {
        let current = thread::current().id();
        let mut poller = self.poller.lock();
        match *poller {
            None => {
                *poller = Some(current);
                Ok(Turn { polling: self })
            }
            // A handler that was left by longjmp looks like one from which a coroutine was entered.
            Some(thread) if thread == current => Err(Error::State(
                "this thread is polling the runtime already, and its handler has not returned"
                    .into(),
            )),
            Some(_) => Err(Error::State(
                "another thread is polling the runtime already".into(),
            )),
        }
    }

    /// The thread that is asking for events.
    pub fn poller(&self) -> Option<ThreadId> {
        *self.poller.lock()
    }

    /// Waits until no thread asks for events, and has none ask for more. None: the calling thread
    /// is asking, or is waited for by the one that does.
    fn wait_for_end(&self) -> Option<Turn<'_>> {
        let mut poller = self.poller.lock();
        while let Some(thread) = *poller {
            let _waiting = waits::Waiting::begin([thread])?;
            self.polled.wait(&mut poller);
        }
        *poller = Some(thread::current().id());
        Some(Turn { polling: self })
    }

    /// Takes back what the last call has handed out. Returns its memory.
    fn take_back(&self) -> Vec<Waiting> {
        let Lent { mut events, kept } = std::mem::take(&mut *self.lent.lock());
        self.queue.recycle(&mut events);
        // The last, since it may run code of the application.
        drop(kept);
        events
    }

    /// Waits for events, or does what there is to do without threads, where at most `direct`
    /// handlers may run. Returns how many have.
    fn do_io(&self, direct: usize, deadline: Option<Instant>) -> usize {
        let queue = &self.queue;
        let Some(own) = &self.own else {
            queue.wait(deadline);
            return 0;
        };
        let timeout = if queue.len() > 0 || queue.is_woken() {
            Some(Duration::ZERO)
        } else {
            deadline.map(|it| it.saturating_duration_since(Instant::now()))
        };
        queue.set_direct(direct);
        if !own.worker.lock().turn(timeout) {
            // There is nothing to wait for.
            queue.wake();
        }
        direct.saturating_sub(queue.set_direct(0))
    }
}

impl Own {
    fn new(worker: Worker) -> io::Result<Self> {
        #[cfg(unix)]
        let mut worker = worker;
        Ok(Self {
            #[cfg(unix)]
            descriptor: worker.make_descriptor()?,
            worker: Mutex::new(worker),
            is_watched: AtomicBool::new(false),
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.polling.poller.lock() = None;
        self.polling.polled.notify_all();
    }
}

impl Runtime {
    /// Runs the handlers of at most `most` events, waiting at most `timeout` for the first; without
    /// one, for ever. Returns how many.
    pub fn poll(&self, most: usize, timeout: Option<Duration>) -> Result<usize> {
        let polling = self.polling()?;
        let _turn = self.begin_polling(polling)?;
        polling.take_back();
        let deadline = Deadline::after(timeout);
        let mut count = self.handle_waiting(polling, most);
        loop {
            count += polling.do_io(most.saturating_sub(count), deadline.unless(count > 0));
            count += self.handle_waiting(polling, most.saturating_sub(count));
            if count > 0 || self.is_done(polling, &deadline) {
                break;
            }
        }
        self.answered(polling);
        Ok(count)
    }

    /// Takes at most `most` events that `fits` accepts, waiting at most `timeout` for the first.
    /// They live until the next call, and so does what `read` returns.
    pub(crate) fn take_events<T: Any + Send>(
        &self,
        most: usize,
        timeout: Option<Duration>,
        mut fits: impl FnMut(&Waiting) -> bool,
        read: impl FnOnce(&[Waiting]) -> T,
    ) -> Result<usize> {
        let polling = self.polling()?;
        let _turn = self.begin_polling(polling)?;
        let mut events = polling.take_back();
        let deadline = Deadline::after(timeout);
        let queue = &polling.queue;
        loop {
            polling.do_io(0, deadline.unless(queue.len() > 0));
            while events.len() < most
                && let Some(event) = queue.next(None, &mut fits)
            {
                events.push(event);
            }
            if !events.is_empty() || queue.len() > 0 || self.is_done(polling, &deadline) {
                break;
            }
        }
        self.answered(polling);
        let count = events.len();
        let kept = Some(Box::new(read(&events)) as Box<dyn Any + Send>);
        *polling.lent.lock() = Lent { events, kept };
        Ok(count)
    }

    /// From here on the calling thread is the one that asks for events.
    fn begin_polling<'a>(&self, polling: &'a Polling) -> Result<Turn<'a>> {
        let turn = polling.begin()?;
        // Whoever frees it wakes those that have begun before, and waits for them.
        if self.is_freed() {
            return Err(Error::Handle("the runtime has been freed".into()));
        }
        Ok(turn)
    }

    /// Has the one who polls go on, or the next one.
    pub fn wake(&self) -> Result<()> {
        let polling = self.polling()?;
        polling.queue.wake();
        if polling.own.is_some() {
            self.core.workers.iter().for_each(|worker| worker.wake());
        }
        Ok(())
    }

    /// Sets what is called, on a thread of the runtime, once when events begin to wait.
    pub fn on_ready(&self, signal: Option<Signal>) -> Result<()> {
        let polling = self.polling()?;
        if polling.own.is_some() {
            return Err(Error::State(
                "a runtime without threads has none to call from; poll it, or watch its descriptor"
                    .into(),
            ));
        }
        polling.queue.set_signal(signal);
        Ok(())
    }

    /// A descriptor that is readable while [`Self::poll`] has something to do.
    #[cfg(unix)]
    pub fn descriptor(&self) -> Result<std::os::fd::RawFd> {
        let polling = self.polling()?;
        let Some(own) = &polling.own else {
            let descriptor = polling.queue.descriptor();
            return descriptor.map_err(|error| super::refused("a descriptor", &error));
        };
        let descriptor = own.descriptor.ok_or_else(|| {
            Error::State("without threads there is no descriptor on this system".into())
        })?;
        own.is_watched.store(true, Ordering::SeqCst);
        match self.begin_polling(polling) {
            Ok(_turn) => self.rest(polling),
            // A poll is under way, and sets the clock when it ends; or, if that is just done, the
            // next one.
            Err(Error::State(_)) if polling.poller() != Some(thread::current().id()) => {
                self.core.workers.iter().for_each(|worker| worker.wake());
            }
            Err(Error::State(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(descriptor)
    }

    /// Does I/O for those who have no threads for it, until all connections have ended or the time
    /// is up.
    pub(super) fn drive(&self, deadline: Option<Instant>) {
        let Ok(polling) = self.polling() else { return };
        let Some(own) = &polling.own else {
            return;
        };
        let Ok(_turn) = self.begin_polling(polling) else {
            return;
        };
        while self.core.live.count() > 0 && deadline.is_none_or(|it| it > Instant::now()) {
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            own.worker.lock().turn(left);
        }
        self.rest(polling);
    }

    /// The last: no handler runs any more.
    pub(super) fn end_polling(&self) {
        let Ok(polling) = self.polling() else { return };
        polling.queue.wake();
        self.core.workers.iter().for_each(|worker| worker.wake());
        // From inside a handler the rest happens when it has returned.
        if let Some(_turn) = polling.wait_for_end() {
            if let Some(own) = &polling.own {
                own.worker.lock().turn(Some(Duration::ZERO));
            }
            polling.take_back();
        }
        polling.queue.set_signal(None);
        polling.queue.clear();
    }

    /// Runs handlers of events that wait now; what comes meanwhile does not keep the application.
    fn handle_waiting(&self, polling: &Polling, most: usize) -> usize {
        let queue = &polling.queue;
        // What handlers send is written when all have run.
        let _inside = match &*self.core.workers {
            [own] if polling.own.is_some() => Some(own.enter()),
            _ => None,
        };
        let most = most.min(queue.len());
        let mut batch = Batch::default();
        let mut used = None;
        let mut count = 0;
        while count < most && !self.is_freed() {
            let Some(event) = queue.next(used.take(), |_| true) else {
                break;
            };
            if run(&event, &mut batch).is_err() {
                queue.tell_of_room();
            }
            used = Some(event);
            count += 1;
        }
        drop(batch);
        queue.recycle(&mut used.into_iter().collect());
        count
    }

    /// A poll is about to return.
    fn answered(&self, polling: &Polling) {
        polling.queue.take_wake();
        polling.queue.asked();
        self.rest(polling);
    }

    /// Nobody asks for a while.
    fn rest(&self, polling: &Polling) {
        let queue = &polling.queue;
        if let Some(own) = &polling.own {
            let mut worker = own.worker.lock();
            if self.is_freed() {
                // A handler has freed it, and could not wait for this.
                worker.turn(Some(Duration::ZERO));
            }
            let is_wanted = queue.len() > 0 || queue.is_woken();
            worker.rest(is_wanted, own.is_watched.load(Ordering::SeqCst));
        }
        if self.is_freed() {
            queue.clear();
        }
    }

    fn is_done(&self, polling: &Polling, deadline: &Deadline) -> bool {
        deadline.is_over() || self.is_freed() || polling.queue.take_wake()
    }
}

/// Runs the handler of an event, in the batch that is under way or in one of its own.
fn run(event: &Waiting, batch: &mut Batch) -> Result<(), Undelivered> {
    if !event.is_in(batch) {
        // One ends before the next begins.
        *batch = Batch::default();
        *batch = event.batch()?;
    }
    event.handle()
}

/// Until when to wait.
struct Deadline(Option<Instant>);

impl Deadline {
    fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|it| Instant::now().checked_add(it)))
    }

    /// Not at all, if there is something already.
    fn unless(&self, is_there: bool) -> Option<Instant> {
        if is_there {
            Some(Instant::now())
        } else {
            self.0
        }
    }

    fn is_over(&self) -> bool {
        self.0.is_some_and(|it| it <= Instant::now())
    }
}

#[cfg(not(unix))]
impl Runtime {
    /// There is none that the host could watch.
    pub fn descriptor(&self) -> Result<i32> {
        self.polling()?;
        Err(Error::State(
            "there are no descriptors on this system".into(),
        ))
    }
}
