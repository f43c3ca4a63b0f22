//! Happy Eyeballs (RFC 8305): the addresses of a name are tried in turn, a quarter of a second
//! apart, families alternating; the first that answers wins.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Token;
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
    failure: Option<(SocketAddr, io::Error)>,
}

#[derive(Debug)]
struct Attempt {
    token: Token,
    address: SocketAddr,
    stream: TcpStream,
}

/// How a race stands.
#[derive(Debug)]
pub enum Progress {
    /// No answer yet.
    Running,
    /// Connected, and what its events have. The other attempts are dropped.
    Won(TcpStream, Token),
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
            failure: None,
        }
    }

    /// Starts the attempts that are due; `register` asks for a stream's events, and returns what they
    /// have.
    pub fn advance(
        &mut self,
        now: Instant,
        mut register: impl FnMut(&mut TcpStream) -> io::Result<Token>,
    ) -> Progress {
        // Nobody to wait for: the next address is tried at once (RFC 8305 §5).
        while self.running.is_empty() || self.next_start <= now {
            let Some(address) = self.waiting.pop_front() else {
                break;
            };
            log::debug!("connecting to {address}");
            let begun = TcpStream::connect(address).and_then(|mut stream| {
                let token = register(&mut stream)?;
                Ok((stream, token))
            });
            match begun {
                Ok((stream, token)) => {
                    self.running.push(Attempt {
                        token,
                        address,
                        stream,
                    });
                    self.next_start = now + STAGGER;
                }
                Err(error) => self.fail(address, error),
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

    /// Looks at the attempt that an event has come for.
    pub fn ready(&mut self, token: Token) -> Progress {
        let found = self.running.iter().position(|it| it.token == token);
        let Some(index) = found else {
            return Progress::Running;
        };
        match outcome(&self.running[index].stream) {
            Ok(false) => {}
            Ok(true) => {
                let attempt = self.running.swap_remove(index);
                log::debug!("connected to {}", attempt.address);
                return Progress::Won(attempt.stream, token);
            }
            Err(error) => {
                let attempt = self.running.swap_remove(index);
                self.fail(attempt.address, error);
            }
        }
        Progress::Running
    }

    /// When to call [`Self::advance`] again.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.next_start)
    }

    fn fail(&mut self, address: SocketAddr, error: io::Error) {
        log::debug!("connecting to {address} failed: {error}");
        self.failure = Some((address, error));
    }
}

/// Whether the attempt has succeeded; false: neither that nor the opposite.
///
/// A peer may reset a connection before anybody looks at it here. That is a connection that broke,
/// not one that could not be made, and the next read says so.
fn outcome(stream: &TcpStream) -> io::Result<bool> {
    let Err(no_peer) = stream.peer_addr() else {
        return Ok(true);
    };
    match SockRef::from(stream).take_error()? {
        Some(error) if is_of_established(&error) => Ok(true),
        Some(error) => Err(error),
        None if no_peer.kind() == io::ErrorKind::NotConnected => Ok(false),
        None => Err(no_peer),
    }
}

/// Whether only an established connection fails like that. A reset that answers the attempt itself
/// is "connection refused" on every system; a broken pipe is a reset behind the peer's end.
fn is_of_established(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read;

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
            race.advance(Instant::now(), |_| Ok(Token(0))),
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
        let mut tokens = 0..;
        loop {
            let progress = race.advance(Instant::now(), |stream| {
                let token = Token(tokens.next().unwrap());
                let interest = mio::Interest::WRITABLE;
                poll.registry().register(stream, token, interest)?;
                Ok(token)
            });
            assert!(matches!(progress, Progress::Running));
            assert!(Instant::now() < deadline);
            poll.poll(&mut events, Some(Duration::from_millis(50)))
                .unwrap();
            for event in &events {
                if let Progress::Won(stream, _) = race.ready(event.token()) {
                    assert_eq!(stream.peer_addr().unwrap(), good);
                    return;
                }
            }
        }
    }

    #[test]
    fn a_connection_that_is_reset_before_anybody_looks_was_established_all_the_same() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut poll = mio::Poll::new().unwrap();
        let mut race = Race::new(vec![address], Instant::now());
        let progress = race.advance(Instant::now(), |stream| {
            let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
            poll.registry().register(stream, Token(0), interest)?;
            Ok(Token(0))
        });
        assert!(matches!(progress, Progress::Running));
        let (peer, _) = listener.accept().unwrap();
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        // On the loopback the reset has arrived by now.
        let mut events = mio::Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::from_secs(20)))
            .unwrap();
        assert!(events.iter().any(|event| event.token() == Token(0)));
        let Progress::Won(stream, _) = race.ready(Token(0)) else {
            panic!("the connection was established");
        };
        let mut byte = [0];
        assert!(!matches!((&stream).read(&mut byte), Ok(1..)));
    }
}
