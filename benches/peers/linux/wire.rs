//! Frames by hand, for the raw client and the server: no check that a hostile peer would make
//! necessary.

/// The longest header.
pub const MAX_HEADER: usize = 14;

/// A header that is complete.
#[derive(Clone, Copy)]
pub struct Header {
    /// Bytes that it takes.
    pub size: usize,
    /// Bytes of payload.
    pub len: usize,
    pub key: [u8; 4],
}

/// Reads a header; `None`: it is not complete.
#[inline]
pub fn parse(input: &[u8]) -> Option<Header> {
    let second = *input.get(1)?;
    let (len, mut size) = match second & 0x7f {
        126 => (
            u16::from_be_bytes(*input.get(2..)?.first_chunk()?).into(),
            4,
        ),
        127 => (
            u64::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize,
            10,
        ),
        short => (usize::from(short), 2),
    };
    let mut key = [0; 4];
    if second & 0x80 != 0 {
        key = *input.get(size..)?.first_chunk()?;
        size += 4;
    }
    (size <= input.len()).then_some(Header { size, len, key })
}

/// Writes the header of a binary message to the front of `out`, with a mask if there is a key.
/// Returns how many bytes it takes.
#[inline]
pub fn format(out: &mut [u8], len: usize, key: Option<[u8; 4]>) -> usize {
    let masked = if key.is_some() { 0x80 } else { 0 };
    out[0] = 0x82;
    let mut size = match len {
        0..=125 => {
            out[1] = masked | len as u8;
            2
        }
        126..=0xffff => {
            out[1] = masked | 126;
            out[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            out[1] = masked | 127;
            out[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    if let Some(key) = key {
        out[size..size + 4].copy_from_slice(&key);
        size += 4;
    }
    size
}

/// Bytes that a message takes on the wire.
pub fn wire_len(len: usize, masked: bool) -> usize {
    format(&mut [0; MAX_HEADER], len, masked.then_some([0; 4])) + len
}

/// Copies `from` to `to`, which is as long, combined with the key from `offset` on.
#[inline]
pub fn mask(key: [u8; 4], offset: usize, from: &[u8], to: &mut [u8]) {
    let wide = wide(key, offset);
    let (from_chunks, from_rest) = from.as_chunks::<32>();
    let (to_chunks, to_rest) = to.as_chunks_mut::<32>();
    for (to, from) in to_chunks.iter_mut().zip(from_chunks) {
        for i in 0..32 {
            to[i] = from[i] ^ wide[i];
        }
    }
    for ((to, from), key) in to_rest.iter_mut().zip(from_rest).zip(wide) {
        *to = from ^ key;
    }
}

fn wide(key: [u8; 4], offset: usize) -> [u8; 32] {
    std::array::from_fn(|i| key[(i + offset) & 3])
}
