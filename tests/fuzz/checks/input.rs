//! How a fuzz input is read: one byte of choices, four of segment sizes, then what the peer sends.

/// A peer's bytes, and how they come.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    choices: u8,
    /// What the peer sends.
    pub bytes: &'a [u8],
    sizes: [u8; 4],
}

impl<'a> Input<'a> {
    /// None if the input is too short.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let (&[choices, a, b, c, d], bytes) = data.split_first_chunk::<5>()?;
        Some(Self {
            choices,
            bytes,
            sizes: [a, b, c, d],
        })
    }

    /// The same in one segment.
    pub fn uncut(self) -> Self {
        Self {
            sizes: [255; 4],
            ..self
        }
    }

    /// Whether a bit of the choices is set, which each target uses for its settings.
    pub fn has(self, bit: u32) -> bool {
        self.choices >> bit & 1 != 0
    }

    /// The number in some bits of the choices, from the lowest of them on.
    pub fn number(self, from: u32, bits: u32) -> usize {
        usize::from(self.choices >> from) & !(usize::MAX << bits)
    }

    /// Cuts `bytes` into segments of the sizes that the input names, over and over: one byte more
    /// than the number, or all the rest for 255.
    pub fn segments(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest = bytes;
        self.sizes.into_iter().cycle().map_while(move |size| {
            let len = match size {
                255 => rest.len(),
                size => rest.len().min(usize::from(size) + 1),
            };
            let (segment, behind) = rest.split_at(len);
            rest = behind;
            (len > 0).then_some(segment)
        })
    }
}
