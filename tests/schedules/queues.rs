//! Models of the queue of a runtime that is polled.

use std::sync::Arc;

use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

use super::delivery::{Event, Gate, Handler, MessageKind, Outlet, Payload, Queue};
use super::{explore, join};

struct Socket {
    handler: Arc<dyn Handler>,
    gate: Arc<Gate>,
}

impl Socket {
    fn new() -> Self {
        Self {
            handler: Arc::new(|_: Event<'_>| {}),
            gate: Arc::default(),
        }
    }

    fn push(&self, queue: &Queue, bytes: &[u8]) {
        let with_nul = [bytes, b"\0"].concat();
        let payload = Payload::new(&with_nul).unwrap();
        let kind = MessageKind::Binary;
        let event = Event::Message { kind, payload };
        queue.push(&self.handler, &self.gate, &event).unwrap();
    }
}

/// A thread for each socket, which receives so many messages of one byte.
fn receive(queue: &Arc<Queue>, count: u8) -> [thread::JoinHandle<()>; 2] {
    [10, 20].map(|first| {
        let queue = Arc::clone(queue);
        thread::spawn(move || {
            let socket = Socket::new();
            for number in first..first + count {
                socket.push(&queue, &[number]);
            }
        })
    })
}

/// The messages of each socket have come, in order.
fn check(mut seen: Vec<u8>, count: u8) {
    seen.sort_by_key(|it| it / 10); // Stable: the order of each is kept.
    let expected: Vec<u8> = (10..10 + count).chain(20..20 + count).collect();
    assert_eq!(seen, expected);
}

/// Whoever waits for events sleeps while there are none, and never while there are some: else this
/// would be a deadlock, which shuttle finds.
pub fn no_event_waits_while_the_one_who_asks_sleeps() {
    explore(|| {
        let queue = Arc::new(Queue::default());
        let threads = receive(&queue, 2);
        let mut seen = Vec::new();
        let mut used = None;
        while seen.len() < 4 {
            queue.wait(None);
            while let Some(event) = queue.next(used.take(), |_| true) {
                seen.extend(event.payload().as_bytes());
                used = Some(event);
            }
        }
        join(threads);
        assert_eq!(queue.len(), 0);
        check(seen, 2);
    });
}

/// A wake is for one who waits, or for the next one who does; and it is used up by that.
pub fn a_wake_is_never_lost() {
    explore(|| {
        let queue = Arc::new(Queue::default());
        let waker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.wake())
        };
        let pusher = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || Socket::new().push(&queue, b"x"))
        };
        let (mut wakes, mut events) = (0, 0);
        while (wakes, events) != (1, 1) {
            queue.wait(None);
            events += usize::from(queue.next(None, |_| true).is_some());
            wakes += usize::from(queue.take_wake());
        }
        waker.join().unwrap();
        pusher.join().unwrap();
        assert!(!queue.is_woken() && queue.len() == 0);
    });
}

/// An application that asks only when it was told to gets everything: after an answer that left
/// some behind, it is told again.
pub fn no_event_waits_without_a_signal() {
    explore(|| {
        let queue = Arc::new(Queue::default());
        let signals = Arc::new((Mutex::new(0), Condvar::new()));
        let given = Arc::clone(&signals);
        queue.set_signal(Some(Box::new(move || {
            *given.0.lock().unwrap() += 1;
            given.1.notify_all();
        })));
        let threads = receive(&queue, 2);
        let mut seen = Vec::new();
        while seen.len() < 4 {
            let mut waiting = signals.0.lock().unwrap();
            while *waiting == 0 {
                waiting = signals.1.wait(waiting).unwrap();
            }
            *waiting = 0;
            drop(waiting);
            // One of what may be more.
            if let Some(event) = queue.next(None, |_| true) {
                seen.extend(event.payload().as_bytes());
            }
            queue.asked();
        }
        join(threads);
        check(seen, 2);
    });
}

/// Once it was replaced, the old signal runs no more: what it uses may be gone.
pub fn a_signal_that_was_replaced_does_not_run() {
    explore(|| {
        let queue = Arc::new(Queue::default());
        let is_gone = Arc::new(Mutex::new(false));
        let late = Arc::new(Mutex::new(false));
        let (gone, flag) = (Arc::clone(&is_gone), Arc::clone(&late));
        queue.set_signal(Some(Box::new(move || {
            if *gone.lock().unwrap() {
                *flag.lock().unwrap() = true;
            }
        })));
        let threads = receive(&queue, 1);
        queue.set_signal(None);
        *is_gone.lock().unwrap() = true;
        queue.asked();
        join(threads);
        assert!(!*late.lock().unwrap());
    });
}

/// A connection that stops to read since too much waits is told when there is room.
pub fn whoever_stops_to_read_is_told_to_go_on() {
    // Of its size one makes the queue full, and the time that takes limits how many orders.
    static LARGE: [u8; 17 << 20] = [0; 17 << 20];
    let model = || {
        let queue = Arc::new(Queue::default());
        let room = Arc::new((Mutex::new(false), Condvar::new()));
        let told = Arc::clone(&room);
        queue.on_room(move || {
            *told.0.lock().unwrap() = true;
            told.1.notify_all();
        });
        let connection = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let socket = Socket::new();
                let outlet = Outlet::new(Some(Arc::clone(&queue)));
                let payload = Payload::new(&LARGE).unwrap();
                let kind = MessageKind::Binary;
                let event = Event::Message { kind, payload };
                queue.push(&socket.handler, &socket.gate, &event).unwrap();
                if outlet.is_full(&socket.gate) {
                    let mut has_room = room.0.lock().unwrap();
                    while !*has_room {
                        has_room = room.1.wait(has_room).unwrap();
                    }
                }
                socket.push(&queue, b"after it");
            })
        };
        let mut count = 0;
        while count < 2 {
            queue.wait(None);
            count += usize::from(queue.next(None, |_| true).is_some());
        }
        connection.join().unwrap();
        assert!(!queue.is_full() && queue.len() == 0);
    };
    shuttle::check_random(model, 10);
}

/// A runtime is freed while a connection still reports: every handler goes with what has waited.
pub fn nothing_is_left_of_a_queue_that_is_cleared() {
    explore(|| {
        let queue = Arc::new(Queue::default());
        let connection = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let socket = Socket::new();
                socket.push(&queue, b"x");
                socket.push(&queue, b"y");
                (Arc::downgrade(&socket.handler), socket.gate)
            })
        };
        drop(queue.next(None, |_| true));
        queue.clear();
        let (handler, gate) = connection.join().unwrap();
        queue.clear();
        assert!(queue.len() == 0 && handler.upgrade().is_none());
        assert_eq!(Arc::strong_count(&gate), 1);
    });
}
