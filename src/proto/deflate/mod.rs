//! permessage-deflate (RFC 7692): what the two sides agree on, and the halves that compress and
//! inflate messages. Knows no frames: RSV1 and which frames carry it is the session's business.

mod deflater;
mod distance;
mod grammar;
mod huffman;
mod inflater;
mod params;
mod stream;
#[cfg(test)]
mod tests;

pub use deflater::{CompressError, Deflater};
pub use inflater::{InflateError, Inflater};
pub use params::{Agreed, accept, confirm, offer};

/// What an application allows. The window sizes are upper limits, seen from the client and from
/// the server whichever role the application has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Largest window of the client's compressor, as a power of two: 9 to 15.
    pub client_max_window_bits: u8,
    /// Largest window of the server's compressor, as a power of two: 9 to 15.
    pub server_max_window_bits: u8,
    /// Whether the client's compressor may refer to earlier messages.
    pub client_takeover: bool,
    /// Whether the server's compressor may refer to earlier messages.
    pub server_takeover: bool,
    /// Compression level, 1 (fastest) to 9 (smallest).
    pub level: u32,
    /// Messages of fewer bytes are sent plain.
    pub min: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            client_max_window_bits: 15,
            server_max_window_bits: 15,
            client_takeover: true,
            server_takeover: true,
            level: 1,
            min: 1024,
        }
    }
}

/// What a sync flush ends with: the length fields of an empty stored block. RFC 7692 §7.2.1: the
/// sender takes them off each message; §7.2.2: the receiver puts them back.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// How far one of the codec's counters went.
fn difference(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}
