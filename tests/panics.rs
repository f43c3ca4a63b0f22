//! An application in Rust that panics in what the library calls: it is the end of one connection, and
//! of no other on the same thread.

mod support;

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::scope;
use std::time::Duration;

use support::wire::{CLOSE, FIN, PING, PONG, Peer, TEXT};
use support::{PATIENCE, REQUEST, RawServer, Threads, read_head};
use wsabi::{Delivery, Error, Event, Handler, Options, Runtime, Server, Socket};

const PANICKED: &str = "error: a handler of the application panicked";
/// More than the system takes at once.
const LARGE: usize = 12 << 20;

#[test]
fn a_panic_in_a_handler_ends_its_connection_with_1011_and_no_other() {
    for (at, opcode) in [
        ("open", None),
        ("message", Some(TEXT)),
        ("ping", Some(PING)),
        ("pong", Some(PONG)),
        ("drain", None),
    ] {
        everywhere(|runtime, side| {
            let mut other = End::of(side, runtime, "nothing");
            let mut end = End::of(side, runtime, at);
            if at != "open" {
                assert_eq!(end.next(), "open");
            }
            if at == "drain" {
                end.socket.send_binary(&vec![b'd'; LARGE]).unwrap();
            }
            if let Some(opcode) = opcode {
                // What comes behind it is not delivered.
                for _ in 0..3 {
                    end.peer.send_frame(FIN | opcode, b"x");
                }
            }
            let mut frames = std::iter::from_fn(|| end.peer.try_read_frame());
            let close = frames.find(|it| it.opcode() == CLOSE);
            assert_eq!(close.expect(at).close_code(), Some(1011));
            end.peer.end();
            assert_eq!(end.next(), at);
            assert_eq!(end.next(), PANICKED);
            assert_eq!(end.next(), "close 1011");
            assert!(matches!(end.socket.send_text("x"), Err(Error::Closed(_))));
            other.exchange();
            assert!(end.seen.try_recv().is_err(), "nothing follows");
            End::of(side, runtime, "nothing").exchange();
        });
    }
}

#[test]
fn a_panic_over_the_end_of_a_connection_changes_nothing() {
    for at in ["error", "close"] {
        everywhere(|runtime, side| {
            let mut other = End::of(side, runtime, "nothing");
            let end = End::of(side, runtime, at);
            assert_eq!(end.next(), "open");
            end.peer.stream.shutdown(Shutdown::Both).unwrap();
            assert!(end.next().starts_with("error: "));
            assert_eq!(end.next(), "close 1006");
            other.exchange();
            assert!(end.seen.try_recv().is_err(), "nothing follows");
        });
    }
}

#[test]
fn a_panic_over_a_lost_connection_ends_the_attempts() {
    everywhere(|runtime, side| {
        if let Side::Server = side {
            return;
        }
        let mut other = End::of(side, runtime, "nothing");
        let mut options = Options::new();
        let delay = Duration::from_millis(1);
        options.set_reconnect(delay, delay, 0).unwrap();
        let end = End::client(runtime, &options, "reconnect");
        assert_eq!(end.next(), "open");
        end.peer.stream.shutdown(Shutdown::Both).unwrap();
        let told: Vec<_> = end.seen.iter().collect();
        assert_eq!(told, ["reconnect", PANICKED, "close 1006"]);
        other.exchange();
    });
}

#[test]
fn a_panic_in_what_makes_a_servers_handler_ends_that_connection() {
    for is_asking in [false, true] {
        everywhere(|runtime, side| {
            let mut other = End::of(side, runtime, "nothing");
            let options = Options::new();
            let url = "ws://127.0.0.1:0/";
            let server = match is_asking {
                false => Server::listen(runtime, url, &options, |_| panic!("on purpose")),
                true => Server::listen_asking(runtime, url, &options, |_| panic!("on purpose")),
            };
            let server = server.unwrap();
            for _ in 0..3 {
                let mut peer = ask(server.port());
                let mut answer = Vec::new();
                // The end may be a reset.
                let _ = std::io::Read::read_to_end(&mut peer.stream, &mut answer);
                let answer = String::from_utf8_lossy(&answer);
                assert!(
                    answer.is_empty() || answer.starts_with("HTTP/1.1 500 "),
                    "{answer}"
                );
            }
            other.exchange();
        });
    }
}

#[test]
fn a_request_whose_acceptance_panics_is_refused() {
    everywhere(|runtime, side| {
        let mut other = End::of(side, runtime, "nothing");
        let options = Options::new();
        let server = Server::listen_asking(runtime, "ws://127.0.0.1:0/", &options, |request| {
            let request = request.clone();
            Arc::new(move |_: Event<'_>| {
                let _ = request.accept(None, |_| panic!("on purpose"));
            })
        });
        let mut peer = ask(server.unwrap().port());
        let answer = read_head(&mut peer.stream);
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        other.exchange();
    });
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Client,
    Server,
}

/// Has handlers of either side run on a thread of the library, and on one that polls, with and
/// without threads.
fn everywhere(test: impl Fn(&Runtime, Side)) {
    for (threads, delivery) in [
        (1, Delivery::Threads),
        (1, Delivery::Poll),
        (0, Delivery::Poll),
    ] {
        for side in [Side::Client, Side::Server] {
            println!("{threads} threads, {delivery:?}, {side:?}");
            scope(|scope| {
                let threads = Threads(Runtime::new(threads, delivery).unwrap());
                if delivery == Delivery::Poll {
                    let runtime = threads.0.clone();
                    scope.spawn(move || while runtime.poll(usize::MAX, None).is_ok() {});
                }
                test(&threads.0, side);
            });
        }
    }
}

/// A socket, and its peer, which the test plays.
struct End {
    socket: Socket,
    peer: Peer,
    seen: Receiver<String>,
    _server: Option<Server>,
}

impl End {
    fn of(side: Side, runtime: &Runtime, panics_at: &'static str) -> Self {
        match side {
            Side::Client => Self::client(runtime, &Options::new(), panics_at),
            Side::Server => Self::server(runtime, panics_at),
        }
    }

    fn client(runtime: &Runtime, options: &Options, panics_at: &'static str) -> Self {
        let server = RawServer::new();
        let (sender, seen) = channel();
        let handler = handler(sender, panics_at);
        let socket = Socket::connect(runtime, &server.url(), options, |_| handler).unwrap();
        let (stream, response) = server.accept();
        let mut peer = Peer::new(stream, false);
        peer.send_raw(&response);
        Self {
            socket,
            peer,
            seen,
            _server: None,
        }
    }

    fn server(runtime: &Runtime, panics_at: &'static str) -> Self {
        let (sender, seen) = channel();
        let (accepting, accepted) = channel();
        let options = Options::new();
        let server = Server::listen(runtime, "ws://127.0.0.1:0/", &options, move |socket| {
            accepting.send(socket.clone()).unwrap();
            handler(sender.clone(), panics_at)
        });
        let server = server.unwrap();
        let mut peer = ask(server.port());
        read_head(&mut peer.stream);
        Self {
            socket: accepted.recv_timeout(PATIENCE).unwrap(),
            peer,
            seen,
            _server: Some(server),
        }
    }

    fn next(&self) -> String {
        self.seen.recv_timeout(PATIENCE).unwrap()
    }

    /// There and back.
    fn exchange(&mut self) {
        self.peer.send_frame(FIN | TEXT, b"there");
        assert_eq!(self.next(), "open");
        assert_eq!(self.next(), "message");
        self.socket.send_text("back").unwrap();
        assert_eq!(self.peer.read_frame().payload, b"back");
    }
}

/// A client that has sent its request.
fn ask(port: u16) -> Peer {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut peer = Peer::new(stream, true);
    peer.send_raw(REQUEST);
    peer
}

/// Tells in short what happens, and panics at one of these.
fn handler(seen: Sender<String>, panics_at: &'static str) -> Arc<dyn Handler> {
    Arc::new(move |event: Event<'_>| {
        let told = match event {
            Event::Open => "open".to_owned(),
            Event::Message { .. } => "message".to_owned(),
            Event::Ping(_) => "ping".to_owned(),
            Event::Pong { .. } => "pong".to_owned(),
            Event::Drain => "drain".to_owned(),
            Event::Error(error) => format!("error: {error}"),
            Event::Reconnect { .. } => "reconnect".to_owned(),
            Event::Close { code, .. } => format!("close {code}"),
            other => panic!("{other:?}"),
        };
        let panics = told.starts_with(panics_at);
        // The test may have seen enough.
        let _ = seen.send(told);
        assert!(!panics, "on purpose");
    })
}
