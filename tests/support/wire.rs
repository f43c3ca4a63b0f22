//! Frames as bytes: what a peer made by hand sends, and what it reads.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::PATIENCE;

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

/// A frame of a server: its first byte, and its payload with the length in its shortest form.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(len as u8),
        len @ 126..=0xffff => {
            bytes.push(126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A Close frame of a server.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// Set where masks are to be zero, which is legal and leaves payloads as they are.
pub const ZERO_MASKS: &str = "WSABI_ZERO_MASKS";

pub fn has_zero_masks() -> bool {
    std::env::var_os(ZERO_MASKS).is_some()
}

/// The frames of a server as a client sends them: masked. The last may be incomplete.
pub fn masked(mut frames: &[u8]) -> Vec<u8> {
    let key = match has_zero_masks() {
        true => [0; 4],
        false => [0x37, 0xfa, 0x21, 0x3d],
    };
    let mut bytes = Vec::with_capacity(frames.len() * 2);
    while let [first, second, rest @ ..] = frames {
        let width = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let (length, rest) = rest.split_at(width.min(rest.len()));
        let len = match width {
            0 => u64::from(second & 0x7f),
            _ => length
                .iter()
                .fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        let (payload, rest) = rest.split_at(rest.len().min(usize::try_from(len).unwrap()));
        bytes.extend_from_slice(&[*first, second | 0x80]);
        bytes.extend_from_slice(length);
        bytes.extend_from_slice(&key);
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b));
        frames = rest;
    }
    bytes.extend_from_slice(frames);
    bytes
}

/// A frame that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    /// Without mask.
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn opcode(&self) -> u8 {
        self.first & 0xf
    }

    /// The code of a Close frame; none: it is empty.
    pub fn close_code(&self) -> Option<u16> {
        assert_eq!(self.first, FIN | CLOSE, "{self:?}");
        let (code, _) = self.payload.split_first_chunk()?;
        Some(u16::from_be_bytes(*code))
    }
}

/// The other end of an established connection, played by the test.
pub struct Peer<S = TcpStream> {
    pub stream: S,
    /// Whether it is a client.
    masks: bool,
}

impl Peer {
    pub fn new(stream: TcpStream, masks: bool) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, masks)
    }

    /// Ends its own direction of the stream first, as a server does.
    pub fn end(&mut self) -> Vec<Frame> {
        // The other side may have reset the stream.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.read_to_end()
    }
}

impl<S: Read + Write> Peer<S> {
    pub fn over(stream: S, masks: bool) -> Self {
        Self { stream, masks }
    }

    /// Sends frames that are written as a server's, in its own role.
    pub fn send(&mut self, frames: &[u8]) {
        let bytes = if self.masks {
            masked(frames)
        } else {
            frames.to_vec()
        };
        self.send_raw(&bytes);
    }

    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&frame(first, payload));
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next frame. The mask is as the role wants it.
    #[track_caller]
    pub fn read_frame(&mut self) -> Frame {
        self.try_read_frame().expect("a frame before the end")
    }

    /// The next frame, unless the other side has ended the stream.
    pub fn try_read_frame(&mut self) -> Option<Frame> {
        let mut first = [0];
        match self.stream.read(&mut first) {
            Ok(0) => return None,
            Ok(_) => {}
            // What was sent to an end that is gone may reset the stream.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no frame: {error}"),
        }
        let [first] = first;
        let [second] = self.read_bytes();
        let len = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(self.read_bytes())),
            127 => u64::from_be_bytes(self.read_bytes()),
            len => u64::from(len),
        };
        let key = (second & 0x80 != 0).then(|| self.read_bytes());
        assert_eq!(key.is_some(), !self.masks, "clients mask, servers do not");
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        self.stream.read_exact(&mut payload).unwrap();
        for (byte, mask) in payload
            .iter_mut()
            .zip(key.unwrap_or_default().iter().cycle())
        {
            *byte ^= mask;
        }
        Some(Frame {
            first,
            key,
            payload,
        })
    }

    /// All frames up to the end of the stream, which the other side ends.
    pub fn read_to_end(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.try_read_frame()).collect()
    }

    fn read_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }
}
