//! Random sequences of messages, exchanged with other libraries through a proxy that chops the
//! stream, arrive byte for byte. Everything random follows from one seed, which a failure prints;
//! `WSABI_SEED` sets it.

#[path = "../abi/mod.rs"]
mod abi;
#[path = "../interpreters/mod.rs"]
mod interpreters;
#[path = "../missing/mod.rs"]
mod missing;
mod peers;
mod proxy;
mod publishing;
mod secrecy;
#[path = "../support/mod.rs"]
mod support;
mod traffic;

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use abi::{Client, Events, FACT_EXTENSIONS, Options, Runtime, Seen, Socket, functions};
use peers::{Compression, Peer};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use secrecy::Secrecy;
use traffic::Operation;

/// How many messages go to and fro in each connection.
const MESSAGES: usize = 300;

#[test]
fn messages_are_exact_in_every_delivery() {
    // What has to be installed is, before others look for it.
    interpreters::python_with_websockets();
    interpreters::node_modules_with_ws();
    abi::in_every_other_delivery("messages_are_exact_in_every_delivery");
}

#[test]
fn our_client_and_the_server_of_tungstenite_are_exact() {
    our_client_is_exact(peers::tungstenite_server, &[Compression::Declined]);
}

#[test]
fn our_server_and_the_client_of_tungstenite_are_exact() {
    our_server_is_exact(peers::tungstenite_client, &[Compression::Declined]);
}

#[test]
fn our_client_and_the_server_of_websockets_are_exact() {
    our_client_is_exact(peers::websockets_server, Compression::BOTH);
}

#[test]
fn our_server_and_the_client_of_websockets_are_exact() {
    our_server_is_exact(peers::websockets_client, Compression::BOTH);
}

#[test]
fn our_client_and_the_server_of_ws_are_exact() {
    our_client_is_exact(peers::ws_server, Compression::BOTH);
}

#[test]
fn our_server_and_the_client_of_ws_are_exact() {
    our_server_is_exact(peers::ws_client, Compression::BOTH);
}

/// `server` starts the peer and returns it with its port; none if it is not installed.
fn our_client_is_exact(
    server: fn(u64, Compression, Secrecy) -> Option<(Peer, u16)>,
    compressions: &[Compression],
) {
    for (compression, secrecy) in secrecy::combine(compressions) {
        let seed = seed();
        let mut random = StdRng::seed_from_u64(seed);
        let Some((peer, port)) = server(seed, compression, secrecy) else {
            return;
        };
        let proxy = proxy::chop(port, seed);
        let runtime = Runtime::new();
        let options = secrecy.trust(options(&mut random));
        let Client { socket, seen } = runtime.connect(&secrecy.url(proxy), &options);
        assert_eq!(seen.next(), Seen::Open);
        compression.check(&socket.fact(FACT_EXTENSIONS));
        converse(socket, &seen, &mut random);
        peer.finish();
    }
}

/// `client` starts the peer with the port of our server; none if it is not installed.
fn our_server_is_exact(
    client: fn(u64, Compression, Secrecy, u16) -> Option<Peer>,
    compressions: &[Compression],
) {
    for (compression, secrecy) in secrecy::combine(compressions) {
        let seed = seed();
        let mut random = StdRng::seed_from_u64(seed);
        let runtime = Runtime::new();
        let options = secrecy.be_somebody(options(&mut random));
        let (server, seen) = runtime.listen_at(secrecy.any(), &options, |_, _| {});
        let proxy = proxy::chop(server.port, seed);
        let Some(peer) = client(seed, compression, secrecy, proxy) else {
            return;
        };
        let (socket, open) = seen.next_of();
        assert_eq!(open, Seen::Open);
        compression.check(&socket.fact(FACT_EXTENSIONS));
        converse(socket, &seen, &mut random);
        peer.finish();
    }
}

fn seed() -> u64 {
    let seed = env::var("WSABI_SEED").map_or_else(
        |_| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            now.as_nanos() as u64
        },
        |seed| seed.parse().unwrap(),
    );
    println!("WSABI_SEED={seed}");
    seed
}

/// Settings that change the wire and nothing else.
fn options(random: &mut StdRng) -> Options {
    let options = Options::new()
        .set(functions().options_set_max_message, 64 << 20)
        .set(
            functions().options_set_max_frame,
            [0, 0, 100, 5000][random.random_range(0..4)],
        )
        .set(
            functions().options_set_compression_min,
            random.random_range(0..2000),
        )
        .set(
            functions().options_set_compression_level,
            random.random_range(1..=9),
        );
    let takeover = functions().options_set_compression_takeover;
    let window = functions().options_set_compression_window;
    let mut flag = || i32::from(random.random_bool(0.7));
    let takeovers = (flag(), flag());
    let mut bits = || random.random_range(9..=15);
    let windows = (bits(), bits());
    options
        .set_both(takeover, takeovers)
        .set_both(window, windows)
}

/// Sends random messages, and gets them back.
fn converse(socket: Socket, seen: &Events, random: &mut StdRng) {
    let operations = traffic::random(random, MESSAGES);
    for operation in &operations {
        operation.perform(socket);
    }
    let mut pings = operations.iter().flat_map(Operation::pings);
    for (number, expected) in operations.iter().flat_map(Operation::messages).enumerate() {
        loop {
            match seen.next() {
                Seen::Ping(_) | Seen::Drain => {}
                // Pongs may be left out, but come in order.
                Seen::Pong(payload) => assert!(pings.any(|ping| *ping == payload), "{payload:x?}"),
                seen => {
                    // Without `assert_eq`: a large message would fill the screen.
                    assert!(seen == expected, "message {number}: {}", shortened(&seen));
                    break;
                }
            }
        }
    }
    assert_eq!(socket.close(1000, "done"), abi::OK);
    loop {
        match seen.next() {
            Seen::Ping(_) | Seen::Pong(_) | Seen::Drain => {}
            seen => {
                assert!(
                    matches!(&seen, Seen::Close(close) if close.was_clean),
                    "{seen:?}"
                );
                return;
            }
        }
    }
}

fn shortened(seen: &Seen) -> String {
    format!("{seen:?}").chars().take(400).collect()
}
