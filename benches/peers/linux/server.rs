//! The server that every client meets: raw epoll, one thread, no library. Its path says whether
//! it sends messages back, sends its own, or only counts.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::ServerConfig;
use tungstenite::handshake::derive_accept_key;

use super::channel::{self, Channel};
use super::sys::{self, Epoll, Event, Interest};
use super::wire;

/// Prints its port, and serves until its standard input ends.
pub fn run() -> io::Result<()> {
    sys::raise_descriptor_limit();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let tls = channel::server_config().map_err(|error| io::Error::other(error.to_string()))?;
    let epoll = Epoll::new()?;
    epoll.add(&listener, LISTENER, Interest::Read)?;
    epoll.add(&io::stdin(), STDIN, Interest::Read)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; BUFFER];
    let mut events = [Event { events: 0, u64: 0 }; 256];
    loop {
        let count = epoll.wait(&mut events)?;
        for event in &events[..count] {
            match event.u64 {
                LISTENER => {
                    let (stream, _) = listener.accept()?;
                    let token = connections.len() as u64;
                    epoll.add(&stream, token, Interest::Read)?;
                    connections.push(Some(Connection::new(stream, token)?));
                }
                STDIN => return Ok(()),
                token => {
                    let Some(slot) = connections.get_mut(token as usize) else {
                        continue;
                    };
                    let alive = slot.as_mut().map(|it| it.turn(&epoll, &mut buffer, &tls));
                    if !matches!(alive, Some(Ok(true))) {
                        *slot = None;
                    }
                }
            }
        }
    }
}

const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;
const BUFFER: usize = 256 << 10;

struct Connection {
    stream: Channel,
    token: u64,
    /// Nothing has come yet.
    is_new: bool,
    mode: Mode,
    out: Vec<u8>,
    /// How much of `out` the system has taken.
    sent: usize,
    interest: Interest,
}

enum Mode {
    Handshake(Vec<u8>),
    Echo(Echo),
    /// `block` is sent until `left` bytes are.
    Source {
        block: Vec<u8>,
        left: usize,
    },
    /// A message is sent whenever so many bytes have come.
    Sink(VecDeque<usize>),
}

/// Sends on what comes, without waiting for the end of a message.
#[derive(Default)]
struct Echo {
    /// A header that is not complete.
    head: Vec<u8>,
    /// What is missing of the payload under way.
    left: usize,
    key: [u8; 4],
    offset: usize,
}

impl Connection {
    fn new(stream: TcpStream, token: u64) -> io::Result<Self> {
        Ok(Self {
            stream: Channel::server(stream)?,
            token,
            is_new: true,
            mode: Mode::Handshake(Vec::new()),
            out: Vec::new(),
            sent: 0,
            interest: Interest::Read,
        })
    }

    /// Reads once, writes once. False: the peer has gone.
    fn turn(
        &mut self,
        epoll: &Epoll,
        buffer: &mut [u8],
        tls: &Arc<ServerConfig>,
    ) -> io::Result<bool> {
        if self.is_new && self.stream.begins_with_tls()? {
            self.stream.secure(tls)?;
        }
        self.is_new = false;
        match self.stream.read(buffer) {
            Ok(0) => return Ok(false),
            Ok(len) => self.receive(&buffer[..len])?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let done = self.write()?;
        let interest = if done { Interest::Read } else { Interest::Both };
        if interest != self.interest {
            epoll.modify(&self.stream, self.token, interest)?;
            self.interest = interest;
        }
        Ok(true)
    }

    fn receive(&mut self, input: &[u8]) -> io::Result<()> {
        match &mut self.mode {
            Mode::Handshake(request) => {
                request.extend_from_slice(input);
                if request.ends_with(b"\r\n\r\n") {
                    let request = String::from_utf8_lossy(request).into_owned();
                    self.accept(&request)?;
                }
            }
            Mode::Echo(echo) => echo.receive(input, &mut self.out),
            Mode::Source { .. } => {}
            Mode::Sink(goals) => {
                let mut count = input.len();
                while let Some(goal) = goals.front_mut() {
                    let step = count.min(*goal);
                    *goal -= step;
                    count -= step;
                    if *goal > 0 {
                        break;
                    }
                    goals.pop_front();
                    self.out.extend_from_slice(ACKNOWLEDGEMENT);
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, request: &str) -> io::Result<()> {
        let bad = || io::Error::new(ErrorKind::InvalidData, "not an upgrade request");
        let target = request.split(' ').nth(1).ok_or_else(bad)?;
        let key = request
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
            .map(|(_, key)| key.trim())
            .ok_or_else(bad)?;
        let accept = derive_accept_key(key.as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.out.extend_from_slice(response.as_bytes());
        self.mode = Mode::of(target).ok_or_else(bad)?;
        Ok(())
    }

    /// Writes once. Whether nothing is left.
    fn write(&mut self) -> io::Result<bool> {
        if !self.stream.write_records()? {
            return Ok(false);
        }
        if self.sent < self.out.len() {
            self.sent += taken(self.stream.write(&self.out[self.sent..]))?;
            if self.sent < self.out.len() {
                return Ok(false);
            }
            self.out.clear();
            self.sent = 0;
        }
        match &mut self.mode {
            Mode::Source { block, left } => {
                // The block is a whole number of messages, and so is what is left behind it.
                let begin = (block.len() - *left % block.len()) % block.len();
                let end = block.len().min(begin + *left);
                *left -= taken(self.stream.write(&block[begin..end]))?;
                Ok(*left == 0 && self.stream.write_records()?)
            }
            _ => self.stream.write_records(),
        }
    }
}

impl Mode {
    fn of(target: &str) -> Option<Self> {
        let mut parts = target.strip_prefix('/')?.split('/');
        let name = parts.next()?;
        let mut number = || parts.next()?.parse::<usize>().ok();
        Some(match name {
            "echo" => Self::Echo(Echo::default()),
            "source" => {
                let (len, messages) = (number()?, number()?);
                let mut message = vec![b'x'; wire::wire_len(len, false)];
                wire::format(&mut message, len, None);
                let block = message.repeat(BUFFER.div_ceil(message.len()));
                let left = message.len() * messages;
                Self::Source { block, left }
            }
            "sink" => {
                let bytes = wire::wire_len(number()?, true);
                Self::Sink([bytes * number()?, bytes * number()?].into())
            }
            _ => return None,
        })
    }
}

impl Echo {
    fn receive(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            if self.left == 0 {
                let Some(rest) = self.take_header(input, out) else {
                    return;
                };
                input = rest;
            }
            let (piece, rest) = input.split_at(self.left.min(input.len()));
            let begin = out.len();
            out.resize(begin + piece.len(), 0);
            wire::mask(self.key, self.offset, piece, &mut out[begin..]);
            self.offset += piece.len();
            self.left -= piece.len();
            input = rest;
        }
    }

    /// Reads a header and answers it. What is behind it; `None`: it is not complete.
    fn take_header<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
        let held = self.head.len();
        let header = if held == 0 {
            wire::parse(input)
        } else {
            let end = input.len().min(wire::MAX_HEADER - held);
            self.head.extend_from_slice(&input[..end]);
            wire::parse(&self.head)
        };
        let Some(header) = header else {
            self.head.truncate(held);
            self.head.extend_from_slice(input);
            return None;
        };
        self.head.clear();
        self.left = header.len;
        self.key = header.key;
        self.offset = 0;
        let mut bytes = [0; wire::MAX_HEADER];
        let size = wire::format(&mut bytes, header.len, None);
        out.extend_from_slice(&bytes[..size]);
        Some(&input[header.size - held..])
    }
}

/// How much a write has taken, nothing if it would block.
fn taken(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// One message of one byte.
const ACKNOWLEDGEMENT: &[u8] = b"\x82\x01!";
