//! What the system's events are told apart by.

use mio::Token;

/// Makes tokens: of the slot in which a stream is, and a number by which it differs from those that
/// were there before. Events of these may still come: in the same turn, or for as long as the child
/// of a fork has the descriptor as well.
#[derive(Debug, Default)]
pub struct Tokens {
    last: usize,
}

/// The rest is for slots. Either is enough for what a process can have.
const NUMBER_BITS: u32 = if usize::BITS < 64 { 12 } else { 32 };

impl Tokens {
    /// The next one for this slot.
    pub fn next(&mut self, slot: usize) -> Token {
        self.last = self.last.wrapping_add(1);
        let number = self.last & ((1 << NUMBER_BITS) - 1);
        Token(slot << NUMBER_BITS | number)
    }
}

/// The slot that a token is of.
pub fn slot(token: Token) -> usize {
    token.0 >> NUMBER_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tokens_are_the_same_and_each_knows_its_slot() {
        let mut tokens = Tokens::default();
        let made: Vec<_> = [0, 1, 1, 0, 1000, 0]
            .map(|slot| (slot, tokens.next(slot)))
            .into();
        for (place, (slot_of, token)) in made.iter().enumerate() {
            assert_eq!(slot(*token), *slot_of);
            assert!(made[..place].iter().all(|(_, other)| other != token));
        }
    }

    #[test]
    fn numbers_begin_anew_without_a_change_of_the_slot() {
        let mut tokens = Tokens { last: usize::MAX };
        assert_eq!(slot(tokens.next(7)), 7);
        tokens.last = (1 << NUMBER_BITS) - 1;
        assert_eq!(slot(tokens.next(7)), 7);
    }
}
