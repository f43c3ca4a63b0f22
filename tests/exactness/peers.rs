//! The other libraries: each sends every message back, in other pieces than it came.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Bytes, Error, Message, WebSocket};

use crate::interpreters::{node_modules_with_ws, python_with_websockets};
use crate::secrecy::{AUTHORITY, FILES, IDENTITY, Secrecy};
use crate::support::tls;

/// Whether the peer takes part in compression, which our side always offers or accepts.
#[derive(Clone, Copy, Debug)]
pub enum Compression {
    Agreed,
    Declined,
    /// A client's, which says how far back the server may refer: a power of two, and whether also
    /// to earlier messages.
    Demanded {
        window: u8,
        takeover: bool,
    },
}

impl Compression {
    pub const BOTH: &[Self] = &[Self::Declined, Self::Agreed];

    /// Fails unless these are the extensions that were to be agreed on.
    pub fn check(self, extensions: &str) {
        let is_agreed = extensions.starts_with("permessage-deflate");
        assert_eq!(is_agreed, !matches!(self, Self::Declined), "{extensions:?}");
        if let Self::Demanded { window, takeover } = self {
            let bits = format!("server_max_window_bits={window}");
            assert_eq!(extensions.contains(&bits), window < 15, "{extensions:?}");
            let is_fresh = extensions.contains("server_no_context_takeover");
            assert_eq!(is_fresh, !takeover, "{extensions:?}");
        }
    }

    fn name(self) -> String {
        match self {
            Self::Agreed => "deflate".to_owned(),
            Self::Declined => "none".to_owned(),
            Self::Demanded { window, takeover } => format!("{window},{takeover}"),
        }
    }
}

/// A peer that runs until its connection has ended.
pub enum Peer {
    Thread(JoinHandle<()>),
    Process(Process),
}

/// One that does not outlive its test.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// Waits for its end, which has to be a good one.
    pub fn finish(self) {
        match self {
            Self::Thread(thread) => thread.join().unwrap(),
            Self::Process(mut process) => assert!(process.0.wait().unwrap().success()),
        }
    }
}

pub fn tungstenite_server(seed: u64, _: Compression, secrecy: Secrecy) -> Option<(Peer, u16)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        match secrecy {
            Secrecy::None => echo(accept(stream), seed),
            Secrecy::Tls => {
                let config = tls::server_config(&IDENTITY, &tls::VERSIONS);
                echo(accept(tls::serve(stream, config)), seed);
            }
        }
    });
    Some((Peer::Thread(peer), port))
}

pub fn tungstenite_client(seed: u64, _: Compression, secrecy: Secrecy, port: u16) -> Option<Peer> {
    let peer = thread::spawn(move || {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        match secrecy {
            Secrecy::None => echo(ask(stream, port), seed),
            Secrecy::Tls => {
                let config = tls::client_config(&AUTHORITY, None, &tls::VERSIONS);
                echo(ask(tls::ask(stream, config), port), seed);
            }
        }
    });
    Some(Peer::Thread(peer))
}

fn accept<S: Read + Write + Debug>(stream: S) -> WebSocket<S> {
    tungstenite::accept_with_config(stream, Some(config())).unwrap()
}

fn ask<S: Read + Write + Debug>(stream: S, port: u16) -> WebSocket<S> {
    let url = format!("ws://127.0.0.1:{port}/");
    let result = tungstenite::client::client_with_config(url, stream, Some(config()));
    result.unwrap().0
}

pub fn websockets_server(
    seed: u64,
    compression: Compression,
    secrecy: Secrecy,
) -> Option<(Peer, u16)> {
    Some(serve(websockets("server", seed, compression), secrecy))
}

pub fn websockets_client(
    seed: u64,
    compression: Compression,
    secrecy: Secrecy,
    port: u16,
) -> Option<Peer> {
    let command = websockets("client", seed, compression);
    Some(connect(command, secrecy, port))
}

pub fn ws_server(seed: u64, compression: Compression, secrecy: Secrecy) -> Option<(Peer, u16)> {
    Some(serve(ws("server", seed, compression)?, secrecy))
}

pub fn ws_client(seed: u64, compression: Compression, secrecy: Secrecy, port: u16) -> Option<Peer> {
    Some(connect(ws("client", seed, compression)?, secrecy, port))
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None)
}

fn echo<S: Read + Write>(mut socket: WebSocket<S>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        let (kind, data) = match socket.read() {
            Ok(Message::Text(text)) => (Data::Text, Bytes::from(text)),
            Ok(Message::Binary(data)) => (Data::Binary, data),
            Ok(_) => continue,
            Err(Error::ConnectionClosed) => return,
            Err(error) => panic!("tungstenite: {error}"),
        };
        let mut cuts: Vec<usize> = (0..random.random_range(0..6))
            .map(|_| random.random_range(0..=data.len()))
            .collect();
        cuts.sort_unstable();
        cuts.push(data.len());
        let mut start = 0;
        for (number, end) in cuts.iter().enumerate() {
            let kind = if number == 0 { kind } else { Data::Continue };
            let piece = data.slice(start..*end);
            let frame = Frame::message(piece, OpCode::Data(kind), number + 1 == cuts.len());
            socket.send(Message::Frame(frame)).unwrap();
            if random.random_bool(0.3) {
                socket
                    .send(Message::Ping(data.slice(start..(start + 125).min(*end))))
                    .unwrap();
            }
            start = *end;
        }
    }
}

fn websockets(role: &str, seed: u64, compression: Compression) -> Command {
    let mut command = Command::new(python_with_websockets());
    command.arg(peer("echo.py"));
    command.args([role, &seed.to_string(), &compression.name()]);
    command
}

fn ws(role: &str, seed: u64, compression: Compression) -> Option<Command> {
    let modules = node_modules_with_ws()?;
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules).arg(peer("echo.cjs"));
    command.args([role, &seed.to_string(), &compression.name()]);
    Some(command)
}

fn peer(name: &str) -> impl AsRef<std::ffi::OsStr> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/peers")
        .join(name)
}

/// Starts a server, which prints its port.
fn serve(mut command: Command, secrecy: Secrecy) -> (Peer, u16) {
    if secrecy == Secrecy::Tls {
        command.args([&FILES.cert, &FILES.key]);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output: BufReader<ChildStdout> = BufReader::new(child.stdout.take().unwrap());
    let mut port = String::new();
    output.read_line(&mut port).unwrap();
    (Peer::Process(Process(child)), port.trim().parse().unwrap())
}

fn connect(mut command: Command, secrecy: Secrecy, port: u16) -> Peer {
    command.arg(secrecy.url(port));
    if secrecy == Secrecy::Tls {
        command.arg(&FILES.ca);
    }
    Peer::Process(Process(command.spawn().unwrap()))
}
