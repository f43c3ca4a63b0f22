//! What only a hostile peer sends: bombs, floods, and distances that were not agreed on.

use std::time::{Duration, Instant};

use super::data::{Blocks, Random};
use super::*;

const BEYOND: InflateError = InflateError::Invalid("a distance reaches beyond the agreed window");

fn bomb(size: usize) -> Vec<u8> {
    compress(&mut Deflater::new(9, 15, true), &vec![0; size])
}

#[test]
fn a_bomb_stops_at_the_limit_whatever_its_pieces() {
    let payload = bomb(8 << 20);
    assert!(payload.len() < 10_000);
    for window_bits in [9, 15] {
        for size in [1, 500, payload.len()] {
            for limit in [0, 1, 1_000, 65_536, 1 << 20] {
                let mut inflater = Inflater::new(window_bits, true);
                let mut out = Buffer::new();
                let result = payload.chunks(size).try_for_each(|piece| {
                    inflater.inflate(piece, false, limit - out.len(), &mut out)
                });
                assert_eq!(result, Err(InflateError::TooBig), "{size} {limit}");
                assert!(out.len() <= limit);
                assert!(
                    out.capacity() <= limit + 1,
                    "{size} {limit} {}",
                    out.capacity()
                );
            }
        }
    }
}

#[test]
fn a_message_of_exactly_the_limit_passes() {
    let size = 1 << 20;
    let payload = bomb(size);
    for pieces in [1, 2, 10] {
        let mut inflater = Inflater::new(15, true);
        let mut out = Buffer::new();
        for piece in payload.chunks(payload.len().div_ceil(pieces)) {
            inflater
                .inflate(piece, false, size - out.len(), &mut out)
                .unwrap();
        }
        inflater
            .inflate(b"", true, size - out.len(), &mut out)
            .unwrap();
        assert_eq!(out.len(), size);
    }
}

#[test]
fn an_empty_message_passes_a_limit_of_zero() {
    for payload in [&[][..], &[0x00], &[0x03, 0x00]] {
        let mut out = Buffer::new();
        Inflater::new(15, true)
            .inflate(payload, true, 0, &mut out)
            .unwrap();
        assert!(out.is_empty());
    }
}

#[test]
fn distances_keep_exactly_to_the_agreed_window() {
    for window_bits in 8..=15_u8 {
        let window = 1_u32 << window_bits;
        let content = Random::new(window_bits.into()).bytes(window as usize + 10);
        for (distance, allowed) in [(window - 1, true), (window, true), (window + 1, false)] {
            if distance > 1 << 15 {
                continue;
            }
            let start = content.len() - distance as usize;
            let copied = &content[start..][..3];
            // Within a message, and back into the one before.
            let together = Blocks::default()
                .stored(false, &content)
                .fixed(false)
                .copy(distance)
                .end_of_block()
                .end_of_message();
            let before = Blocks::default().stored(false, &content).end_of_message();
            let after = Blocks::default()
                .fixed(false)
                .copy(distance)
                .end_of_block()
                .end_of_message();
            for payloads in [&[together][..], &[before, after]] {
                let mut inflater = Inflater::new(window_bits, true);
                let mut out = Buffer::new();
                let result = payloads
                    .iter()
                    .try_for_each(|it| inflater.inflate(it, true, 1 << 20, &mut out));
                if allowed {
                    assert_eq!(result, Ok(()), "{window_bits} {distance}");
                    assert!(out.bytes().ends_with(copied));
                } else {
                    assert_eq!(result, Err(BEYOND), "{window_bits} {distance}");
                }
            }
        }
    }
}

#[test]
fn a_distance_of_32_kib_after_agreeing_on_9_bits_is_invalid() {
    let message = Random::new(29).bytes(20_000).repeat(2);
    let payload = compress(&mut Deflater::new(6, 15, true), &message);
    let mut out = Buffer::new();
    assert_eq!(
        Inflater::new(9, true).inflate(&payload, true, 1 << 20, &mut out),
        Err(BEYOND)
    );
    out.clear();
    Inflater::new(15, true)
        .inflate(&payload, true, 1 << 20, &mut out)
        .unwrap();
    assert!(out.bytes() == message);
}

#[test]
fn distances_before_the_window_are_invalid() {
    let copy = |distance| {
        let blocks = Blocks::default()
            .fixed(false)
            .literal(b'a')
            .literal(b'b')
            .copy(distance);
        blocks.end_of_block().end_of_message()
    };
    for window_bits in [8, 15] {
        let mut out = Buffer::new();
        let mut inflater = Inflater::new(window_bits, true);
        inflater.inflate(&copy(2), true, 100, &mut out).unwrap();
        assert_eq!(out.bytes(), b"ababa");
        // Back to the first byte of the message before, then one byte farther.
        inflater.inflate(&copy(7), true, 100, &mut out).unwrap();
        assert_eq!(&out.bytes()[5..], b"ababa");
        assert!(inflater.inflate(&copy(13), true, 100, &mut out).is_err());
        // Without takeover, the message before is gone.
        let mut inflater = Inflater::new(window_bits, false);
        inflater.inflate(&copy(2), true, 100, &mut out).unwrap();
        assert!(inflater.inflate(&copy(3), true, 100, &mut out).is_err());
        let mut inflater = Inflater::new(window_bits, false);
        inflater.release();
        assert!(inflater.inflate(&copy(3), true, 100, &mut out).is_err());
    }
}

#[test]
fn floods_of_empty_blocks_take_linear_time() {
    let size = 300_000;
    let stored = [0x00, 0x00, 0x00, 0xff, 0xff].repeat(size / 5);
    let fixed_last = [0x03, 0x00].repeat(size / 2);
    let fixed = (0..size * 8 / 10)
        .fold(Blocks::default(), |it, _| it.fixed(false).end_of_block())
        .end_of_message();
    // Dynamic codes for two symbols, of which only the end of the block comes.
    let dynamic = (0..size * 8 / 137)
        .fold(Blocks::default(), |it, _| {
            let it = it.bits(0b100, 3).bits(0, 10).bits(14, 4);
            // The code of the lengths: 1 is 0, 18 is 1.
            let it = (0..18).fold(it, |it, at| it.bits(u32::from(at == 2 || at == 17), 3));
            // 256 zeroes, the end of the block, and one distance.
            it.bits(1, 1)
                .bits(127, 7)
                .bits(1, 1)
                .bits(107, 7)
                .bits(0, 1)
                .bits(0, 1)
                .bits(0, 1)
        })
        .end_of_message();
    for flood in [stored, fixed_last, fixed, dynamic] {
        for window_bits in [9, 15] {
            for piece in [500, flood.len()] {
                let mut inflater = Inflater::new(window_bits, true);
                let mut out = Buffer::new();
                let start = Instant::now();
                for piece in flood.chunks(piece) {
                    inflater.inflate(piece, false, 1_000, &mut out).unwrap();
                }
                // Work that grows with the square of the flood takes minutes.
                assert!(
                    start.elapsed() < Duration::from_secs(20),
                    "{window_bits} {piece}"
                );
                assert!(out.is_empty());
            }
        }
    }
}

#[test]
fn a_flood_of_tiny_fragments_costs_what_its_bytes_cost() {
    let size = 1_000_000;
    let mut inflater = Inflater::new(15, true);
    let mut out = Buffer::new();
    let start = Instant::now();
    for byte in bomb(size) {
        for piece in [&[][..], &[], &[byte]] {
            inflater
                .inflate(piece, false, size - out.len(), &mut out)
                .unwrap();
        }
    }
    for _ in 0..100_000 {
        inflater
            .inflate(&[], false, size - out.len(), &mut out)
            .unwrap();
    }
    inflater
        .inflate(&[], true, size - out.len(), &mut out)
        .unwrap();
    assert_eq!(out.len(), size);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_check_of_distances_survives_what_the_codec_would_refuse() {
    let mut random = Random::new(31);
    for _ in 0..20_000 {
        let length = random.number(200);
        let bytes = random.bytes(length);
        let mut check = distance::DistanceCheck::new(8);
        for piece in bytes.chunks(1 + random.number(50)) {
            let _ = check.check(piece);
        }
    }
}
