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

/// The codecs with vectors for their output, which are easier to look at.
trait ToVec {
    fn compress_to(
        &mut self,
        piece: &[u8],
        fin: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError>;
}

impl ToVec for Deflater {
    fn compress_to(
        &mut self,
        piece: &[u8],
        fin: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        let mut buffer = Buffer::new();
        let result = self.compress(piece, fin, &mut buffer);
        out.extend_from_slice(buffer.bytes());
        result
    }
}

trait InflateToVec {
    fn inflate_to(
        &mut self,
        piece: &[u8],
        fin: bool,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), InflateError>;
}

impl InflateToVec for Inflater {
    fn inflate_to(
        &mut self,
        piece: &[u8],
        fin: bool,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), InflateError> {
        let mut buffer = Buffer::new();
        let result = self.inflate(piece, fin, limit, &mut buffer);
        assert!(buffer.capacity() <= limit.saturating_add(1).max(64));
        out.extend_from_slice(buffer.bytes());
        result
    }
}
