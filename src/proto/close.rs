//! Close frames (RFC 6455 §5.5.1, §7.4): their codes and their reasons.

/// No code was in the Close frame (RFC 6455 §7.4.1); never on the wire.
pub const NO_STATUS: u16 = 1005;
/// There was no Close frame (RFC 6455 §7.4.1); never on the wire.
pub const ABNORMAL: u16 = 1006;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// An endpoint goes away.
pub const GOING_AWAY: u16 = 1001;
/// Text that is not UTF-8.
pub const INVALID_DATA: u16 = 1007;
/// A peer that breaks a rule of this end.
pub const POLICY_VIOLATION: u16 = 1008;
/// A message over the limit.
pub const TOO_BIG: u16 = 1009;
/// A defect on this side.
pub const INTERNAL_ERROR: u16 = 1011;

/// A control frame carries at most 125 bytes (RFC 6455 §5.5), of which the code takes two.
pub const MAX_REASON: usize = 123;

/// What a Close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code; none: the frame is empty.
    pub code: Option<u16>,
    /// At most 123 bytes; empty if there is no code.
    pub reason: Box<str>,
}

/// Why a received Close frame is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadClose {
    /// A payload of one byte.
    Length,
    /// A code that must not be on the wire.
    Code(u16),
    /// A reason that is not UTF-8.
    Reason,
}

impl CloseFrame {
    /// An empty Close frame.
    pub fn empty() -> Self {
        Self {
            code: None,
            reason: Box::default(),
        }
    }

    /// Reads a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, BadClose> {
        if payload.is_empty() {
            return Ok(Self::empty());
        }
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return Err(BadClose::Length);
        };
        let code = u16::from_be_bytes(*code);
        if !is_wire_code(code) {
            return Err(BadClose::Code(code));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| BadClose::Reason)?;
        Ok(Self {
            code: Some(code),
            reason: reason.into(),
        })
    }

    /// The code that the application is told.
    pub fn reported_code(&self) -> u16 {
        self.code.unwrap_or(NO_STATUS)
    }
}

/// Whether a Close frame may carry `code`: those of RFC 6455 §7.4.1, of the IANA registry behind
/// it (1012 to 1014), and of libraries (3000 on) and applications (4000 on).
pub fn is_wire_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_judged() {
        let good: Vec<u16> = (0..=u16::MAX).filter(|&code| is_wire_code(code)).collect();
        assert_eq!(good.len(), 4 + 8 + 2000);
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535u16,
        ] {
            assert_eq!(
                CloseFrame::parse(&code.to_be_bytes()),
                Err(BadClose::Code(code))
            );
        }
    }

    #[test]
    fn payloads_are_read() {
        assert_eq!(CloseFrame::parse(b""), Ok(CloseFrame::empty()));
        assert_eq!(CloseFrame::parse(b"\x03"), Err(BadClose::Length));
        let frame = CloseFrame::parse(b"\x03\xe8bye").unwrap();
        assert_eq!((frame.code, &*frame.reason), (Some(1000), "bye"));
        assert_eq!(CloseFrame::parse(b"\x03\xe8\xff"), Err(BadClose::Reason));
        assert_eq!(
            CloseFrame::parse(b"\x03\xe8\xe2\x82"),
            Err(BadClose::Reason)
        );
    }
}
