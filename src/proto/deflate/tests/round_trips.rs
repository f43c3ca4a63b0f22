//! What one half compresses, the other one inflates.

use super::data::{Random, json, messages};
use super::reference::Reference;
use super::*;

#[test]
fn every_level_window_and_takeover_round_trips() {
    for level in 1..=9 {
        for window_bits in 8..=15 {
            for takeover in [true, false] {
                let mut random = Random::new(u64::from(level) << 8 | u64::from(window_bits));
                let mut deflater = Deflater::new(level, window_bits, takeover);
                let mut inflater = Inflater::new(window_bits, takeover);
                let repeated = messages(&mut random);
                for message in repeated.iter().chain(&repeated) {
                    let payload = compress(&mut deflater, message);
                    let context = format!("{level} {window_bits} {takeover} {}", message.len());
                    assert!(
                        inflate(&mut inflater, &payload).unwrap() == *message,
                        "{context}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_compressed_is_what_a_plain_inflater_reads() {
    for (level, window_bits) in [(1, 8), (1, 15), (3, 9), (5, 10), (6, 8), (6, 15), (9, 8)] {
        for takeover in [true, false] {
            let mut deflater = Deflater::new(level, window_bits, takeover);
            let mut reference = Reference::new(window_bits, takeover);
            let mut random = Random::new(1);
            for length in [1, 10, 100, 1_000, 5_000, 70_000] {
                let message = json(&mut random, length);
                let payload = compress(&mut deflater, &message);
                assert!(
                    reference.inflate(&payload) == Ok(message),
                    "{level} {window_bits} {length}"
                );
            }
        }
    }
}

#[test]
fn the_compressor_of_9_bits_serves_a_window_of_8() {
    // A pattern that repeats at every distance around the window's size.
    for level in 1..=9 {
        for period in (200..600).step_by(3) {
            let message = Random::new(period).bytes(period as usize).repeat(4);
            let payload = compress(&mut Deflater::new(level, 8, true), &message);
            let mut inflater = Inflater::new(8, true);
            assert!(
                inflate(&mut inflater, &payload).unwrap() == message,
                "{level} {period}"
            );
        }
    }
}

#[test]
fn takeover_makes_a_repeated_message_small_and_its_absence_does_not() {
    let message = json(&mut Random::new(7), 1_024);
    for (takeover, smaller) in [(true, true), (false, false)] {
        let mut deflater = Deflater::new(1, 15, takeover);
        let first = compress(&mut deflater, &message);
        let second = compress(&mut deflater, &message);
        assert_eq!(second.len() < first.len() / 4, smaller, "{takeover}");
        assert_eq!(second == first, !takeover);
    }
}

#[test]
fn a_message_of_a_fresh_compressor_fits_between_others_where_those_forget() {
    for window_bits in 8..=15 {
        for takeover in [true, false] {
            let mut deflater = Deflater::new(1, window_bits, takeover);
            let mut inflater = Inflater::new(window_bits, takeover);
            let mut random = Random::new(window_bits.into());
            let shared = json(&mut random, 3_000);
            let own = json(&mut random, 3_000);
            for round in 0..20 {
                let is_shared = round % 3 == 1;
                let (message, payload) = if is_shared {
                    let mut fresh = Deflater::new(1, window_bits, false);
                    deflater.forget();
                    (&shared, compress(&mut fresh, &shared))
                } else {
                    (&own, compress(&mut deflater, &own))
                };
                let inflated = inflate(&mut inflater, &payload).unwrap();
                assert!(inflated == *message, "{window_bits} {takeover} {round}");
            }
        }
    }
}

#[test]
fn an_empty_message_is_one_zero_byte() {
    for takeover in [true, false] {
        let mut deflater = Deflater::new(1, 15, takeover);
        let mut inflater = Inflater::new(15, takeover);
        for message in [&b""[..], b"Hello", b"", b"", b"Hello", b""] {
            let payload = compress(&mut deflater, message);
            assert_eq!(payload == [0x00], message.is_empty());
            assert_eq!(inflate(&mut inflater, &payload).unwrap(), message);
        }
    }
}

#[test]
fn fragments_cut_anywhere_round_trip_and_each_can_be_inflated_when_it_arrives() {
    let message = json(&mut Random::new(3), 90);
    for takeover in [true, false] {
        for first in 0..=message.len() {
            for second in (first..=message.len()).step_by(7) {
                let mut deflater = Deflater::new(6, 15, takeover);
                let mut inflater = Inflater::new(15, takeover);
                for _ in 0..2 {
                    let pieces = [
                        &message[..first],
                        &message[first..second],
                        &message[second..],
                        b"",
                    ];
                    let mut payload = Buffer::new();
                    for (piece, fin) in pieces.into_iter().zip([false, false, false, true]) {
                        deflater.compress(piece, fin, &mut payload).unwrap();
                    }
                    assert_eq!(
                        inflate(&mut inflater, payload.bytes()).unwrap(),
                        message,
                        "{first} {second}"
                    );
                }
            }
        }
    }
    let mut deflater = Deflater::new(6, 15, true);
    let mut inflater = Inflater::new(15, true);
    let (mut payload, mut out) = (Buffer::new(), Buffer::new());
    deflater.compress(b"Hello, ", false, &mut payload).unwrap();
    inflater
        .inflate(payload.bytes(), false, LIMIT, &mut out)
        .unwrap();
    assert_eq!(out.bytes(), b"Hello, ");
}

#[test]
fn a_payload_cut_anywhere_inflates_to_the_same() {
    let mut random = Random::new(5);
    for message in [
        b"".to_vec(),
        b"Hello".to_vec(),
        json(&mut random, 300),
        vec![7; 3_000],
    ] {
        for window_bits in [9, 15] {
            let payload = compress(&mut Deflater::new(6, window_bits, true), &message);
            for first in 0..=payload.len() {
                for second in first..=payload.len() {
                    let mut inflater = Inflater::new(window_bits, true);
                    let mut out = Buffer::new();
                    let pieces = [
                        &payload[..first],
                        &payload[first..second],
                        &payload[second..],
                    ];
                    for (piece, fin) in pieces.into_iter().zip([false, false, true]) {
                        inflater.inflate(piece, fin, LIMIT, &mut out).unwrap();
                    }
                    assert!(out.bytes() == message, "{first} {second}");
                    // The stream goes on as if nothing had been cut.
                    out.clear();
                    inflater
                        .inflate(&[0xf2, 0x48, 0x05, 0x00], true, LIMIT, &mut out)
                        .unwrap();
                    assert_eq!(out.bytes(), b"He");
                }
            }
        }
    }
}

#[test]
fn large_payloads_cut_into_fragments_of_any_size_round_trip() {
    let message = json(&mut Random::new(11), 300_000);
    for window_bits in [10, 15] {
        let payload = compress(&mut Deflater::new(6, window_bits, true), &message);
        for size in [1, 2, 3, 7, 513, 514, 515, 516, 1_000, 16_384, payload.len()] {
            let mut inflater = Inflater::new(window_bits, true);
            let mut out = Buffer::new();
            for piece in payload.chunks(size) {
                inflater.inflate(piece, false, LIMIT, &mut out).unwrap();
            }
            inflater.inflate(b"", true, LIMIT, &mut out).unwrap();
            assert!(out.bytes() == message, "{window_bits} {size}");
        }
    }
}

#[test]
fn output_is_appended_behind_what_is_there() {
    let (mut payload, mut out) = (Buffer::new(), Buffer::new());
    payload.append(b"before").unwrap();
    out.append(b"before").unwrap();
    Deflater::new(1, 15, true)
        .compress(b"Hello", true, &mut payload)
        .unwrap();
    let (before, compressed) = payload.bytes().split_at(6);
    assert_eq!(before, b"before");
    Inflater::new(15, true)
        .inflate(compressed, true, 5, &mut out)
        .unwrap();
    assert_eq!(out.bytes(), b"beforeHello");
}

#[test]
fn memory_can_be_given_back_between_messages() {
    let mut random = Random::new(13);
    for takeover in [true, false] {
        let mut deflater = Deflater::new(6, 12, takeover);
        let mut inflater = Inflater::new(12, takeover);
        for _ in 0..5 {
            let message = json(&mut random, 2_000);
            let payload = compress(&mut deflater, &message);
            let (mut out, half) = (Buffer::new(), payload.len() / 2);
            inflater
                .inflate(&payload[..half], false, LIMIT, &mut out)
                .unwrap();
            // In the middle of a message, and with takeover, it is still needed.
            inflater.release();
            inflater
                .inflate(&payload[half..], true, LIMIT, &mut out)
                .unwrap();
            assert!(out.bytes() == message);
            deflater.release();
            inflater.release();
        }
    }
}

#[test]
fn the_compressor_may_be_released_between_fragments() {
    let mut deflater = Deflater::new(6, 15, true);
    let mut payload = Buffer::new();
    for fin in [false, false, true] {
        deflater
            .compress(b"Hello Hello ", fin, &mut payload)
            .unwrap();
        deflater.release();
    }
    assert_eq!(
        inflate(&mut Inflater::new(15, true), payload.bytes()).unwrap(),
        b"Hello Hello ".repeat(3)
    );
}
