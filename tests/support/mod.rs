//! What the tests of the Rust interface share.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod impostors;
pub mod tls;
pub mod wire;

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wsabi::{Delivery, Event, Handler, MessageKind, Options, Runtime, Server, Socket};

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How many times slower this run is than a plain one, for valgrind and the like.
pub fn slowness() -> u32 {
    std::env::var("WSABI_SLOW").map_or(1, |it| it.parse().unwrap())
}

/// Makes a line part of the output of the tests also where they succeed. Not by `println!`, which
/// the harness keeps to itself until a test fails.
pub fn tell(line: impl Display) {
    let thread = std::thread::current();
    // The harness names the thread after the test.
    let test = thread.name().unwrap_or_default();
    // In one piece: other tests write, too.
    let line = format!("    {test}: {line}\n");
    io::stdout().write_all(line.as_bytes()).unwrap();
}

/// Hardly any room for received bytes; the system has its own idea of the least.
pub const NARROW: usize = 4096;

/// What a handler was told.
#[derive(Debug, PartialEq)]
pub enum Seen {
    Open,
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Error(wsabi::Error),
    Close(u16, String, bool),
}

impl Seen {
    pub fn binary(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Message(MessageKind::Binary, bytes.into())
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::Message(MessageKind::Text, text.into().into_bytes())
    }

    pub fn clean(code: u16, reason: &str) -> Self {
        Self::Close(code, reason.to_owned(), true)
    }
}

/// A handler that hands everything on.
pub fn recorder(seen: Sender<Seen>) -> Arc<dyn Handler> {
    let seen = Mutex::new(seen);
    Arc::new(move |event: Event<'_>| {
        let event = match event {
            Event::Open => Seen::Open,
            Event::Message { kind, payload } => Seen::Message(kind, payload.as_bytes().to_vec()),
            Event::Ping(payload) => Seen::Ping(payload.as_bytes().to_vec()),
            Event::Pong { payload, .. } => Seen::Pong(payload.as_bytes().to_vec()),
            Event::Error(error) => Seen::Error(error.clone()),
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
        // The test may have seen enough.
        let _ = seen.lock().unwrap().send(event);
    })
}

/// A runtime that ends with the test.
pub struct Threads(pub Runtime);

impl Threads {
    pub fn new(threads: u32) -> Self {
        Self(Runtime::new(threads, Delivery::Threads).unwrap())
    }

    /// Connects, and waits for nothing.
    pub fn connect(&self, url: &str, options: &Options) -> (Socket, Receiver<Seen>) {
        let (sender, seen) = channel();
        let socket = Socket::connect(&self.0, url, options, |_| recorder(sender)).unwrap();
        (socket, seen)
    }

    /// A server that sends every message back.
    pub fn echo_server(&self, options: &Options) -> (Server, String) {
        let server = Server::listen(&self.0, "ws://127.0.0.1:0/", options, |socket| {
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
        .unwrap();
        let url = format!("ws://127.0.0.1:{}/", server.port());
        (server, url)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.free();
    }
}

/// The next thing a handler was told.
pub fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(PATIENCE)
        .expect("an event within the test's patience")
}

/// Turns until `done`, without hiding what it waits for behind a pause.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited for {what}");
        std::thread::yield_now();
    }
}

/// A peer that does with its bytes what the test says.
pub struct RawServer {
    listener: TcpListener,
}

impl RawServer {
    pub fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    /// One that has hardly any room for what it receives.
    pub fn narrow() -> Self {
        let server = Self::new();
        // Those that it accepts inherit it.
        let socket = socket2::SockRef::from(&server.listener);
        socket.set_recv_buffer_size(NARROW).unwrap();
        server
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection, after its request; and the response that accepts it.
    pub fn accept(&self) -> (TcpStream, Vec<u8>) {
        let mut stream = self.accept_stream();
        let request = read_head(&mut stream);
        (stream, accepting_response(&request))
    }

    /// The next connection, of which nothing has been read.
    pub fn accept_stream(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Whether nobody has connected whom the test has not accepted.
    pub fn is_alone(&self) -> bool {
        self.listener.set_nonblocking(true).unwrap();
        let alone = self.listener.accept().is_err();
        self.listener.set_nonblocking(false).unwrap();
        alone
    }
}

/// A port that refuses connections: bound, so that nobody else gets it, and not listened on.
pub struct Nobody {
    socket: socket2::Socket,
}

impl Nobody {
    pub fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&address.into()).unwrap();
        Self { socket }
    }

    pub fn url(&self) -> String {
        let address = self.socket.local_addr().unwrap();
        format!("ws://{}/", address.as_socket().unwrap())
    }
}

/// Reads until the blank line.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The 101 for a request.
pub fn accepting_response(request: &str) -> Vec<u8> {
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .expect("a key in the request");
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// A request that a server accepts.
pub const REQUEST: &[u8] = b"GET /path?q=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Writes, and lets the other side see it as a segment of its own.
pub fn write(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}
