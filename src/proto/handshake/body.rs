//! The body of a refused upgrade, as far as it is kept.

use super::Head;

/// Most bytes of a body that are kept.
pub const MAX_BODY: usize = 64 * 1024;

/// Most bytes that are received for it: chunks may be small, but not all framing.
const MAX_RECEIVED: usize = 8 * MAX_BODY;

/// Collects a body that is framed as RFC 9112 §6.3 says.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    received: usize,
    state: State,
}

impl Body {
    /// The body that follows the head of a response.
    pub fn of_response(head: &Head) -> Self {
        let state = match head.status() {
            204 | 304 => State::Complete,
            _ if head.has_token("Transfer-Encoding", "chunked") => State::ChunkSize(0),
            // A length of several lines or members, or that is no number, says nothing.
            _ => match head
                .field("Content-Length")
                .and_then(|length| length.parse().ok())
            {
                Some(0) => State::Complete,
                Some(length) => State::Sized(length),
                None => State::UntilEnd,
            },
        };
        Self {
            bytes: Vec::new(),
            received: 0,
            state,
        }
    }

    /// Whether no more is wanted: the body is complete, malformed, or as long as is kept.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Takes all of `input`.
    pub fn receive(&mut self, mut input: &[u8]) {
        self.received = self.received.saturating_add(input.len());
        while let Some((&byte, rest)) = input.split_first() {
            (self.state, input) = match self.state {
                State::Complete => return,
                State::UntilEnd => (State::UntilEnd, self.keep(u64::MAX, input).1),
                State::Sized(left) => match self.keep(left, input) {
                    (0, rest) => (State::Complete, rest),
                    (left, rest) => (State::Sized(left), rest),
                },
                State::ChunkData(left) => match self.keep(left, input) {
                    (0, rest) => (State::ChunkEnd, rest),
                    (left, rest) => (State::ChunkData(left), rest),
                },
                framing => (framing.next(byte), rest),
            };
        }
        if self.bytes.len() >= MAX_BODY || self.received >= MAX_RECEIVED {
            self.state = State::Complete;
        }
    }

    /// The bytes that are kept.
    #[cfg(test)]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that are kept, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Takes up to `left` bytes: how many are left then, and the rest of the input.
    fn keep<'a>(&mut self, left: u64, input: &'a [u8]) -> (u64, &'a [u8]) {
        let len = usize::try_from(left).unwrap_or(usize::MAX);
        let (data, rest) = input.split_at_checked(len).unwrap_or((input, &[]));
        let left = left.saturating_sub(data.len() as u64);
        let room = MAX_BODY.saturating_sub(self.bytes.len());
        let data = data.get(..room).unwrap_or(data);
        // The body is a help for a person: without memory for it, the refusal is still told.
        if self.bytes.try_reserve(data.len()).is_ok() {
            self.bytes.extend_from_slice(data);
        }
        (left, rest)
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    UntilEnd,
    /// Bytes that are left.
    Sized(u64),
    /// RFC 9112 §7.1: the size so far.
    ChunkSize(u64),
    /// The rest of the line behind the size.
    ChunkExtension(u64),
    /// Bytes that are left.
    ChunkData(u64),
    /// The line end behind the data.
    ChunkEnd,
    Trailer {
        line_is_empty: bool,
    },
    Complete,
}

impl State {
    /// The state after a byte of chunked framing. What is malformed ends the body.
    fn next(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::ChunkSize(size), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                let size = size
                    .checked_mul(16)
                    .and_then(|size| size.checked_add(digit));
                size.map_or(Self::Complete, Self::ChunkSize)
            }
            (Self::ChunkSize(size), b';' | b' ' | b'\t' | b'\r') => Self::ChunkExtension(size),
            (Self::ChunkExtension(0), b'\n') => Self::Trailer {
                line_is_empty: true,
            },
            (Self::ChunkExtension(size), b'\n') => Self::ChunkData(size),
            (Self::ChunkEnd, b'\n') => Self::ChunkSize(0),
            (Self::ChunkExtension(_), _) | (Self::ChunkEnd, b'\r') => self,
            (
                Self::Trailer {
                    line_is_empty: true,
                },
                b'\n',
            ) => Self::Complete,
            (Self::Trailer { .. }, b'\n') => Self::Trailer {
                line_is_empty: true,
            },
            (Self::Trailer { .. }, b'\r') => self,
            (Self::Trailer { .. }, _) => Self::Trailer {
                line_is_empty: false,
            },
            _ => Self::Complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::HeadReader;
    use super::*;

    fn body(head: &str) -> Body {
        let head = format!("HTTP/1.1 {head}\r\n\r\n");
        let (_, head) = HeadReader::of_responses().receive(head.as_bytes()).unwrap();
        Body::of_response(&head.unwrap())
    }

    #[test]
    fn bodies_end_as_their_framing_says_in_any_pieces() {
        for (head, wire, bytes, complete) in [
            ("204 x\r\nContent-Length: 5", "", "", true),
            ("304 x", "", "", true),
            ("404 x\r\nContent-Length: 0", "", "", true),
            ("404 x\r\nContent-Length: 5", "hello", "hello", true),
            ("404 x\r\nContent-Length: 5", "helloworld", "hello", true),
            ("404 x\r\nContent-Length: 6", "hello", "hello", false),
            ("404 x", "hello", "hello", false),
            ("404 x\r\nContent-Length: x", "hello", "hello", false),
            (
                "404 x\r\nContent-Length: 99999999999999999999",
                "hello",
                "hello",
                false,
            ),
            (
                "404 x\r\nContent-Length: 3\r\nContent-Length: 4",
                "hello",
                "hello",
                false,
            ),
            ("404 x\r\nTransfer-Encoding: gzip", "hello", "hello", false),
            (CHUNKED, "5\r\nhello\r\n0\r\n\r\n", "hello", true),
            (
                CHUNKED,
                "005;a=b\r\nhello\r\n1 \r\n!\r\n0\r\na: b\r\n\r\n",
                "hello!",
                true,
            ),
            (
                CHUNKED,
                "A\r\n0123456789\r\n0;x\r\n\r\nmore",
                "0123456789",
                true,
            ),
            (CHUNKED, "5\r\nhello\r\n0\r\n", "hello", false),
            (CHUNKED, "5\r\nhel", "hel", false),
            (CHUNKED, "ffffffffffffffff\r\nhello", "hello", false),
            (CHUNKED, "10000000000000000\r\nhello", "", true),
            (CHUNKED, "x\r\nhello", "", true),
            (CHUNKED, "-1\r\nhello", "", true),
            (CHUNKED, "2\r\nhello", "he", true),
        ] {
            for size in 1..=wire.len().max(1) {
                let mut body = body(head);
                for piece in wire.as_bytes().chunks(size) {
                    body.receive(piece);
                }
                assert_eq!(
                    body.bytes(),
                    bytes.as_bytes(),
                    "{head:?}, {wire:?} by {size}"
                );
                assert_eq!(body.is_complete(), complete, "{head:?}, {wire:?} by {size}");
                assert_eq!(body.into_bytes(), bytes.as_bytes());
            }
        }
    }

    #[test]
    fn a_length_counts_for_nothing_beside_chunks() {
        let mut body = body("404 x\r\nContent-Length: 2\r\nTransfer-Encoding: CHUNKED");
        body.receive(b"3\r\nabc\r\n");
        assert!(!body.is_complete());
        body.receive(b"0\r\n\r\n");
        assert!(body.is_complete());
        assert_eq!(body.bytes(), b"abc");
    }

    #[test]
    fn no_more_than_the_limit_is_kept_and_waited_for() {
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        for (head, piece) in [
            ("404 x", "x".repeat(5000)),
            (
                "404 x\r\nContent-Length: 18446744073709551615",
                "x".repeat(5000),
            ),
            (CHUNKED, chunk.clone()),
            (CHUNKED, chunk.repeat(100)),
        ] {
            let mut body = body(head);
            let mut pieces = 0;
            while !body.is_complete() {
                body.receive(piece.as_bytes());
                pieces += 1;
            }
            assert_eq!(body.bytes().len(), MAX_BODY, "{head:?}");
            assert!(pieces <= 17, "{head:?}: {pieces}");
        }
    }

    #[test]
    fn endless_framing_ends_the_body() {
        for (start, piece) in [
            ("", "00000000"),
            ("5;", "extended"),
            ("0\r\n", "a: b\r\n"),
            ("", "1\r\nx\r\n"),
        ] {
            let mut body = body(CHUNKED);
            body.receive(start.as_bytes());
            let mut received = 0;
            while !body.is_complete() {
                body.receive(piece.as_bytes());
                received += piece.len();
            }
            assert!(received <= MAX_RECEIVED, "{start:?} {piece:?}");
        }
    }

    const CHUNKED: &str = "404 x\r\nTransfer-Encoding: gzip, chunked";
}
