//! Where a message may end, and where it may not (RFC 7692 §7.2).

use super::data::{Blocks, Random, json, messages};
use super::reference::Reference;
use super::*;

const INSIDE: InflateError = InflateError::Invalid("the message ends inside a block");

/// Inflates `payload` whole, by single bytes and in halves, and makes sure that this is the same.
fn inflate_anyhow(window_bits: u8, payload: &[u8]) -> Result<Vec<u8>, InflateError> {
    let whole = inflate(&mut Inflater::new(window_bits, true), payload);
    let by_ones: Vec<_> = payload.chunks(1).collect();
    let halves = [&payload[..payload.len() / 2], &payload[payload.len() / 2..]];
    for pieces in [&by_ones[..], &halves[..]] {
        let mut inflater = Inflater::new(window_bits, true);
        let mut out = Buffer::new();
        let other = pieces
            .iter()
            .try_for_each(|piece| inflater.inflate(piece, false, LIMIT, &mut out))
            .and_then(|()| inflater.inflate(b"", true, LIMIT, &mut out));
        assert_eq!(
            other.is_ok(),
            whole.is_ok(),
            "{payload:02x?}: {other:?} {whole:?}"
        );
        if let Ok(whole) = &whole {
            assert!(out.bytes() == whole, "{payload:02x?}");
        }
    }
    whole
}

/// Compares with the reference, which knows nothing of engines and pieces.
fn judge(window_bits: u8, payload: &[u8]) -> bool {
    let expected = Reference::new(window_bits, true).inflate(payload);
    match (inflate_anyhow(window_bits, payload), &expected) {
        (Ok(message), Ok(expected)) => assert!(message == *expected, "{payload:02x?}"),
        (Err(InflateError::Invalid(_)), Err(_)) => {}
        (result, _) => panic!("{payload:02x?}: {result:?}, expected {expected:?}"),
    }
    expected.is_ok()
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    let mut inflater = Inflater::new(15, true);
    for (payload, message) in [
        // §7.2.3.1 and §7.2.3.2
        (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], "Hello"),
        (&[0xf2, 0x00, 0x11, 0x00, 0x00], "Hello"),
        // §7.2.3.3
        (
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            "Hello",
        ),
        // §7.2.3.4
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "Hello"),
        // §7.2.3.5
        (
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
            "Hello",
        ),
        // §7.2.3.6
        (&[0x00], ""),
    ] {
        let mut out = Buffer::new();
        inflater.inflate(payload, true, LIMIT, &mut out).unwrap();
        assert_eq!(out.bytes(), message.as_bytes(), "{payload:02x?}");
        assert!(judge(15, payload) || payload[1] == 0x00 && payload.len() == 5);
    }
}

#[test]
fn messages_after_a_final_block_are_delivered() {
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let stored_last = Blocks::default().stored(true, b"Hello").bytes();
    for window_bits in [9, 15] {
        let mut inflater = Inflater::new(window_bits, true);
        for (payload, message) in [
            (&last[..], "Hello"),
            (&hello, "Hello"),
            (&[0x00], ""),
            (&[], ""),
            (&last, "Hello"),
            (&last, "Hello"),
            // Without the empty block behind it.
            (&last[..7], "Hello"),
            (&hello, "Hello"),
            (&stored_last, "Hello"),
            (&[], ""),
            (&[0x00], ""),
            // The header of the empty block says that it is final.
            (&[0x01], ""),
            (&hello, "Hello"),
            // Further streams within the message.
            (
                &[&last[..7], &last[..7], &hello].concat(),
                "HelloHelloHello",
            ),
            (&[0xf2, 0x00, 0x11, 0x00, 0x00], "Hello"),
        ] {
            let mut out = Buffer::new();
            inflater.inflate(payload, true, LIMIT, &mut out).unwrap();
            assert_eq!(out.bytes(), message.as_bytes(), "{payload:02x?}");
        }
    }
}

#[test]
fn nothing_refers_to_what_was_before_a_final_block() {
    let last = Blocks::default()
        .fixed(true)
        .literal(b'a')
        .literal(b'b')
        .literal(b'c');
    let again = |blocks: Blocks| blocks.fixed(false).copy(3).end_of_block().end_of_message();
    let mut inflater = Inflater::new(15, true);
    let mut out = Buffer::new();
    let first = again(last.end_of_block().align());
    assert_eq!(
        inflater.inflate(&first, true, LIMIT, &mut out),
        Err(InflateError::Invalid("invalid distance too far back"))
    );
    for ending in [
        vec![0x01],
        Blocks::default().fixed(true).end_of_block().bytes(),
    ] {
        let mut inflater = Inflater::new(15, true);
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        inflater.inflate(&hello, true, LIMIT, &mut out).unwrap();
        inflater.inflate(&ending, true, LIMIT, &mut out).unwrap();
        let result = inflater.inflate(&again(Blocks::default()), true, LIMIT, &mut out);
        assert!(result.is_err(), "{ending:02x?}");
    }
}

#[test]
fn a_message_that_ends_inside_a_block_is_invalid() {
    let fixed = || Blocks::default().fixed(false).literal(b'a');
    for payload in [
        fixed().bytes(),
        fixed().align().bytes(),
        // The zeroes of the tail end the Huffman block.
        fixed()
            .literal(b'b')
            .literal(b'c')
            .literal(b'd')
            .literal(b'e')
            .bits(0, 5)
            .bytes(),
        Blocks::default().fixed(false).bytes(),
        Blocks::default().fixed(true).bytes(),
        // A stored block without its content, or without a part of it.
        Blocks::default().stored(false, b"abc").bytes()[..5].to_vec(),
        Blocks::default().stored(false, b"abc").bytes()[..7].to_vec(),
        // Four bytes of content are missing: the tail would be content.
        Blocks::default().stored(false, b"abcd").bytes()[..5].to_vec(),
        // The tail was not taken off.
        Blocks::default().stored(false, b"").bytes(),
        [
            &fixed().end_of_block().end_of_message()[..],
            &[0, 0, 0xff, 0xff],
        ]
        .concat(),
        // Two bits are left, too few for another header.
        [0xff; 4]
            .iter()
            .fold(Blocks::default().fixed(false), |it, b| it.literal(*b))
            .end_of_block()
            .bytes(),
        // Parts of the lengths.
        vec![0x00, 0x00],
        vec![0x00, 0x00, 0x00],
        vec![0x00, 0x00, 0x00, 0xff],
        vec![0x00, 0xff],
        // A dynamic block that has only begun.
        vec![0x04],
        vec![0x05, 0xc0, 0x81],
    ] {
        let result = inflate_anyhow(15, &payload);
        assert!(
            matches!(result, Err(InflateError::Invalid(_))),
            "{payload:02x?}: {result:?}"
        );
        assert!(!judge(15, &payload));
    }
    assert_eq!(
        inflate_anyhow(15, &fixed().end_of_block().end_of_message()),
        Ok(b"a".to_vec())
    );
    assert_eq!(inflate_anyhow(15, &fixed().bytes()), Err(INSIDE));
}

#[test]
fn output_that_fills_its_room_at_the_end_of_a_block_is_no_exception() {
    // A buffer that begins with 512 bytes and is doubled is full at the end of some of these.
    let mut full = 0;
    for length in [
        1, 2, 511, 512, 513, 1_023, 1_024, 1_025, 2_047, 2_048, 2_049,
    ] {
        let run = |last| {
            Blocks::default()
                .fixed(last)
                .run(b'x', length)
                .end_of_block()
        };
        for payload in [
            run(false).end_of_message(),
            run(true).align().end_of_message(),
            run(true).bytes(),
        ] {
            for (limit, fits) in [(length - 1, false), (length, true), (LIMIT, true)] {
                let mut out = Buffer::new();
                let result = Inflater::new(15, true).inflate(&payload, true, limit, &mut out);
                let expected = if fits {
                    Ok(())
                } else {
                    Err(InflateError::TooBig)
                };
                assert_eq!(result, expected, "{length} {limit}");
                assert_eq!(out.len() == length, fits);
                full += usize::from(out.capacity() == length);
            }
            assert!(judge(15, &payload));
        }
    }
    assert!(full > 0);
}

#[test]
fn every_message_of_up_to_two_bytes_is_judged_rightly() {
    let mut valid = 0;
    for first in 0..=255 {
        valid += usize::from(judge(15, &[first]));
        for second in 0..=255 {
            valid += usize::from(judge(15, &[first, second]));
        }
    }
    println!("{} payloads, {valid} of them valid", 256 + 65_536);
    assert!(valid > 0);
}

#[test]
fn every_prefix_and_every_flipped_bit_is_judged_rightly() {
    let mut random = Random::new(17);
    for (level, window_bits) in [(1, 15), (6, 15), (6, 9)] {
        let text = json(&mut random, 80);
        let dynamic = json(&mut random, 400);
        for message in [
            b"Hello".to_vec(),
            text,
            dynamic,
            random.bytes(20),
            vec![0; 1_000],
        ] {
            let payload = compress(&mut Deflater::new(level, window_bits, true), &message);
            for cut in 0..payload.len() {
                judge(window_bits, &payload[..cut]);
            }
            for bit in 0..payload.len() * 8 {
                let mut flipped = payload.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                judge(window_bits, &flipped);
            }
        }
    }
}

#[test]
fn random_bytes_are_judged_rightly() {
    let mut random = Random::new(19);
    let mut valid = 0;
    for _ in 0..10_000 {
        let length = 1 + random.number(40);
        let mut payload = random.bytes(length);
        // Every kind of block comes first as often as the others.
        payload[0] = payload[0] & !6 | (random.number(3) << 1) as u8;
        valid += usize::from(judge(9 + 6 * (length % 2) as u8, &payload));
    }
    assert!(valid > 0);
}

#[test]
fn a_stream_with_damaged_messages_never_differs_from_the_reference() {
    let mut random = Random::new(23);
    for round in 0..100 {
        let window_bits = 9 + random.number(7) as u8;
        let takeover = round % 3 > 0;
        let mut deflater = Deflater::new(1 + random.number(9) as u32, window_bits, takeover);
        let mut inflater = Inflater::new(window_bits, takeover);
        let mut reference = Reference::new(window_bits, takeover);
        let messages = messages(&mut random);
        for _ in 0..20 {
            let message = &messages[random.number(messages.len())];
            let mut payload = compress(&mut deflater, &message[..message.len().min(3_000)]);
            if random.number(10) == 0 {
                let at = random.number(payload.len());
                payload[at] ^= 1 << random.number(8);
            }
            match (
                inflate(&mut inflater, &payload),
                reference.inflate(&payload),
            ) {
                (Ok(message), Ok(expected)) => assert!(message == expected),
                (Err(InflateError::Invalid(_)), Err(_)) => break,
                (result, expected) => panic!("{} {}", result.is_ok(), expected.is_ok()),
            }
        }
    }
}
