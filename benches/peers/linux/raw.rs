//! The least that a client can do: one epoll_wait and one recv into a large buffer for each
//! wake-up, frames parsed by hand, payloads masked while they are copied, one send for each batch.
//! A message that is larger than the buffer is read straight into its own place, and sent in
//! pieces that stay in the cache.

use std::io::{self, ErrorKind, Read, Write};

use super::channel::Channel;
use super::meter::Meter;
use super::sys::{self, Epoll, Event, Interest};
use super::wire;
use super::workload::{Flow, Workload};

const INPUT: usize = 256 << 10;
const PIECE: usize = 128 << 10;
/// A flood is sent in batches of this size.
const BATCH: usize = 64 << 10;

pub fn run(workload: &Workload, port: u16, meter: &Meter) -> io::Result<()> {
    let mut client = Client::connect(port, workload)?;
    match workload.flow {
        Flow::Echo if workload.len > PIECE => client.echo_large(workload, meter),
        Flow::Echo => client.echo(workload, meter),
        Flow::Receive => client.receive(meter),
        Flow::Send => {
            client.send(workload, workload.warm_up())?;
            meter.begin();
            client.send(workload, workload.messages)?;
            meter.end();
            Ok(())
        }
    }
}

/// A connection whose handshake is done.
pub fn connect(port: u16, target: &str, secure: bool) -> io::Result<Channel> {
    let mut stream = Channel::client(port, secure)?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    )?;
    // Byte by byte: the first frames may follow at once.
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(stream)
}

struct Client {
    stream: Channel,
    epoll: Epoll,
    input: Vec<u8>,
    /// Bytes at the front of the input that wait for the rest of their frame.
    held: usize,
    output: Output,
}

/// Masked frames that are to be sent.
struct Output {
    bytes: Vec<u8>,
    end: usize,
    random: u64,
}

impl Client {
    fn connect(port: u16, workload: &Workload) -> io::Result<Self> {
        let stream = connect(port, &workload.target(), workload.secure)?;
        stream.set_nonblocking()?;
        let epoll = Epoll::new()?;
        epoll.add(&stream, 0, Interest::Read)?;
        Ok(Self {
            stream,
            epoll,
            input: vec![0; INPUT.max(workload.len + wire::MAX_HEADER)],
            held: 0,
            output: Output {
                bytes: vec![0; 4 * INPUT + 4 * PIECE],
                end: 0,
                random: std::process::id().into(),
            },
        })
    }

    fn echo(&mut self, workload: &Workload, meter: &Meter) -> io::Result<()> {
        let payload = vec![b'x'; workload.len];
        for _ in 0..workload.window {
            self.output.append(&payload);
        }
        let mut done = false;
        while !done {
            self.flush()?;
            let len = self.held + self.wait_and_read()?;
            let output = &mut self.output;
            self.held = frames(&mut self.input, len, |payload| {
                done |= meter.step();
                output.append(payload);
            });
        }
        Ok(())
    }

    fn echo_large(&mut self, workload: &Workload, meter: &Meter) -> io::Result<()> {
        let mut begin = wire::wire_len(workload.len, false) - workload.len;
        let mut done = false;
        while !done {
            self.send_in_pieces(begin, workload.len)?;
            let mut have = 0;
            let header = loop {
                let room = &mut self.input[have..];
                self.epoll.wait(&mut [Event { events: 0, u64: 0 }])?;
                match self.stream.read(room) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => have += result?,
                }
                match wire::parse(&self.input[..have]) {
                    Some(header) if have >= header.size + header.len => break header,
                    _ => {}
                }
            };
            begin = header.size;
            done = meter.step();
        }
        Ok(())
    }

    fn receive(&mut self, meter: &Meter) -> io::Result<()> {
        let mut done = false;
        while !done {
            let len = self.held + self.wait_and_read()?;
            self.held = frames(&mut self.input, len, |payload| {
                std::hint::black_box(payload);
                done |= meter.step();
            });
        }
        Ok(())
    }

    /// Sends so many messages, and waits until the server has got them.
    fn send(&mut self, workload: &Workload, messages: u64) -> io::Result<()> {
        let payload = vec![b'x'; workload.len];
        for _ in 0..messages {
            self.output.append(std::hint::black_box(&payload));
            if self.output.end >= BATCH {
                self.flush()?;
            }
        }
        self.flush()?;
        let mut acknowledged = false;
        while !acknowledged {
            let len = self.held + self.wait_and_read()?;
            self.held = frames(&mut self.input, len, |_| acknowledged = true);
        }
        Ok(())
    }

    fn wait_and_read(&mut self) -> io::Result<usize> {
        loop {
            self.epoll.wait(&mut [Event { events: 0, u64: 0 }])?;
            match self.stream.read(&mut self.input[self.held..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                // A record that is not complete.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Sends the payload that lies in the input.
    fn send_in_pieces(&mut self, begin: usize, len: usize) -> io::Result<()> {
        let key = self.output.begin_frame(len);
        let mut offset = 0;
        while offset < len {
            let end = len.min(offset + PIECE);
            let piece = &self.input[begin + offset..begin + end];
            self.output.append_masked(key, offset, piece);
            self.flush()?;
            offset = end;
        }
        Ok(())
    }

    /// Sends all that waits.
    fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.output.end {
            match self.stream.write(&self.output.bytes[sent..self.output.end]) {
                Ok(len) => sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    sys::wait_writable(&self.stream)?;
                }
                Err(error) => return Err(error),
            }
        }
        self.output.end = 0;
        while !self.stream.write_records()? {
            sys::wait_writable(&self.stream)?;
        }
        Ok(())
    }
}

/// Hands out the payloads of all whole frames in `input[..len]`, and moves the rest to the front.
/// Returns how much that is.
#[inline]
fn frames(input: &mut [u8], len: usize, mut take: impl FnMut(&[u8])) -> usize {
    let mut begin = 0;
    while let Some(header) = wire::parse(&input[begin..len])
        && let Some(payload) =
            input[..len].get(begin + header.size..begin + header.size + header.len)
    {
        take(payload);
        begin += header.size + header.len;
    }
    input.copy_within(begin..len, 0);
    len - begin
}

impl Output {
    #[inline]
    fn append(&mut self, payload: &[u8]) {
        let key = self.begin_frame(payload.len());
        self.append_masked(key, 0, payload);
    }

    #[inline]
    fn begin_frame(&mut self, len: usize) -> [u8; 4] {
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let key = (self.random as u32).to_ne_bytes();
        self.end += wire::format(&mut self.bytes[self.end..], len, Some(key));
        key
    }

    #[inline]
    fn append_masked(&mut self, key: [u8; 4], offset: usize, piece: &[u8]) {
        let room = &mut self.bytes[self.end..self.end + piece.len()];
        wire::mask(key, offset, piece, room);
        self.end += piece.len();
    }
}
