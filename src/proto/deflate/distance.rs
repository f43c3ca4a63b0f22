//! Keeps a DEFLATE stream to the agreed window where that is smaller than the codec's own.

use super::huffman::Code;
use super::inflater::InflateError;

/// Reads along with the codec, only for the distances. It gets nothing but what the codec has
/// found to be valid, so it looks for nothing else. The format is RFC 1951 §3.2.
pub struct DistanceCheck {
    /// The farthest that a distance may reach, in bytes.
    window: u64,
    state: State,
    /// Whether the block at hand is the last of its stream.
    last: bool,
    /// Bits not yet used, the next one lowest. Above the first `bits` are those that follow them,
    /// or zeroes.
    hold: u64,
    /// INVARIANT: bits < 64
    bits: u32,
    literals: Code<288>,
    distances: Code<32>,
    /// Whether the codes are the fixed ones.
    fixed: bool,
    /// The code lengths of literals and lengths, then of distances.
    lengths: [u8; 320],
}

/// What comes next.
#[derive(Clone, Copy)]
enum State {
    Header,
    StoredLength,
    /// That many bytes of a stored block.
    Stored(usize),
    Counts,
    /// The lengths of the code that the code lengths are written in.
    MetaLengths {
        counts: Counts,
        read: usize,
    },
    Lengths {
        counts: Counts,
        read: usize,
    },
    Symbols,
    /// Nothing, until a reset.
    Over,
}

/// How many code lengths a block describes.
#[derive(Clone, Copy)]
struct Counts {
    literals: usize,
    /// Literals and distances.
    both: usize,
    meta: usize,
}

impl DistanceCheck {
    /// `window_bits` is 8 to 14.
    pub fn new(window_bits: u8) -> Self {
        Self {
            window: 1u64.wrapping_shl(window_bits.into()),
            state: State::Header,
            last: false,
            hold: 0,
            bits: 0,
            literals: Code::new(),
            distances: Code::new(),
            fixed: false,
            lengths: [0; 320],
        }
    }

    /// A new stream begins with the next byte.
    pub fn reset(&mut self) {
        self.state = State::Header;
        self.hold = 0;
        self.bits = 0;
    }

    /// Reads further bytes of the stream.
    pub fn check(&mut self, mut input: &[u8]) -> Result<(), InflateError> {
        loop {
            input = self.refill(input);
            let goes_on = match self.state {
                State::Header => self.header(),
                State::StoredLength => self.stored_length(),
                State::Stored(left) => {
                    input = self.stored(left, input);
                    !matches!(self.state, State::Stored(_))
                }
                State::Counts => self.counts(),
                State::MetaLengths { counts, read } => self.meta_length(counts, read),
                State::Lengths { counts, read } => self.length(counts, read),
                State::Symbols => self.symbol()?,
                State::Over => false,
            };
            if goes_on {
                continue;
            }
            // A refill gives as many bits as anything needs, as long as there is input.
            return if input.is_empty() || matches!(self.state, State::Over) {
                Ok(())
            } else {
                Err(InflateError::Invalid("a code is not described"))
            };
        }
    }

    fn header(&mut self) -> bool {
        let Some(header) = self.take(3) else {
            return false;
        };
        self.last = header & 1 != 0;
        self.state = match header >> 1 {
            0 => State::StoredLength,
            1 => {
                self.use_fixed_codes();
                State::Symbols
            }
            _ => State::Counts,
        };
        true
    }

    fn end_block(&mut self) {
        self.state = if self.last {
            State::Over
        } else {
            State::Header
        };
    }

    fn stored_length(&mut self) -> bool {
        self.take(self.bits % 8);
        let Some(lengths) = self.take(32) else {
            return false;
        };
        self.state = State::Stored(low_bits(lengths, 16) as usize);
        true
    }

    /// Skips bytes of a stored block and gives the input behind them.
    fn stored<'a>(&mut self, left: usize, input: &'a [u8]) -> &'a [u8] {
        let mut left = left;
        while left > 0 && self.take(8).is_some() {
            left = left.saturating_sub(1);
        }
        if left == 0 {
            self.end_block();
            return input;
        }
        // What `refill` has looked at beforehand is skipped with the input.
        self.hold = 0;
        let skipped = left.min(input.len());
        if skipped == left {
            self.end_block();
        } else {
            self.state = State::Stored(left.saturating_sub(skipped));
        }
        input.get(skipped..).unwrap_or_default()
    }

    fn counts(&mut self) -> bool {
        let Some(counts) = self.take(14) else {
            return false;
        };
        let literals = (low_bits(counts, 5) as usize).saturating_add(257);
        let distances = (low_bits(counts >> 5, 5) as usize).saturating_add(1);
        let meta = (low_bits(counts >> 10, 4) as usize).saturating_add(4);
        self.fixed = false;
        self.lengths.fill(0);
        let counts = Counts {
            literals,
            both: literals.saturating_add(distances),
            meta,
        };
        self.state = State::MetaLengths { counts, read: 0 };
        true
    }

    fn meta_length(&mut self, counts: Counts, read: usize) -> bool {
        let Some(length) = self.take(3) else {
            return false;
        };
        let symbol = META_ORDER.get(read).copied().unwrap_or_default();
        if let Some(to) = self.lengths.get_mut(symbol) {
            *to = u8::try_from(length).unwrap_or_default();
        }
        let read = read.saturating_add(1);
        if read < counts.meta {
            self.state = State::MetaLengths { counts, read };
        } else {
            // The distances' own code is not known before this one has served.
            self.distances
                .describe(self.lengths.get(..META_ORDER.len()).unwrap_or_default());
            self.lengths.fill(0);
            self.state = State::Lengths { counts, read: 0 };
        }
        true
    }

    fn length(&mut self, counts: Counts, read: usize) -> bool {
        let Some((symbol, used)) = self.distances.decode(self.hold) else {
            return false;
        };
        let (least, extra) = match symbol {
            16 => (3, 2),
            17 => (3, 3),
            18 => (11, 7),
            _ => (1, 0),
        };
        let Some(bits) = self.take(used.saturating_add(extra)) else {
            return false;
        };
        let times = (low_bits(bits.wrapping_shr(used), extra) as usize).saturating_add(least);
        let length = match symbol {
            0..16 => u8::try_from(symbol).unwrap_or_default(),
            16 => read
                .checked_sub(1)
                .and_then(|it| self.lengths.get(it))
                .copied()
                .unwrap_or(0),
            _ => 0,
        };
        for to in self.lengths.iter_mut().skip(read).take(times) {
            *to = length;
        }
        let read = read.saturating_add(times);
        self.state = if read < counts.both {
            State::Lengths { counts, read }
        } else {
            let lengths = self.lengths.get(..counts.both).unwrap_or_default();
            if let Some((literals, distances)) = lengths.split_at_checked(counts.literals) {
                self.literals.describe(literals);
                self.distances.describe(distances);
            }
            State::Symbols
        };
        true
    }

    /// Reads a literal, a length with its distance, or the end of the block.
    fn symbol(&mut self) -> Result<bool, InflateError> {
        let Some((symbol, mut used)) = self.literals.decode(self.hold) else {
            return Ok(false);
        };
        if symbol < 256 {
            return Ok(self.take(used).is_some());
        }
        if symbol == 256 {
            let ended = self.take(used).is_some();
            if ended {
                self.end_block();
            }
            return Ok(ended);
        }
        used = used.saturating_add(match symbol {
            257..=264 | 285.. => 0,
            265..=268 => 1,
            269..=272 => 2,
            273..=276 => 3,
            277..=280 => 4,
            _ => 5,
        });
        let rest = self.hold.wrapping_shr(used);
        let Some((symbol, length)) = self.distances.decode(rest) else {
            return Ok(false);
        };
        used = used.saturating_add(length);
        // Distance codes come in pairs; from the third pair on, each pair has a bit more.
        let extra = (symbol / 2).saturating_sub(1);
        let base = if symbol < 2 {
            symbol
        } else {
            (2 | symbol & 1).wrapping_shl(extra)
        };
        let distance = low_bits(self.hold.wrapping_shr(used), extra)
            .saturating_add(base.into())
            .saturating_add(1);
        let known = self.take(used.saturating_add(extra)).is_some();
        if known && distance > self.window {
            return Err(InflateError::Invalid(
                "a distance reaches beyond the agreed window",
            ));
        }
        Ok(known)
    }

    /// RFC 1951 §3.2.6.
    fn use_fixed_codes(&mut self) {
        if self.fixed {
            return;
        }
        let mut lengths = [0; 288];
        for (symbol, length) in lengths.iter_mut().enumerate() {
            *length = match symbol {
                0..144 => 8,
                144..256 => 9,
                256..280 => 7,
                _ => 8,
            };
        }
        self.literals.describe(&lengths);
        self.distances.describe(&[5; 30]);
        self.fixed = true;
    }

    /// Moves input into `hold`, at least 56 bits of it if there are as many.
    fn refill<'a>(&mut self, mut input: &'a [u8]) -> &'a [u8] {
        if let Some(word) = input.first_chunk() {
            self.hold |= u64::from_le_bytes(*word).wrapping_shl(self.bits);
            let whole_bytes = 63_u32.saturating_sub(self.bits) / 8;
            self.bits |= 56;
            return input.get(whole_bytes as usize..).unwrap_or_default();
        }
        while self.bits < 56
            && let Some((byte, rest)) = input.split_first()
        {
            self.hold |= u64::from(*byte).wrapping_shl(self.bits);
            self.bits = self.bits.saturating_add(8);
            input = rest;
        }
        input
    }

    /// The next bits, if there are as many; fewer than 56.
    fn take(&mut self, bits: u32) -> Option<u64> {
        let left = self.bits.checked_sub(bits)?;
        let taken = low_bits(self.hold, bits);
        self.hold = self.hold.wrapping_shr(bits);
        self.bits = left;
        Some(taken)
    }
}

fn low_bits(word: u64, bits: u32) -> u64 {
    word & !u64::MAX.wrapping_shl(bits)
}

/// RFC 1951 §3.2.7.
const META_ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
