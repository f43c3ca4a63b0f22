//! What can be tried in its entirety is: every first two bytes of a frame in every state, every
//! close code, every short sequence of UTF-8 at every split, a compressed transcript at every two
//! cuts. The oracles are written from the texts of the RFCs.

use std::thread;

use super::{CloseFrame, MessageKind, Peer, Pool, Received, Receiver, Role, Seen};
use crate::proto::deflate::Inflater;
use crate::proto::utf8::{self, Utf8};

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// What an end has received before the frame in question.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Fresh,
    InsideText,
    InsideBinary,
    InsideCompressed,
    Closed,
}

impl State {
    /// The first byte of the empty frame that leads to the state.
    fn frame(self) -> Option<u8> {
        match self {
            Self::Fresh => None,
            Self::InsideText => Some(0x01),
            Self::InsideBinary => Some(0x02),
            Self::InsideCompressed => Some(0x41),
            Self::Closed => Some(0x88),
        }
    }

    fn message(self) -> Option<MessageKind> {
        match self {
            Self::InsideText | Self::InsideCompressed => Some(MessageKind::Text),
            Self::InsideBinary => Some(MessageKind::Binary),
            Self::Fresh | Self::Closed => None,
        }
    }
}

/// The first two bytes of a frame, and who receives them when.
#[derive(Clone, Copy, Debug)]
struct Case {
    role: Role,
    /// Whether permessage-deflate has been agreed on.
    compression: bool,
    state: State,
    first: u8,
    second: u8,
}

/// What comes of a frame.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The connection fails.
    Failure,
    /// Nothing yet, or nothing ever.
    Nothing,
    Message(MessageKind),
    Ping,
    Pong,
    Close,
}

impl Case {
    /// RFC 6455 §5.2, §5.5 and RFC 7692 §6: whether the two bytes alone are wrong.
    fn is_malformed(self) -> bool {
        let opcode = self.first % 16;
        let rsv = self.first / 16 % 8;
        let may_be_compressed = self.compression && (opcode == 1 || opcode == 2);
        let is_whole_and_short = self.first >= 128 && self.second % 128 <= 125;
        let is_good = [0, 1, 2, 8, 9, 10].contains(&opcode)
            && (rsv == 0 || rsv == 4 && may_be_compressed)
            && (opcode < 8 || is_whole_and_short)
            && (self.second >= 128) == (self.role == Role::Server);
        !is_good
    }

    /// What comes of the whole frame (§5.4, §5.5.1).
    fn expected(self) -> Outcome {
        let opcode = self.first % 16;
        let is_continuation = opcode == 0;
        match opcode {
            _ if self.state == State::Closed => Outcome::Nothing,
            _ if self.is_malformed() => Outcome::Failure,
            // One zero is no code, and two are one that must not be sent.
            8 if self.second & 0x7f > 0 => Outcome::Failure,
            8 => Outcome::Close,
            9 => Outcome::Ping,
            10 => Outcome::Pong,
            _ if is_continuation != self.state.message().is_some() => Outcome::Failure,
            _ if self.first < 128 || self.payload().is_none() => Outcome::Nothing,
            1 => Outcome::Message(MessageKind::Text),
            2 => Outcome::Message(MessageKind::Binary),
            _ => self
                .state
                .message()
                .map_or(Outcome::Failure, Outcome::Message),
        }
    }

    /// How many zeros follow the header as payload. None: it is withheld, as it would be long, or
    /// as zeros are no deflate data. One zero is, and so is nothing.
    fn payload(self) -> Option<usize> {
        let is_data = self.first % 16 < 8;
        let is_compressed = self.first & 0x40 != 0 || self.state == State::InsideCompressed;
        match usize::from(self.second % 128) {
            127 => None,
            len if is_data && is_compressed && len > 1 => None,
            len => Some(len),
        }
    }

    /// The whole frame, masked with zeros if it is masked.
    fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.first, self.second];
        match self.second % 128 {
            126 => bytes.extend([0, 126]),
            127 => bytes.extend([0, 0, 0, 0, 0, 1, 0, 0]),
            _ => {}
        }
        let mask = if self.second >= 128 { 4 } else { 0 };
        bytes.resize(bytes.len() + mask + self.payload().unwrap_or(0), 0);
        bytes
    }

    /// What a receiver in this state makes of bytes.
    fn outcome(self, bytes: &[u8]) -> Outcome {
        let inflater = self.compression.then(|| Inflater::new(15, true));
        let mut receiver = Receiver::new(self.role, 1 << 20, inflater);
        if let Some(first) = self.state.frame() {
            match self.role {
                Role::Client => receive(&mut receiver, &[first, 0]),
                Role::Server => receive(&mut receiver, &[first, 0x80, 0, 0, 0, 0]),
            };
        }
        receive(&mut receiver, bytes)
    }
}

/// The first thing that comes of bytes.
fn receive(receiver: &mut Receiver, bytes: &[u8]) -> Outcome {
    let (mut bytes, mut pool) = (bytes.to_vec(), Pool::default());
    let mut at = 0;
    loop {
        let Ok(step) = receiver.receive(&mut bytes[at..], &mut pool) else {
            return Outcome::Failure;
        };
        let Some(step) = step else {
            return Outcome::Nothing;
        };
        at += step.consumed;
        return match step.received {
            None => continue,
            Some(Received::Message(kind, _)) => Outcome::Message(kind),
            Some(Received::Ping(_)) => Outcome::Ping,
            Some(Received::Pong(_)) => Outcome::Pong,
            Some(Received::Close(_)) => Outcome::Close,
        };
    }
}

#[test]
fn every_two_bytes_of_a_frame_are_judged_in_every_state() {
    use State::{Closed, Fresh, InsideBinary, InsideCompressed, InsideText};
    let plain = [Fresh, InsideText, InsideBinary, Closed];
    let compressing = [Fresh, InsideText, InsideBinary, InsideCompressed, Closed];
    let mut tried = 0;
    for role in ROLES {
        for (compression, states) in [(false, &plain[..]), (true, &compressing)] {
            for &state in states {
                for [first, second] in (0..=u16::MAX).map(u16::to_be_bytes) {
                    judge(Case {
                        role,
                        compression,
                        state,
                        first,
                        second,
                    });
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} frames");
}

fn judge(case: Case) {
    let expected = case.expected();
    let at_once = case.outcome(&[case.first, case.second]);
    // What the two bytes get wrong is refused before the rest comes.
    if case.is_malformed() && case.state != State::Closed {
        assert_eq!(at_once, Outcome::Failure, "{case:?}");
    }
    if at_once != Outcome::Nothing {
        assert_eq!(at_once, expected, "{case:?}");
    }
    assert_eq!(case.outcome(&case.bytes()), expected, "{case:?}");
}

#[test]
fn every_close_code_is_judged() {
    let mut legal = 0;
    for code in 0..=u16::MAX {
        // RFC 6455 §7.4.1 and §7.4.2, and 1012 to 1014 of the registry that it founds.
        let is_reserved = matches!(code, 1004 | 1005 | 1006 | 1015);
        let is_legal = (1000..=1015).contains(&code) && !is_reserved
            || (3000..=3999).contains(&code)
            || (4000..=4999).contains(&code);
        let [high, low] = code.to_be_bytes();
        for reason in [&b""[..], b"why"] {
            let len = 2 + reason.len() as u8;
            let client = [&[0x88, len, high, low], reason].concat();
            let server = [&[0x88, 0x80 | len, 0, 0, 0, 0, high, low], reason].concat();
            for (role, bytes) in [(Role::Client, client), (Role::Server, server)] {
                let mut receiver = Receiver::new(role, 0, None);
                let is_closed = receive(&mut receiver, &bytes) == Outcome::Close;
                assert_eq!(is_closed, is_legal, "{code} {role:?}");
            }
        }
        legal += usize::from(is_legal);
    }
    println!("{} codes, of which {legal} are legal", 1 << 16);
}

/// RFC 3629 §4, byte by byte: how many bytes of a character are missing, and where the next one
/// has to be.
#[derive(Clone, Copy, Debug)]
struct Oracle {
    missing: u8,
    low: u8,
    high: u8,
}

impl Oracle {
    const BETWEEN_CHARACTERS: Self = Self {
        missing: 0,
        low: 0,
        high: 0,
    };

    fn next(self, byte: u8) -> Option<Self> {
        let (missing, low, high) = match byte {
            _ if self.missing > 0 => {
                if !(self.low..=self.high).contains(&byte) {
                    return None;
                }
                (self.missing - 1, 0x80, 0xbf)
            }
            0x00..=0x7f => (0, 0, 0),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xe1..=0xec | 0xee..=0xef => (2, 0x80, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return None,
        };
        Some(Self { missing, low, high })
    }
}

/// Feeds pieces of these lengths, of which each byte goes through its alphabet. What a refused
/// piece begins is not followed: the connection has failed. Returns how many pieces were tried.
fn feed_all(utf8: Utf8, oracle: Oracle, alphabets: &[&[u8]], lengths: &[usize]) -> usize {
    let Some((&length, lengths)) = lengths.split_first() else {
        assert_eq!({ utf8 }.finish(), oracle.missing == 0, "{utf8:?}");
        return 0;
    };
    let (alphabets, others) = alphabets.split_at(length);
    let mut piece = vec![0; length];
    let count: usize = alphabets.iter().map(|alphabet| alphabet.len()).product();
    let mut tried = count;
    for number in 0..count {
        let mut rest = number;
        for (byte, alphabet) in piece.iter_mut().zip(alphabets) {
            *byte = alphabet[rest % alphabet.len()];
            rest /= alphabet.len();
        }
        let mut after = utf8;
        let is_taken = after.feed(&piece);
        let expected = piece
            .iter()
            .try_fold(oracle, |oracle, byte| oracle.next(*byte));
        assert_eq!(is_taken, expected.is_some(), "{piece:x?} after {utf8:?}");
        if let Some(oracle) = expected {
            tried += feed_all(after, oracle, others, lengths);
        }
    }
    tried
}

/// Every way to cut `length` bytes into pieces.
fn splits(length: usize) -> Vec<Vec<usize>> {
    if length == 0 {
        return vec![Vec::new()];
    }
    let first_pieces = 1..=length;
    first_pieces
        .flat_map(|first| {
            let rests = splits(length - first).into_iter();
            rests.map(move |rest| [&[first], &rest[..]].concat())
        })
        .collect()
}

#[test]
fn every_sequence_of_up_to_three_bytes_is_judged_at_every_split() {
    let every: Vec<u8> = (0..=255).collect();
    let tried: usize = thread::scope(|scope| {
        let halves = [&every[..128], &every[128..]].map(|firsts| {
            let every = &every;
            scope.spawn(move || {
                let mut tried = 0;
                for length in 1..=3 {
                    let alphabets = [firsts, every, every];
                    for lengths in splits(length) {
                        let start = Oracle::BETWEEN_CHARACTERS;
                        tried += feed_all(Utf8::default(), start, &alphabets[..length], &lengths);
                    }
                }
                tried
            })
        });
        halves.map(|half| half.join().unwrap()).iter().sum()
    });
    println!("{tried} pieces of text");
}

#[test]
fn every_beginning_of_four_bytes_is_judged_at_every_split() {
    let every: Vec<u8> = (0..=255).collect();
    let leads: Vec<u8> = (0xf0..=0xff).collect();
    // Where the ranges of RFC 3629 begin and end, and a byte beyond each.
    let edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
    let mut tried = 0;
    for lengths in splits(4) {
        let alphabets: [&[u8]; 4] = [&leads, &every, &edges, &edges];
        tried += feed_all(
            Utf8::default(),
            Oracle::BETWEEN_CHARACTERS,
            &alphabets,
            &lengths,
        );
    }
    println!("{tried} pieces of text");
}

#[test]
fn text_in_one_piece_is_judged_as_in_several() {
    // Beyond 64 bytes other code is at work.
    for padding in [0, 1, 61, 62, 63, 64, 127, 200] {
        for bytes in (0..=u16::MAX).map(u16::to_be_bytes) {
            let mut text = vec![b'a'; padding];
            text.extend(bytes);
            let oracle = Oracle::BETWEEN_CHARACTERS;
            let end = bytes
                .iter()
                .try_fold(oracle, |oracle, byte| oracle.next(*byte));
            let is_valid = end.is_some_and(|oracle| oracle.missing == 0);
            assert_eq!(utf8::is_valid(&text), is_valid, "{padding} and {bytes:x?}");
            assert_eq!(
                Utf8::default().feed(&text),
                end.is_some(),
                "{padding} and {bytes:x?}"
            );
        }
    }
}

#[test]
fn a_compressed_transcript_may_be_cut_at_any_two_places() {
    // "Hello" in fragments with a ping between them, again by reference to the first, plain, and
    // in a final block (RFC 7692 §7.2.3).
    let bytes: &[u8] = b"\x41\x03\xf2\x48\xcd\x89\x01?\x00\x00\x80\x04\xc9\xc9\x07\x00\
        \xc1\x05\xf2\x00\x11\x00\x00\x81\x05plain\xc2\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00\
        \xc1\x00\xc1\x01\x00\x88\x00";
    let text = |text: &str| Seen::Message(MessageKind::Text, text.into());
    let expected = [
        Seen::Ping(b"?".into()),
        text("Hello"),
        text("Hello"),
        text("plain"),
        Seen::Message(MessageKind::Binary, b"Hello".into()),
        text(""),
        text(""),
        Seen::Close(CloseFrame::empty()),
    ];
    let mut tried = 0;
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let mut client = Peer::new(Role::Client);
            client.receiver = Receiver::new(Role::Client, 5, Some(Inflater::new(15, true)));
            let seen = client.receive(bytes, &[first, second]).unwrap();
            assert_eq!(seen, expected, "cut at {first} and {second}");
            tried += 1;
        }
    }
    println!("{tried} pairs of cuts");
}
