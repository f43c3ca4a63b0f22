//! What our server publishes, in one frame for all subscribers, and what it sends to each of them,
//! in turns: other inflaters make of it what was meant, whatever they remember of earlier messages
//! and however far back they look.

use std::collections::{HashMap, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::abi::{
    self, BINARY, Events, FACT_EXTENSIONS, OK, Options, Runtime, Seen, Server, Socket, functions,
};
use crate::peers::{Compression, Peer};
use crate::secrecy::{self, Secrecy};
use crate::{peers, proxy, seed, shortened};

/// What the guests of one server demand of its compressor.
const DEMANDS: [Compression; 5] = [
    demand(15, true),
    demand(15, false),
    demand(10, true),
    demand(9, false),
    Compression::Declined,
];

/// How often something is sent to each guest, or published.
const TURNS: usize = 120;

/// From here on messages are compressed.
const COMPRESSION_MIN: u64 = 200;

const fn demand(window: u8, takeover: bool) -> Compression {
    Compression::Demanded { window, takeover }
}

#[test]
fn what_our_server_publishes_to_clients_of_websockets_is_exact() {
    what_our_server_publishes_is_exact(peers::websockets_client);
}

#[test]
fn what_our_server_publishes_to_clients_of_ws_is_exact() {
    what_our_server_publishes_is_exact(peers::ws_client);
}

type StartClient = fn(u64, Compression, Secrecy, u16) -> Option<Peer>;

fn what_our_server_publishes_is_exact(client: StartClient) {
    for (_, secrecy) in secrecy::combine(&[Compression::Agreed]) {
        let seed = seed();
        let mut random = StdRng::seed_from_u64(seed);
        let runtime = Runtime::with_threads(2);
        let options = Options::new()
            .set(functions().options_set_compression_min, COMPRESSION_MIN)
            .set(
                functions().options_set_compression_level,
                random.random_range(1..=9),
            );
        let (server, seen) =
            runtime.listen_at(secrecy.any(), &secrecy.be_somebody(options), |_, _| {});
        let mut guests = Guests::new(&server, &seen);
        for compression in DEMANDS {
            let proxy = proxy::chop(server.port, seed);
            let Some(peer) = client(seed, compression, secrecy, proxy) else {
                return;
            };
            guests.welcome(peer, compression);
        }
        guests.converse(&mut random);
        guests.leave();
    }
}

/// Peers that send everything back, in the order in which they came.
struct Guests<'a> {
    server: &'a Server,
    seen: &'a Events,
    peers: Vec<Peer>,
    sockets: Vec<Socket>,
    /// What they were sent, and has not come back.
    expected: HashMap<Socket, VecDeque<Seen>>,
}

impl<'a> Guests<'a> {
    fn new(server: &'a Server, seen: &'a Events) -> Self {
        Self {
            server,
            seen,
            peers: Vec::new(),
            sockets: Vec::new(),
            expected: HashMap::new(),
        }
    }

    /// The next of them is open. Every other one subscribes to the topic.
    fn welcome(&mut self, peer: Peer, compression: Compression) {
        let (socket, open) = self.seen.next_of();
        assert_eq!(open, Seen::Open);
        compression.check(&socket.fact(FACT_EXTENSIONS));
        if self.sockets.len().is_multiple_of(2) {
            assert_eq!(socket.subscribe("topic"), OK);
        }
        self.peers.push(peer);
        self.sockets.push(socket);
        self.expected.insert(socket, VecDeque::new());
    }

    /// Sends and publishes in turns, and gets it all back.
    fn converse(&mut self, random: &mut StdRng) {
        for turn in 0..TURNS {
            let message = message(random);
            let publish = |topic| self.server.publish(topic, BINARY, &message);
            let is_member: fn(usize) -> bool = match turn % 4 {
                0 | 2 => {
                    for socket in &self.sockets {
                        assert_eq!(socket.send_binary(&message), OK);
                    }
                    |_| true
                }
                1 => {
                    assert_eq!(publish(""), self.sockets.len() as i64);
                    |_| true
                }
                _ => {
                    assert_eq!(publish("topic"), self.sockets.len().div_ceil(2) as i64);
                    |guest| guest % 2 == 0
                }
            };
            for (guest, socket) in self.sockets.iter().enumerate() {
                if is_member(guest) {
                    let expected = self.expected.get_mut(socket).unwrap();
                    expected.push_back(Seen::binary(message.clone()));
                }
            }
        }
        while self.expected.values().any(|it| !it.is_empty()) {
            match self.seen.next_of() {
                (_, Seen::Ping(_) | Seen::Pong(_) | Seen::Drain) => {}
                (socket, seen) => {
                    let expected = self.expected.get_mut(&socket).unwrap();
                    let left = expected.len();
                    // Without `assert_eq`: a large message would fill the screen.
                    assert!(
                        Some(&seen) == expected.pop_front().as_ref(),
                        "{left} before the end: {}",
                        shortened(&seen)
                    );
                }
            }
        }
    }

    fn leave(self) {
        for socket in &self.sockets {
            assert_eq!(socket.close(1000, "done"), abi::OK);
        }
        let mut closed = 0;
        while closed < self.sockets.len() {
            match self.seen.next() {
                Seen::Ping(_) | Seen::Pong(_) | Seen::Drain => {}
                Seen::Close(close) if close.was_clean => closed += 1,
                seen => panic!("{}", shortened(&seen)),
            }
        }
        for peer in self.peers {
            peer.finish();
        }
    }
}

/// Words that all messages have in common, so that every compressor wants to refer to what was
/// before; between some of them noise, so that also what is compressed can be large.
fn message(random: &mut StdRng) -> Vec<u8> {
    let len = match random.random_range(0..8) {
        0 => random.random_range(0..COMPRESSION_MIN as usize),
        1 => random.random_range(30_000..60_000),
        _ => random.random_range(COMPRESSION_MIN as usize..5_000),
    };
    let is_noisy = random.random_bool(0.3);
    let mut message = Vec::with_capacity(len + 32);
    while message.len() < len {
        let word = format!("the {}th word, ", random.random_range(0..300));
        message.extend_from_slice(word.as_bytes());
        if is_noisy {
            message.extend((0..40).map(|_| random.random::<u8>()));
        }
    }
    message.truncate(len);
    message
}
