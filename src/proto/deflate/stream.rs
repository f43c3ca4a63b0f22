//! The DEFLATE stream that runs through the received messages of a connection.

use zlib_rs::{Inflate, InflateFlush, Status};

use super::distance::DistanceCheck;
use super::inflater::InflateError;
use super::{TAIL, difference};
use crate::proto::Buffer;

/// The codec, and what it leaves to be looked after.
pub struct Stream {
    engine: Inflate,
    /// The engine's window is 32 KiB whatever it is told; this keeps the peer to a smaller one.
    distances: Option<Box<DistanceCheck>>,
}

/// Where output goes, and how much of it may come.
pub struct Sink<'a> {
    pub out: &'a mut Buffer,
    /// How many bytes may still come.
    pub left: usize,
    /// How much is likely to come.
    pub hint: usize,
}

/// What one call of the engine did.
struct Step {
    consumed: usize,
    /// The room was filled, so that there may be more.
    full: bool,
    /// A final block has ended, and the stream begins again.
    ended: bool,
}

impl Stream {
    /// How many bytes `end` takes at most.
    pub const MOST_LAST: usize = 514;

    /// `window_bits` is 8 to 15.
    pub fn new(window_bits: u8) -> Self {
        Self {
            // With another size the engine does the same, but cannot be reset in place.
            engine: Inflate::new(false, 15),
            distances: (window_bits < 15).then(|| Box::new(DistanceCheck::new(window_bits))),
        }
    }

    /// Forgets what was inflated, and where.
    pub fn reset(&mut self) {
        self.engine.reset(false);
        if let Some(distances) = &mut self.distances {
            distances.reset();
        }
    }

    /// Inflates bytes that are not the last of a message.
    pub fn feed(&mut self, mut input: &[u8], sink: &mut Sink<'_>) -> Result<(), InflateError> {
        loop {
            let step = self.step(input, InflateFlush::NoFlush, sink)?;
            input = input.get(step.consumed..).unwrap_or_default();
            if input.is_empty() && !step.full {
                return Ok(());
            }
        }
    }

    /// Inflates the last bytes of a message, at least two of them or all, and makes sure that it
    /// ends where RFC 7692 §7.2.1 says: after the header of an empty stored block, whose length
    /// fields the sender took off. `whole`: the message has no bytes before these.
    ///
    /// The engine does not tell whether it stands between two blocks, but it can be made to stop
    /// there, which shows when it leaves input over. So it gets one byte more than there is. The
    /// last block must begin within the last byte or in the bits before it, and must end with the
    /// tail and without output. No other kind of block does: a Huffman block that short is over
    /// before the tail is, and zeroes and ones describe no codes.
    pub fn end(
        &mut self,
        mut bytes: Bytes<{ Self::MOST_LAST + TAIL.len() + 1 }>,
        whole: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), InflateError> {
        let length = bytes.len();
        let end = length.saturating_add(TAIL.len());
        bytes.extend(&TAIL);
        bytes.extend(&[0xff]);
        let mut at: usize = 0;
        // Where the block at hand began, and how much could come out then.
        let mut block = whole.then_some((0, sink.left));
        loop {
            let rest = bytes.as_slice().get(at..).unwrap_or_default();
            let step = self.step(rest, InflateFlush::Block, sink)?;
            at = at.saturating_add(step.consumed);
            if step.ended && at == length {
                // A final block is complete without an empty one behind it.
                return Ok(());
            }
            if at > length {
                return match block {
                    Some((start, before))
                        if at == end
                            && start >= length.saturating_sub(1)
                            && before == sink.left =>
                    {
                        Ok(())
                    }
                    _ => Err(InflateError::Invalid("the message ends inside a block")),
                };
            }
            // For want of room it may have stopped elsewhere, but then output follows.
            block = Some((at, sink.left));
        }
    }

    fn step(
        &mut self,
        input: &[u8],
        flush: InflateFlush,
        sink: &mut Sink<'_>,
    ) -> Result<Step, InflateError> {
        // A byte more than may come tells a message that is too big from one that just fits.
        let most = sink.left.saturating_add(1);
        let owned = sink.out.spare(0)?.len();
        let wanted = if owned < LEAST_ROOM { sink.hint } else { 0 };
        let end = sink.out.len().saturating_add(most);
        let room = sink.out.spare_within(wanted.min(most), end)?;
        let available = room.len().min(most);
        let room = room.get_mut(..available).unwrap_or_default();
        let (before_in, before_out) = (self.engine.total_in(), self.engine.total_out());
        let status = self
            .engine
            .decompress(input, room, flush)
            .map_err(|error| {
                InflateError::Invalid(self.engine.error_message().unwrap_or(error.as_str()))
            })?;
        let consumed = difference(before_in, self.engine.total_in());
        let written = difference(before_out, self.engine.total_out());
        sink.left = sink.left.checked_sub(written).ok_or(InflateError::TooBig)?;
        sink.out.fill(written);
        if let Some(distances) = &mut self.distances {
            distances.check(input.get(..consumed).unwrap_or_default())?;
        }
        let ended = status == Status::StreamEnd;
        if ended {
            // What follows is a stream of its own and refers to nothing before it.
            self.reset();
        } else if consumed == 0 && written == 0 && !input.is_empty() {
            return Err(InflateError::Invalid("the inflater makes no progress"));
        }
        Ok(Step {
            consumed,
            full: written == available,
            ended,
        })
    }
}

/// A few bytes without an allocation.
#[derive(Clone, Copy)]
pub struct Bytes<const N: usize> {
    bytes: [u8; N],
    /// INVARIANT: len <= N
    len: usize,
}

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }
}

impl<const N: usize> Bytes<N> {
    /// Appends `bytes`, as far as there is room.
    pub fn extend(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.len = self.len.saturating_add(bytes.len()).min(N);
    }

    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The codec wants 260 bytes of room for its fast path.
const LEAST_ROOM: usize = 512;
