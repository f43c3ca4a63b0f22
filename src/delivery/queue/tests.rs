use std::sync::atomic::AtomicU32;
use std::thread;

use super::*;
use crate::delivery::{MessageKind, Payload};
use crate::error::Error;

const THREADS: u8 = 3;
const EACH: u8 = if cfg!(miri) { 8 } else { 200 };

const CLOSE: Event<'static> = Event::Close {
    code: 1000,
    reason: Payload::EMPTY,
    was_clean: true,
};

/// A socket's end of the queue, whose handler does nothing.
fn socket() -> (Arc<dyn Handler>, Arc<Gate>) {
    (Arc::new(|_: Event<'_>| {}), Arc::default())
}

fn push_message(queue: &Queue, (handler, gate): &(Arc<dyn Handler>, Arc<Gate>), text: &[u8]) {
    let with_nul = [text, b"\0"].concat();
    let payload = Payload::new(&with_nul).unwrap();
    let kind = MessageKind::Binary;
    queue
        .push(handler, gate, &Event::Message { kind, payload })
        .unwrap();
}

fn push_ping(queue: &Queue, (handler, gate): &(Arc<dyn Handler>, Arc<Gate>)) {
    queue
        .push(handler, gate, &Event::Ping(Payload::EMPTY))
        .unwrap();
}

/// What is still wanted, in short.
fn drain(queue: &Queue) -> Vec<String> {
    std::iter::from_fn(|| queue.next(None, |_| true))
        .map(|it| format!("{:?}", it.event()))
        .collect()
}

#[test]
fn threads_push_and_one_takes_in_each_ones_order() {
    let queue = Queue::default();
    let sockets = [(); THREADS as usize].map(|()| socket());
    let mut next = [0; THREADS as usize];
    thread::scope(|scope| {
        for (thread, socket) in (0..).zip(&sockets) {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..EACH {
                    push_message(queue, socket, &[thread, number]);
                }
            });
        }
        let mut used = None;
        for _ in 0..usize::from(THREADS) * usize::from(EACH) {
            let event = loop {
                queue.wait(None);
                if let Some(event) = queue.next(used.take(), |_| true) {
                    break event;
                }
            };
            let &[thread, number] = event.payload().as_bytes() else {
                panic!("{:?}", event.event());
            };
            let expected = &mut next[usize::from(thread)];
            assert_eq!(number, *expected);
            *expected += 1;
            used = Some(event);
        }
    });
    assert_eq!((next, queue.len()), ([EACH; THREADS as usize], 0));
}

#[test]
fn no_event_waits_without_a_signal() {
    for _ in 0..if cfg!(miri) { 5 } else { 300 } {
        let queue = Arc::new(Queue::default());
        let signals = Arc::new((Mutex::new(0_u32), Condvar::new()));
        let given = Arc::clone(&signals);
        queue.set_signal(Some(Box::new(move || {
            *given.0.lock() += 1;
            given.1.notify_all();
        })));
        let (socket, pushing) = (socket(), Arc::clone(&queue));
        let pusher = thread::spawn(move || {
            for number in 0..EACH {
                push_message(&pushing, &socket, &[number]);
            }
        });
        let mut taken = 0;
        while taken < usize::from(EACH) {
            let mut waiting = signals.0.lock();
            while *waiting == 0 {
                signals.1.wait(&mut waiting);
            }
            *waiting = 0;
            drop(waiting);
            taken += drain(&queue).len();
            queue.asked();
        }
        pusher.join().unwrap();
    }
}

#[test]
fn a_wake_is_kept_until_it_is_taken() {
    let queue = Queue::default();
    assert!(!queue.take_wake());
    queue.wake();
    queue.wait(None);
    assert!(queue.is_woken() && queue.take_wake());
    assert!(!queue.is_woken());
    thread::scope(|scope| {
        scope.spawn(|| queue.wake());
        queue.wait(None);
    });
    queue.take_wake();
    queue.wait(Some(Instant::now()));
}

#[test]
fn what_nobody_wants_any_more_is_dropped() {
    let queue = Queue::default();
    let released = socket();
    let closed = socket();
    let panicked = socket();
    for it in [&released, &closed, &panicked] {
        queue.push(&it.0, &it.1, &Event::Open).unwrap();
        push_message(&queue, it, b"text");
        queue
            .push(&it.0, &it.1, &Event::Error(&Error::Aborted("x".into())))
            .unwrap();
        queue.push(&it.0, &it.1, &CLOSE).unwrap();
    }
    released.1.detach();
    closed.1.end();
    panicked.1.panic();
    let kinds: Vec<_> = drain(&queue)
        .iter()
        .map(|it| it.chars().take(5).collect::<String>())
        .collect();
    assert_eq!(kinds, ["Open", "Error", "Close", "Error", "Close"]);
    assert_eq!(queue.len(), 0);
    assert!(panicked.1.take_panic() && !panicked.1.take_panic());
}

#[test]
#[cfg_attr(miri, ignore = "it fills 16 MiB")]
fn when_it_is_full_it_says_so_and_tells_of_room_once_half_is_left() {
    let queue = Queue::default();
    let told = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&told);
    queue.on_room(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let socket = socket();
    let text = vec![b'x'; 1 << 20];
    let mut pushed = 0;
    while !queue.is_full() {
        push_message(&queue, &socket, &text);
        pushed += 1;
        assert!(pushed <= 16);
    }
    for _ in 0..MOST_PINGS * 2 {
        push_ping(&queue, &socket);
    }
    assert_eq!(queue.len(), pushed + MOST_PINGS);
    while queue.is_full() {
        assert_eq!(told.load(Ordering::Relaxed), 0);
        assert!(queue.next(None, |_| true).is_some());
    }
    assert_eq!(told.load(Ordering::Relaxed), 1);
    assert!((1..=pushed / 2 + MOST_PINGS).contains(&queue.len()));
    queue.clear();
    assert_eq!(queue.len(), 0);
    assert_eq!(socket.1.waiting.load(Ordering::Relaxed), 0);
    assert_eq!(socket.1.pings.load(Ordering::Relaxed), 0);
}

#[test]
fn small_events_in_large_buffers_count_for_what_they_hold() {
    let queue = Queue::default();
    let socket = socket();
    push_message(&queue, &socket, &vec![b'x'; 1 << 12]);
    let used = queue.next(None, |_| true);
    queue.recycle(&mut used.into_iter().collect());
    push_message(&queue, &socket, b"tiny");
    assert!(queue.state.lock().bytes >= 1 << 12);
}
