//! Inflates the messages of one direction of a connection, whatever the peer makes of them.

use super::stream::{Bytes, Sink, Stream};
use crate::proto::{Buffer, OutOfMemory};

/// An inflater. Its memory is allocated when first used: 47 KiB, or 50 where the agreed window is
/// smaller than 32 KiB.
pub struct Inflater {
    stream: Option<Box<Stream>>,
    window_bits: u8,
    takeover: bool,
    /// The last bytes of the message so far, which `Stream::end` has to see.
    held: Bytes<HELD>,
    /// Whether the stream has got a part of the message.
    begun: bool,
}

/// Why a message could not be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// The message is longer than the limit.
    TooBig,
    /// The data is not what RFC 7692 §7.2 allows; says why.
    Invalid(&'static str),
    /// The system refused memory.
    Memory,
}

impl From<OutOfMemory> for InflateError {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self::Memory
    }
}

impl Inflater {
    /// `window_bits`, 8 to 15, and `takeover` are what was agreed on.
    pub fn new(window_bits: u8, takeover: bool) -> Self {
        Self {
            stream: None,
            window_bits,
            takeover,
            held: Bytes::default(),
            begun: false,
        }
    }

    /// Inflates a piece of a message and appends what comes of it to `out`, at most `limit` bytes;
    /// `fin` ends the message. Stops at the first byte above the limit. After an error, the
    /// connection has to fail.
    pub fn inflate(
        &mut self,
        piece: &[u8],
        fin: bool,
        limit: usize,
        out: &mut Buffer,
    ) -> Result<(), InflateError> {
        let hint = piece.len().saturating_mul(4).clamp(LEAST_HINT, MOST_HINT);
        let mut sink = Sink {
            out,
            left: limit,
            hint,
        };
        if fin {
            self.finish(piece, &mut sink)
        } else {
            self.hold(piece, &mut sink)
        }
    }

    /// Gives the memory back where nothing can need it: between messages, when the peer must not
    /// refer to earlier ones.
    pub fn release(&mut self) {
        if !self.takeover && !self.begun && self.held.is_empty() {
            self.stream = None;
        }
    }

    /// Inflates all but the last bytes of the message so far.
    fn hold(&mut self, piece: &[u8], sink: &mut Sink<'_>) -> Result<(), InflateError> {
        let mut surplus = self
            .held
            .len()
            .saturating_add(piece.len())
            .saturating_sub(HELD);
        if surplus == 0 {
            self.held.extend(piece);
            return Ok(());
        }
        self.begun = true;
        let held = std::mem::take(&mut self.held);
        for bytes in [held.as_slice(), piece] {
            let (sure, last) = bytes.split_at(surplus.min(bytes.len()));
            self.stream().feed(sure, sink)?;
            self.held.extend(last);
            surplus = surplus.saturating_sub(sure.len());
        }
        Ok(())
    }

    fn finish(&mut self, piece: &[u8], sink: &mut Sink<'_>) -> Result<(), InflateError> {
        let held = std::mem::take(&mut self.held);
        let mut begun = std::mem::take(&mut self.begun);
        if !begun && held.is_empty() && piece.is_empty() {
            // Not what RFC 7692 §7.2.3.6 says, but what some make of an empty message. The tail
            // would be no block.
            return Ok(());
        }
        let (body, rest) = piece.split_at(piece.len().saturating_sub(LAST));
        let takeover = self.takeover;
        let stream = self.stream();
        let mut last = Bytes::default();
        if body.is_empty() {
            last.extend(held.as_slice());
        } else {
            begun = true;
            stream.feed(held.as_slice(), sink)?;
            stream.feed(body, sink)?;
        }
        last.extend(rest);
        stream.end(last, !begun, sink)?;
        if !takeover {
            stream.reset();
        }
        Ok(())
    }

    fn stream(&mut self) -> &mut Stream {
        self.stream
            .get_or_insert_with(|| Box::new(Stream::new(self.window_bits)))
    }
}

/// How many bytes of a message are held back until more of it arrives.
const HELD: usize = 2;

/// How many bytes at the end of a message are inflated together with its tail.
const LAST: usize = Stream::MOST_LAST - HELD;

/// The first room of a buffer, however little has come.
const LEAST_HINT: usize = 512;
/// More room than this is made when so much has come out, and not by the size of a piece.
const MOST_HINT: usize = 64 << 10;
