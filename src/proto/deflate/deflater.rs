//! Compresses the messages of one direction of a connection.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::{TAIL, difference};
use crate::proto::{Buffer, OutOfMemory};

/// A compressor. Its memory is allocated when first used: 150 to 280 KiB, by the window.
pub struct Deflater {
    engine: Option<Deflate>,
    config: DeflateConfig,
    takeover: bool,
    /// Whether the engine remembers a message that the next one must not refer to.
    stale: bool,
}

/// Why a message could not be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressError {
    /// The system refused memory.
    Memory,
    /// The codec did what it never does.
    Internal(&'static str),
}

impl From<OutOfMemory> for CompressError {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self::Memory
    }
}

impl Deflater {
    /// `level` is 1 to 9; `window_bits`, 8 to 15, and `takeover` are what was agreed on.
    pub fn new(level: u32, window_bits: u8, takeover: bool) -> Self {
        // zlib has no raw window of 8 bits, but its matches stay 262 bytes (MIN_LOOKAHEAD) short of
        // the window: with 9 bits, none reaches back farther than 250 bytes, which a peer with a
        // window of 8 bits can follow.
        let window_bits = i32::from(window_bits.clamp(9, 15));
        let config = DeflateConfig {
            level: level.clamp(1, 9).cast_signed(),
            // Negative: without zlib's header and checksum.
            window_bits: window_bits.saturating_neg(),
            // Instead of 8: 100 KiB less for not a hundredth more output.
            mem_level: 5,
            ..DeflateConfig::default()
        };
        Self {
            engine: None,
            config,
            takeover,
            stale: false,
        }
    }

    /// How far back messages refer at most, as a power of two: 9 to 15.
    pub fn window_bits(&self) -> u8 {
        self.config.window_bits.unsigned_abs() as u8
    }

    /// Compresses a piece of a message and appends its frame's payload to `out`; `fin` ends the
    /// message. Each piece can be inflated when it arrives. After an error, the connection has to
    /// fail.
    pub fn compress(
        &mut self,
        piece: &[u8],
        fin: bool,
        out: &mut Buffer,
    ) -> Result<(), CompressError> {
        if !piece.is_empty() {
            self.run(piece, out)?;
            if fin {
                strip_tail(out)?;
            }
        } else if fin {
            // RFC 7692 §7.2.3.6: an empty stored block without its tail. The codec stands between
            // two blocks and need not know.
            out.append(&[0x00])?;
        }
        if fin {
            self.stale = !self.takeover && self.engine.is_some();
        }
        Ok(())
    }

    /// Gives the memory back. The next message will not refer to earlier ones, which is always
    /// allowed.
    pub fn release(&mut self) {
        self.engine = None;
        self.stale = false;
    }

    /// The peer's window has moved on without this compressor, which has memory all the same: the
    /// next message must not refer to earlier ones.
    pub fn forget(&mut self) {
        self.stale = self.engine.is_some();
    }

    fn run(&mut self, mut input: &[u8], out: &mut Buffer) -> Result<(), CompressError> {
        let config = self.config;
        let engine = self
            .engine
            .get_or_insert_with(|| Deflate::new_with_config(config));
        if std::mem::take(&mut self.stale) {
            engine.reset();
        }
        // Text shrinks to less than half of its size; what does not needs another round.
        let hint = (input.len() / 2).saturating_add(64);
        loop {
            let room = out.spare(hint)?;
            let available = room.len();
            let (before_in, before_out) = (engine.total_in(), engine.total_out());
            engine
                .compress(input, room, DeflateFlush::SyncFlush)
                .map_err(|error| CompressError::Internal(error.as_str()))?;
            let consumed = difference(before_in, engine.total_in());
            let written = difference(before_out, engine.total_out());
            out.fill(written);
            input = input.get(consumed..).unwrap_or_default();
            // The flush is complete once it leaves room.
            if input.is_empty() && written < available {
                return Ok(());
            }
            if consumed == 0 && written == 0 {
                return Err(CompressError::Internal("the compressor makes no progress"));
            }
        }
    }
}

fn strip_tail(out: &mut Buffer) -> Result<(), CompressError> {
    if !out.bytes().ends_with(&TAIL) {
        return Err(CompressError::Internal("the compressor has not flushed"));
    }
    out.take_back(TAIL.len());
    Ok(())
}
