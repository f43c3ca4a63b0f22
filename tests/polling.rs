//! In Rust: handlers that a poll runs, that panic, and that a peer keeps busy; the signal of events.

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use log::{LevelFilter, Log, Metadata, Record};
use support::wire::{self, BINARY, FIN, Peer, TEXT};
use support::{PATIENCE, RawServer, Seen, recorder};
use wsabi::{Delivery, Error, Event, Handler, Options, Runtime, Socket};

/// A client that is polled, whose handler panics at some events.
struct Polled {
    runtime: Runtime,
    _socket: Socket,
    seen: Receiver<Seen>,
}

impl Polled {
    fn connect(
        threads: u32,
        url: &str,
        options: &Options,
        panics_at: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        let runtime = Runtime::new(threads, Delivery::Poll).unwrap();
        let (sender, seen) = channel();
        let record = recorder(sender);
        let handler = move |event: Event<'_>| {
            record.handle(&event);
            assert!(!panics_at(&event), "on purpose");
        };
        let socket = Socket::connect(&runtime, url, options, |_| Arc::new(handler)).unwrap();
        Self {
            runtime,
            _socket: socket,
            seen,
        }
    }

    /// What the handler has seen when CLOSE has come.
    fn until_close(&self) -> Vec<Seen> {
        self.until(|seen| matches!(seen, Seen::Close(..)))
    }

    /// What the handler has seen up to there.
    fn until(&self, is_last: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        let mut seen = Vec::new();
        let start = Instant::now();
        while !seen.last().is_some_and(&is_last) {
            assert!(start.elapsed() < PATIENCE, "{seen:?}");
            self.runtime
                .poll(usize::MAX, Some(Duration::from_millis(100)))
                .unwrap();
            seen.extend(self.seen.try_iter());
        }
        seen
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        self.runtime.free();
    }
}

fn is_message(event: &Event<'_>) -> bool {
    matches!(event, Event::Message { .. })
}

#[test]
fn a_panic_in_a_handler_fails_its_connection_and_no_other() {
    for threads in [0, 1] {
        let server = RawServer::new();
        let url = server.url();
        let polled = Polled::connect(threads, &url, &Options::new(), is_message);
        let (other_sender, other) = channel();
        // The first one is accepted before the second one asks.
        let mut peer = accept(&polled, &server);
        let record = recorder(other_sender);
        let _socket = Socket::connect(&polled.runtime, &url, &Options::new(), |_| record).unwrap();
        let mut other_peer = accept(&polled, &server);
        // Behind the first message, others are there already.
        let messages = [&b"one"[..], b"two", b"three"].map(|it| wire::frame(FIN | TEXT, it));
        peer.send_raw(&messages.concat());
        let seen = std::thread::scope(|scope| {
            let closing = scope.spawn(move || {
                let frame = peer.read_frame();
                assert_eq!(frame.payload, 1011_u16.to_be_bytes());
            });
            let seen = polled.until_close();
            closing.join().unwrap();
            seen
        });
        let [
            Seen::Open,
            message,
            Seen::Error(error),
            Seen::Close(code, _, was_clean),
        ] = &seen[..]
        else {
            panic!("{threads} threads: {seen:?}");
        };
        assert_eq!(*message, Seen::text("one"));
        assert!(matches!(error, Error::Internal(_)), "{error:?}");
        assert_eq!((*code, *was_clean), (1011, false));
        other_peer.send_frame(FIN | TEXT, b"still here");
        let start = Instant::now();
        while other.try_iter().all(|it| it != Seen::text("still here")) {
            assert!(start.elapsed() < PATIENCE);
            polled
                .runtime
                .poll(usize::MAX, Some(Duration::from_millis(100)))
                .unwrap();
        }
    }
}

#[test]
fn a_handler_that_panics_when_a_batch_begins_fails_its_connection() {
    struct Panics {
        record: Arc<dyn Handler>,
        is_armed: AtomicBool,
    }
    impl Handler for Panics {
        fn handle(&self, event: &Event<'_>) {
            self.record.handle(event);
        }

        fn begin(&self) {
            assert!(!self.is_armed.swap(false, Ordering::Relaxed), "on purpose");
        }
    }
    for threads in [0, 1] {
        let server = RawServer::new();
        let runtime = Runtime::new(threads, Delivery::Poll).unwrap();
        let (sender, seen) = channel();
        let handler = Arc::new(Panics {
            record: recorder(sender),
            is_armed: AtomicBool::new(false),
        });
        let given = Arc::clone(&handler);
        let socket = Socket::connect(&runtime, &server.url(), &Options::new(), |_| given).unwrap();
        let polled = Polled {
            runtime,
            _socket: socket,
            seen,
        };
        let mut peer = accept(&polled, &server);
        polled.until(|seen| matches!(seen, Seen::Open));
        handler.is_armed.store(true, Ordering::Relaxed);
        peer.send_frame(FIN | TEXT, b"one");
        std::thread::scope(|scope| {
            let closing = scope.spawn(move || peer.read_frame());
            let seen = polled.until(|seen| matches!(seen, Seen::Close(..)));
            let [Seen::Error(error), Seen::Close(1011, _, false)] = &seen[..] else {
                panic!("{threads} threads: {seen:?}");
            };
            let expected = Error::Internal("a handler of the application panicked".into());
            assert_eq!(*error, expected);
            assert_eq!(closing.join().unwrap().payload, 1011_u16.to_be_bytes());
        });
    }
}

#[test]
fn a_panic_over_an_earlier_connection_ends_the_attempts() {
    for threads in [0, 1] {
        let server = RawServer::new();
        let mut options = Options::new();
        let delay = Duration::from_millis(1);
        options.set_reconnect(delay, delay, 0).unwrap();
        let panics_at = |event: &Event<'_>| matches!(event, Event::Reconnect { .. });
        let polled = Polled::connect(threads, &server.url(), &options, panics_at);
        drop(accept(&polled, &server));
        let seen = polled.until_close();
        let [Seen::Open, Seen::Error(error), Seen::Close(..)] = &seen[..] else {
            panic!("{threads} threads: {seen:?}");
        };
        assert!(matches!(error, Error::Internal(_)), "{error:?}");
    }
}

#[test]
fn a_handler_that_panics_while_it_is_dropped_takes_no_poll_down() {
    struct Panics(Mutex<std::sync::mpsc::Sender<()>>);
    impl Handler for Panics {
        fn handle(&self, _: &Event<'_>) {}
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.lock().unwrap().send(()).unwrap();
            panic!("on purpose");
        }
    }
    for threads in [0, 1] {
        let runtime = Runtime::new(threads, Delivery::Poll).unwrap();
        let nobody = support::Nobody::new();
        let (sender, dropped) = channel();
        let handler = Arc::new(Panics(Mutex::new(sender)));
        let _socket =
            Socket::connect(&runtime, &nobody.url(), &Options::new(), |_| handler).unwrap();
        let start = Instant::now();
        while dropped.try_recv().is_err() {
            assert!(start.elapsed() < PATIENCE);
            runtime
                .poll(usize::MAX, Some(Duration::from_millis(100)))
                .unwrap();
        }
        runtime.free();
    }
}

#[test]
fn a_runtime_that_was_freed_cannot_be_polled() {
    for threads in [0, 1] {
        let runtime = Runtime::new(threads, Delivery::Poll).unwrap();
        runtime.free();
        for _ in 0..2 {
            assert!(matches!(runtime.poll(1, None), Err(Error::Handle(_))));
        }
    }
}

/// A logger that takes the signal of a runtime away when it hears of its panic.
struct Replacing {
    runtime: Runtime,
    replaced: Sender<wsabi::Result<()>>,
}

impl Log for Replacing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.args().to_string().contains("panicked in its signal") {
            self.replaced.send(self.runtime.on_ready(None)).unwrap();
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_signal_that_has_panicked_can_be_replaced_by_whoever_reads_of_it_in_the_log() {
    let runtime = Runtime::new(1, Delivery::Poll).unwrap();
    let (replaced, answers) = channel();
    let logger = Replacing {
        runtime: runtime.clone(),
        replaced,
    };
    log::set_logger(Box::leak(Box::new(logger))).unwrap();
    log::set_max_level(LevelFilter::Error);
    runtime
        .on_ready(Some(Box::new(|| panic!("on purpose"))))
        .unwrap();
    // Nobody is there any more: an event comes soon.
    let url = RawServer::new().url();
    let silent = |_: Event<'_>| {};
    let _socket = Socket::connect(&runtime, &url, &Options::new(), |_| Arc::new(silent)).unwrap();
    answers.recv_timeout(PATIENCE).unwrap().unwrap();
    runtime.free();
}

/// What a peer gets of a turn does not grow with the time for which it has flooded.
#[test]
fn a_flood_gets_the_same_share_of_every_turn() {
    const TURNS: usize = 40;
    // A turn ends behind 4096 frames and what was read together with the last of them. There may be
    // one for the event that more has come, and one for what the last turn has left.
    const MOST: usize = 2 * (4096 + 2600);
    let server = RawServer::new();
    let polled = Polled::connect(0, &server.url(), &Options::new(), |_| false);
    let mut peer = accept(&polled, &server);
    polled.until(|seen| *seen == Seen::Open);
    let is_over = AtomicBool::new(false);
    let messages = wire::frame(FIN | BINARY, &[b'f'; 100]).repeat(10_000);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if peer.stream.write_all(&messages).is_err() {
                    break;
                }
            }
            peer.stream.shutdown(std::net::Shutdown::Both)
        });
        let mut counts = Vec::new();
        for _ in 0..TURNS {
            let wait = Some(Duration::from_secs(1));
            counts.push(polled.runtime.poll(usize::MAX, wait).unwrap());
            polled.seen.try_iter().for_each(drop);
        }
        is_over.store(true, Ordering::Relaxed);
        // It may be waiting for room.
        polled.runtime.free();
        let _ = flood.join().unwrap();
        let most = counts.iter().max().unwrap();
        assert!(*most <= MOST, "{counts:?}");
    });
}

/// The next connection, which is made while the test polls.
fn accept(polled: &Polled, server: &RawServer) -> Peer {
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| {
            let (stream, response) = server.accept();
            let mut peer = Peer::new(stream, false);
            peer.send_raw(&response);
            peer
        });
        while !accepting.is_finished() {
            // No more than it takes: events may have to wait.
            polled
                .runtime
                .poll(0, Some(Duration::from_millis(1)))
                .unwrap();
        }
        accepting.join().unwrap()
    })
}
