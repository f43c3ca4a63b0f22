//! A client and a server of the library, through its Rust interface.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wsabi::{Delivery, Event, Handler, MessageKind, Options, Runtime, Server, Socket};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq)]
enum Seen {
    Open,
    Message(MessageKind, Vec<u8>),
    Error(String),
    Close(u16, String, bool),
}

fn recorder(seen: Sender<Seen>) -> Arc<dyn Handler> {
    let seen = Mutex::new(seen);
    Arc::new(move |event: Event<'_>| {
        let event = match event {
            Event::Open => Seen::Open,
            Event::Message { kind, payload } => Seen::Message(kind, payload.as_bytes().to_vec()),
            Event::Error(error) => Seen::Error(error.to_string()),
            Event::Close {
                code,
                reason,
                was_clean,
            } => {
                let reason = String::from_utf8_lossy(reason.as_bytes()).into_owned();
                Seen::Close(code, reason, was_clean)
            }
            _ => return,
        };
        let _ = seen.lock().unwrap().send(event);
    })
}

fn echo_server(runtime: &Runtime, options: &Options) -> Server {
    Server::listen(runtime, "ws://127.0.0.1:0/", options, |socket| {
        let socket = socket.clone();
        Arc::new(move |event: Event<'_>| {
            if let Event::Message { kind, payload } = event {
                let bytes = payload.as_bytes();
                match kind {
                    MessageKind::Text => socket.send_text(std::str::from_utf8(bytes).unwrap()),
                    MessageKind::Binary => socket.send_binary(bytes),
                }
                .unwrap();
            }
        })
    })
    .unwrap()
}

fn connect(runtime: &Runtime, server: &Server, options: &Options) -> (Socket, Receiver<Seen>) {
    let (sender, seen) = channel();
    let url = format!("ws://127.0.0.1:{}/", server.port());
    let socket = Socket::connect(runtime, &url, options, |_| recorder(sender)).unwrap();
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(Seen::Open));
    (socket, seen)
}

#[test]
fn every_length_comes_back_as_it_was_sent() {
    let runtime = Runtime::new(2, Delivery::Threads).unwrap();
    let mut options = Options::new();
    options.set_max_message(17 << 20).unwrap();
    let server = echo_server(&runtime, &options);
    let (socket, seen) = connect(&runtime, &server, &options);
    for len in [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20] {
        let data: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
        socket.send_binary(&data).unwrap();
        let Ok(Seen::Message(MessageKind::Binary, echo)) = seen.recv_timeout(PATIENCE) else {
            panic!("no echo of {len} bytes");
        };
        assert!(echo == data, "{len}");
        let text = "aé€\u{10348}".repeat(len / 10);
        socket.send_text(&text).unwrap();
        let echo = seen.recv_timeout(PATIENCE);
        assert!(
            echo == Ok(Seen::Message(MessageKind::Text, text.into_bytes())),
            "{len}"
        );
    }
    socket.close(Some(3000), "done").unwrap();
    assert_eq!(
        seen.recv_timeout(PATIENCE),
        Ok(Seen::Close(3000, String::new(), true))
    );
    assert_eq!(socket.buffered_amount(), 0);
    runtime.free();
}

#[test]
fn a_burst_of_messages_arrives_whole_and_in_order() {
    let runtime = Runtime::new(1, Delivery::Threads).unwrap();
    let options = Options::new();
    let server = echo_server(&runtime, &options);
    let (socket, seen) = connect(&runtime, &server, &options);
    for i in 0..20_000u32 {
        socket.send_binary(&i.to_be_bytes()).unwrap();
    }
    for i in 0..20_000u32 {
        let expected = Seen::Message(MessageKind::Binary, i.to_be_bytes().to_vec());
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(expected));
    }
    runtime.shutdown(Some(PATIENCE)).unwrap();
    assert_eq!(
        seen.recv_timeout(PATIENCE),
        Ok(Seen::Close(1001, String::new(), true))
    );
    runtime.free();
}
