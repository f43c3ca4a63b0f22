//! Masking (RFC 6455 §5.3): a key for every frame, applied in place or while copying.

use std::cell::RefCell;

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng};

/// The four bytes that a frame's payload is combined with.
pub type Key = [u8; 4];

thread_local! {
    /// A generator in user space: a system call for each frame would cost more than the frame.
    static KEYS: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// The system has no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

/// A key that no peer and no script can foresee (RFC 6455 §10.3). Only the first one of a thread
/// can fail, or those of a thread that is ending.
pub fn fresh_key() -> Result<Key, NoRandomness> {
    let key = KEYS.try_with(|keys| {
        let mut keys = keys.borrow_mut();
        let generator = match &mut *keys {
            Some(generator) => generator,
            none => none.insert(seeded()?),
        };
        // As one number: an array would take one from the generator for each of its bytes.
        Ok(generator.random::<u32>())
    });
    // A thread that ends, and still sends, has no generator any more.
    let number = key.unwrap_or_else(|_| Ok(seeded()?.random()))?;
    Ok(number.to_ne_bytes())
}

#[cold]
fn seeded() -> Result<StdRng, NoRandomness> {
    StdRng::try_from_rng(&mut SysRng).map_err(|_| NoRandomness)
}

/// Masks or unmasks `bytes` in place. They begin `offset` bytes into the frame's payload.
#[inline]
pub fn apply(key: Key, offset: usize, bytes: &mut [u8]) {
    let key = rotate(key, offset);
    // The compiler makes vectors of the words; a loop over bytes would stay one for short rests.
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = masked(*word, key);
    }
    for (byte, mask) in rest.iter_mut().zip(key) {
        *byte ^= mask;
    }
}

/// Copies `from` to `to`, which is as long, and masks it on the way.
#[inline]
pub fn copy(key: Key, offset: usize, from: &[u8], to: &mut [u8]) {
    debug_assert_eq!(from.len(), to.len());
    let key = rotate(key, offset);
    let (from_words, from_rest) = from.as_chunks::<4>();
    let (to_words, to_rest) = to.as_chunks_mut::<4>();
    for (to, from) in to_words.iter_mut().zip(from_words) {
        *to = masked(*from, key);
    }
    for ((to, from), mask) in to_rest.iter_mut().zip(from_rest).zip(key) {
        *to = from ^ mask;
    }
}

fn masked(word: [u8; 4], key: Key) -> [u8; 4] {
    (u32::from_ne_bytes(word) ^ u32::from_ne_bytes(key)).to_ne_bytes()
}

fn rotate(mut key: Key, offset: usize) -> Key {
    key.rotate_left(offset & 3);
    key
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
        let keys: Vec<Key> = (0..64).map(|_| fresh_key().unwrap()).collect();
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
