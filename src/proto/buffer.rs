//! A byte queue whose spare room stays initialised, so that the system and the masking loop can
//! write into it without unsafe code and without zeroing it twice.

use std::ops::Range;

/// The system refused memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Bytes are appended behind and taken off in front.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Initialised over its whole length, which only grows.
    storage: Vec<u8>,
    /// INVARIANT: start <= end && end <= storage.len()
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty buffer, which owns no memory.
    pub const fn new() -> Self {
        Self {
            storage: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// Makes `room` bytes of spare room available behind the bytes, and returns all the room
    /// there is: at least that much.
    pub fn spare(&mut self, room: usize) -> Result<&mut [u8], OutOfMemory> {
        self.spare_within(room, usize::MAX)
    }

    /// The same, but grows to no more than `most` bytes in all.
    pub fn spare_within(&mut self, room: usize, most: usize) -> Result<&mut [u8], OutOfMemory> {
        if self.storage.len().saturating_sub(self.end) < room {
            self.make_room(room, most)?;
        }
        Ok(self.storage.get_mut(self.end..).unwrap_or_default())
    }

    /// Counts `len` bytes of the spare room as written.
    pub fn fill(&mut self, len: usize) {
        self.end = self.end.saturating_add(len).min(self.storage.len());
    }

    /// Appends `bytes`.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        if let Some(room) = self.spare(bytes.len())?.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.fill(bytes.len());
        Ok(())
    }

    /// Takes `len` bytes off the front.
    pub fn consume(&mut self, len: usize) {
        self.start = self.start.saturating_add(len).min(self.end);
        if self.start == self.end {
            self.clear();
        }
    }

    /// Takes `len` bytes off the end.
    pub fn take_back(&mut self, len: usize) {
        self.end = self.end.saturating_sub(len).max(self.start);
    }

    /// Takes everything off, and keeps the memory.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.storage.get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.storage
            .get_mut(self.start..self.end)
            .unwrap_or_default()
    }

    /// The bytes from `range` on, counted from the front.
    pub fn range_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.bytes_mut().get_mut(range).unwrap_or_default()
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How much memory the buffer owns.
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }

    /// Moves the bytes to the front if that makes enough room; else grows, at least twofold, so
    /// that appending stays linear.
    #[cold]
    fn make_room(&mut self, room: usize, most: usize) -> Result<(), OutOfMemory> {
        self.storage.copy_within(self.start..self.end, 0);
        self.end = self.len();
        self.start = 0;
        let needed = self.end.checked_add(room).ok_or(OutOfMemory)?;
        if self.storage.len() < needed {
            let doubled = self.storage.len().saturating_mul(2).max(64);
            let len = needed.max(doubled.min(most));
            let missing = len.saturating_sub(self.storage.len());
            self.storage
                .try_reserve_exact(missing)
                .map_err(|_| OutOfMemory)?;
            self.storage.resize(len, 0);
        }
        Ok(())
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(storage: Vec<u8>) -> Self {
        let (start, end) = (0, storage.len());
        Self {
            storage,
            start,
            end,
        }
    }
}

/// Emptied buffers that wait for their next use, so that large messages do not pay for fresh
/// pages each time and idle connections own no memory.
#[derive(Debug, Default)]
pub struct Pool {
    buffers: Vec<Buffer>,
    /// INVARIANT: the sum of the buffers' capacities.
    held: usize,
}

impl Pool {
    const MOST_HELD: usize = 32 << 20;
    const MOST_BUFFERS: usize = 256;

    /// A buffer, empty, with whatever memory it has.
    pub fn take(&mut self) -> Buffer {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.held = self.held.saturating_sub(buffer.capacity());
        buffer
    }

    /// Takes a buffer back, and frees it if enough wait already.
    pub fn give(&mut self, mut buffer: Buffer) {
        let held = self.held.saturating_add(buffer.capacity());
        if buffer.capacity() > 0
            && held <= Self::MOST_HELD
            && self.buffers.len() < Self::MOST_BUFFERS
        {
            buffer.clear();
            self.held = held;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut buffer = Buffer::new();
        let mut expected = std::collections::VecDeque::new();
        for round in 0..500usize {
            let piece: Vec<u8> = (0..round % 37).map(|i| (i + round) as u8).collect();
            buffer.append(&piece).unwrap();
            expected.extend(&piece);
            let taken = (round * 7) % 29;
            buffer.consume(taken);
            expected.drain(..taken.min(expected.len()));
            assert_eq!(buffer.bytes(), expected.make_contiguous());
            assert_eq!(buffer.len(), expected.len());
        }
    }

    #[test]
    fn an_impossible_size_is_refused_and_nothing_changes() {
        let mut buffer = Buffer::new();
        buffer.append(b"abc").unwrap();
        assert_eq!(buffer.spare(usize::MAX).err(), Some(OutOfMemory));
        assert_eq!(buffer.spare(isize::MAX as usize).err(), Some(OutOfMemory));
        assert_eq!(buffer.bytes(), b"abc");
    }

    #[test]
    fn an_emptied_buffer_reuses_its_memory() {
        let mut buffer = Buffer::new();
        buffer.append(&[1; 1000]).unwrap();
        let capacity = buffer.capacity();
        for _ in 0..100 {
            buffer.consume(1000);
            buffer.append(&[2; 1000]).unwrap();
        }
        assert_eq!(buffer.capacity(), capacity);
    }
}
