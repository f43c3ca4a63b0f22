//! UTF-8 that arrives in pieces (RFC 6455 §8.1), refused at the first bad byte.

/// The state of a check between two pieces: the beginning of a character that was cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8 {
    begun: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Takes the next piece. False: the text is invalid, whatever follows.
    pub fn feed(&mut self, mut piece: &[u8]) -> bool {
        while self.len > 0 {
            let Some((&byte, rest)) = piece.split_first() else {
                return true;
            };
            piece = rest;
            if let Some(slot) = self.begun.get_mut(self.len) {
                *slot = byte;
                self.len = self.len.saturating_add(1);
            }
            match std::str::from_utf8(self.begun.get(..self.len).unwrap_or_default()) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        let Err(error) = simdutf8::compat::from_utf8(piece) else {
            return true;
        };
        if error.error_len().is_some() {
            return false;
        }
        let cut = piece.get(error.valid_up_to()..).unwrap_or_default();
        for (slot, byte) in self.begun.iter_mut().zip(cut) {
            *slot = *byte;
        }
        self.len = cut.len();
        true
    }

    /// Ends the text. False: it ends inside a character.
    pub fn finish(&mut self) -> bool {
        std::mem::take(self).len == 0
    }
}

/// Whether all of `text` is UTF-8.
pub fn is_valid(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes are taken before the text is refused; none refused: `None`.
    fn refused_at(pieces: &[&[u8]]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        let mut taken = 0;
        for piece in pieces {
            taken += piece.len();
            if !utf8.feed(piece) {
                return Some(taken);
            }
        }
        (!utf8.finish()).then_some(taken)
    }

    #[test]
    fn text_may_be_cut_anywhere() {
        let text = "κόσμε \u{10348}\u{10ffff}\u{fffe}\0z€".as_bytes();
        for i in 0..=text.len() {
            for j in i..=text.len() {
                assert_eq!(refused_at(&[&text[..i], &text[i..j], &text[j..]]), None);
            }
        }
    }

    #[test]
    fn a_bad_byte_is_refused_when_it_comes() {
        // U+110000 is known to be too large at its second byte.
        assert_eq!(
            refused_at(&[b"ab", b"\xf4", b"\x90", b"\x80", b"\x80"]),
            Some(4)
        );
        assert_eq!(refused_at(&[b"\xed", b"\xa0", b"\x80"]), Some(2));
        assert_eq!(refused_at(&[b"\xc0"]), Some(1));
        assert_eq!(refused_at(&[b"\xe2\x82", b"a"]), Some(3));
    }
}
