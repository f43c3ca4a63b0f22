//! The way to a server and back to it, through the C interface: proxies, redirects, names and
//! addresses, and connections that are made anew. Servers and proxies are scripted by the tests,
//! or are real ones from Debian's packages.

#![cfg(target_os = "linux")]

#[path = "../abi/mod.rs"]
mod abi;
mod cable;
mod connect;
mod daemons;
mod ends;
mod environment;
mod hammer;
mod https_proxy;
#[path = "../missing/mod.rs"]
mod missing;
mod names;
mod namespace;
mod reconnect;
mod redirects;
mod secrets;
mod socks;
#[path = "../support/mod.rs"]
mod support;
mod tls;

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use abi::{Client, Options, Seen, functions};
use support::RawServer;
use support::wire::{FIN, Peer, TEXT};

/// A server whose name nobody has to know but the proxy.
const TARGET: &str = "ws://target.invalid/chat?room=1";

#[test]
fn the_way_is_the_same_in_every_delivery() {
    abi::in_every_other_delivery("the_way_is_the_same_in_every_delivery");
}

/// Options with a proxy.
fn through(proxy: &str) -> Options {
    Options::new().set_text(functions().options_set_proxy, proxy)
}

/// The URL of a scripted proxy; `before` is what comes before the host.
fn proxy_url(before: &str, proxy: &RawServer) -> String {
    format!("{before}{}", proxy.address())
}

/// ERROR with this status and CLOSE with 1006 are all that is seen. Returns the sentence.
#[track_caller]
fn expect_failure(client: &Client, status: i32) -> String {
    let seen = client.seen.until_close();
    let [
        Seen::Error {
            status: its,
            sentence,
        },
        close,
    ] = seen.as_slice()
    else {
        panic!("{seen:?}");
    };
    assert_eq!(*its, status, "{sentence}");
    assert_eq!(*close, Seen::died(1006));
    sentence.clone()
}

/// The sentence has all of these.
#[track_caller]
fn expect_in(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "no {part:?} in {sentence:?}");
    }
}

/// A connection whose upgrade the test has accepted: OPEN comes, and messages in both directions.
#[track_caller]
fn expect_open(client: &Client, stream: TcpStream) -> Peer {
    assert_eq!(client.seen.next(), Seen::Open);
    let mut peer = Peer::new(stream, false);
    peer.send_frame(FIN | TEXT, b"down");
    assert_eq!(client.seen.next(), Seen::text("down"));
    assert_eq!(client.socket.send_text("up"), abi::OK);
    assert_eq!(peer.read_frame().payload, b"up");
    peer
}

/// Waits until the other side has ended the stream, with whatever it still says.
#[track_caller]
fn expect_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection is still there: {error}"),
    }
    rest
}

/// What happens does so within a time, which begins now.
struct Within(Instant, Duration);

impl Within {
    fn ms(milliseconds: u64) -> Self {
        Self(Instant::now(), Duration::from_millis(milliseconds))
    }

    #[track_caller]
    fn check(&self) {
        let took = self.0.elapsed();
        assert!(took <= self.1, "it took {took:?}, not {:?}", self.1);
    }
}
