//! Frame headers (RFC 6455 §5.2): reading and writing, and what a header alone can get wrong.

use super::Role;
use super::mask::Key;

/// Room for the longest header, of two bytes, eight of length and four of mask, and for whole
/// registers.
pub const HEADER_ROOM: usize = 16;

/// The longest payload of a control frame (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further part of a message.
    Continuation,
    /// The first part of a text message.
    Text,
    /// The first part of a binary message.
    Binary,
    /// The end of a direction.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Whether this is a close, a ping or a pong.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this frame ends its message.
    pub fin: bool,
    /// Whether the message is compressed (RFC 7692 §6).
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The mask's key.
    pub mask: Option<Key>,
    /// Bytes of payload.
    pub len: u64,
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// RSV2 or RSV3, or RSV1 where no extension allows it.
    #[error("reserved bits {0:#05b} are set without an extension that defines them")]
    Reserved(u8),
    /// An opcode that RFC 6455 §5.2 reserves.
    #[error("opcode {0:#x} is reserved")]
    Opcode(u8),
    /// A control frame that is a fragment.
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame of over 125 bytes.
    #[error("a control frame has more than 125 bytes of payload")]
    LongControl,
    /// A server received a frame without mask.
    #[error("a frame from the client is not masked")]
    Unmasked,
    /// A client received a frame with a mask.
    #[error("a frame from the server is masked")]
    Masked,
    /// A length that is not in its shortest form.
    #[error("the length {0} is not in its shortest form")]
    LongForm(u64),
    /// A length with the top bit set.
    #[error("the length {0} has its top bit set")]
    TopBit(u64),
}

impl Header {
    /// Reads a header that `role` has received. `None`: it is not complete. What the first two
    /// bytes get wrong is refused without waiting for the rest.
    pub fn parse(
        input: &[u8],
        role: Role,
        rsv1_allowed: bool,
    ) -> Result<Option<(Self, usize)>, BadHeader> {
        let Some((&[first, second], mut rest)) = input.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let rsv1 = first & 0x40 != 0;
        if first & 0x30 != 0 || rsv1 && !rsv1_allowed {
            return Err(BadHeader::Reserved((first >> 4) & 0x7));
        }
        let bits = first & 0x0f;
        let opcode = Opcode::from_bits(bits).ok_or(BadHeader::Opcode(bits))?;
        // RFC 7692 §6.1: only the first frame of a message says that it is compressed.
        if rsv1 && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(BadHeader::Reserved(4));
        }
        let fin = first & 0x80 != 0;
        let short = second & 0x7f;
        if opcode.is_control() {
            if !fin {
                return Err(BadHeader::FragmentedControl);
            }
            if short > 125 {
                return Err(BadHeader::LongControl);
            }
        }
        let masked = second & 0x80 != 0;
        match (role, masked) {
            (Role::Server, false) => return Err(BadHeader::Unmasked),
            (Role::Client, true) => return Err(BadHeader::Masked),
            _ => {}
        }
        let len = match short {
            126 => {
                let Some((bytes, behind)) = rest.split_first_chunk::<2>() else {
                    return Ok(None);
                };
                rest = behind;
                shortest(u64::from(u16::from_be_bytes(*bytes)), 126)?
            }
            127 => {
                let Some((bytes, behind)) = rest.split_first_chunk::<8>() else {
                    return Ok(None);
                };
                rest = behind;
                shortest(u64::from_be_bytes(*bytes), 1 << 16)?
            }
            _ => u64::from(short),
        };
        let mut mask = None;
        if masked {
            let Some((key, behind)) = rest.split_first_chunk::<4>() else {
                return Ok(None);
            };
            rest = behind;
            mask = Some(*key);
        }
        let used = input.len().saturating_sub(rest.len());
        Ok(Some((
            Self {
                fin,
                rsv1,
                opcode,
                mask,
                len,
            },
            used,
        )))
    }

    /// Writes the header, and returns how many of the bytes it takes.
    #[inline]
    pub fn format(&self) -> ([u8; HEADER_ROOM], usize) {
        // Put together in registers: bytes that are stored one by one and then copied in one go
        // make the processor wait.
        let first = u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode.bits();
        let (masked, key_len) = match self.mask {
            Some(_) => (0x80, 4),
            None => (0, 0),
        };
        let key = u128::from(u32::from_le_bytes(self.mask.unwrap_or_default()));
        let (second, rest, len_len) = match (u8::try_from(self.len), u16::try_from(self.len)) {
            (Ok(len @ 0..=125), _) => (len, key, 0usize),
            (_, Ok(len)) => (126, u128::from(len.swap_bytes()) | key << 16, 2),
            _ => (127, u128::from(self.len.swap_bytes()) | key << 64, 8),
        };
        let bits = u128::from(first) | u128::from(masked | second) << 8 | rest << 16;
        let used = len_len.saturating_add(key_len).saturating_add(2);
        (bits.to_le_bytes(), used)
    }
}

/// RFC 6455 §5.2: the minimal number of bytes is used to encode the length, the top bit is 0. The
/// RFC binds the sender only, but a receiver that is strict leaves no second spelling to hide in.
fn shortest(len: u64, at_least: u64) -> Result<u64, BadHeader> {
    if len < at_least {
        return Err(BadHeader::LongForm(len));
    }
    if len >> 63 != 0 {
        return Err(BadHeader::TopBit(len));
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 125, 126, 127, 65535, 65536, 1 << 40, (1 << 63) - 1] {
            for mask in [None, Some([1, 2, 3, 4])] {
                for opcode in [Opcode::Continuation, Opcode::Text, Opcode::Binary] {
                    let rsv1 = opcode != Opcode::Continuation;
                    let header = Header {
                        fin: len % 2 == 0,
                        rsv1,
                        opcode,
                        mask,
                        len,
                    };
                    let (bytes, used) = header.format();
                    let role = if mask.is_some() {
                        Role::Server
                    } else {
                        Role::Client
                    };
                    for cut in 0..used {
                        assert_eq!(Header::parse(&bytes[..cut], role, true), Ok(None));
                    }
                    assert_eq!(Header::parse(&bytes, role, true), Ok(Some((header, used))));
                }
            }
        }
    }

    /// An oracle for the first two bytes, written from the text of RFC 6455 §5.2.
    fn first_bytes_are_legal(first: u8, second: u8, role: Role, rsv1_allowed: bool) -> bool {
        let opcode = first % 16;
        let rsv = first / 16 % 8;
        let known = [0, 1, 2, 8, 9, 10].contains(&opcode);
        let rsv_fine = rsv == 0 || (rsv == 4 && rsv1_allowed && [1, 2].contains(&opcode));
        let control_fine = opcode < 8 || (first >= 128 && second % 128 <= 125);
        let mask_fine = (second >= 128) == (role == Role::Server);
        known && rsv_fine && control_fine && mask_fine
    }

    #[test]
    fn every_pair_of_first_bytes_is_judged_at_once() {
        let mut tried = 0;
        for role in [Role::Client, Role::Server] {
            for rsv1_allowed in [false, true] {
                for first in 0..=255 {
                    for second in 0..=255 {
                        let legal = first_bytes_are_legal(first, second, role, rsv1_allowed);
                        let result = Header::parse(&[first, second], role, rsv1_allowed);
                        assert_eq!(result.is_ok(), legal, "{first:02x} {second:02x} {role:?}");
                        tried += 1;
                    }
                }
            }
        }
        println!("{tried} headers");
    }

    #[test]
    fn lengths_are_in_their_shortest_form() {
        let parse = |bytes: &[u8]| Header::parse(bytes, Role::Client, false);
        assert_eq!(parse(b"\x82\x7e\x00\x7d"), Err(BadHeader::LongForm(125)));
        assert!(parse(b"\x82\x7e\x00\x7e").unwrap().is_some());
        assert_eq!(
            parse(b"\x82\x7f\0\0\0\0\0\0\xff\xff"),
            Err(BadHeader::LongForm(65535))
        );
        assert!(parse(b"\x82\x7f\0\0\0\0\0\x01\0\0").unwrap().is_some());
        assert_eq!(
            parse(b"\x82\x7f\x80\0\0\0\0\0\0\0"),
            Err(BadHeader::TopBit(1 << 63))
        );
    }
}
