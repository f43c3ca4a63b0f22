//! Interoperation with tungstenite, both ways.

mod support;

use std::net::TcpListener;
use std::thread;

use support::{Seen, Threads, next};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use wsabi::Options;

const LENGTHS: [usize; 9] = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20];

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 257) as u8).collect()
}

fn text(len: usize) -> String {
    "aé€\u{10348}".chars().cycle().take(len / 2).collect()
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(64 << 20))
        .max_frame_size(Some(64 << 20))
}

/// Sends every message back, and the Close frame too.
fn echo_server() -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept_with_config(stream, Some(config())).unwrap();
        loop {
            match socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    socket.send(message).unwrap();
                }
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return,
                Err(error) => panic!("{error}"),
            }
        }
    });
    (url, server)
}

#[test]
fn our_client_and_their_server_exchange_every_length() {
    let threads = Threads::new(1);
    let (url, server) = echo_server();
    let mut options = Options::new();
    options.set_max_message(64 << 20).unwrap();
    let (socket, seen) = threads.connect(&url, &options);
    assert_eq!(next(&seen), Seen::Open);
    for len in LENGTHS {
        socket.send_binary(&data(len)).unwrap();
        assert!(next(&seen) == Seen::binary(data(len)), "{len}");
        socket.send_text(&text(len)).unwrap();
        assert!(next(&seen) == Seen::text(text(len)), "{len}");
    }
    socket.ping(b"there?").unwrap();
    assert_eq!(next(&seen), Seen::Pong(b"there?".into()));
    socket.close(Some(1000), "done").unwrap();
    assert_eq!(next(&seen), Seen::clean(1000, "done"));
    server.join().unwrap();
}

#[test]
fn their_client_and_our_server_exchange_every_length() {
    let threads = Threads::new(1);
    let mut options = Options::new();
    options.set_max_message(64 << 20).unwrap();
    let (_server, url) = threads.echo_server(&options);
    let stream = std::net::TcpStream::connect(&url[5..url.len() - 1]).unwrap();
    let (mut socket, _) =
        tungstenite::client::client_with_config(&url, stream, Some(config())).unwrap();
    for len in LENGTHS {
        socket.send(Message::binary(data(len))).unwrap();
        assert!(
            socket.read().unwrap() == Message::binary(data(len)),
            "{len}"
        );
        socket.send(Message::text(text(len))).unwrap();
        assert!(socket.read().unwrap() == Message::text(text(len)), "{len}");
    }
    socket.send(Message::Ping(b"there?"[..].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"there?"[..].into()));
    socket
        .close(Some(CloseFrame {
            code: CloseCode::Library(3210),
            reason: "done".into(),
        }))
        .unwrap();
    let Message::Close(Some(frame)) = socket.read().unwrap() else {
        panic!("no Close frame")
    };
    assert_eq!(u16::from(frame.code), 3210);
    assert!(matches!(
        socket.read(),
        Err(tungstenite::Error::ConnectionClosed)
    ));
}
