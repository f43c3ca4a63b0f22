//! Random messages, and random ways to send them.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::abi::{BINARY, OK, Seen, Socket, TEXT};

/// Or-ed into a type: not to be compressed.
const PLAIN: i32 = 16;

/// A call of the application.
pub enum Operation {
    Message(Message),
    Many(Vec<Message>),
    /// A message in pieces, with pings between some.
    Pieces(Message, Vec<(usize, Option<Vec<u8>>)>),
    Ping(Vec<u8>),
}

#[derive(Clone)]
pub struct Message {
    is_text: bool,
    plain: bool,
    data: Vec<u8>,
}

/// Operations that send at least so many messages.
pub fn random(random: &mut StdRng, messages: usize) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut count = 0;
    while count < messages {
        let operation = Operation::random(random);
        count += operation.messages().count();
        operations.push(operation);
    }
    operations
}

impl Operation {
    fn random(random: &mut StdRng) -> Self {
        match random.random_range(0..10) {
            0..5 => Self::Message(Message::random(random)),
            5..7 => {
                let count = random.random_range(1..10);
                Self::Many((0..count).map(|_| Message::random(random)).collect())
            }
            7..9 => {
                let message = Message::random(random);
                let mut ends: Vec<usize> = (0..random.random_range(0..6))
                    .map(|_| random.random_range(0..=message.data.len()))
                    .collect();
                ends.push(message.data.len());
                ends.sort_unstable();
                let pieces = ends.into_iter().map(|end| {
                    let ping = random.random_bool(0.2).then(|| ping(random));
                    (end, ping)
                });
                let pieces = pieces.collect();
                Self::Pieces(message, pieces)
            }
            _ => Self::Ping(ping(random)),
        }
    }

    pub fn perform(&self, socket: Socket) {
        match self {
            Self::Message(message) if message.plain => {
                let count = socket.send_many(&[(message.flags(), &message.data)]);
                assert_eq!(count, 1);
            }
            Self::Message(message) if message.is_text => {
                assert_eq!(socket.send_text(&message.data), OK);
            }
            Self::Message(message) => assert_eq!(socket.send_binary(&message.data), OK),
            Self::Many(messages) => {
                let messages: Vec<(i32, &[u8])> = messages
                    .iter()
                    .map(|message| (message.flags(), &message.data[..]))
                    .collect();
                assert_eq!(socket.send_many(&messages), messages.len() as i32);
            }
            Self::Pieces(message, pieces) => {
                let mut start = 0;
                for (number, (end, ping)) in pieces.iter().enumerate() {
                    let is_last = number + 1 == pieces.len();
                    let piece = &message.data[start..*end];
                    assert_eq!(socket.send_fragment(message.flags(), piece, is_last), OK);
                    start = *end;
                    if let Some(ping) = ping {
                        assert_eq!(socket.ping(ping), OK);
                    }
                }
            }
            Self::Ping(payload) => assert_eq!(socket.ping(payload), OK),
        }
    }

    /// The events of its messages, when they come back.
    pub fn messages(&self) -> impl Iterator<Item = Seen> {
        let messages = match self {
            Self::Message(message) | Self::Pieces(message, _) => std::slice::from_ref(message),
            Self::Many(messages) => messages,
            Self::Ping(_) => &[],
        };
        messages.iter().map(|message| Seen::Message {
            kind: if message.is_text { TEXT } else { BINARY },
            data: message.data.clone(),
        })
    }

    /// The payloads of its pings.
    pub fn pings(&self) -> impl Iterator<Item = &Vec<u8>> {
        let (one, pieces) = match self {
            Self::Ping(payload) => (Some(payload), &[][..]),
            Self::Pieces(_, pieces) => (None, &pieces[..]),
            _ => (None, &[][..]),
        };
        one.into_iter()
            .chain(pieces.iter().filter_map(|(_, ping)| ping.as_ref()))
    }
}

impl Message {
    fn random(random: &mut StdRng) -> Self {
        let len = match random.random_range(0..20) {
            0..4 => {
                let edges = [0, 0, 1, 2, 3, 125, 126, 127, 65_535, 65_536, 65_537];
                edges[random.random_range(0..edges.len())]
            }
            4..12 => random.random_range(0..300),
            12..19 => random.random_range(0..5_000),
            _ => random.random_range(0..150_000),
        };
        let is_text = random.random_bool(0.5);
        Self {
            is_text,
            plain: random.random_bool(0.1),
            data: if is_text {
                text(random, len)
            } else {
                data(random, len)
            },
        }
    }

    fn flags(&self) -> i32 {
        let kind = if self.is_text { TEXT } else { BINARY };
        kind | if self.plain { PLAIN } else { 0 }
    }
}

fn ping(random: &mut StdRng) -> Vec<u8> {
    let len = random.random_range(0..=125);
    data(random, len)
}

/// Noise, or what can be compressed.
fn data(random: &mut StdRng, len: usize) -> Vec<u8> {
    let period = if random.random_bool(0.5) {
        len
    } else {
        len.min(random.random_range(1..400))
    };
    let noise: Vec<u8> = (0..period).map(|_| random.random()).collect();
    noise.into_iter().cycle().take(len).collect()
}

/// The same of characters of every length. It may be a little shorter.
fn text(random: &mut StdRng, len: usize) -> Vec<u8> {
    const CHARACTERS: [&str; 12] = [
        "a",
        "b",
        " ",
        "\0",
        "\n",
        "\u{7f}",
        "\u{e9}",
        "\u{7ff}",
        "\u{20ac}",
        "\u{ffff}",
        "\u{1f600}",
        "\u{10ffff}",
    ];
    let of_one_byte = random.random_bool(0.5);
    let mut text = Vec::with_capacity(len);
    loop {
        let character = match of_one_byte {
            true => CHARACTERS[random.random_range(0..6)],
            false => CHARACTERS[random.random_range(0..CHARACTERS.len())],
        };
        if text.len() + character.len() > len {
            return text;
        }
        text.extend_from_slice(character.as_bytes());
    }
}
