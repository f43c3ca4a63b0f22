//! Bytes that wait to be written on a connection.

use crate::proto::Buffer;

/// Bytes to be written.
#[derive(Default)]
pub struct Chunk {
    /// They themselves.
    pub bytes: Buffer,
    /// The bytes are what the system is to get: under TLS, records.
    pub is_sealed: bool,
    /// The bytes of payload among them, as the application counts.
    pub payload: u64,
}

/// What waits is kept in chunks of this size: one is still in the cache when the system copies
/// it, and becomes free for what comes behind it as soon as it is written.
pub const CHUNK: usize = 128 << 10;

impl Chunk {
    /// What the system is to get.
    pub fn wire(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.wire().len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes bytes off the front. Returns for how many bytes of payload they count.
    pub fn consume(&mut self, len: usize) -> u64 {
        let before = self.len();
        self.bytes.consume(len);
        let left = self.len();
        // Headers and compression are spread evenly over the payload.
        let payload = if left == 0 {
            self.is_sealed = false;
            0
        } else {
            (u128::from(self.payload) * left as u128 / before as u128) as u64
        };
        let consumed = self.payload - payload;
        self.payload = payload;
        consumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_payload_counts_down_with_its_bytes() {
        let mut chunk = Chunk::default();
        chunk.bytes.append(&[0; 100]).unwrap();
        chunk.payload = 1000;
        assert_eq!(chunk.consume(50), 500);
        assert_eq!(chunk.consume(49), 490);
        assert_eq!(chunk.consume(1), 10);
    }
}
