//! An inflater that is slow and simple, written from RFC 1951 and RFC 7692, to compare with.

use std::collections::HashMap;
use std::iter;

/// The stream of a connection's messages.
#[derive(Clone)]
pub struct Reference {
    window: usize,
    takeover: bool,
    /// What has come out since the stream began, of all its messages.
    history: Vec<u8>,
    /// How long the history may become.
    most: usize,
}

/// Why a message does not inflate.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    Invalid,
    TooBig,
}

impl Reference {
    pub fn new(window_bits: u8, takeover: bool) -> Self {
        Self {
            window: 1 << window_bits,
            takeover,
            history: Vec::new(),
            most: 0,
        }
    }

    /// What a whole message inflates to, at most `limit` bytes.
    pub fn inflate(&mut self, message: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        if message.is_empty() {
            // Of a frame without payload, which some send for an empty message.
            return Ok(out);
        }
        let tailed = [message, &[0x00, 0x00, 0xff, 0xff]].concat();
        let mut bits = Bits {
            bytes: &tailed,
            at: 0,
        };
        loop {
            let is_last = bits.take(1)? == 1;
            let kind = bits.take(2)?;
            let is_at_tail = bits.at.div_ceil(8) == message.len();
            let before = self.history.len();
            self.most = before + limit - out.len();
            self.block(kind, &mut bits)?;
            out.extend_from_slice(&self.history[before..]);
            // RFC 7692 §7.2.1: what the sender took off is an empty stored block but its header.
            let mut ends = kind == 0 && is_at_tail && bits.at == tailed.len() * 8;
            if is_last {
                // Another stream follows, from the next byte on.
                self.history.clear();
                bits.align();
                ends |= bits.at == message.len() * 8;
            }
            if ends {
                break;
            }
        }
        if !self.takeover {
            self.history.clear();
        }
        Ok(out)
    }

    fn block(&mut self, kind: usize, bits: &mut Bits<'_>) -> Result<(), Fault> {
        match kind {
            0 => self.stored(bits),
            1 => self.symbols(bits, &fixed_codes()?),
            2 => {
                let codes = described_codes(bits)?;
                self.symbols(bits, &codes)
            }
            _ => Err(Fault::Invalid),
        }
    }

    fn stored(&mut self, bits: &mut Bits<'_>) -> Result<(), Fault> {
        bits.align();
        let len = bits.take(16)?;
        if bits.take(16)? != !len & 0xffff {
            return Err(Fault::Invalid);
        }
        for _ in 0..len {
            let byte = bits.take(8)?;
            self.push(byte as u8)?;
        }
        Ok(())
    }

    fn symbols(&mut self, bits: &mut Bits<'_>, codes: &Codes) -> Result<(), Fault> {
        loop {
            let len = match codes.literals.decode(bits)? {
                256 => return Ok(()),
                literal @ 0..256 => {
                    self.push(literal as u8)?;
                    continue;
                }
                symbol @ 257..285 => bits.take_number(symbol - 257, 8, 3)?,
                285 => 258,
                _ => return Err(Fault::Invalid),
            };
            let distance = match codes.distances.decode(bits)? {
                symbol @ 0..30 => bits.take_number(symbol, 4, 1)?,
                _ => return Err(Fault::Invalid),
            };
            if distance > self.window || distance > self.history.len() {
                return Err(Fault::Invalid);
            }
            for _ in 0..len {
                self.push(self.history[self.history.len() - distance])?;
            }
        }
    }

    fn push(&mut self, byte: u8) -> Result<(), Fault> {
        if self.history.len() == self.most {
            return Err(Fault::TooBig);
        }
        self.history.push(byte);
        Ok(())
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    /// Which bit is next.
    at: usize,
}

impl Bits<'_> {
    /// The next bits, as a number whose lowest one comes first.
    fn take(&mut self, count: usize) -> Result<usize, Fault> {
        let mut number = 0;
        for place in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or(Fault::Invalid)?;
            number |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(number)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    /// RFC 1951 §3.2.5: the first `plain` symbols stand for a number each, from `least` on; those
    /// behind them have extra bits, one more with each `plain / 2` symbols.
    fn take_number(&mut self, symbol: usize, plain: usize, least: usize) -> Result<usize, Fault> {
        let group = plain / 2;
        let extra = (symbol / group).saturating_sub(1);
        let base: usize = (0..symbol)
            .map(|before| 1 << (before / group).saturating_sub(1))
            .sum();
        Ok(least + base + self.take(extra)?)
    }
}

struct Codes {
    literals: Code,
    distances: Code,
}

/// RFC 1951 §3.2.6.
fn fixed_codes() -> Result<Codes, Fault> {
    let literals = [(8, 144), (9, 112), (7, 24), (8, 8)];
    let literals = literals.map(|(length, count)| iter::repeat_n(length, count));
    let literals: Vec<u32> = literals.into_iter().flatten().collect();
    Ok(Codes {
        literals: Code::new(&literals)?,
        distances: Code::new(&[5; 32])?,
    })
}

/// RFC 1951 §3.2.7.
fn described_codes(bits: &mut Bits<'_>) -> Result<Codes, Fault> {
    const ORDER: [usize; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let literals = bits.take(5)? + 257;
    let distances = bits.take(5)? + 1;
    let meta = bits.take(4)? + 4;
    if literals > 286 || distances > 30 {
        return Err(Fault::Invalid);
    }
    let mut meta_lengths = [0; 19];
    for place in &ORDER[..meta] {
        meta_lengths[*place] = bits.take(3)? as u32;
    }
    let code = Code::new(&meta_lengths)?;
    if meta_lengths.iter().sum::<u32>() == 1 {
        // Only of the codes below, one may be incomplete.
        return Err(Fault::Invalid);
    }
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match code.decode(bits)? {
            16 => (*lengths.last().ok_or(Fault::Invalid)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u32, 1),
        };
        lengths.extend(iter::repeat_n(length, times));
    }
    if lengths.len() > literals + distances || lengths[256] == 0 {
        return Err(Fault::Invalid);
    }
    Ok(Codes {
        literals: Code::new(&lengths[..literals])?,
        distances: Code::new(&lengths[literals..])?,
    })
}

/// A Huffman code: the symbol of each code, by its length and its bits, the first one highest.
struct Code(HashMap<(u32, u32), usize>);

impl Code {
    /// RFC 1951 §3.2.2. As in zlib, a code has to be complete, unless it has no symbol or only one
    /// of a single bit.
    fn new(lengths: &[u32]) -> Result<Self, Fault> {
        let mut code = 0;
        let mut codes = HashMap::new();
        for length in 1..=15 {
            code <<= 1;
            for (symbol, _) in (0..).zip(lengths).filter(|(_, its)| **its == length) {
                if code >= 1 << length {
                    return Err(Fault::Invalid);
                }
                codes.insert((length, code), symbol);
                code += 1;
            }
        }
        let is_complete = code == 1 << 15;
        if is_complete || lengths.iter().sum::<u32>() <= 1 {
            Ok(Self(codes))
        } else {
            Err(Fault::Invalid)
        }
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Result<usize, Fault> {
        let mut code = 0;
        for length in 1..=15 {
            code = code << 1 | bits.take(1)? as u32;
            if let Some(symbol) = self.0.get(&(length, code)) {
                return Ok(*symbol);
            }
        }
        Err(Fault::Invalid)
    }
}
