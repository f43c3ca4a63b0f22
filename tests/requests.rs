//! The Rust interface of a server that is asked about each upgrade request.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::{PATIENCE, Seen, recorder, wait_until};
use wsabi::{Delivery, Event, Options, Request, Runtime, Server, Socket};

const REQUEST: &str = "GET /a?b HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: a, b\r\n\r\n";

/// A client that has asked.
fn ask(server: &Server) -> TcpStream {
    let mut client = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(REQUEST.as_bytes()).unwrap();
    client
}

#[test]
fn a_request_says_what_is_wanted_and_becomes_a_socket() {
    let runtime = Runtime::new(1, Delivery::Threads).unwrap();
    let (sender, asked) = channel::<Request>();
    let options = Options::new();
    let server = Server::listen_asking(&runtime, "ws://127.0.0.1:0/", &options, move |request| {
        let sender = sender.clone();
        Arc::new(move |event: Event<'_>| {
            assert!(matches!(event, Event::Request(target) if target.as_bytes() == b"/a?b"));
            sender.send(request.clone()).unwrap();
        })
    });
    let server = server.unwrap();
    let mut client = ask(&server);
    let request = asked.recv_timeout(PATIENCE).unwrap();
    assert_eq!(request.target(), "/a?b");
    assert_eq!(request.header("host").as_deref(), Some("here"));
    assert_eq!(request.header("cookie"), None);
    let address = client.local_addr().unwrap().to_string();
    assert_eq!(request.peer_address(), address);
    let (sender, seen) = channel();
    assert!(
        request
            .accept(Some("c"), |_| recorder(sender.clone()))
            .is_err()
    );
    let socket = request.accept(Some("b"), |_| recorder(sender)).unwrap();
    assert!(request.accept(None, |_| unreachable_handler()).is_err());
    assert!(request.reject(403, "").is_err());
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), Seen::Open);
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    socket.abort();
    runtime.free();
}

/// The handler that is made before it turns out that the request cannot be accepted.
fn unreachable_handler() -> Arc<dyn wsabi::Handler> {
    Arc::new(|event: Event<'_>| unreachable!("{event:?}"))
}

#[test]
fn a_server_lets_in_only_whom_its_own_pages_bring() {
    let runtime = Runtime::new(1, Delivery::Threads).unwrap();
    let options = Options::new();
    let server = Server::listen_asking(&runtime, "ws://127.0.0.1:0/", &options, |request| {
        let request = request.clone();
        Arc::new(move |_: Event<'_>| match request.header("Origin") {
            Some(origin) if origin == "https://own.example" => {
                let silent = |_: &Socket| Arc::new(|_: Event<'_>| {}) as Arc<dyn wsabi::Handler>;
                request.accept(None, silent).unwrap();
            }
            _ => request.reject(403, "not from there").unwrap(),
        })
    });
    let server = server.unwrap();
    for (origin, status) in [
        ("Origin: https://own.example\r\n", "101"),
        ("Origin: https://evil.example\r\n", "403"),
        ("Origin: https://own.example.evil.example\r\n", "403"),
        ("Origin: null\r\n", "403"),
        ("", "403"),
    ] {
        let mut client = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = REQUEST.replace("Upgrade: websocket", &format!("{origin}Upgrade: websocket"));
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[9..], status.as_bytes(), "{origin}");
    }
    runtime.free();
}

#[test]
fn a_client_whose_request_makes_the_application_panic_gets_status_500() {
    for (threads, delivery) in [
        (1, Delivery::Threads),
        (1, Delivery::Poll),
        (0, Delivery::Poll),
    ] {
        let runtime = Runtime::new(threads, delivery).unwrap();
        let options = Options::new();
        let server = Server::listen_asking(&runtime, "ws://127.0.0.1:0/", &options, |_| {
            Arc::new(|_: Event<'_>| panic!("on purpose"))
        });
        let mut client = ask(&server.unwrap());
        client.set_nonblocking(delivery == Delivery::Poll).unwrap();
        let mut answer = Vec::new();
        let start = Instant::now();
        while client.read_to_end(&mut answer).is_err() {
            assert!(start.elapsed() < PATIENCE);
            runtime.poll(1, Some(Duration::from_millis(1))).unwrap();
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        runtime.free();
    }
}

#[test]
fn a_request_that_is_answered_before_it_is_told_of_is_not_told() {
    for (threads, delivery) in [(1, Delivery::Threads), (0, Delivery::Poll)] {
        let runtime = Runtime::new(threads, delivery).unwrap();
        let options = Options::new();
        let told = Arc::new(AtomicBool::new(false));
        let is_told = Arc::clone(&told);
        let server =
            Server::listen_asking(&runtime, "ws://127.0.0.1:0/", &options, move |request| {
                request.reject(403, "nobody").unwrap();
                let told = Arc::clone(&told);
                Arc::new(move |_: Event<'_>| told.store(true, Ordering::SeqCst))
            });
        let mut client = ask(&server.unwrap());
        client.set_nonblocking(delivery == Delivery::Poll).unwrap();
        let mut answer = Vec::new();
        wait_until("the answer", || {
            if delivery == Delivery::Poll {
                runtime.poll(usize::MAX, Some(Duration::ZERO)).unwrap();
            }
            client.read_to_end(&mut answer).is_ok()
        });
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        runtime.free();
        assert!(!is_told.load(Ordering::SeqCst));
    }
}

/// One turn hears at once of a client that comes and of another one's end, whose place is free by
/// then: the end must not be taken for that of the client that comes.
#[test]
fn the_end_of_one_client_is_not_that_of_the_next() {
    let runtime = Runtime::new(0, Delivery::Poll).unwrap();
    let (sender, asked) = channel::<Request>();
    let options = Options::new();
    let server = Server::listen_asking(&runtime, "ws://127.0.0.1:0/", &options, move |request| {
        let sender = sender.clone();
        Arc::new(move |_: Event<'_>| sender.send(request.clone()).unwrap())
    });
    let server = server.unwrap();
    let poll_until = |what, done: &mut dyn FnMut() -> bool| {
        wait_until(what, || {
            // One turn.
            runtime.poll(usize::MAX, Some(Duration::ZERO)).unwrap();
            done()
        });
    };
    let accept = || {
        let mut request = None;
        poll_until("a request", &mut || {
            request = asked.try_recv().ok();
            request.is_some()
        });
        let (sender, seen) = channel();
        let socket = request.unwrap().accept(None, |_| recorder(sender));
        let socket = socket.expect("the client is there");
        poll_until("OPEN", &mut || seen.try_recv() == Ok(Seen::Open));
        socket
    };
    for _ in 0..20 {
        let first = ask(&server);
        let socket = accept();
        // The next turn begins with it, and ends it.
        socket.release();
        let _second = ask(&server);
        first.shutdown(Shutdown::Both).unwrap();
        accept().release();
    }
    runtime.free();
}
