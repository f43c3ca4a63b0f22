//! Happy Eyeballs (RFC 8305): the addresses of a name are tried in turn, a quarter of a second
//! apart, families alternating; the first that answers wins.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use socket2::SockRef;

/// RFC 8305 §5: the recommended delay between two attempts.
const STAGGER: Duration = Duration::from_millis(250);

/// A name with more addresses than this is not helped by trying them all.
const MOST_ADDRESSES: usize = 64;

/// The attempts of one connection.
#[derive(Debug)]
pub struct Race {
    waiting: VecDeque<SocketAddr>,
    running: Vec<Attempt>,
    next_start: Instant,
    started: u8,
    failure: Option<(SocketAddr, io::Error)>,
}

#[derive(Debug)]
struct Attempt {
    id: u8,
    address: SocketAddr,
    stream: TcpStream,
}

/// How a race stands.
#[derive(Debug)]
pub enum Progress {
    /// No answer yet.
    Running,
    /// Connected. The others are dropped.
    Won(TcpStream),
    /// No address is left; the last one's error.
    Lost(SocketAddr, io::Error),
}

impl Race {
    /// Lines the addresses up (RFC 8305 §4): families alternate, in the order of the resolver.
    pub fn new(addresses: Vec<SocketAddr>, now: Instant) -> Self {
        let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
        let (mut first, mut second): (VecDeque<_>, VecDeque<_>) = addresses
            .into_iter()
            .partition(|address| address.is_ipv6() == first_is_v6);
        let mut waiting = VecDeque::new();
        while let Some(address) = first.pop_front() {
            waiting.push_back(address);
            waiting.extend(second.pop_front());
        }
        waiting.extend(second);
        waiting.truncate(MOST_ADDRESSES);
        Self {
            waiting,
            running: Vec::new(),
            next_start: now,
            started: 0,
            failure: None,
        }
    }

    /// Starts the attempts that are due; `register` asks for a stream's events.
    pub fn advance(
        &mut self,
        now: Instant,
        mut register: impl FnMut(&mut TcpStream, u8) -> io::Result<()>,
    ) -> Progress {
        // Nobody to wait for: the next address is tried at once (RFC 8305 §5).
        while self.running.is_empty() || self.next_start <= now {
            let Some(address) = self.waiting.pop_front() else {
                break;
            };
            let id = self.started;
            self.started += 1;
            let begun = TcpStream::connect(address).and_then(|mut stream| {
                register(&mut stream, id)?;
                Ok(stream)
            });
            match begun {
                Ok(stream) => {
                    self.running.push(Attempt {
                        id,
                        address,
                        stream,
                    });
                    self.next_start = now + STAGGER;
                }
                Err(error) => self.failure = Some((address, error)),
            }
        }
        if !self.running.is_empty() {
            return Progress::Running;
        }
        let (address, error) = self.failure.take().unwrap_or_else(|| {
            let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
            (nowhere, io::ErrorKind::AddrNotAvailable.into())
        });
        Progress::Lost(address, error)
    }

    /// Looks at an attempt for which an event has come.
    pub fn ready(&mut self, id: u8) -> Progress {
        let Some(index) = self.running.iter().position(|attempt| attempt.id == id) else {
            return Progress::Running;
        };
        let attempt = &self.running[index];
        match outcome(&attempt.stream) {
            Ok(false) => {}
            Ok(true) => return Progress::Won(self.running.swap_remove(index).stream),
            Err(error) => {
                self.failure = Some((attempt.address, error));
                self.running.swap_remove(index);
            }
        }
        Progress::Running
    }

    /// When to call [`Self::advance`] again.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.next_start)
    }
}

/// Whether the attempt has succeeded; false: neither that nor the opposite.
fn outcome(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = SockRef::from(stream).take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate() {
        let v4 = |n| SocketAddr::from(([127, 0, 0, n], 1));
        let v6 = |n| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, n], 1));
        let race = Race::new(vec![v6(1), v6(2), v6(3), v4(1), v4(2)], Instant::now());
        assert_eq!(race.waiting, [v6(1), v4(1), v6(2), v4(2), v6(3)]);
    }

    #[test]
    fn no_address_at_all_is_a_lost_race() {
        let mut race = Race::new(Vec::new(), Instant::now());
        assert!(matches!(
            race.advance(Instant::now(), |_, _| Ok(())),
            Progress::Lost(..)
        ));
    }

    #[test]
    fn refused_addresses_are_skipped_and_a_listening_one_wins() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(8);
        let mut race = Race::new(vec![closed, closed, good], Instant::now());
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let progress = race.advance(Instant::now(), |stream, id| {
                let interest = mio::Interest::WRITABLE;
                poll.registry()
                    .register(stream, mio::Token(id.into()), interest)
            });
            assert!(matches!(progress, Progress::Running));
            assert!(Instant::now() < deadline);
            poll.poll(&mut events, Some(Duration::from_millis(50)))
                .unwrap();
            for event in &events {
                if let Progress::Won(stream) = race.ready(event.token().0 as u8) {
                    assert_eq!(stream.peer_addr().unwrap(), good);
                    return;
                }
            }
        }
    }
}
