//! Tests of the whole module: negotiation, round trips, and what hostile peers send.

mod data;
mod endings;
mod hostile;
mod offers;
mod reference;
mod responses;
mod round_trips;

use super::*;
use crate::proto::Buffer;

/// More than any message of these tests.
const LIMIT: usize = 1 << 20;

fn compress(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
    let mut out = Buffer::new();
    deflater.compress(message, true, &mut out).unwrap();
    out.bytes().to_vec()
}

fn inflate(inflater: &mut Inflater, payload: &[u8]) -> Result<Vec<u8>, InflateError> {
    let mut out = Buffer::new();
    inflater.inflate(payload, true, LIMIT, &mut out)?;
    Ok(out.bytes().to_vec())
}

/// Limits of the client's and the server's window.
fn limits(client: u8, server: u8) -> Config {
    Config {
        client_max_window_bits: client,
        server_max_window_bits: server,
        ..Config::default()
    }
}

/// Whether the client and the server may refer to earlier messages.
fn takeover(client: bool, server: bool) -> Config {
    Config {
        client_takeover: client,
        server_takeover: server,
        ..Config::default()
    }
}

/// Window and takeover of our compressor and of the peer's.
fn agreed(own: (u8, bool), peer: (u8, bool)) -> Agreed {
    Agreed {
        own_window_bits: own.0,
        peer_window_bits: peer.0,
        own_takeover: own.1,
        peer_takeover: peer.1,
    }
}
