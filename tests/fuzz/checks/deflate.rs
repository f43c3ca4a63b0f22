//! Compressing.

use super::input::Input;
use super::reference::Reference;
use crate::proto::Buffer;
use crate::proto::deflate::{Deflater, Inflater};

/// What was compressed inflates to what it was, in a window of the size that was agreed on.
pub fn deflate(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let window_bits = 8 + input.number(0, 3) as u8;
    let takeover = input.has(3);
    let level = [1, 4, 6, 9][input.number(4, 2)];
    let mut deflater = Deflater::new(level, window_bits, takeover);
    let mut inflater = Inflater::new(window_bits, takeover);
    let mut reference = Reference::new(window_bits, takeover);
    let mut message = Vec::new();
    let mut compressed = Buffer::new();
    // A piece's length decides whether it ends its message.
    let mut segments = input.segments(input.bytes).peekable();
    while let Some(segment) = segments.next() {
        let fin = segment.len() % 2 == 0 || segments.peek().is_none();
        message.extend_from_slice(segment);
        deflater.compress(segment, fin, &mut compressed).unwrap();
        if fin {
            let mut out = Buffer::new();
            let len = message.len();
            inflater
                .inflate(compressed.bytes(), true, len, &mut out)
                .unwrap();
            assert!(out.bytes() == message, "other bytes");
            let expected = reference.inflate(compressed.bytes(), len).unwrap();
            assert!(expected == message, "other bytes in the reference");
            message.clear();
            compressed.clear();
            if input.has(6) {
                deflater.release();
            }
        }
    }
}
