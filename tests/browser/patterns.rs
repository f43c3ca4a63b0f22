//! What is exchanged: the same as page.js makes.

/// Random bytes, of which every other KiB is compressible.
pub fn bytes(size: usize) -> Vec<u8> {
    let low = |at: usize| if at >> 10 & 1 == 1 { 0x03 } else { 0xff };
    let random = Xorshift::new().enumerate();
    random
        .map(|(at, number)| number as u8 & low(at))
        .take(size)
        .collect()
}

/// As many bytes in UTF-8, of characters of every length.
pub fn text(size: usize) -> String {
    let mut text = String::with_capacity(size);
    let mut random = Xorshift::new();
    while text.len() < size {
        let at = random.next().unwrap() as usize & 3;
        let left = size - text.len();
        text.push(['a', 'é', '€', '😀'][if at < left { at } else { 0 }]);
    }
    text
}

/// Marsaglia's generator.
struct Xorshift(u32);

impl Xorshift {
    fn new() -> Self {
        Self(0x2545_f491)
    }
}

impl Iterator for Xorshift {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        Some(self.0)
    }
}
