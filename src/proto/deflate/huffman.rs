//! Huffman codes as DEFLATE describes them: by the length of each symbol's code (RFC 1951 §3.2.2).

/// A code of at most `N` symbols.
pub struct Code<const N: usize> {
    /// By the next bits: the symbol and the length of a short code, or 0.
    short: [u16; 1 << SHORT],
    /// How many codes there are of each length.
    counts: [u16; 16],
    /// The symbols in the order of their codes.
    symbols: [u16; N],
}

impl<const N: usize> Code<N> {
    pub fn new() -> Self {
        Self {
            short: [0; 1 << SHORT],
            counts: [0; 16],
            symbols: [0; N],
        }
    }

    /// Describes the code anew. Symbols of length 0 are not in it.
    pub fn describe(&mut self, lengths: &[u8]) {
        self.short.fill(0);
        self.counts.fill(0);
        for length in lengths.iter().filter(|length| **length > 0) {
            if let Some(count) = self.counts.get_mut(usize::from(*length)) {
                *count = count.saturating_add(1);
            }
        }
        // For each length the place in `symbols` and the code of its next symbol.
        let mut next = [(0_u16, 0_u16); 16];
        let (mut place, mut code) = (0_u16, 0_u16);
        for (next, count) in next.iter_mut().zip(self.counts) {
            code = code.wrapping_shl(1);
            *next = (place, code);
            place = place.saturating_add(count);
            code = code.wrapping_add(count);
        }
        for (symbol, length) in (0_u16..).zip(lengths.iter().copied()) {
            let Some((place, code)) = next.get_mut(usize::from(length)).filter(|_| length > 0)
            else {
                continue;
            };
            if let Some(to) = self.symbols.get_mut(usize::from(*place)) {
                *to = symbol;
            }
            self.add_short(symbol, *code, length.into());
            *place = place.saturating_add(1);
            *code = code.wrapping_add(1);
        }
    }

    /// The symbol whose code comes first in `bits`, lowest bit first, and its length. `None` if
    /// there is none.
    pub fn decode(&self, bits: u64) -> Option<(u32, u32)> {
        let short = self
            .short
            .get((bits & SHORT_MASK) as usize)
            .copied()
            .unwrap_or_default();
        if short > 0 {
            return Some(((short >> 4).into(), (short & 15).into()));
        }
        self.decode_long(bits)
    }

    fn add_short(&mut self, symbol: u16, code: u16, length: u32) {
        if length > SHORT {
            return;
        }
        // Codes are packed from their highest bit on, everything else from the lowest.
        let first = code
            .reverse_bits()
            .wrapping_shr(16_u32.saturating_sub(length));
        let step = 1_usize.wrapping_shl(length);
        for entry in self.short.iter_mut().skip(first.into()).step_by(step) {
            *entry = symbol << 4 | length as u16;
        }
    }

    fn decode_long(&self, mut bits: u64) -> Option<(u32, u32)> {
        let (mut code, mut first, mut place) = (0_u32, 0_u32, 0_u32);
        for (length, count) in (1_u32..).zip(self.counts.iter().skip(1)) {
            code = code.wrapping_shl(1) | (bits & 1) as u32;
            bits >>= 1;
            first = first.wrapping_shl(1);
            let nth = code.wrapping_sub(first);
            if nth < u32::from(*count) {
                let symbol = self.symbols.get(place.saturating_add(nth) as usize)?;
                return Some(((*symbol).into(), length));
            }
            place = place.saturating_add((*count).into());
            first = first.wrapping_add((*count).into());
        }
        None
    }
}

/// Codes up to this length are looked up; longer ones are rare.
const SHORT: u32 = 9;
const SHORT_MASK: u64 = (1 << SHORT) - 1;
