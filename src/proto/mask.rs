//! Masking (RFC 6455 §5.3): a key for every frame, applied in place or while copying.

use std::cell::RefCell;

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng};

/// The four bytes that a frame's payload is combined with.
pub type Key = [u8; 4];

/// One step of the vectorised loops: as many bytes as the widest registers hold.
const LANES: usize = 32;

thread_local! {
    /// A generator in user space: a system call for each frame would cost more than the frame.
    static KEYS: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// A key that no peer and no script can foresee (RFC 6455 §10.3).
pub fn fresh_key() -> Key {
    let key = KEYS.try_with(|keys| {
        let mut keys = keys.borrow_mut();
        keys.get_or_insert_with(seeded).random()
    });
    // A thread that ends, and still sends, has no generator any more.
    key.unwrap_or_else(|_| seeded().random())
}

#[cfg_attr(
    not(test),
    expect(clippy::panic, reason = "without randomness nothing is safe")
)]
fn seeded() -> StdRng {
    match StdRng::try_from_rng(&mut SysRng) {
        Ok(generator) => generator,
        Err(error) => panic!("the system has no random bytes: {error}"),
    }
}

/// Masks or unmasks `bytes` in place. They begin `offset` bytes into the frame's payload.
pub fn apply(key: Key, offset: usize, bytes: &mut [u8]) {
    let wide = widen(rotate(key, offset));
    let (chunks, rest) = bytes.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (byte, mask) in chunk.iter_mut().zip(wide) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in rest.iter_mut().zip(wide) {
        *byte ^= mask;
    }
}

/// Copies `from` to `to`, which is as long, and masks it on the way.
pub fn copy(key: Key, offset: usize, from: &[u8], to: &mut [u8]) {
    debug_assert_eq!(from.len(), to.len());
    let wide = widen(rotate(key, offset));
    let (from_chunks, from_rest) = from.as_chunks::<LANES>();
    let (to_chunks, to_rest) = to.as_chunks_mut::<LANES>();
    for (to, from) in to_chunks.iter_mut().zip(from_chunks) {
        for ((to, from), mask) in to.iter_mut().zip(from).zip(wide) {
            *to = from ^ mask;
        }
    }
    for ((to, from), mask) in to_rest.iter_mut().zip(from_rest).zip(wide) {
        *to = from ^ mask;
    }
}

fn rotate(mut key: Key, offset: usize) -> Key {
    key.rotate_left(offset & 3);
    key
}

fn widen(key: Key) -> [u8; LANES] {
    let mut wide = [0; LANES];
    for quad in wide.as_chunks_mut::<4>().0 {
        *quad = key;
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_offset_equals_the_formula_of_the_rfc() {
        let key = [0x12, 0x34, 0x56, 0x78];
        let plain: Vec<u8> = (0..200u8).collect();
        for offset in 0..9 {
            for len in 0..plain.len() {
                let expected: Vec<u8> =
                    (0..len).map(|i| plain[i] ^ key[(i + offset) % 4]).collect();
                let mut copied = vec![0; len];
                copy(key, offset, &plain[..len], &mut copied);
                assert_eq!(copied, expected);
                let mut applied = plain[..len].to_vec();
                apply(key, offset, &mut applied);
                assert_eq!(applied, expected);
            }
        }
    }

    #[test]
    fn keys_differ_and_use_all_their_bits() {
        let keys: Vec<Key> = (0..64).map(|_| fresh_key()).collect();
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert!(distinct.len() >= 63);
        let ones: u32 = keys
            .iter()
            .map(|key| u32::from_ne_bytes(*key).count_ones())
            .sum();
        assert!(
            (64 * 32 * 4 / 10..64 * 32 * 6 / 10).contains(&ones),
            "{ones}"
        );
    }
}
