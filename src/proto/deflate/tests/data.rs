//! Messages to compress, and blocks made by hand.

/// Numbers that look random and are the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn number(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.number(256) as u8).collect()
    }
}

/// Text of `length` bytes that is never the same twice.
pub fn json(random: &mut Random, length: usize) -> Vec<u8> {
    let mut text = String::from("[");
    while text.len() < length {
        let (id, name, price) = (
            random.number(1 << 24),
            random.number(1000),
            random.number(9999),
        );
        text += &format!("{{\"id\":{id},\"name\":\"user{name}\",\"price\":{price}.5}},");
    }
    text.truncate(length);
    text.into_bytes()
}

/// One message for each kind of content that compressors treat differently.
pub fn messages(random: &mut Random) -> Vec<Vec<u8>> {
    let pattern = random.bytes(300);
    vec![
        Vec::new(),
        b"a".to_vec(),
        b"Hello".to_vec(),
        vec![0; 5_000],
        random.bytes(1_000),
        random.bytes(10_000),
        json(random, 1_024),
        json(random, 9_000),
        pattern.repeat(10),
        (0..=255).collect(),
    ]
}

/// Writes DEFLATE blocks bit by bit.
#[derive(Default)]
pub struct Blocks {
    bytes: Vec<u8>,
    bits: u32,
}

impl Blocks {
    /// Bits as they are numbered: the lowest first.
    pub fn bits(mut self, value: u32, count: u32) -> Self {
        for at in 0..count {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> at & 1) as u8) << (self.bits % 8);
            self.bits += 1;
        }
        self
    }

    /// A Huffman code: its highest bit first.
    pub fn code(self, value: u32, count: u32) -> Self {
        self.bits(value.reverse_bits() >> (32 - count), count)
    }

    pub fn align(self) -> Self {
        let missing = (8 - self.bits % 8) % 8;
        self.bits(0, missing)
    }

    /// A block of fixed codes begins.
    pub fn fixed(self, last: bool) -> Self {
        self.bits(u32::from(last) | 0b010, 3)
    }

    pub fn literal(self, byte: u8) -> Self {
        let byte = u32::from(byte);
        if byte < 144 {
            self.code(0x30 + byte, 8)
        } else {
            self.code(0x190 + byte - 144, 9)
        }
    }

    /// A match of three bytes.
    pub fn copy(self, distance: u32) -> Self {
        let zero_based = distance - 1;
        let (symbol, extra) = if zero_based < 4 {
            (zero_based, 0)
        } else {
            let extra = zero_based.ilog2() - 1;
            (extra * 2 + (zero_based >> extra), extra)
        };
        let low = zero_based & ((1 << extra) - 1);
        self.code(1, 7).code(symbol, 5).bits(low, extra)
    }

    /// `count` times the same byte, in as few bits as possible.
    pub fn run(self, byte: u8, count: usize) -> Self {
        let matches = (count - 1) / 258;
        // The longest match, of the byte before.
        let run = (0..matches).fold(self.literal(byte), |it, _| it.code(0xc5, 8).code(0, 5));
        (0..(count - 1) % 258).fold(run, |it, _| it.literal(byte))
    }

    pub fn end_of_block(self) -> Self {
        self.code(0, 7)
    }

    pub fn stored(self, last: bool, content: &[u8]) -> Self {
        let length = u16::try_from(content.len()).unwrap();
        let mut this = self.bits(last.into(), 3).align();
        this = this.bits(length.into(), 16).bits((!length).into(), 16);
        this.bytes.extend_from_slice(content);
        this.bits += 8 * u32::from(length);
        this
    }

    /// A message ends: the header of an empty stored block, without its lengths.
    pub fn end_of_message(self) -> Vec<u8> {
        self.bits(0, 3).align().bytes
    }

    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }
}
