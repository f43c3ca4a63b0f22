//! The handshakes with a proxy, from the client's side: what is said before the connection to the
//! proxy becomes one to the server.

pub mod connect;
pub mod socks5;

use crate::error::{Error, Result};

pub use connect::Tunnel;
pub use socks5::Target;

/// A handshake under way with a proxy of either kind: give it what is received until it is done
/// or fails.
#[derive(Debug)]
pub enum Handshake {
    /// HTTP CONNECT.
    Connect(Tunnel),
    /// SOCKS5.
    Socks5(socks5::Handshake),
}

/// What is to be done after bytes have been taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Receive more.
    More,
    /// Send these bytes, then give the rest of the input, or receive more.
    Send(Vec<u8>),
    /// The rest of the input, and all that comes, is from the server.
    Done,
}

impl Handshake {
    /// Takes bytes and returns how many, and what is to be done.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Step)> {
        match self {
            Self::Connect(tunnel) => {
                let (consumed, is_done) = tunnel.receive(input)?;
                Ok((consumed, if is_done { Step::Done } else { Step::More }))
            }
            Self::Socks5(handshake) => handshake.receive(input),
        }
    }

    /// What is to be said when the stream ends before the handshake does.
    pub fn receive_eof(&mut self) -> Error {
        match self {
            Self::Connect(tunnel) => tunnel.receive_eof(),
            Self::Socks5(handshake) => handshake.receive_eof(),
        }
    }

    /// Whether the proxy has refused for want of other credentials, so that the same request
    /// would be refused again.
    pub fn wants_other_credentials(&self) -> bool {
        match self {
            Self::Connect(tunnel) => tunnel.wants_other_credentials(),
            Self::Socks5(handshake) => handshake.wants_other_credentials(),
        }
    }

    /// Whether the proxy cannot connect to this address, and may be able to connect to another.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Connect(_) => false,
            Self::Socks5(handshake) => handshake.is_refused(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_one_handshake() {
        let (tunnel, _) = Tunnel::new("a:443", None);
        let mut connect = Handshake::Connect(tunnel);
        assert_eq!(connect.receive(b"HTTP/1.1 2"), Ok((10, Step::More)));
        assert_eq!(connect.receive(b"00\r\n\r\nrest"), Ok((6, Step::Done)));

        let (socks5, _) = socks5::Handshake::new(Target::Domain("a", 443), None).unwrap();
        let mut socks5 = Handshake::Socks5(socks5);
        assert_eq!(socks5.receive(&[5]), Ok((1, Step::More)));
        assert!(matches!(socks5.receive(&[0]), Ok((1, Step::Send(_)))));
        let reply = [5, 0, 0, 1, 127, 0, 0, 1, 0, 80, 0x81];
        assert_eq!(socks5.receive(&reply), Ok((10, Step::Done)));
    }

    #[test]
    fn a_refusal_of_the_credentials_is_told_from_others() {
        let connect = |answer: &[u8]| {
            let (tunnel, _) = Tunnel::new("a:443", None);
            (Handshake::Connect(tunnel), answer.to_vec())
        };
        let socks5 = |answer: &[u8]| {
            let login = Some((&b"user"[..], &b"password"[..]));
            let (socks5, _) = socks5::Handshake::new(Target::Domain("a", 443), login).unwrap();
            (Handshake::Socks5(socks5), answer.to_vec())
        };
        for ((mut handshake, answer), expected) in [
            (connect(b"HTTP/1.1 407 x\r\n\r\n"), true),
            (connect(b"HTTP/1.1 401 x\r\n\r\n"), true),
            (connect(b"HTTP/1.1 403 x\r\n\r\n"), false),
            (socks5(&[5, 0xff]), true),
            (socks5(&[5, 2, 1, 1]), true),
            (socks5(&[5, 3]), false),
            (socks5(&[5, 2, 1, 0, 5, 2]), false),
            (socks5(&[5, 0, 5, 1]), false),
        ] {
            let mut input = answer.as_slice();
            while let Ok((used, _)) = handshake.receive(input) {
                input = &input[used..];
            }
            assert_eq!(handshake.wants_other_credentials(), expected, "{answer:?}");
        }
    }

    #[test]
    fn the_end_of_the_stream_is_a_failure_of_the_proxy() {
        let (tunnel, _) = Tunnel::new("a:443", None);
        let (socks5, _) = socks5::Handshake::new(Target::Domain("a", 443), None).unwrap();
        for mut handshake in [Handshake::Connect(tunnel), Handshake::Socks5(socks5)] {
            let error = handshake.receive_eof();
            assert!(matches!(error, Error::Proxy(_)), "{error:?}");
        }
    }
}
