//! Where and how a server listens, how it answers whoever comes, and how it ends, through the C
//! interface. Its clients are made by hand.

#[path = "../abi/mod.rs"]
mod abi;
mod answers;
mod asked;
mod ends;
mod places;
mod storm;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::wire::Peer;
use crate::support::{PATIENCE, REQUEST, read_head};

#[test]
fn servers_are_the_same_in_every_delivery() {
    abi::in_every_other_delivery("servers_are_the_same_in_every_delivery");
}

/// A connection on which nothing has been said.
fn dial(address: impl Into<SocketAddr>) -> TcpStream {
    let stream = TcpStream::connect(address.into()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn here(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A client on an established connection.
fn upgrade(address: impl Into<SocketAddr>) -> Peer {
    let mut peer = Peer::new(dial(address), true);
    peer.send_raw(REQUEST);
    let head = read_head(&mut peer.stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

/// What a server answers to these bytes, until it ends the connection.
fn answer(port: u16, request: &[u8]) -> String {
    let mut stream = dial(here(port));
    // It may have seen enough before all is written.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    // What it has not read may make a reset of the end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}
