//! Bytes that wait to be written on a connection.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::proto::{Buffer, OutOfMemory, Pool};

/// Bytes to be written.
#[derive(Default)]
pub struct Chunk {
    /// The connection's own.
    pub bytes: Buffer,
    /// In their place, what other connections write as well.
    shared: Option<Shared>,
    /// The bytes are what the system is to get: under TLS, records.
    pub is_sealed: bool,
    /// The bytes of payload among them, as the application counts.
    pub payload: u64,
}

/// A message as it goes over the wire. A server does not mask, so that it is the same for all.
pub struct Framed {
    pub wire: Buffer,
    /// How many bytes it counts for.
    pub payload: usize,
}

struct Shared {
    message: Arc<Framed>,
    /// So many of its bytes are written.
    written: usize,
}

/// What waits is kept in chunks of this size: one is still in the cache when the system copies
/// it, and becomes free for what comes behind it as soon as it is written.
pub const CHUNK: usize = 128 << 10;

impl Chunk {
    /// A whole message, which is not copied.
    pub fn shared(message: &Arc<Framed>) -> Self {
        Self {
            payload: message.payload as u64,
            shared: Some(Shared {
                message: Arc::clone(message),
                written: 0,
            }),
            ..Self::default()
        }
    }

    /// Whether it is a message of several connections, which must not be changed.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Takes a chunk off the front that is the connection's own.
    pub fn split(&mut self, pool: &Mutex<Pool>) -> Result<Self, OutOfMemory> {
        let mut own = Self::default();
        let len = self.len().min(CHUNK);
        own.bytes = pool.lock().take();
        own.bytes.append(&self.wire()[..len])?;
        own.payload = self.consume(len);
        Ok(own)
    }

    /// What is left.
    pub fn wire(&self) -> &[u8] {
        match &self.shared {
            None => self.bytes.bytes(),
            Some(shared) => &shared.message.wire.bytes()[shared.written..],
        }
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
        match &mut self.shared {
            None => self.bytes.consume(len),
            Some(_) if len >= before => self.shared = None,
            Some(shared) => shared.written += len,
        }
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

    #[test]
    fn a_shared_message_is_written_in_any_pieces_and_let_go() {
        let mut wire = Buffer::new();
        let bytes: Vec<u8> = (0..3 * CHUNK).map(|i| (i % 251) as u8).collect();
        wire.append(&bytes).unwrap();
        let message = Arc::new(Framed { wire, payload: 999 });
        let pool = Mutex::default();
        for most in [1000, CHUNK, usize::MAX] {
            let mut whole = Chunk::shared(&message);
            let mut cut = Chunk::shared(&message);
            let (mut written, mut split) = (Vec::new(), Vec::new());
            let (mut counted, mut split_counted) = (0, 0);
            while !whole.is_empty() {
                let len = whole.len().min(most);
                written.extend_from_slice(&whole.wire()[..len]);
                counted += whole.consume(len);
            }
            while !cut.is_empty() {
                let own = cut.split(&pool).unwrap();
                assert!(!own.is_shared() && own.len() <= CHUNK);
                split.extend_from_slice(own.wire());
                split_counted += own.payload;
            }
            assert!(written == bytes && split == bytes, "{most}");
            assert_eq!((counted, split_counted), (999, 999), "{most}");
        }
        assert_eq!(Arc::strong_count(&message), 1);
    }
}
