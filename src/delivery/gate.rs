//! The gate between a connection and its application: handlers of one socket run one after the
//! other, none starts after the socket was released, and nothing follows the close event.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::event::{Event, Handler};
use super::queue::Queue;
use crate::error::Error;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a socket and its connection share: whether events may pass.
#[derive(Default)]
pub struct Gate {
    detached: AtomicBool,
    ending: AtomicBool,
    /// A handler panicked while the connection was elsewhere.
    panicked: AtomicBool,
    /// The connection does not know of it yet.
    has_panic: AtomicBool,
    /// Events that wait in the queue, pings and pongs apart.
    pub(super) waiting: AtomicUsize,
    pub(super) pings: AtomicUsize,
}

/// A connection's way to its handler. The connection alone owns the handler, since that often holds
/// the socket: it is dropped after its last event, or with the connection.
pub struct Outlet {
    handler: Option<Arc<dyn Handler>>,
    /// Where events wait, unless handlers run as things happen.
    queue: Option<Arc<Queue>>,
}

/// The time in which events are delivered one after the other.
#[derive(Default)]
pub struct Batch {
    handler: Option<Arc<dyn Handler>>,
}

/// Why an event has not been told as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The handler panicked.
    Panicked,
    /// There is no memory in which the event could wait.
    OutOfMemory,
}

impl Undelivered {
    /// What the connection fails with.
    pub fn error(self) -> Error {
        match self {
            Self::Panicked => Error::Internal("a handler of the application panicked".into()),
            Self::OutOfMemory => {
                Error::Resource("no memory for a message that waits to be polled".into())
            }
        }
    }
}

impl Gate {
    /// No event starts from here on.
    pub fn detach(&self) {
        self.detached.store(true, Ordering::SeqCst);
    }

    /// Whether the application has let go of the socket.
    pub fn is_detached(&self) -> bool {
        self.detached.load(Ordering::SeqCst)
    }

    /// The application wants the end: no message follows, and no further connection.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Whether the application wants the end.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// A handler panicked while the connection was elsewhere.
    pub(super) fn panic(&self) {
        self.panicked.store(true, Ordering::Release);
        self.has_panic.store(true, Ordering::Release);
    }

    /// Whether a handler panicked while the connection was elsewhere.
    pub(super) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Acquire)
    }

    /// Whether there was such a panic of which the connection does not know yet.
    pub fn has_panic(&self) -> bool {
        self.has_panic.load(Ordering::Acquire)
    }

    /// The same, and the connection thereby knows.
    pub fn take_panic(&self) -> bool {
        self.has_panic() && self.has_panic.swap(false, Ordering::AcqRel)
    }
}

impl Outlet {
    /// An outlet into `queue`, or straight to the handler.
    pub fn new(queue: Option<Arc<Queue>>) -> Self {
        Self {
            handler: None,
            queue,
        }
    }

    /// Whether there is no room for more messages.
    pub fn is_full(&self, gate: &Gate) -> bool {
        let is_full = self.queue.as_ref().is_some_and(|queue| queue.is_full());
        is_full && gate.waiting.load(Ordering::Relaxed) > 0
    }

    /// Sets the handler, once, before the first event.
    pub fn attach(&mut self, handler: Arc<dyn Handler>) {
        debug_assert!(self.handler.is_none());
        self.handler = Some(handler);
    }

    /// Begins to deliver any number of events.
    pub fn batch(&self) -> Result<Batch, Undelivered> {
        let is_direct = self.queue.as_ref().is_none_or(|queue| queue.is_direct());
        match &self.handler {
            Some(handler) if is_direct => Batch::of(handler),
            _ => Ok(Batch::default()),
        }
    }

    /// Runs the handler on this thread, or has the event wait; neither once the socket was
    /// released. The caller holds no lock.
    pub fn deliver(&mut self, gate: &Arc<Gate>, event: &Event<'_>) -> Result<(), Undelivered> {
        if gate.is_detached() {
            drop_handler(self.handler.take());
        }
        let Some(handler) = &self.handler else {
            return Ok(());
        };
        let told = self.tell(handler, gate, event);
        if matches!(event, Event::Close { .. }) {
            drop_handler(self.handler.take());
        }
        told
    }

    /// The same for a handler that the outlet does not own.
    pub fn tell(
        &self,
        handler: &Arc<dyn Handler>,
        gate: &Arc<Gate>,
        event: &Event<'_>,
    ) -> Result<(), Undelivered> {
        match &self.queue {
            Some(queue) if !queue.is_direct() => {
                let pushed = queue.push(handler, gate, event);
                pushed.map_err(|_| Undelivered::OutOfMemory)
            }
            queue => {
                if let Some(queue) = queue {
                    queue.count_direct();
                }
                let handled = catch_unwind(AssertUnwindSafe(|| handler.handle(event)));
                handled.map_err(|_| Undelivered::Panicked)
            }
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        drop_handler(self.handler.take());
    }
}

impl Batch {
    /// Of events for this handler.
    pub(super) fn of(handler: &Arc<dyn Handler>) -> Result<Self, Undelivered> {
        match catch_unwind(AssertUnwindSafe(|| handler.begin())) {
            Ok(()) => Ok(Self {
                handler: Some(Arc::clone(handler)),
            }),
            Err(_) => Err(Undelivered::Panicked),
        }
    }

    /// Whether it is of events for this handler.
    pub(super) fn is_of(&self, handler: &Arc<dyn Handler>) -> bool {
        self.handler
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(it, handler))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(handler) = &self.handler {
            // It may run code of the application that replaced data goes back to.
            let _ = catch_unwind(AssertUnwindSafe(|| handler.end()));
        }
        drop_handler(self.handler.take());
    }
}

/// What the application does when its handler is dropped must not end a thread that runs others.
pub fn drop_handler<T>(handler: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(handler))).is_err() {
        log::error!("a handler of the application panicked while it was dropped");
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::delivery::Payload;

    const CLOSE: Event<'static> = Event::Close {
        code: 1000,
        reason: Payload::EMPTY,
        was_clean: true,
    };

    fn recording() -> (Outlet, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let outlet = outlet(move |event: Event<'_>| log.lock().push(format!("{event:?}")));
        (outlet, seen)
    }

    fn outlet(handler: impl Handler + 'static) -> Outlet {
        let mut outlet = Outlet::new(None);
        outlet.attach(Arc::new(handler));
        outlet
    }

    #[test]
    fn nothing_follows_the_close_event() {
        let (mut outlet, seen) = recording();
        for event in [Event::Open, CLOSE, CLOSE, Event::Drain] {
            outlet.deliver(&Arc::default(), &event).unwrap();
        }
        assert_eq!(seen.lock().len(), 2);
    }

    #[test]
    fn nothing_starts_after_detaching() {
        let gate = Arc::new(Gate::default());
        let (mut outlet, seen) = recording();
        outlet.deliver(&gate, &Event::Open).unwrap();
        gate.detach();
        outlet.deliver(&gate, &CLOSE).unwrap();
        assert_eq!(seen.lock().len(), 1);
    }

    #[test]
    fn a_panic_of_the_handler_is_caught() {
        let mut outlet = outlet(|_: Event<'_>| panic!("on purpose"));
        let delivered = outlet.deliver(&Arc::default(), &Event::Open);
        assert_eq!(delivered, Err(Undelivered::Panicked));
    }

    #[test]
    fn a_panic_at_the_beginning_of_a_batch_is_caught() {
        struct Panics;
        impl Handler for Panics {
            fn handle(&self, _: &Event<'_>) {}

            fn begin(&self) {
                panic!("on purpose");
            }

            fn end(&self) {
                unreachable!("what has not begun does not end");
            }
        }
        assert_eq!(outlet(Panics).batch().err(), Some(Undelivered::Panicked));
    }

    /// Counts how often it has been dropped, and how often a batch has ended before.
    #[derive(Default)]
    struct Counts {
        drops: AtomicUsize,
        ends: AtomicUsize,
    }

    struct Counted(Arc<Counts>);

    impl Handler for Counted {
        fn handle(&self, _: &Event<'_>) {
            assert_eq!(self.0.drops.load(Ordering::SeqCst), 0);
        }

        fn end(&self) {
            assert_eq!(self.0.drops.load(Ordering::SeqCst), 0);
            self.0.ends.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.drops.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counted() -> (Outlet, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        (outlet(Counted(Arc::clone(&counts))), counts)
    }

    #[test]
    fn a_handler_is_dropped_after_the_close_event() {
        let (mut outlet, counts) = counted();
        outlet.deliver(&Arc::default(), &Event::Open).unwrap();
        assert_eq!(counts.drops.load(Ordering::SeqCst), 0);
        outlet.deliver(&Arc::default(), &CLOSE).unwrap();
        assert_eq!(counts.drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_handler_is_dropped_when_its_socket_has_been_released() {
        let (mut outlet, counts) = counted();
        let gate = Arc::new(Gate::default());
        gate.detach();
        outlet.deliver(&gate, &Event::Open).unwrap();
        assert_eq!(counts.drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_handler_is_dropped_with_a_connection_that_never_was() {
        let (outlet, counts) = counted();
        drop(outlet);
        assert_eq!(counts.drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_handler_that_ends_inside_a_batch_is_dropped_at_its_end() {
        let (mut outlet, counts) = counted();
        let batch = outlet.batch().unwrap();
        outlet.deliver(&Arc::default(), &CLOSE).unwrap();
        assert_eq!(counts.drops.load(Ordering::SeqCst), 0);
        drop(batch);
        assert_eq!(counts.ends.load(Ordering::SeqCst), 1);
        assert_eq!(counts.drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_handler_that_panics_while_it_is_dropped_takes_no_thread_down() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("on purpose");
            }
        }
        let panicking = || {
            let panics = Panics;
            outlet(move |_: Event<'_>| {
                let _held = &panics;
            })
        };
        panicking().deliver(&Arc::default(), &CLOSE).unwrap();
        drop(panicking());
    }
}
