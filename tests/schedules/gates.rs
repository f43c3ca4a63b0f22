//! Models of the gate between a connection and its handler.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use super::delivery::{Event, Gate, Handler, Outlet, Payload, Queue};
use super::explore;

const CLOSE: Event<'static> = Event::Close {
    code: 1000,
    reason: Payload::EMPTY,
    was_clean: true,
};

/// What has happened to a handler, whose own assertions the gate would catch.
#[derive(Default)]
struct Seen {
    /// The kinds of events: 'o', 'd' and 'c', and 'x' for the handler's end.
    events: Mutex<String>,
    /// The socket has been released, or closed, and the call has returned.
    is_over: AtomicBool,
    /// Whether it had been when the thread that delivers was last outside of the library. What was
    /// delivered before may still reach the handler, and counts as running.
    was_over: AtomicBool,
    /// The kinds of events that the handler got nevertheless.
    late: Mutex<String>,
}

impl Seen {
    /// The thread that delivers begins to.
    fn look(&self) {
        let is_over = self.is_over.load(Ordering::SeqCst);
        self.was_over.store(is_over, Ordering::SeqCst);
    }
}

struct Recorder(Arc<Seen>);

impl Handler for Recorder {
    fn handle(&self, event: &Event<'_>) {
        let kind = match event {
            Event::Open => 'o',
            Event::Drain => 'd',
            Event::Close { .. } => 'c',
            _ => '?',
        };
        if self.0.was_over.load(Ordering::SeqCst) {
            self.0.late.lock().unwrap().push(kind);
        }
        self.0.events.lock().unwrap().push(kind);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.events.lock().unwrap().push('x');
    }
}

/// The connection's events, delivered by this thread.
fn live(outlet: &mut Outlet, gate: &Arc<Gate>, begin: impl Fn()) {
    for event in [Event::Open, Event::Drain, CLOSE, CLOSE, Event::Drain] {
        begin();
        let _batch = outlet.batch().unwrap();
        outlet.deliver(gate, &event).unwrap();
    }
}

fn outlet(seen: &Arc<Seen>, queue: Option<Arc<Queue>>) -> Outlet {
    let mut outlet = Outlet::new(queue);
    outlet.attach(Arc::new(Recorder(Arc::clone(seen))));
    outlet
}

fn release(gate: &Arc<Gate>, seen: &Arc<Seen>) -> thread::JoinHandle<()> {
    let (gate, seen) = (Arc::clone(gate), Arc::clone(seen));
    thread::spawn(move || {
        gate.detach();
        seen.is_over.store(true, Ordering::SeqCst);
    })
}

/// A beginning of the one order that is allowed, and the handler's end behind it, once.
fn check(seen: &Seen) {
    let events = seen.events.lock().unwrap().clone();
    assert!(
        ["x", "ox", "odx", "odcx"].contains(&events.as_str()),
        "{events}"
    );
    assert_eq!(*seen.late.lock().unwrap(), "", "{events}");
}

pub fn a_release_ends_the_events_and_the_handler() {
    explore(|| {
        let (gate, seen) = (Arc::new(Gate::default()), Arc::new(Seen::default()));
        let mut outlet = outlet(&seen, None);
        let release = release(&gate, &seen);
        live(&mut outlet, &gate, || seen.look());
        release.join().unwrap();
        drop(outlet);
        check(&seen);
    });
}

/// The same while another thread asks for the events.
pub fn a_release_ends_the_events_that_wait() {
    explore(|| {
        let (gate, seen) = (Arc::new(Gate::default()), Arc::new(Seen::default()));
        let queue = Arc::new(Queue::default());
        let mut outlet = outlet(&seen, Some(Arc::clone(&queue)));
        let release = release(&gate, &seen);
        let connection = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                live(&mut outlet, &gate, || ());
                drop(outlet);
            })
        };
        poll(&queue, || seen.look());
        connection.join().unwrap();
        release.join().unwrap();
        poll(&queue, || seen.look());
        check(&seen);
    });
}

/// From inside its own handler it is exact.
pub fn nothing_follows_a_release_inside_a_handler() {
    explore(|| {
        let (gate, seen) = (Arc::new(Gate::default()), Arc::new(Seen::default()));
        let queue = Arc::new(Queue::default());
        let mut outlet = Outlet::new(Some(Arc::clone(&queue)));
        let releasing = {
            let (gate, recorder) = (Arc::clone(&gate), Recorder(Arc::clone(&seen)));
            move |event: Event<'_>| {
                recorder.handle(&event);
                if matches!(event, Event::Drain) {
                    gate.detach();
                }
            }
        };
        outlet.attach(Arc::new(releasing));
        let connection = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                live(&mut outlet, &gate, || ());
                drop(outlet);
            })
        };
        poll(&queue, || ());
        connection.join().unwrap();
        poll(&queue, || ());
        assert_eq!(*seen.events.lock().unwrap(), "odx");
    });
}

/// One thread closes the socket: its messages are over, its end is not.
pub fn a_close_ends_the_messages_and_close_still_comes() {
    explore(|| {
        let (gate, seen) = (Arc::new(Gate::default()), Arc::new(Seen::default()));
        let queue = Arc::new(Queue::default());
        let mut outlet = outlet(&seen, Some(Arc::clone(&queue)));
        let closer = {
            let (gate, seen) = (Arc::clone(&gate), Arc::clone(&seen));
            thread::spawn(move || {
                gate.end();
                seen.is_over.store(true, Ordering::SeqCst);
            })
        };
        let connection = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                live(&mut outlet, &gate, || ());
                drop(outlet);
            })
        };
        poll(&queue, || seen.look());
        closer.join().unwrap();
        connection.join().unwrap();
        poll(&queue, || seen.look());
        let events = seen.events.lock().unwrap().clone();
        assert!(["ocx", "odcx"].contains(&events.as_str()), "{events}");
        assert!(!seen.late.lock().unwrap().contains('d'));
    });
}

/// The connection learns once that a handler panicked elsewhere, however the two meet.
pub fn a_panic_while_polling_is_known_once() {
    explore(|| {
        let gate = Arc::new(Gate::default());
        let queue = Arc::new(Queue::default());
        let mut outlet = Outlet::new(Some(Arc::clone(&queue)));
        outlet.attach(Arc::new(|_: Event<'_>| {
            std::panic::resume_unwind(Box::new("on purpose"));
        }));
        let connection = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                let mut times = 0;
                for event in [Event::Open, Event::Drain, CLOSE] {
                    outlet.deliver(&gate, &event).unwrap();
                    times += usize::from(gate.take_panic());
                }
                times
            })
        };
        poll(&queue, || ());
        let times = connection.join().unwrap();
        assert!(times <= 1);
        poll(&queue, || ());
        // Of OPEN and of CLOSE, between which nothing is handled.
        let known = times + usize::from(gate.take_panic());
        assert!(known == 1 || known == 2, "{known}");
        assert!(!gate.take_panic());
    });
}

/// Handles what waits now.
fn poll(queue: &Queue, begin: impl Fn()) {
    let mut used = None;
    begin();
    while let Some(event) = queue.next(used.take(), |_| true) {
        // It panics on purpose in one of the models.
        let _ = event.handle();
        used = Some(event);
        begin();
    }
    queue.recycle(&mut used.into_iter().collect());
}
