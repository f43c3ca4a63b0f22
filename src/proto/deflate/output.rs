//! Output of the codecs, behind the contents of a buffer that grows as output arrives, never by
//! what a peer declares.

use crate::proto::{Buffer, OutOfMemory};

/// What one call of a codec appends.
pub struct Output<'a> {
    buffer: &'a mut Buffer,
    /// What the buffer held before.
    before: usize,
    most: usize,
}

impl<'a> Output<'a> {
    /// Appends to `buffer` at most `most` bytes.
    pub fn new(buffer: &'a mut Buffer, most: usize) -> Self {
        let before = buffer.len();
        Self {
            buffer,
            before,
            most,
        }
    }

    /// How many bytes were appended.
    pub fn len(&self) -> usize {
        self.buffer.len().saturating_sub(self.before)
    }

    /// What was appended.
    pub fn as_slice(&self) -> &[u8] {
        self.buffer.bytes().get(self.before..).unwrap_or_default()
    }

    /// Room for further bytes: what is left, or at least `hint` where that is little. Empty only
    /// once `most` bytes were appended.
    pub fn room(&mut self, hint: usize) -> Result<&mut [u8], OutOfMemory> {
        let left = self.most.saturating_sub(self.len());
        let owned = self.buffer.spare(0)?.len();
        let wanted = if owned < LEAST {
            hint.max(self.len()).max(LEAST)
        } else {
            owned
        };
        let wanted = wanted.min(left);
        let room = self
            .buffer
            .spare_within(wanted, self.before.saturating_add(self.most))?;
        let len = room.len().min(left);
        Ok(room.get_mut(..len).unwrap_or_default())
    }

    /// The first `bytes` of the room were filled.
    pub fn advance(&mut self, bytes: usize) {
        self.buffer.fill(bytes);
    }

    /// Takes bytes off the end of what was appended.
    pub fn take_back(&mut self, bytes: usize) {
        self.buffer.take_back(bytes.min(self.len()));
    }
}

/// How far one of the codec's counters went.
pub fn difference(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

/// The least room that is worth a call of the codec, which wants 260 bytes for its fast path.
const LEAST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_is_appended() {
        let mut buffer = Buffer::new();
        buffer.append(b"abc").unwrap();
        let mut output = Output::new(&mut buffer, usize::MAX);
        output.room(1).unwrap()[..2].copy_from_slice(b"de");
        output.advance(2);
        assert_eq!(output.len(), 2);
        output.room(1).unwrap()[..2].copy_from_slice(b"fg");
        output.advance(2);
        output.take_back(1);
        assert_eq!(output.as_slice(), b"def");
        assert_eq!(buffer.bytes(), b"abcdef");
    }

    #[test]
    fn room_ends_at_the_limit_and_memory_with_it() {
        let mut buffer = Buffer::new();
        let mut output = Output::new(&mut buffer, 100_000);
        let mut calls = 0;
        while !output.room(10).unwrap().is_empty() {
            let room = output.room(10).unwrap().len();
            output.advance(room);
            calls += 1;
        }
        assert_eq!(output.len(), 100_000);
        assert!(calls < 20);
        assert!(buffer.capacity() <= 100_000, "{}", buffer.capacity());
    }

    #[test]
    fn many_small_pieces_are_appended_in_linear_time() {
        let mut buffer = Buffer::new();
        let mut moves = 0;
        for _ in 0..100_000 {
            let before = buffer.capacity();
            let mut output = Output::new(&mut buffer, 1 << 30);
            output.room(1).unwrap();
            output.advance(1);
            moves += usize::from(buffer.capacity() != before);
        }
        assert!(moves < 20, "{moves}");
    }

    #[test]
    fn refused_memory_is_an_error() {
        let mut buffer = Buffer::new();
        let mut output = Output::new(&mut buffer, usize::MAX);
        assert_eq!(output.room(usize::MAX), Err(OutOfMemory));
    }
}
