//! The gate between a connection and its application: handlers of one socket run one after the
//! other, none starts after the socket was released, and nothing follows the close event.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::event::{Event, Handler};

/// One socket's way to its handler. Only the thread that runs the connection delivers; any thread
/// may detach.
#[derive(Default)]
pub struct Gate {
    handler: OnceLock<Arc<dyn Handler>>,
    detached: AtomicBool,
    closed: AtomicBool,
}

/// The handler panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

impl Gate {
    /// Sets the handler, once, before the first event.
    pub fn attach(&self, handler: Arc<dyn Handler>) {
        let attached = self.handler.set(handler);
        debug_assert!(attached.is_ok());
    }

    /// No event starts from here on.
    pub fn detach(&self) {
        self.detached.store(true, Ordering::SeqCst);
    }

    /// Whether the application has let go of the socket.
    pub fn is_detached(&self) -> bool {
        self.detached.load(Ordering::SeqCst)
    }

    /// Runs the handler, on this thread. The caller holds no lock.
    pub fn deliver(&self, event: &Event<'_>) -> Result<(), Panicked> {
        if self.is_detached() || self.closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(handler) = self.handler.get() else {
            return Ok(());
        };
        if matches!(event, Event::Close { .. }) {
            self.closed.store(true, Ordering::Relaxed);
        }
        catch_unwind(AssertUnwindSafe(|| handler.handle(event))).map_err(|_| Panicked)
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

    fn recording() -> (Gate, Arc<Mutex<Vec<String>>>) {
        let gate = Gate::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        gate.attach(Arc::new(move |event: Event<'_>| {
            log.lock().push(format!("{event:?}"));
        }));
        (gate, seen)
    }

    #[test]
    fn nothing_follows_the_close_event() {
        let (gate, seen) = recording();
        for event in [Event::Open, CLOSE, CLOSE, Event::Drain] {
            gate.deliver(&event).unwrap();
        }
        assert_eq!(seen.lock().len(), 2);
    }

    #[test]
    fn nothing_starts_after_detaching() {
        let (gate, seen) = recording();
        gate.deliver(&Event::Open).unwrap();
        gate.detach();
        gate.deliver(&CLOSE).unwrap();
        assert_eq!(seen.lock().len(), 1);
    }

    #[test]
    fn a_panic_of_the_handler_is_caught() {
        let gate = Gate::default();
        gate.attach(Arc::new(|_: Event<'_>| panic!("on purpose")));
        assert_eq!(gate.deliver(&Event::Open), Err(Panicked));
    }
}
