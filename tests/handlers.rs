//! When the handler of a socket is dropped: once, after its last event, though it holds the socket.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use support::{Nobody, PATIENCE, RawServer, Threads};
use wsabi::{Event, Handler, Options, Server, Socket};

#[test]
fn a_handler_that_holds_its_socket_is_dropped_after_the_close_event() {
    let threads = Threads::new(1);
    let (holder, log) = Holder::new();
    let accepted = holder.clone();
    let server = Server::listen(
        &threads.0,
        "ws://127.0.0.1:0/",
        &Options::new(),
        move |socket| accepted.hold(socket, "server", |_, _| {}),
    )
    .unwrap();
    let url = format!("ws://127.0.0.1:{}/", server.port());
    let socket = Socket::connect(&threads.0, &url, &Options::new(), |socket| {
        holder.hold(socket, "client", |socket, event| {
            if let Event::Open = event {
                socket.close(Some(1000), "").unwrap();
            }
        })
    })
    .unwrap();
    let mut ends: Vec<_> = (0..4).map(|_| next(&log)).collect();
    ends.sort_by_key(|(who, _)| *who);
    assert_eq!(
        ends,
        [
            ("client", "closed"),
            ("client", "dropped"),
            ("server", "closed"),
            ("server", "dropped")
        ]
    );
    drop(socket);
}

#[test]
fn a_handler_that_holds_its_socket_is_dropped_where_connecting_fails() {
    let threads = Threads::new(1);
    let (holder, log) = Holder::new();
    let nobody = Nobody::new();
    Socket::connect(&threads.0, &nobody.url(), &Options::new(), |socket| {
        holder.hold(socket, "client", |_, _| {})
    })
    .unwrap();
    assert_eq!(next(&log), ("client", "closed"));
    assert_eq!(next(&log), ("client", "dropped"));
}

#[test]
fn a_handler_of_a_socket_that_was_not_made_is_dropped() {
    let threads = Threads::new(1);
    let (holder, log) = Holder::new();
    let runtime = threads.0.clone();
    let made = Socket::connect(&threads.0, "ws://127.0.0.1:9/", &Options::new(), |socket| {
        runtime.free();
        holder.hold(socket, "client", |_, _| {})
    });
    assert!(made.is_err());
    assert_eq!(next(&log), ("client", "dropped"));
}

#[test]
fn a_handler_that_holds_its_socket_is_dropped_after_its_release() {
    let threads = Threads::new(1);
    let server = RawServer::new();
    let (holder, log) = Holder::new();
    let socket = Socket::connect(&threads.0, &server.url(), &Options::new(), |socket| {
        holder.hold(socket, "client", |_, _| {})
    })
    .unwrap();
    let _peer = server.accept();
    socket.release();
    assert_eq!(next(&log), ("client", "dropped"));
}

#[test]
fn a_handler_is_dropped_once_when_it_and_others_release_its_socket() {
    let threads = Threads::new(2);
    let (_server, url) = threads.echo_server(&Options::new());
    for _ in 0..200 {
        let (holder, log) = Holder::new();
        let (opening, opened) = channel();
        let socket = Socket::connect(&threads.0, &url, &Options::new(), |socket| {
            holder.hold(socket, "client", move |socket, event| {
                if let Event::Open = event {
                    opening.send(()).unwrap();
                    socket.release();
                    socket.release();
                }
            })
        })
        .unwrap();
        opened.recv_timeout(PATIENCE).unwrap();
        socket.release();
        assert_eq!(next(&log), ("client", "dropped"));
        drop(holder);
        assert!(log.recv().is_err(), "nothing follows");
    }
}

#[test]
fn a_handler_that_panics_while_it_is_dropped_leaves_the_others_alone() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    let threads = Threads::new(1);
    let nobody = Nobody::new();
    for _ in 0..2 {
        let (closing, closed) = channel();
        let panics = Panics;
        Socket::connect(&threads.0, &nobody.url(), &Options::new(), |_| {
            Arc::new(move |event: Event<'_>| {
                let _held = &panics;
                if let Event::Close { .. } = event {
                    closing.send(()).unwrap();
                }
            })
        })
        .unwrap();
        closed.recv_timeout(PATIENCE).unwrap();
    }
}

/// What became of whose handler.
type Step = (&'static str, &'static str);

/// Makes handlers that hold their sockets, and tells when they are closed and dropped.
#[derive(Clone)]
struct Holder {
    log: Sender<Step>,
}

impl Holder {
    fn new() -> (Self, Receiver<Step>) {
        let (log, steps) = channel();
        (Self { log }, steps)
    }

    fn hold(
        &self,
        socket: &Socket,
        who: &'static str,
        act: impl Fn(&Socket, Event<'_>) + Send + Sync + 'static,
    ) -> Arc<dyn Handler> {
        let socket = socket.clone();
        let life = Life {
            who,
            log: self.log.clone(),
            is_running: AtomicBool::new(false),
        };
        Arc::new(move |event: Event<'_>| {
            life.is_running.store(true, Ordering::SeqCst);
            act(&socket, event);
            if let Event::Close { .. } = event {
                life.log.send((who, "closed")).unwrap();
            }
            life.is_running.store(false, Ordering::SeqCst);
        })
    }
}

/// Held by a handler.
struct Life {
    who: &'static str,
    log: Sender<Step>,
    is_running: AtomicBool,
}

impl Drop for Life {
    fn drop(&mut self) {
        let is_running = self.is_running.load(Ordering::SeqCst);
        let end = if is_running {
            "dropped while it ran"
        } else {
            "dropped"
        };
        self.log.send((self.who, end)).unwrap();
    }
}

fn next(log: &Receiver<Step>) -> Step {
    log.recv_timeout(PATIENCE).expect("the end of a handler")
}
