//! Those who get the messages: a process that counts bytes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::sys::{Epoll, Event, Interest};

/// The argument that starts it.
pub const ROLE: &str = "guests";

/// What the other process knows of them.
pub struct Guests {
    process: Child,
    orders: ChildStdin,
    reports: ChildStdout,
}

impl Guests {
    /// So many, who connect to a port.
    pub fn start(port: u16, count: usize) -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([ROLE, &port.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        Ok(Self {
            orders: process.stdin.take().ok_or_else(missing)?,
            reports: process.stdout.take().ok_or_else(missing)?,
            process,
        })
    }

    /// Tells them how much will come, all together.
    pub fn expect(&mut self, bytes: u64) -> io::Result<()> {
        self.orders.write_all(&bytes.to_ne_bytes())
    }

    /// Waits until it has come.
    pub fn wait(&mut self) -> io::Result<()> {
        self.reports.read_exact(&mut [0])
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Their process.
pub fn run(port: u16, count: usize) -> io::Result<()> {
    let epoll = Epoll::new()?;
    let mut streams = Vec::new();
    for token in 0..count {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        enter(&mut stream)?;
        epoll.add(&stream, token as u64, Interest::Read)?;
        streams.push(stream);
    }
    let (mut orders, mut reports) = (io::stdin().lock(), io::stdout().lock());
    let mut events = [Event { events: 0, u64: 0 }; 1024];
    let mut room = vec![0; 256 << 10];
    let mut order = [0; 8];
    while orders.read_exact(&mut order).is_ok() {
        let mut left = u64::from_ne_bytes(order);
        while left > 0 {
            let ready = epoll.wait(&mut events)?;
            for event in &events[..ready] {
                let len = streams[event.u64 as usize].read(&mut room)?;
                if len == 0 {
                    return Ok(());
                }
                left = left.saturating_sub(len as u64);
            }
        }
        reports.write_all(&[1])?;
        reports.flush()?;
    }
    Ok(())
}

/// Asks for an upgrade; the server of raw sockets answers that, too.
fn enter(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(())
}
