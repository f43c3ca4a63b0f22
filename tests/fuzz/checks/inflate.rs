//! Inflating.

use super::input::Input;
use super::reference::{Fault, Reference};
use crate::proto::Buffer;
use crate::proto::deflate::{InflateError, Inflater};

/// Messages inflate to what a simple implementation of the RFCs makes of them, however they are
/// cut and whatever they are.
pub fn inflate(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let window_bits = 8 + input.number(0, 3) as u8;
    let takeover = input.has(3);
    let limit = [0, 10, 1000, 70_000][input.number(4, 2)];
    let mut reference = Reference::new(window_bits, takeover);
    let mut inflaters =
        [input.uncut(), input].map(|input| (input, Inflater::new(window_bits, takeover)));
    for message in messages(input.bytes) {
        let before = reference.clone();
        let expected = reference.inflate(message, limit);
        for (input, inflater) in &mut inflaters {
            let result = inflate_in_pieces(inflater, message, *input, limit);
            match (&expected, &result) {
                (Ok(expected), Ok(result)) => assert!(expected == result, "other bytes"),
                (Err(Fault::Invalid), Err(InflateError::Invalid(_)))
                | (Err(Fault::TooBig), Err(InflateError::TooBig)) => {}
                // A distance is checked when its output is there already.
                (Err(Fault::Invalid), Err(InflateError::TooBig)) => {}
                // The codec may look a bit further than its output reaches.
                (Err(Fault::TooBig), Err(InflateError::Invalid(_))) => {
                    let unlimited = before.clone().inflate(message, 1 << 30);
                    assert_eq!(unlimited, Err(Fault::Invalid), "{message:02x?}");
                }
                _ => panic!("{expected:?} is expected of {message:02x?}, not {result:?}"),
            }
        }
        if expected.is_err() {
            return;
        }
    }
}

/// A byte before each message says how long it is; 255: as long as the rest.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&len, behind) = rest.split_first()?;
        let len = match len {
            255 => behind.len(),
            len => behind.len().min(len.into()),
        };
        let (message, behind) = behind.split_at(len);
        rest = behind;
        Some(message)
    })
}

fn inflate_in_pieces(
    inflater: &mut Inflater,
    message: &[u8],
    input: Input<'_>,
    limit: usize,
) -> Result<Vec<u8>, InflateError> {
    let mut out = Buffer::new();
    out.append(b"before").unwrap();
    let before = out.len();
    let mut segments = input.segments(message).peekable();
    loop {
        let segment = segments.next().unwrap_or_default();
        let fin = segments.peek().is_none();
        let left = limit - (out.len() - before);
        let result = inflater.inflate(segment, fin, left, &mut out);
        assert!(out.len() - before <= limit, "more than the limit");
        assert!(out.capacity() <= limit + 1024, "memory beyond the limit");
        result?;
        if fin {
            break;
        }
    }
    inflater.release();
    assert!(out.bytes().starts_with(b"before"));
    Ok(out.bytes()[before..].to_vec())
}
